"""The recipes, run as they stand in the document."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from ruamel.yaml import YAML

import latehook
from support import http_clients
from support.limits import LIMIT, LONG_LIMIT
from support.paths import MITMDUMP, ROOT
from support.ports import free_port
from support.process import Proxy, clean_environment
from support.programs import WITH_PLUGIN, curl
from support.receivers import Receiver, receiver
from support.waiting import wait_until

RECIPES = ROOT / "addon" / "RECIPES.md"
TWO_RUNS, COMPOSE = "Two test runs on one proxy", "A docker compose service, with its CA"
IN_OTHER_LANGUAGES = ["A test in Node", "A test in Java"]
"""These are run in test_languages.py."""
TITLES = [
    "Advance the clock instead of waiting",
    "Another outcome, by `vars`",
    "The webhook before the response",
    "A duplicate webhook",
    "A lost webhook, then a resend",
    "Your system down, then up",
    "An invalid signature",
    TWO_RUNS,
    COMPOSE,
    *IN_OTHER_LANGUAGES,
]


class Block(NamedTuple):
    """A block of code. `recipe` is the title above it, `file` the name in its first line; a test has none."""

    recipe: str
    language: str
    text: str

    @property
    def file(self) -> str | None:
        named = re.match(r"(?:#|//) ([\w.]+)", self.text)
        return named and named[1]


def blocks(document: str) -> list[Block]:
    return [
        Block(part.partition("\n")[0], language, text)
        for part in re.split("^## ", document, flags=re.MULTILINE)
        for language, text in re.findall(r"^```(\w+)\n(.*?)^```$", part, re.MULTILINE | re.DOTALL)
    ]


BLOCKS = blocks(RECIPES.read_text())
FILES = {block.file: block.text for block in BLOCKS if block.file}
TESTS = {block.recipe: block.text for block in BLOCKS if not block.file}


def test_every_recipe_is_there_with_one_block_and_each_block_is_run() -> None:
    text = RECIPES.read_text()

    assert re.findall("^## (.*)", text, re.MULTILINE) == TITLES
    assert [block.recipe for block in BLOCKS if block.recipe in TITLES] == TITLES
    assert text.count("```") == 2 * len(BLOCKS) == 2 * (len(FILES) + len(TESTS))
    assert [*TESTS] == TITLES[: TITLES.index(COMPOSE)]
    assert all(block.language == "python" for block in BLOCKS if not block.file)
    assert [*FILES] == ["mocks.yaml", "conftest.py", "compose.yaml", "app.test.mjs", "AppTest.java"]
    assert max(len(test.splitlines()) for test in TESTS.values()) <= 20


def running(folder: Path, *files: str, **env: str) -> subprocess.Popen[str]:
    """pytest, on test files beside what the recipes share."""
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider", *WITH_PLUGIN, *files],
        cwd=folder,
        env={**clean_environment(), "PYTHONPATH": str(ROOT / "addon"), **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def passed(run: subprocess.Popen[str]) -> list[str]:
    """The files whose tests have passed; all must have."""
    said, _ = run.communicate(timeout=LONG_LIMIT)
    assert run.returncode == 0, said
    return re.findall(r"^PASSED (.*)::", said, re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("mocks.yaml", "conftest.py"):
        (tmp_path / name).write_text(FILES[name])
    return tmp_path


def test_each_recipe_passes_as_it_stands(folder: Path) -> None:
    files = {f"test_{number}.py": test for number, (title, test) in enumerate(TESTS.items()) if title != TWO_RUNS}
    for file, test in files.items():
        (folder / file).write_text(test)

    assert passed(running(folder, *files)) == [*files]


def test_two_runs_on_one_proxy_touch_only_what_is_their_own(folder: Path, sut: Receiver) -> None:
    (folder / "test_mine.py").write_text(TESTS[TWO_RUNS])
    with latehook.start(folder / "mocks.yaml") as proxy:
        another = f'{{"order": "another", "callback_url": "{sut.url}"}}'
        curl("-x", proxy.proxy, "--cacert", proxy.ca_bundle, "--json", another, "https://api.slow.example/jobs")
        port = proxy.proxy.rpartition(":")[2]
        runs = [running(folder, "test_mine.py", LATEHOOK_PORT=port) for _ in range(2)]

        assert [passed(run) for run in runs] == [["test_mine.py"]] * 2
        assert [webhook.state for webhook in proxy.webhooks()] == ["pending"]


# The compose file: there is no Docker engine here, so what its services say is run as processes of this machine.

URL = "https://api.thirdparty.example/api/endpoint"
REQUESTS = f"import requests; print(requests.post('{URL}').json()['identifier'])"
OPENSSL = f"import json; from urllib.request import urlopen; print(json.load(urlopen('{URL}', b''))['identifier'])"
NODE = f"""
import {{ EnvHttpProxyAgent, fetch }} from "undici";
const dispatcher = new EnvHttpProxyAgent();
const response = await fetch("{URL}", {{ method: "POST", dispatcher }});
console.log((await response.json()).identifier);
await dispatcher.close();
"""


class Composed:
    """The services of the compose file; where its names and paths lead to in containers, they lead to here."""

    def __init__(self, volume: Path, hooks: Receiver) -> None:
        self.port = free_port()
        self.hooks = hooks
        (volume / "config.yaml").write_text(f"{{listen_host: 127.0.0.1, listen_port: {self.port}}}")
        text = re.sub(r"/ca\b", str(volume), FILES["compose.yaml"]).replace("pip install -q .", "true")
        text = text.replace("app:8000", f"127.0.0.1:{hooks.port}")
        text = re.sub(r"(latehook|127\.0\.0\.1):8080", f"127.0.0.1:{self.port}", text)
        self.services = YAML(typ="safe").load(text)["services"]

    def run(self, service: str, *command: str, folder: Path = ROOT) -> subprocess.Popen[bytes]:
        """A command in a container of a service: it has the service's environment, and no other."""
        tools = {"PATH": os.pathsep.join([str(MITMDUMP.parent), os.environ["PATH"]]), "PYTHONPATH": str(ROOT / "addon")}
        environment = {**tools, **self.services[service]["environment"]}
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def is_healthy(self) -> bool:
        check = self.run("latehook", "sh", "-c", self.services["latehook"]["healthcheck"]["test"])
        check.communicate(timeout=LIMIT)
        return check.returncode == 0


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    """The compose file's proxy, healthy."""
    volume = tmp_path_factory.mktemp("ca")
    with receiver() as hooks:
        composed = Composed(volume, hooks)
        assert not composed.is_healthy()
        proxy = Proxy(composed.run("latehook", *shlex.split(composed.services["latehook"]["command"])), volume)
        try:
            proxy.wait_for("latehook: ready")
            wait_until(composed.is_healthy, "the service is healthy")
            yield composed
        finally:
            proxy.stop()


@pytest.mark.parametrize(
    "client",
    [
        pytest.param([sys.executable, "-c", REQUESTS], id="requests"),
        pytest.param([sys.executable, "-c", OPENSSL], id="openssl"),
        pytest.param([http_clients.NODE, "--input-type=module", "-e", NODE], id="node", marks=http_clients.NEEDS_NODE),
    ],
)
def test_a_client_in_the_composed_app_trusts_the_proxy_and_gets_its_webhook(
    client: list[str], composed: Composed
) -> None:
    before = len(composed.hooks.requests)

    said, _ = composed.run("app", *client, folder=http_clients.NODE_CLIENT.parent).communicate(timeout=LIMIT)
    with latehook.connect(composed.port) as steering:
        steering.advance("5s")

    webhook = composed.hooks.wait(before + 1)[-1]
    assert webhook.path.startswith("/hook?")
    assert webhook.query["identifier"] == said.decode().strip()


def test_the_composed_app_trusts_what_the_proxy_writes(composed: Composed) -> None:
    services = YAML(typ="safe").load(FILES["compose.yaml"])["services"]
    with latehook.connect(composed.port) as steering:
        variables = set(steering.env)

    assert services["latehook"]["volumes"] == [f".:{services['latehook']['working_dir']}", "ca:/ca"]
    assert services["app"]["volumes"] == ["ca:/ca:ro"]
    assert set(services["app"]["environment"]) <= variables


def test_the_compose_file_is_one_for_docker(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(FILES["compose.yaml"])
    command = ["docker", "compose", "-f", str(file), "config", "--quiet"]
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "compose", "version"], capture_output=True).returncode
    ):
        pytest.skip("docker compose is not here")

    checked = subprocess.run(command, capture_output=True, text=True)

    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
