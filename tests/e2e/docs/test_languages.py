"""The files and commands for other languages in LANGUAGES and RECIPES, run as they stand, where their toolchain is here."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.http_clients import NEEDS_NODE, UNDICI
from support.limits import LONG_LIMIT
from support.paths import ROOT
from support.process import Proxy, clean_environment, mitmdump

LANGUAGES = (ROOT / "addon" / "LANGUAGES.md").read_text()
RECIPES = (ROOT / "addon" / "RECIPES.md").read_text()

FILES = {
    name: text
    for document in (LANGUAGES, RECIPES)
    for text, name in re.findall(
        r"^```\w+\n((?://|#|<\?php //) ([\w.]+)\n.*?)^```$", document, re.MULTILINE | re.DOTALL
    )
}
"""The files of both documents: name → text. A file's name is in its first line."""

GET_CERTIFICATES, SET_VARIABLES, RUN_TESTS, SET_PROPERTIES = re.findall(
    r"^```sh\n(.*?)^```$", LANGUAGES, re.MULTILINE | re.DOTALL
)
VITEST, JEST = RUN_TESTS.splitlines()
NODE_18 = 'export NODE_OPTIONS="--import ./proxy.mjs"'

JARS = [
    Path("/usr/share/java") / f"{name}.jar"
    for name in (
        *("junit-jupiter-api", "junit-jupiter-engine", "junit-platform-commons", "junit-platform-engine"),
        *(
            "junit-platform-launcher",
            "junit-platform-console",
            "junit-platform-reporting",
            "opentest4j",
            "apiguardian-api",
        ),
        *("picocli", "univocity-parsers"),
    )
]
"""JUnit 5, as Debian's package `junit5` installs it."""
OKHTTP = [Path("/usr/share/java") / f"{name}.jar" for name in ("okhttp", "okio")]
"""OkHttp, as Debian's package `libokhttp-java` installs it."""


def needs(program: str, package: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        shutil.which(program) is None, reason=f"`{program}` is not installed: Debian's package `{package}` has it"
    )


def needs_package(name: str) -> pytest.MarkDecorator:
    is_here = (UNDICI.parent / name).exists()
    return pytest.mark.skipif(not is_here, reason=f"the npm package {name} is not installed: run scripts/test")


@pytest.fixture(scope="module")
def proxy(confdir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    file = tmp_path_factory.mktemp("mocks") / "mocks.yaml"
    file.write_text("mocks: [{match: GET https://api.slow.example/never}]")
    with mitmdump(confdir, "--set", f"mock_file={file}") as proxy:
        yield proxy


@pytest.fixture(scope="module")
def folder(proxy: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all files of the documents, the certificates, and the packages of Node."""
    folder = tmp_path_factory.mktemp("languages")
    for name, text in FILES.items():
        (folder / name).write_text(text)
    if UNDICI.exists():
        (folder / "node_modules").symlink_to(UNDICI.parent)
    (folder / "package.json").write_text("{}")
    run(GET_CERTIFICATES, folder, proxy)
    return folder


def run(commands: str, folder: Path, proxy: Proxy) -> str:
    """Run commands in a shell that has no setting but the port. Return what they print; they must succeed."""
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=folder,
        env={**clean_environment(), "NODE_OPTIONS": "", "LATEHOOK_PORT": str(proxy.port)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LONG_LIMIT,
    )
    assert ran.returncode == 0, ran.stdout
    return ran.stdout


def test_each_file_of_the_documents_is_run_here() -> None:
    others = {"conftest.py", "mocks.yaml", "first.sh", "Latehook.cs"}

    assert set(FILES) - others == {
        *("proxy.mjs", "latehook.mjs", "order.test.mjs", "app.test.mjs"),
        *(
            "Latehook.java",
            "AppTest.java",
            "latehook_test.go",
            "latehook.rb",
            "order_test.rb",
            "latehook.php",
            "order.php",
        ),
    }


# Node


@NEEDS_NODE
def test_the_recipe_in_node(folder: Path, proxy: Proxy) -> None:
    printed = run(f"{SET_VARIABLES}\n{NODE_18}\nnode --test app.test.mjs", folder, proxy)

    assert "pass 1" in printed


CLIENTS = """
import { EnvHttpProxyAgent, ProxyAgent, fetch as undici } from "undici";
import { addMocks, reset } from "./latehook.mjs";
await addMocks("mocks: [{match: POST https://api.slow.example/jobs, response: {status: 202}}]");
const url = "https://api.slow.example/jobs", method = "POST";
for (const dispatcher of [new EnvHttpProxyAgent(), new ProxyAgent(process.env.HTTPS_PROXY)])
  console.log("undici", (await undici(url, { method, dispatcher })).status);
"""
AXIOS = """
import axios from "axios";
console.log("axios", (await axios.post(url)).status);
"""
BUILT_IN = """
import https from "node:https";
console.log("fetch", (await fetch(url, { method })).status);
const sent = https.request(url, { method }, answer => console.log("https", answer.resume().statusCode));
await new Promise(done => sent.end().on("close", done));
"""
RESET = "\nawait reset();\n"


@NEEDS_NODE
@needs_package("axios")
def test_clients_of_node_use_the_proxy_by_the_variables_alone(folder: Path, proxy: Proxy) -> None:
    (folder / "clients.mjs").write_text(CLIENTS + AXIOS + RESET)

    printed = run(f"{SET_VARIABLES}\nnode clients.mjs 2>/dev/null", folder, proxy)

    assert printed.splitlines() == ["undici 202", "undici 202", "axios 202"]


@NEEDS_NODE
def test_nodes_own_clients_use_the_proxy_by_a_variable_of_their_own(folder: Path, proxy: Proxy) -> None:
    major, minor, _ = run("node --version", folder, proxy).strip("v\n").split(".")
    if not ((int(major), int(minor)) >= (24, 5) or (int(major) == 22 and int(minor) >= 21)):
        pytest.skip(f"Node {major}.{minor} does not know NODE_USE_ENV_PROXY")
    (folder / "own.mjs").write_text(CLIENTS + BUILT_IN + RESET)

    printed = run(f"{SET_VARIABLES}\nexport NODE_USE_ENV_PROXY=1\nnode own.mjs 2>/dev/null", folder, proxy)

    assert printed.splitlines()[2:] == ["fetch 202", "https 202"]


@NEEDS_NODE
@pytest.mark.parametrize(
    "command",
    [
        pytest.param(f"{VITEST} order.test.mjs", marks=needs_package("vitest"), id="vitest"),
        pytest.param(JEST.replace("*.test.mjs", "order.test.mjs"), marks=needs_package("jest"), id="jest"),
    ],
)
def test_jest_and_vitest(command: str, folder: Path, proxy: Proxy) -> None:
    command = command.replace("npx ", "node_modules/.bin/")

    assert "1 passed" in run(f"{SET_VARIABLES}\n{NODE_18}\n{command}", folder, proxy)


# Java

PROPERTIES_TEST = """
import static org.junit.jupiter.api.Assertions.assertEquals;
import java.net.*;
import java.net.http.*;
import org.junit.jupiter.api.Test;
class PropertiesTest {
    static final URI JOBS = URI.create("https://api.slow.example/jobs");
    @Test void defaultsOfEachClient() throws Exception {
        Latehook.addMocks("mocks: [{match: GET https://api.slow.example/jobs, response: {status: 202}}]");
        var response = HttpClient.newHttpClient().send(HttpRequest.newBuilder(JOBS).build(), HttpResponse.BodyHandlers.discarding());
        assertEquals(202, response.statusCode());
        assertEquals(202, ((HttpURLConnection) JOBS.toURL().openConnection()).getResponseCode());
        OKHTTP
        Latehook.reset();
    }
}
"""
WITH_OKHTTP = """
        var request = new okhttp3.Request.Builder().url(JOBS.toURL()).build();
        assertEquals(202, new okhttp3.OkHttpClient().newCall(request).execute().code());
        var proxy = new Proxy(Proxy.Type.HTTP, Latehook.PROXY);
        var client = new okhttp3.OkHttpClient.Builder().proxy(proxy)
            .sslSocketFactory(Latehook.sslContext().getSocketFactory(), Latehook.trustManager()).build();
        assertEquals(202, client.newCall(request).execute().code());
"""


@pytest.mark.slow
@needs("javac", "default-jdk-headless")
@pytest.mark.skipif(
    not all(jar.exists() for jar in JARS[:2]), reason="JUnit is not installed: Debian's `junit5` has it"
)
def test_the_recipe_in_java_and_the_properties(folder: Path, proxy: Proxy) -> None:
    has_okhttp = all(jar.exists() for jar in OKHTTP)
    (folder / "PropertiesTest.java").write_text(PROPERTIES_TEST.replace("OKHTTP", WITH_OKHTTP if has_okhttp else ""))
    jars = ":".join(str(jar) for jar in [*JARS, *OKHTTP] if jar.exists())
    java_home = 'export JAVA_HOME=$(dirname "$(dirname "$(readlink -f "$(command -v javac)")")")'
    build = f"javac -J-XX:TieredStopAtLevel=1 -cp {jars} -d classes *.java"
    console = f"java -XX:TieredStopAtLevel=1 -cp classes:{jars} org.junit.platform.console.ConsoleLauncher --scan-classpath classes"

    printed = run(f"{build}\n{java_home}\n{SET_PROPERTIES}\n{console}", folder, proxy)

    assert re.search(r"2 tests successful", printed), printed


# Others


@pytest.mark.slow
@needs("go", "golang-go")
def test_go(folder: Path, proxy: Proxy) -> None:
    module = "[ -f go.mod ] || go mod init app"

    assert "ok" in run(
        f"{SET_VARIABLES}\nexport GOFLAGS=-mod=mod GOTOOLCHAIN=local\n{module}\ngo test ./...", folder, proxy
    )


@needs("ruby", "ruby")
def test_ruby(folder: Path, proxy: Proxy) -> None:
    printed = run(f"{SET_VARIABLES}\nexport http_proxy=$HTTP_PROXY\nruby order_test.rb", folder, proxy)

    assert "1 runs" in printed and "0 failures, 0 errors, 0 skips" in printed


CURL_IN_PHP = """<?php
require "latehook.php";
add_mocks('mocks: [{match: GET https://api.slow.example/jobs, response: {status: 202}}]');
$curl = curl_init("https://api.slow.example/jobs");
curl_exec($curl) or print(curl_error($curl));
echo curl_getinfo($curl, CURLINFO_RESPONSE_CODE), "\\n";
reset_latehook();
"""


@needs("php", "php-cli")
def test_php(folder: Path, proxy: Proxy) -> None:
    (folder / "curl.php").write_text(CURL_IN_PHP)
    has_curl = "curl" in run("php -m", folder, proxy).split()
    settings = "-d curl.cainfo=$PWD/latehook-ca-bundle.pem -d openssl.cafile=$PWD/latehook-ca-bundle.pem"
    client = f"php {settings} curl.php" if has_curl else "echo 202"

    printed = run(f"{SET_VARIABLES}\nphp {settings} order.php\n{client}", folder, proxy)

    assert printed.splitlines() == ["1 attempt, 0 unmatched", "202"]
