"""A start that cannot work ends the process with one line, and no request reaches the third party meanwhile."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.failpoints import AT_START, ONCE_RUNNING, Failpoints, short
from support.limits import LIMIT
from support.paths import ADDON, MOCK_SCRIPT
from support.ports import free_port
from support.process import Proxy, mitmdump
from support.third_party import ThirdParty


@dataclass(frozen=True)
class Start:
    """A start that cannot work: a regular expression for its line, its options, its mocks file."""

    line: str
    options: tuple[str, ...] = ()
    mocks: str | None = None


BAD_STARTS = {
    "no CALLBACK_URL": Start(r"mocks\.yaml:\d+: .*CALLBACK_URL is not set"),
    "no mocks file": Start(r"none\.yaml: cannot be read: No such file", ("mock_file=none.yaml",)),
    "not YAML": Start(r"bad\.yaml:2: this is not YAML", mocks="mocks:\n  - match: ["),
    "an unknown key": Start(r"bad\.yaml:2: .*'mach' is not known.*match", mocks="mocks:\n  - mach: GET a.example/\n"),
    "a bad match": Start(r"bad\.yaml:2: mocks\[0\]\.match: .*has no path", mocks="mocks:\n  - match: GET a.example\n"),
    "a bad number": Start(r"mock_workers=abc: write a whole number", ("mock_workers=abc",)),
    "a bad number last": Start(r"mock_workers=0: write a whole number", ("mock_workers=5", "mock_workers=0")),
    "a misspelt option": Start(r"the option mock_flie is not known.*mock_file", ("mock_flie=x",)),
}


@pytest.mark.parametrize("start", BAD_STARTS.values(), ids=BAD_STARTS.keys())
def test_a_start_that_cannot_work_ends_with_one_line(
    start: Start, confdir: Path, tmp_path: Path, third_party: ThirdParty, mocked: Path
) -> None:
    file = mocked
    if start.mocks is not None:
        file = tmp_path / "bad.yaml"
        file.write_text(start.mocks)
    options = [] if "CALLBACK_URL" in start.line else [f"mock_file={file}"]
    arguments = [part for option in (*options, *start.options) for part in ("--set", option)]

    with repeated_requests(third_party) as port:
        with mitmdump(confdir, *arguments, "-p", str(port), wait=False) as proxy:
            status = proxy.wait()

    assert status == 1
    [line] = own_lines(proxy)
    assert re.match(f"latehook: .*{start.line}", line)


def test_the_last_value_of_an_option_counts_and_a_good_start_forwards_nothing(
    confdir: Path, third_party: ThirdParty, mocked: Path
) -> None:
    arguments = "--set", f"mock_file={mocked}", "--set", "mock_workers=abc", "--set", "mock_workers=5"

    with repeated_requests(third_party) as port:
        with mitmdump(confdir, *arguments, "-p", str(port)) as proxy:
            lines = own_lines(proxy)
            assert proxy.stop() == 0

    # At the end asyncio and mitmproxy print lines about connections that come while the loop is closed.
    lines += [line for line in own_lines(proxy)[len(lines) :] if "latehook: " in line or "addon/latehook" in line]
    assert [line for line in lines if not re.search("latehook: (ready|stopped)|job", line)] == []


@pytest.mark.parametrize("point", AT_START, ids=short)
def test_an_exception_in_our_code_ends_the_start(
    point: str, confdir: Path, tmp_path: Path, third_party: ThirdParty, mocked: Path
) -> None:
    failpoints = Failpoints(tmp_path)
    arguments = "--set", f"mock_file={mocked}"

    with failpoints.failing(point), repeated_requests(third_party) as port:
        with mitmdump(confdir, *arguments, "-p", str(port), script=failpoints.script, fork=True, wait=False) as proxy:
            status = proxy.wait()

    assert status == 1
    if point not in ONCE_RUNNING:
        assert own_lines(proxy) == ["latehook: cannot start: RuntimeError: failpoint"]


UNSUPPORTED = {
    "10.4.2": ("version.VERSION = '10.4.2'", r"mitmproxy 10\.4\.2 is not supported"),
    "11.1.3": ("version.VERSION = '11.1.3'", r"mitmproxy 11\.1\.3 is not supported"),
    "13": ("version.VERSION = '13.0.0.dev'", r"mitmproxy 13\.0\.0\.dev is not supported"),
    "a method": ("del http.HttpStream.make_server_connection", r".* lacks HttpStream\.make_server_connection"),
    "an attribute": (
        "Handler.__annotations__.clear(); Handler.__init__ = lambda self, context: None",
        r".* lacks ConnectionHandler\.client, ConnectionHandler\.layer",
    ),
    "a private function": ("del _http1.make_body_reader", r".* lacks a name .*make_body_reader"),
    "a private module": ("sys.modules[_http1.__name__] = None", r".* lacks a name .*_http1"),
}
"""What another mitmproxy lacks, and the beginning of the line that says so."""

PATCHED = """
import sys
from mitmproxy import version
from mitmproxy.proxy.layers import http
from mitmproxy.proxy.layers.http import _http1
from mitmproxy.proxy.server import ConnectionHandler as Handler

{patch}
sys.path.insert(0, {addon!r})
from latehook.addon import Door
addons = [Door({mock!r})]
"""


@pytest.mark.parametrize(("patch", "line"), UNSUPPORTED.values(), ids=UNSUPPORTED.keys())
def test_an_unsupported_mitmproxy_ends_the_start_with_one_line(
    patch: str, line: str, confdir: Path, tmp_path: Path, third_party: ThirdParty, mocked: Path
) -> None:
    script = tmp_path / "patched.py"
    script.write_text(PATCHED.format(patch=patch, addon=str(ADDON), mock=str(MOCK_SCRIPT)))
    arguments = "--set", f"mock_file={mocked}"

    with repeated_requests(third_party) as port:
        with mitmdump(confdir, *arguments, "-p", str(port), script=script, wait=False) as proxy:
            status = proxy.wait()

    assert status == 1
    [own] = [said for said in proxy.lines if said.startswith("latehook: ")]
    assert re.match(f"latehook: {line}", own)
    if "version" in patch:  # without a name mitmproxy itself fails at the requests
        assert own_lines(proxy) == [own]
    assert own.endswith("Latehook needs mitmproxy>=12.2.1,<13; run: pip install 'mitmproxy>=12.2.1,<13'")


@pytest.mark.parametrize(
    "text",
    [pytest.param("import no_such_module\n", id="a missing module"), pytest.param("def (\n", id="a syntax error")],
)
def test_a_mock_py_that_cannot_be_loaded_ends_the_start(
    text: str, confdir: Path, tmp_path: Path, third_party: ThirdParty, mocked: Path
) -> None:
    script = tmp_path / "mock.py"
    script.write_text(text + MOCK_SCRIPT.read_text())
    arguments = "--set", f"mock_file={mocked}"

    with repeated_requests(third_party) as port:
        with mitmdump(confdir, *arguments, "-p", str(port), script=script, wait=False) as proxy:
            status = proxy.wait()

    assert status == 1
    assert f"error in script {script}" in proxy.output


@contextmanager
def repeated_requests(third_party: ThirdParty) -> Iterator[int]:
    """Give a port for a proxy and send it mocked requests during the block; none may reach the third party."""
    port, done = free_port(), threading.Event()
    url = third_party.urls()[0]

    def send() -> None:
        while not done.wait(0.002):
            try:
                with socket.create_connection(("127.0.0.1", port), 1) as connection:
                    connection.sendall(f"GET {url} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
                    connection.recv(1000)
            except OSError:
                pass

    client = threading.Thread(target=send, daemon=True)
    before = third_party.connections
    client.start()
    try:
        yield port
    finally:
        done.set()
        client.join(LIMIT)
    assert third_party.connections == before


def own_lines(proxy: Proxy) -> list[str]:
    """Return what the process has printed, without mitmproxy's lines about its start and about connections."""
    own = re.compile(r"\[[\d:.]+\] (Loading script|HTTP\(S\) proxy listening) |\[[\d:.]+\]\[[\d.]+:\d+\] |127\.| +<< ")
    return [line for line in proxy.lines if line and not own.match(line)]
