"""The option `mock_others`: hosts that no mock names pass, are intercepted, or are refused so that nothing leaves."""

import json
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.attack_clients import read_response
from support.certificates import Certificate, certificate
from support.limits import LIMIT
from support.ports import free_port
from support.process import Proxy, mitmdump
from support.programs import curl
from support.raw_servers import raw_server
from support.receivers import Receiver, answer, receiver
from support.witness import Witness

MOCKS = """\
mocks:
  - match: ANY api.slow.example/**
    response: {{json: {{mocked: true}}}}
    webhook: {{after: 0s, to: "http://127.0.0.1:{hooks}/hook"}}
  - match: GET localhost:{forwarded}/forwarded
    response: forward
"""
RAW = b"\x00\x01 neither TLS nor HTTP\r\n\r\n"


@dataclass
class Closed:
    """A proxy with `mock_others=refuse`, its ports by mode, and the servers that it could reach."""

    proxy: Proxy
    ports: dict[str, int]
    witness: Witness
    other: Receiver
    other_tls: Receiver
    forwarded: Receiver
    hooks: Receiver

    def assert_nothing_left(self) -> None:
        assert self.other.connections == self.other_tls.connections == 0
        assert self.witness.events == []


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("ca"), "localhost")


@pytest.fixture(scope="module")
def closed_proxy(confdir: Path, tmp_path_factory: pytest.TempPathFactory, own: Certificate) -> Iterator[Closed]:
    folder = tmp_path_factory.mktemp("closed")
    ports = {mode: free_port() for mode in ("regular", "socks5", "reverse", "tcp", "upstream")}
    with receiver() as other, receiver(tls=own.context) as tls, receiver() as forwarded, receiver() as hooks:
        (folder / "mocks.yaml").write_text(MOCKS.format(hooks=hooks.port, forwarded=forwarded.port))
        modes = [
            f"regular@{ports['regular']}", f"socks5@{ports['socks5']}",
            f"reverse:http://localhost:{other.port}@{ports['reverse']}",
            f"reverse:tcp://localhost:{other.port}@{ports['tcp']}",
            f"upstream:http://localhost:{other.port}@{ports['upstream']}",
        ]  # fmt: skip
        arguments = [part for mode in modes for part in ("--mode", mode)]
        options = ["--set", f"mock_file={folder}/mocks.yaml", "--set", "mock_others=refuse"]
        witness = Witness(folder)
        with mitmdump(confdir, *arguments, *options, env=witness.env) as proxy:
            proxy.port = ports["regular"]
            yield Closed(proxy, ports, witness, other, tls, forwarded, hooks)


@pytest.fixture
def closed(closed_proxy: Closed) -> Closed:
    closed_proxy.witness.forget()
    return closed_proxy


def tunnel(port: int, host: str, to: int) -> tuple[socket.socket, bytes]:
    """Send a CONNECT; return the socket and the head of the response."""
    client = socket.create_connection(("127.0.0.1", port), LIMIT)
    client.sendall(f"CONNECT {host}:{to} HTTP/1.1\r\nhost: {host}:{to}\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n") and (byte := client.recv(1)):
        head += byte
    return client, head


def rest_of(client: socket.socket) -> bytes:
    """Return all that comes until the connection ends."""
    received = b""
    try:
        while data := client.recv(65536):
            received += data
    except ConnectionResetError:
        pass
    return received


def differs(response: Any) -> list[str]:
    return [miss["differs"] for miss in response["nearest"]]


@pytest.mark.parametrize("host", ["other.example", "localhost", "127.0.0.1", "api.slow.example.net"])
def test_http_is_answered_as_an_unmatched_request_is(host: str, closed: Closed) -> None:
    with httpx.Client(proxy=closed.proxy.url, trust_env=False) as client:
        response = client.post(f"http://{host}:{closed.other.port}/x", content=b"asked")

    assert response.status_code == 501
    assert any(miss.startswith(("host is", "port is")) for miss in differs(response.json()))
    closed.assert_nothing_left()


@pytest.mark.parametrize("mode", ["regular", "upstream"])
def test_a_connect_is_refused_in_words(mode: str, closed: Closed) -> None:
    client, head = tunnel(closed.ports[mode], "localhost", closed.other_tls.port)
    with client:
        body = rest_of(client) if b"close" in head.lower() else client.recv(65536)

    words = f"localhost:{closed.other_tls.port} is refused: no mock names it, and mock_others=refuse"
    assert head.startswith(f"HTTP/1.1 501 latehook: {words}\r\n".encode())
    assert differs(json.loads(body)) == [f"port is {closed.other_tls.port}, not {closed.forwarded.port}"]
    closed.proxy.wait_for(re.escape(words))
    closed.assert_nothing_left()


def test_clients_show_why_a_connect_was_refused(closed: Closed) -> None:
    url = f"https://other.example:{closed.other_tls.port}/x"
    with httpx.Client(proxy=closed.proxy.url, trust_env=False) as client, pytest.raises(httpx.ProxyError) as error:
        client.get(url)
    by_curl = curl("-x", closed.proxy.url, "-o", "/dev/null", "-w", "%{http_connect}", url)

    assert "no mock names it, and mock_others=refuse" in str(error.value)
    assert by_curl.stdout == "501"
    closed.assert_nothing_left()


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_a_tunnel_to_an_address_serves_the_mocked_host_that_tls_names_and_no_other(
    version: str, closed: Closed
) -> None:
    def ask(name: str) -> str:
        to = f"{name}:443:127.0.0.1:{closed.other_tls.port}"
        written = ["-k", "-w", " %{http_code}", "--connect-to", to, "--proxytunnel"]
        return curl(version, "-x", closed.proxy.url, *written, f"https://{name}/x").stdout

    assert ask("api.slow.example") == '{"mocked":true} 200'
    assert ask("other.example").endswith(" 501")
    closed.hooks.wait()
    assert {event for event in closed.witness.events if f"{closed.hooks.port})" not in event} == set()
    assert closed.other_tls.connections == 0


def test_a_websocket_is_refused(closed: Closed) -> None:
    upgrade = ["-H", "connection: upgrade", "-H", "upgrade: websocket", "-H", "sec-websocket-version: 13"]
    key = ["-H", "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ=="]
    url = f"http://localhost:{closed.other.port}/x"

    assert curl("-x", closed.proxy.url, *upgrade, *key, "-w", "%{http_code}", "-o", "/dev/null", url).stdout == "501"
    closed.assert_nothing_left()


@pytest.mark.parametrize("mode", ["regular", "socks5", "tcp"])
def test_what_is_no_http_is_cut_and_the_log_says_so(mode: str, closed: Closed) -> None:
    if mode == "regular":
        client, _ = tunnel(closed.ports[mode], "127.0.0.1", closed.other.port)
    else:
        client = socket.create_connection(("127.0.0.1", closed.ports[mode]), LIMIT)
    with client:
        if mode == "socks5":
            client.sendall(b"\5\1\0\5\1\0\3\x09localhost" + closed.other.port.to_bytes(2))
            assert client.recv(2) == b"\5\0"
        client.sendall(RAW)
        client.shutdown(socket.SHUT_WR)
        rest_of(client)

    closed.proxy.wait_for(f":{closed.other.port} is refused: no mock names it, and mock_others=refuse")
    closed.assert_nothing_left()


@pytest.mark.parametrize("how", ["socks5", "socks5h"])
def test_http_by_socks_is_answered(how: str, closed: Closed) -> None:
    proxy = f"{how}://127.0.0.1:{closed.ports['socks5']}"

    answered = curl("-x", proxy, f"http://127.0.0.1:{closed.other.port}/x")

    assert json.loads(answered.stdout)["error"] == "latehook: no mock matches this request"
    closed.assert_nothing_left()


def test_a_reverse_proxy_of_another_host_answers_too(closed: Closed) -> None:
    answered = curl("-w", "%{http_code}", "-o", "/dev/null", f"http://127.0.0.1:{closed.ports['reverse']}/x")

    assert answered.stdout == "501"
    closed.assert_nothing_left()


def test_forwarded_requests_and_webhooks_leave(closed: Closed) -> None:
    before = len(closed.hooks.requests)
    forwarded = curl("-x", closed.proxy.url, f"http://localhost:{closed.forwarded.port}/forwarded")
    curl("-x", closed.proxy.url, "-d", "x", "http://api.slow.example/")

    assert forwarded.stdout == "ok"
    closed.hooks.wait(before + 1)


def test_mitmproxys_own_page_and_the_control_api_answer(closed: Closed) -> None:
    assert curl("-x", closed.proxy.url, "-w", "%{http_code}", "-o", "/dev/null", "http://mitm.it/").stdout == "200"
    assert json.loads(curl(f"{closed.proxy.url}/_latehook/status").stdout)["ready"]
    closed.assert_nothing_left()


def test_what_was_refused_is_listed_and_nothing_has_left(closed: Closed) -> None:
    curl("-x", closed.proxy.url, "https://refused.example/x")
    curl("-x", closed.proxy.url, "http://refused.example/y")

    requests = json.loads(curl(f"{closed.proxy.url}/_latehook/requests?matched=false&limit=2").stdout)["items"]
    others = json.loads(curl(f"{closed.proxy.url}/_latehook/others").stdout)["items"]

    assert [(request["method"], request["url"]) for request in requests] == [
        ("GET", "http://refused.example/y"),
        ("CONNECT", "https://refused.example"),
    ]
    assert others == []


# intercept


@pytest.fixture(scope="module")
def ignored_port() -> int:
    """The port of hosts that mitmproxy's option `ignore_hosts` names."""
    return free_port()


@pytest.fixture(scope="module")
def intercepting(
    confdir: Path, tmp_path_factory: pytest.TempPathFactory, own: Certificate, ignored_port: int
) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("intercepting")
    (folder / "mocks.yaml").write_text("mocks: [{match: ANY api.slow.example/**, response: {text: mocked}}]\n")
    options = [
        f"mock_file={folder}/mocks.yaml", "mock_others=intercept", f"ssl_verify_upstream_trusted_ca={own.ca}",
        "block_list=:~u /blocked:403", "modify_body=/~s/real/edited", f"ignore_hosts=:{ignored_port}$",
    ]  # fmt: skip
    with mitmdump(confdir, *[part for option in options for part in ("--set", option)]) as proxy:
        yield proxy


def test_intercept_decrypts_other_hosts_and_options_act_on_them(
    intercepting: Proxy, own: Certificate, ignored_port: int
) -> None:
    client = ["-x", intercepting.url, "--cacert", intercepting.ca]
    real = answer(body=b"real")
    with receiver(real, tls=own.context) as server, receiver(real, tls=own.context, port=ignored_port):
        edited = curl(*client, f"https://localhost:{server.port}/x")
        blocked = curl(*client, "-w", "%{http_code}", f"https://localhost:{server.port}/blocked")
        ignored = curl(*client, f"https://localhost:{ignored_port}/x")

    assert (edited.stdout, blocked.stdout, ignored.returncode) == ("edited", "403", 60)
    assert [request.path for request in server.requests] == ["/x"]
    assert curl(*client, "https://api.slow.example/").stdout == "mocked"


def test_intercept_is_not_said_to_have_no_effect(intercepting: Proxy) -> None:
    assert "no effect" not in intercepting.output


def test_intercept_does_not_let_a_later_request_for_a_mocked_host_out_behind_the_proxy_protocol(
    intercepting: Proxy,
) -> None:
    heard: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        while data := connection.recv(65536):
            heard.append(data)
            connection.sendall(b"HTTP/1.1 204 \r\n\r\n")

    asked = "GET / HTTP/1.1\r\nhost: {}\r\n\r\n"
    with raw_server(serve) as port:
        client, _ = tunnel(intercepting.port, "localhost", port)
        with client:
            client.sendall(b"PROXY UNKNOWN\r\n" + asked.format("other.example").encode())
            assert client.recv(1000).startswith(b"HTTP/1.1 204 ")
            client.sendall(asked.format("api.slow.example").encode())
            assert read_response(client, b"")[1].endswith(b"mocked")

    assert heard == [b"PROXY UNKNOWN\r\n" + asked.format("other.example").encode()]


# pass


def test_what_has_no_effect_is_named_once(start: Callable[..., Proxy], tmp_path: Path) -> None:
    script = tmp_path / "mine.py"
    script.write_text("def request(flow): pass\n")
    options = ["--set", "block_list=:~u /x:403", "-s", str(script), "-w", str(tmp_path / "flows")]
    proxy = start(*options, mocks="mocks: []\n")
    curl(f"{proxy.url}/_latehook/status")
    proxy.stop()

    [line] = [line for line in proxy.lines if "no effect" in line]
    assert f"block_list, save_stream_file, the script {script}" in line
    assert "--set mock_others=intercept" in line


@pytest.mark.parametrize("options", [[], ["--set", "mock_others=pass", "--set", "block_list=:~u /x:403"]])
def test_nothing_is_named_where_nothing_acts_or_the_user_has_chosen(
    options: list[str], start: Callable[..., Proxy]
) -> None:
    proxy = start(*options, mocks="mocks: []\n")
    proxy.stop()

    assert "no effect" not in proxy.output


def test_what_left_is_listed_each_once(start: Callable[..., Proxy], sut: Receiver, own: Certificate) -> None:
    socks = free_port()
    proxy = start("--mode", "regular@0", "--mode", f"socks5@{socks}", mocks="mocks: [{match: GET api.slow.example/}]\n")
    with receiver(tls=own.context) as tls:
        curl("-x", proxy.url, "-d", "x", f"{sut.url}/a?b=c", "--next", "-s", "-x", proxy.url, f"{sut.url}/again")
        curl("-x", proxy.url, "-k", f"https://localhost:{tls.port}/")
        curl("-x", f"socks5h://127.0.0.1:{socks}", f"{sut.url}/raw")
        curl("-x", proxy.url, "http://api.slow.example/")

    listed = json.loads(curl(f"{proxy.url}/_latehook/others").stdout)["items"]

    assert [(other["method"], other["url"]) for other in reversed(listed)] == [
        ("POST", f"{sut.url}/a?b=c"),
        ("GET", f"{sut.url}/again"),
        ("CONNECT", f"localhost:{tls.port}"),
        ("TCP", f"127.0.0.1:{sut.port}"),
    ]
    curl(f"{proxy.url}/_latehook/reset", "-H", "content-type: application/json", "-d", "{}")
    assert json.loads(curl(f"{proxy.url}/_latehook/others").stdout)["items"] == []


def test_a_value_that_is_none_of_the_three_ends_the_start(start: Callable[..., Proxy]) -> None:
    proxy = start("--set", "mock_others=refused", mocks="mocks: []\n", wait=False)

    assert proxy.wait() == 1
    assert "mock_others=refused: write pass, intercept, refuse; did you mean 'refuse'?" in proxy.output
