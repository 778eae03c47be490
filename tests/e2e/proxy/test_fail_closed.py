"""Whatever fails, the third party is never touched: the caller gets a clear answer of ours, or the start ends."""

import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from mitmproxy.io import FlowWriter
from mitmproxy.test import tflow, tutils

from support.certificates import certificate
from support.forward_proxy import ForwardProxy, forward_proxy
from support.paths import MOCK_SCRIPT
from support.ports import free_port
from support.process import HOST, Proxy, mitmdump
from support.programs import curl
from support.receivers import Receiver, receiver

SOON = 3.0
"""Seconds in which every request of these tests must end: one that hangs fails."""


# Exceptions in our own code

SABOTAGED = """
import sys
from pathlib import Path

sys.path.insert(0, {addon!r})
from latehook import addon, store
from latehook.engine import engine
from latehook.proxy import guard, mocked_hosts

switch, happened = Path({folder!r}) / "switch", Path({folder!r}) / "happened"

def sabotage(owner, name):
    works = getattr(owner, name)
    spot = owner.__name__.rpartition(".")[2] + "." + name
    def broken(*args, **kwargs):
        if spot in switch.read_text().split():
            happened.open("a").write(spot + "\\n")
            raise RuntimeError("sabotage")
        return works(*args, **kwargs)
    setattr(owner, name, broken)

for spot in {spots!r}:
    owner, _, name = spot.partition(".")
    for module in (addon, engine, guard, mocked_hosts, store):
        if hasattr(module, owner):
            sabotage(getattr(module, owner), name)
            break

addons = [addon.Door({mock!r})]
"""

IN_HOOKS = (
    *("Guard.client_connected", "Guard.http_connect", "Guard.next_layer", "Guard.tls_clienthello"),
    *("Guard._passes", "Guard._may_be_mocked", "Guard.client_disconnected", "Guard.server_connect", "Guard._decide"),
    *("Latehook.requestheaders", "Latehook.request", "Latehook.responseheaders", "Latehook.update"),
    *("Latehook._settle", "Latehook._answers_at_once", "Latehook._prepare", "Latehook._answer", "MockedHosts.closed"),
    *("Engine.accept", "decide.decide", "error_responses.failure", "Store.add_job", "Store.commit"),
)
FOR_CONNECTIONS = IN_HOOKS[:6]
NEVER_CALLED = {
    *("Guard.server_connect", "error_responses.failure"),
    *("Latehook.requestheaders", "Latehook.request", "Latehook.responseheaders"),
}
"""Those that a mocked request never comes to as long as all else works."""

TOGETHER = (
    "Latehook._settle Latehook.requestheaders",
    "Latehook._settle Latehook.request",
    "Latehook._settle Latehook.request error_responses.failure",
)
"""What is left to mitmproxy's hooks and fails there too, and an answer to that which cannot be made."""

AT_START = ("Guard.__init__", "Latehook.load", "Latehook.configure", "Latehook._configure", "Latehook.running")


@dataclass
class Sabotage:
    """A proxy in all modes whose code raises where `breaking` says so, before services that would notice."""

    proxy: Proxy
    ports: dict[str, int]
    folder: Path
    third_party: Receiver
    third_party_tls: Receiver
    company: ForwardProxy
    trusted: str

    @contextmanager
    def breaking(self, *spots: str) -> Iterator[None]:
        (self.folder / "switch").write_text(" ".join(spots))
        try:
            yield
        finally:
            (self.folder / "switch").write_text("")

    @property
    def happened(self) -> set[str]:
        file = self.folder / "happened"
        return set(file.read_text().split()) if file.exists() else set()

    @property
    def contacts(self) -> tuple[int, int, int]:
        """How often the third party was connected to, and the upstream proxy asked."""
        return self.third_party.connections, self.third_party_tls.connections, len(self.company.asked)

    def doors(self) -> Iterator[tuple[str, list[str], str]]:
        """Every way to ask for a mocked path: a name, curl's arguments, and the URL."""
        for scheme, port in (("http", self.third_party.port), ("https", self.third_party_tls.port)):
            for version in ("--http1.1", "--http2") if scheme == "https" else ("--http1.1",):
                for mode, kind in (
                    ("regular", "http"),
                    ("socks5", "socks5h"),
                    ("socks5", "socks5"),
                    ("upstream", "http"),
                ):
                    via = f"{kind}://127.0.0.1:{self.ports[mode]}"
                    url = f"{scheme}://localhost:{port}/api"
                    yield f"{scheme} {version} {mode} {kind}", ["-4", "-x", via, version], url
                    if kind == "socks5":  # by an address, with a name that only TLS or the Host header tells
                        named = f"by-address.example:{port}"
                        resolve = ["--resolve", f"{named}:127.0.0.1"]
                        yield (
                            f"{scheme} {version} {kind}, name",
                            ["-x", via, version, *resolve],
                            f"{scheme}://{named}/api",
                        )
        for mode in ("reverse http", "reverse https"):
            for scheme in ("http", "https"):
                url = f"{scheme}://localhost:{self.ports[mode]}/api"
                yield f"{mode} {scheme}", ["-4", "--http1.1"], url


MOCKS = """
mocks:
  - {{match: 'GET localhost:{port}/health', response: forward}}
  - {{match: 'GET localhost:{tls_port}/health', response: forward}}
  - match: ANY localhost:{port}/api
    response: {{json: {{mocked: true}}}}
    webhook: {{after: 1h, to: "http://127.0.0.1:9/"}}
  - match: ANY localhost:{tls_port}/api
    response: {{json: {{mocked: true}}}}
    webhook: {{after: 1h, to: "http://127.0.0.1:9/"}}
  - match: ANY by-address.example/api
    response: {{json: {{mocked: true}}}}
    webhook: {{after: 1h, to: "http://127.0.0.1:9/"}}
"""


@dataclass
class ThirdParty:
    """A third party over http and over https that notices every connection."""

    plain: Receiver
    tls: Receiver
    trusted: str

    @property
    def connections(self) -> int:
        return self.plain.connections + self.tls.connections

    @property
    def mocks(self) -> str:
        return MOCKS.format(port=self.plain.port, tls_port=self.tls.port)


@pytest.fixture(scope="module")
def third_party(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThirdParty]:
    own = certificate(tmp_path_factory.mktemp("third-party"), "localhost")
    with receiver() as plain, receiver(tls=own.context) as tls:
        yield ThirdParty(plain, tls, own.ca)


def write_sabotaged(folder: Path) -> Path:
    script = folder / "sabotaged.py"
    (folder / "switch").write_text("")
    names = {
        "addon": str(MOCK_SCRIPT.parent),
        "mock": str(MOCK_SCRIPT),
        "folder": str(folder),
        "spots": IN_HOOKS + AT_START,
    }
    script.write_text(SABOTAGED.format(**names))
    return script


@pytest.fixture(scope="module")
def sabotage(third_party: ThirdParty, confdir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sabotage]:
    folder = tmp_path_factory.mktemp("sabotage")
    (folder / "mocks.yaml").write_text(third_party.mocks)
    with forward_proxy() as company:
        modes = {
            "regular": "regular",
            "socks5": "socks5",
            "upstream": f"upstream:{company.url}",
            "reverse http": f"reverse:http://localhost:{third_party.plain.port}",
            "reverse https": f"reverse:https://localhost:{third_party.tls.port}",
        }
        ports = {mode: free_port() for mode in modes}
        arguments = [argument for mode, spec in modes.items() for argument in ("--mode", f"{spec}@{ports[mode]}")]
        arguments += ["--set", f"mock_file={folder / 'mocks.yaml'}"]
        arguments += ["--set", f"ssl_verify_upstream_trusted_ca={third_party.trusted}"]
        with mitmdump(confdir, *arguments, script=write_sabotaged(folder)) as proxy:
            trusted = third_party.trusted
            yield Sabotage(proxy, ports, folder, third_party.plain, third_party.tls, company, trusted)


@pytest.mark.parametrize("spot", ["nothing", *IN_HOOKS, *TOGETHER])
def test_an_exception_in_our_code_lets_no_mocked_request_out(sabotage: Sabotage, spot: str) -> None:
    wrong, before = [], sabotage.contacts

    with sabotage.breaking(spot):
        for door, arguments, url in sabotage.doors():
            done = curl(*arguments, "--cacert", sabotage.proxy.ca, "-w", "\n%{http_code}", "-d", "x", url, limit=SOON)
            body, _, status = done.stdout.rpartition("\n")
            if not is_ours(body, int(status)) and not may_be_closed(spot, door, done):
                wrong.append(f"{door}: {status} {body} {done.stderr}")

    assert wrong == []
    assert sabotage.contacts == before
    assert set(spot.split()) <= sabotage.happened | NEVER_CALLED | {"nothing"}


def is_ours(body: str, status: int) -> bool:
    """The mock's answer, or JSON with an error of Latehook's."""
    try:
        answer = json.loads(body)
    except ValueError:
        return False
    return answer == {"mocked": True} if status == 200 else status >= 500 and answer["error"].startswith("latehook: ")


def may_be_closed(spot: str, door: str, got: subprocess.CompletedProcess[str]) -> bool:
    """Modes that connect at once refuse the connection when they cannot be made to wait; it is not HTTP yet."""
    if spot != "Guard.client_connected":
        return False
    if "reverse" not in door:
        return got.returncode == 97
    is_reset = got.returncode == 56 and "Connection reset by peer" in got.stderr  # by when curl notices it
    return got.returncode in (52, 35) or is_reset  # 35: in the handshake


VERSIONS = {"http": ("http", False), "https": ("https", False), "https, h2": ("https", True)}


@pytest.mark.parametrize("spot", ["nothing", *(spot for spot in IN_HOOKS if spot not in FOR_CONNECTIONS), *TOGETHER])
def test_a_mocked_request_after_a_forwarded_one_on_its_connection_stays_here(sabotage: Sabotage, spot: str) -> None:
    wrong = []

    for version, (scheme, http2) in VERSIONS.items():
        for mode in ("regular", "upstream"):
            server = sabotage.third_party_tls if scheme == "https" else sabotage.third_party
            url, before = f"{scheme}://localhost:{server.port}", len(server.requests)
            with _client(sabotage, mode, http2) as client:
                forwarded = client.get(f"{url}/health")
                with sabotage.breaking(spot):
                    mocked = client.post(f"{url}/api", content=b"x")
            if not is_ours(mocked.text, mocked.status_code):
                wrong.append(f"{version} {mode}: {mocked.status_code} {mocked.text}")
            assert (forwarded.text, mocked.http_version) == ("ok", "HTTP/2" if http2 else "HTTP/1.1")
            assert [request.path for request in server.requests[before:]] == ["/health"]

    assert wrong == []


def _client(sabotage: Sabotage, mode: str, http2: bool) -> httpx.Client:
    trust = ssl.create_default_context(cafile=sabotage.proxy.ca)
    proxy = f"http://127.0.0.1:{sabotage.ports[mode]}"
    return httpx.Client(proxy=proxy, verify=trust, http2=http2, trust_env=False, timeout=SOON)


@pytest.mark.parametrize("body", [b"", b"x" * 3_000_000], ids=["no body", "a long body"])
def test_the_choke_points_answer_leaves_the_connection_usable(sabotage: Sabotage, body: bytes) -> None:
    url = f"https://localhost:{sabotage.third_party_tls.port}/api"

    for http2 in (False, True):
        with _client(sabotage, "regular", http2) as client:
            with sabotage.breaking("Latehook._settle", "Latehook.request"):
                failed = client.post(url, content=body)
            works = client.post(url, content=body)

        assert failed.status_code == 502
        assert failed.json() == {
            "error": "latehook: this request was not answered, and a mocked host is never contacted",
            "request": {"method": "POST", "url": url},
        }
        assert works.json() == {"mocked": True}


# Starts that must end


@dataclass(frozen=True)
class Start:
    """A start that cannot work, and what it must say."""

    says: str
    options: tuple[str, ...] = ()
    mocks: str | None = None


BAD_STARTS = {
    "no CALLBACK_URL": Start(r"mocks\.yaml:\d+: .*CALLBACK_URL is not set"),
    "no mocks file": Start(r"none\.yaml:1: cannot be read: No such file", ("mock_file=none.yaml",)),
    "not YAML": Start(r"bad\.yaml:2: this is not YAML", mocks="mocks:\n  - match: ["),
    "an unknown key": Start(r"bad\.yaml:2: .*'mach' is not known.*match", mocks="mocks:\n  - mach: GET a.example/\n"),
    "a bad match": Start(r"bad\.yaml:2: mocks\[0\]\.match: .*has no path", mocks="mocks:\n  - match: GET a.example\n"),
    "a bad number": Start(r"mock_workers=abc: write a whole number", ("mock_workers=abc",)),
    "a bad number last": Start(r"mock_workers=0: write a whole number", ("mock_workers=5", "mock_workers=0")),
    "a misspelt option": Start(r"the option mock_flie is not known.*mock_file", ("mock_flie=x",)),
}


@pytest.fixture(scope="module")
def mocked(third_party: ThirdParty, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mocks file by which the third party is mocked."""
    file = tmp_path_factory.mktemp("mocks") / "mocks.yaml"
    file.write_text(third_party.mocks)
    return file


@pytest.mark.parametrize("start", BAD_STARTS.values(), ids=BAD_STARTS.keys())
def test_a_start_that_cannot_work_ends_with_one_line(
    start: Start, confdir: Path, tmp_path: Path, third_party: ThirdParty, mocked: Path
) -> None:
    file = mocked
    if start.mocks is not None:
        file = tmp_path / "bad.yaml"
        file.write_text(start.mocks)
    options = [] if "CALLBACK_URL" in start.says else [f"mock_file={file}"]
    arguments = [part for option in (*options, *start.options) for part in ("--set", option)]

    with hammering(third_party) as port:
        with mitmdump(confdir, *arguments, "-p", str(port), wait=False) as proxy:
            status = proxy.wait()

    assert status == 1
    [line] = ours(proxy)
    assert re.match(f"latehook: .*{start.says}", line)


def test_of_an_option_given_twice_the_last_counts_and_a_good_start_lets_nothing_out(
    confdir: Path, third_party: ThirdParty, mocked: Path
) -> None:
    arguments = "--set", f"mock_file={mocked}", "--set", "mock_workers=abc", "--set", "mock_workers=5"

    with hammering(third_party) as port:
        with mitmdump(confdir, *arguments, "-p", str(port)) as proxy:
            said = ours(proxy)
            assert proxy.stop() == 0

    # At the end asyncio and mitmproxy have words of their own, for connections that come while the loop is closed.
    said += [line for line in ours(proxy)[len(said) :] if "latehook" in line]
    assert [line for line in said if not re.search("latehook: (ready|stopped)|job", line)] == []


@pytest.mark.parametrize("spot", AT_START)
def test_an_exception_in_our_code_ends_the_start(
    spot: str, confdir: Path, tmp_path: Path, third_party: ThirdParty, mocked: Path
) -> None:
    script = write_sabotaged(tmp_path)
    (tmp_path / "switch").write_text(spot)
    arguments = "--set", f"mock_file={mocked}"

    with hammering(third_party) as port:
        with mitmdump(confdir, *arguments, "-p", str(port), script=script, wait=False) as proxy:
            status = proxy.wait()

    assert status == 1
    if spot != "Latehook.running":  # mitmproxy reports that one itself
        assert ours(proxy) == ["latehook: cannot start: RuntimeError: sabotage"]


BROKEN = {"a module that is missing": "import no_such_module\n", "a syntax error": "def (\n"}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN.keys())
def test_a_mock_py_that_cannot_be_loaded_ends_the_start(
    text: str, confdir: Path, tmp_path: Path, third_party: ThirdParty, mocked: Path
) -> None:
    script = tmp_path / "mock.py"
    script.write_text(text + MOCK_SCRIPT.read_text())
    arguments = "--set", f"mock_file={mocked}"

    with hammering(third_party) as port:
        with mitmdump(confdir, *arguments, "-p", str(port), script=script, wait=False) as proxy:
            status = proxy.wait()

    assert status == 1
    assert f"error in script {script}" in proxy.output


@contextmanager
def hammering(third_party: ThirdParty) -> Iterator[int]:
    """A port to start a proxy on, while a client asks there for the third party all the time: it must not come."""
    port, done = free_port(), threading.Event()
    request = f"GET {third_party.plain.url.replace('127.0.0.1', 'localhost')}/api HTTP/1.1\r\nhost: localhost\r\n\r\n"

    def ask() -> None:
        while not done.wait(0.002):
            try:
                with socket.create_connection(("127.0.0.1", port), 1) as connection:
                    connection.sendall(request.encode())
                    connection.recv(1000)
            except OSError:
                pass

    client = threading.Thread(target=ask, daemon=True)
    before = third_party.connections
    client.start()
    try:
        yield port
    finally:
        done.set()
        client.join(SOON)
    assert third_party.connections == before


def ours(proxy: Proxy) -> list[str]:
    """What it said, without mitmproxy's own lines: two of every start, and those of connections."""
    own = re.compile(r"\[[\d:.]+\] (Loading script|HTTP\(S\) proxy listening) |\[[\d:.]+\]\[[\d.]+:\d+\] |127\.| +<< ")
    return [line for line in proxy.lines if line and not own.match(line)]


# While it runs


@pytest.fixture(scope="module")
def running(confdir: Path, mocked: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Proxy, Path]]:
    """A proxy with a copy of addon/, and that folder."""
    folder = tmp_path_factory.mktemp("copy") / "addon"
    shutil.copytree(MOCK_SCRIPT.parent, folder, ignore=shutil.ignore_patterns("__pycache__"))
    file = shutil.copy(mocked, folder.parent / "mocks.yaml")
    with mitmdump(confdir, "--set", f"mock_file={file}", script=folder / "mock.py") as proxy:
        yield proxy, folder


def answers(proxy: Proxy, third_party: ThirdParty, path: str = "/api") -> list[Any]:
    """What a mocked path gets over http and https, while the third party gets nothing."""
    before = third_party.connections
    urls = f"http://localhost:{third_party.plain.port}{path}", f"https://localhost:{third_party.tls.port}{path}"
    got = [curl("-x", proxy.url, "--cacert", proxy.ca, "-d", "x", url, limit=SOON) for url in urls]
    assert third_party.connections == before
    return [json.loads(done.stdout) for done in got]


def test_a_broken_edit_of_mock_py_and_its_deletion_let_nothing_out(
    running: tuple[Proxy, Path], third_party: ThirdParty
) -> None:
    proxy, folder = running
    script = folder / "mock.py"
    as_mocked = [{"mocked": True}] * 2

    for count, text in enumerate(BROKEN.values(), 1):
        _edit(script, text)
        proxy.wait_for(f"error in script {script}", count)
        assert answers(proxy, third_party) == as_mocked

    _edit(script, MOCK_SCRIPT.read_text())
    proxy.wait_for("Loading script", 2 + len(BROKEN))
    assert answers(proxy, third_party) == as_mocked

    script.unlink()
    proxy.wait_for("Removing script")
    assert answers(proxy, third_party) == as_mocked


def _edit(file: Path, text: str) -> None:
    """As an editor on a fast machine: mitmproxy sees an edit by its time alone, a second may hold several."""
    file.write_text(text)
    _edit.time = max(time.time(), getattr(_edit, "time", 0.0)) + 1  # type: ignore[attr-defined]
    os.utime(file, (_edit.time, _edit.time))  # type: ignore[attr-defined]


def test_a_path_without_a_mock_on_a_mocked_host_is_a_501_that_explains(
    running: tuple[Proxy, Path], third_party: ThirdParty
) -> None:
    proxy, folder = running
    http, https = answers(proxy, third_party, "/other?q=1")

    assert http["error"] == "latehook: no mock matches this request"
    assert http["request"] == {"method": "POST", "url": f"http://localhost:{third_party.plain.port}/other?q=1"}
    assert http["nearest"][0] == {
        "mock": f"ANY localhost:{third_party.plain.port}/api",
        "at": f"{folder.parent / 'mocks.yaml'}:5",
        "differs": "path is /other",
    }
    assert {
        "mock": f"GET localhost:{third_party.plain.port}/health",
        "at": f"{folder.parent / 'mocks.yaml'}:3",
        "differs": "method is POST, not GET",
    } in http["nearest"]
    assert https["request"]["url"] == f"https://localhost:{third_party.tls.port}/other?q=1"
    done = curl("-x", proxy.url, "-o", "/dev/null", "-w", "%{http_code} %{content_type}", http["request"]["url"])
    assert done.stdout == "501 application/json"


def test_a_host_whose_last_mock_is_gone_stays_closed(running: tuple[Proxy, Path], third_party: ThirdParty) -> None:
    proxy, folder = running

    (folder.parent / "mocks.yaml").write_text("mocks: [{match: GET another.example/}]\n")
    proxy.wait_for(r"read again.*mocks\.yaml|mocks\.yaml.* read again")

    assert [answer["error"] for answer in answers(proxy, third_party)] == ["latehook: no mock matches this request"] * 2


# Others that act


@pytest.fixture(scope="module")
def acting(
    confdir: Path, mocked: Path, third_party: ThirdParty, company: ForwardProxy, other: Receiver
) -> Iterator[Any]:
    """A proxy whose other options act on requests; its ports by mode."""
    ports = {"regular": free_port(), "upstream": free_port()}
    settings = (
        f"mock_file={mocked}",
        "proxyauth=user:secret",
        "block_list=|~u /api.blocked|444",
        f"map_remote=|http://moved.example/|{other.url}/",
        f"map_remote=|http://bent.example/|http://localhost:{third_party.plain.port}/",
    )
    arguments = [part for setting in settings for part in ("--set", setting)]
    arguments += ["--mode", f"regular@{ports['regular']}", "--mode", f"upstream:{company.url}@{ports['upstream']}"]
    with mitmdump(confdir, *arguments) as proxy:
        yield proxy, {mode: f"http://127.0.0.1:{port}" for mode, port in ports.items()}


@pytest.fixture(scope="module")
def company() -> Iterator[ForwardProxy]:
    with forward_proxy() as server:
        yield server


@pytest.fixture(scope="module")
def other() -> Iterator[Receiver]:
    with receiver() as server:
        yield server


def _urls(third_party: ThirdParty, path: str = "/api") -> tuple[str, str]:
    return f"http://localhost:{third_party.plain.port}{path}", f"https://localhost:{third_party.tls.port}{path}"


def test_proxy_authentication_comes_before_us(acting: Any, third_party: ThirdParty) -> None:
    proxy, urls = acting
    status = "-w", "%{http_code} %{http_connect}", "-o", "/dev/null"
    http, https = _urls(third_party)

    for url in urls.values():
        user = "-x", url, "--cacert", proxy.ca, "--proxy-user", "user:secret"
        assert curl("-x", url, *status, "-d", "x", http, limit=SOON).stdout == "407 000"
        assert curl("-x", url, *status, "-d", "x", https, limit=SOON).stdout == "000 407"
        assert [curl(*user, "-d", "x", to, limit=SOON).stdout for to in (http, https)] == ['{"mocked":true}'] * 2


def test_a_block_list_comes_before_us(acting: Any, third_party: ThirdParty) -> None:
    proxy, urls = acting
    user = "-x", urls["regular"], "--cacert", proxy.ca, "--proxy-user", "user:secret"

    for to in _urls(third_party, "/api?blocked"):
        done = curl(*user, to, limit=SOON)

        assert (done.returncode, done.stdout) in ((52, ""), (92, ""))  # 444: closed without an answer


def test_map_remote_works_for_other_hosts(acting: Any, other: Receiver) -> None:
    _, urls = acting

    done = curl("-x", urls["regular"], "--proxy-user", "user:secret", "http://moved.example/path", limit=SOON)

    assert done.stdout == "ok"
    assert [request.path for request in other.requests] == ["/path"]


@pytest.mark.parametrize("mode", ["regular", "upstream"])
def test_what_map_remote_points_at_a_mocked_host_does_not_go_there(
    acting: Any, mode: str, third_party: ThirdParty, company: ForwardProxy
) -> None:
    _, urls = acting
    before = third_party.connections, len(company.asked)

    done = curl("-x", urls[mode], "--proxy-user", "user:secret", "http://bent.example/api", limit=SOON)

    assert "never contacted" in json.loads(done.stdout)["error"]
    assert (third_party.connections, len(company.asked)) == before


def test_replays_of_saved_flows_start_no_jobs(confdir: Path, tmp_path: Path) -> None:
    saved = tmp_path / "flows"
    with saved.open("wb") as file, receiver() as sut:
        request = {"host": HOST, "port": 80, "path": b"/api/endpoint", "method": b"POST", "authority": HOST.encode()}
        for response in (False, True):
            FlowWriter(file).add(tflow.tflow(req=tutils.treq(**request), resp=response))
        file.flush()
        env = {"CALLBACK_URL": sut.url, "DELAY": "0s"}

        with mitmdump(confdir, "-n", "-r", str(saved), env=env, wait=False) as proxy:
            status = proxy.wait()

        assert status == 0, proxy.output
        assert f"{HOST}/api/endpoint" in proxy.output
        assert "job" not in proxy.output and "owed" not in proxy.output
        assert sut.requests == []
