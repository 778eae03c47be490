"""A mocked host is mocked by whatever name a client asks for it, and no request leaves that names one besides another."""

import re
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import pytest

from support.attack_clients import Http2Client, read_response
from support.attacks import AttackRequest
from support.certificates import certificate
from support.limits import PROMPT
from support.ports import free_port
from support.process import Proxy, mitmdump
from support.programs import curl
from support.raw_servers import raw_server
from support.receivers import Receiver, answer, receiver
from support.tunnel_clients import Tls, connect, send, socks5
from support.waiting import wait_until
from support.witness import Witness

NAME = "api.slow.example"

MOCKS = """
mocks:
  - {{match: "ANY {name}/**", response: {{text: mocked}}}}
  - {{match: "GET localhost:{a}/health", response: forward}}
  - {{match: "ANY localhost:{a}/**", response: {{text: a}}}}
  - {{match: "ANY localhost:{b}/**", response: {{text: b}}}}
"""


@dataclass
class ThirdParty:
    """A server at an address that nobody knows to be a mocked host's: what it has received from each connection."""

    port: int = 0
    received: list[bytes] = field(default_factory=list)

    def serve(self, connection: socket.socket) -> None:
        at = len(self.received)
        self.received.append(b"")
        while data := connection.recv(65536):
            self.received[at] += data


@dataclass
class Setup:
    """The proxy, its ports by mode, and the servers: `a` and `b` are mocked as localhost with their ports."""

    proxy: Proxy
    ports: dict[str, int]
    witness: Witness
    third_party: ThirdParty
    a: Receiver
    b: Receiver

    def open(self, mode: str, host: str, port: int = 0) -> socket.socket:
        return {"CONNECT": connect, "SOCKS5": socks5}[mode](self.ports[mode], host, port or self.third_party.port)


@pytest.fixture(scope="module")
def module(confdir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setup]:
    folder = tmp_path_factory.mktemp("names")
    witness, third_party = Witness(folder), ThirdParty()
    ports = {"CONNECT": free_port(), "SOCKS5": free_port()}
    with raw_server(third_party.serve) as third_party.port, receiver(answer(body=b"real")) as a, receiver() as b:
        (folder / "mocks.yaml").write_text(MOCKS.format(name=NAME, a=a.port, b=b.port))
        options = "--set", f"mock_file={folder}/mocks.yaml"
        modes = "--mode", f"regular@{ports['CONNECT']}", "--mode", f"socks5@{ports['SOCKS5']}"
        with mitmdump(confdir, *options, *modes, env=witness.env) as proxy:
            yield Setup(proxy, ports, witness, third_party, a, b)


@pytest.fixture
def setup(module: Setup) -> Iterator[Setup]:
    module.witness.forget()
    module.third_party.received.clear()
    yield module
    assert "crashed" not in module.proxy.output and "Traceback" not in module.proxy.output


# Tunnels

MODES = ["CONNECT", "SOCKS5"]
ASKED = {"by address": "127.0.0.1", "by another name": "localhost"}
HEAD = f"POST /jobs HTTP/1.1\r\nHost: {NAME}\r\ncontent-length: 0\r\n\r\n".encode()
PROXY_2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes([192, 0, 2, 1, 203, 0, 113, 7, 0xDC, 4, 1, 0xBB])
HTTP = {
    "HTTP": HEAD,
    "a method in lower case": HEAD.replace(b"POST", b"post"),
    "a method of its own": HEAD.replace(b"POST", b"FROB"),
    "empty lines in front": b"\r\n\r\n" + HEAD,
    "lines without CR": HEAD.replace(b"\r", b""),
    "the URL": f"POST http://{NAME}/jobs HTTP/1.1\r\nHost: other.example\r\ncontent-length: 0\r\n\r\n".encode(),
    "a second Host header": HEAD.replace(b"Host", b"Host: other.example\r\nHost"),
    "upper case and a dot": HEAD.replace(NAME.encode(), NAME.upper().encode() + b"."),
    "the PROXY protocol in front": b"PROXY TCP4 192.0.2.1 203.0.113.7 56324 443\r\n" + HEAD,
    "its version 2 in front": PROXY_2 + HEAD,
    "user and password": HEAD.replace(NAME.encode(), b"me:secret@" + NAME.encode()),
}


@pytest.mark.parametrize("piece", [0, 1, 2])
@pytest.mark.parametrize("how", HTTP)
@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("mode", MODES)
def test_http_for_a_mocked_host_is_answered_in_a_tunnel_to_elsewhere(
    mode: str, asked: str, how: str, piece: int, setup: Setup
) -> None:
    with setup.open(mode, ASKED[asked]) as client:
        send(client, HTTP[how], piece)
        response = answered(client)

    assert response.startswith(b"HTTP/1.1 200 ") and response.endswith(b"mocked"), response
    check_not_touched(setup, asked)


@pytest.mark.parametrize("piece", [0, 1, 2, 5])
@pytest.mark.parametrize("name", [NAME, NAME.upper()])
@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("mode", MODES)
def test_tls_for_a_mocked_host_is_answered_in_a_tunnel_to_elsewhere(
    mode: str, asked: str, name: str, piece: int, setup: Setup
) -> None:
    with setup.open(mode, ASKED[asked]) as client:
        tls = Tls(client, name, piece)
        tls.sendall(HEAD)
        response = answered(tls)

    assert response.endswith(b"mocked"), response
    check_not_touched(setup, asked)


def answered(client: Any) -> bytes:
    """Return one whole response."""
    return read_response(client, b"")[1]


def check_not_touched(setup: Setup, asked: str) -> None:
    """Check that an address was not connected to, and that a connection to another name got no byte."""
    if asked == "by address":
        assert setup.witness.events == []
    assert set(setup.third_party.received) <= {b""}


@pytest.mark.parametrize("piece", [0, 1])
@pytest.mark.parametrize("how", HTTP)
def test_http_in_pieces_is_answered_in_a_tunnel_to_the_mocked_host(how: str, piece: int, setup: Setup) -> None:
    with setup.open("CONNECT", NAME, 80) as client:
        send(client, HTTP[how], piece)
        response = answered(client)

    assert response.startswith(b"HTTP/1.1 200 ") and response.endswith(b"mocked"), response
    assert setup.witness.events == []


@pytest.mark.parametrize("target", [(NAME, 443), ("127.0.0.99", 443)], ids=["the mocked name", "an address"])
def test_tls_without_a_server_name_is_decrypted_where_the_third_party_is_likely(
    target: tuple[str, int], setup: Setup
) -> None:
    with setup.open("CONNECT", *target) as client:
        tls = Tls(client, None)
        send_in_two = HEAD[:2], HEAD[2:]
        for data in send_in_two:
            tls.sendall(data)
        response = answered(tls)

    assert response.endswith(b"mocked"), response
    assert setup.witness.events == []
    if target[0] != NAME:
        setup.proxy.wait_for("latehook: TLS to 127.0.0.99:443 has no server name: it is decrypted")


def test_a_connect_whose_host_header_is_mocked_connects_to_nothing(setup: Setup) -> None:
    with socket.create_connection(("127.0.0.1", setup.ports["CONNECT"]), PROMPT) as client:
        client.sendall(f"CONNECT localhost:{setup.third_party.port} HTTP/1.1\r\nHost: {NAME}:443\r\n\r\n".encode())
        assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
        client.sendall(b"\x00\x01 neither TLS nor HTTP\r\n")
        rest = client.recv(1000)

    assert rest == b""
    assert setup.witness.events == []
    setup.proxy.wait_for(r"latehook: a connection to localhost:\d+ ends: it is for a mocked host, and is neither HTTP")


@pytest.mark.parametrize("target", [f"http://{NAME}/jobs", f"http://{NAME}:8080/jobs"])
@pytest.mark.parametrize("tunnel", [["-p"], []], ids=["tunnel", "no tunnel"])
def test_http2_without_tls_is_answered(tunnel: list[str], target: str, setup: Setup) -> None:
    proxy = f"http://127.0.0.1:{setup.ports['CONNECT']}"

    got = curl("-x", proxy, *tunnel, "--http2-prior-knowledge", "-w", " %{http_version}", target)

    assert got.stdout in ("mocked 2", "mocked 1.1" if not tunnel else ""), got.stderr
    assert setup.witness.events == []


# Requests that follow others in a tunnel

OTHER_REQUESTS = {
    "a request": b"GET / HTTP/1.1\r\nHost: other.example\r\n\r\n",
    "a chunked one": b"POST / HTTP/1.1\r\nHost: other.example\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
}


def serve_http(received: list[bytes]) -> Callable[[socket.socket], None]:
    """Answer each request, late enough for others to come meanwhile."""

    def serve(connection: socket.socket) -> None:
        unread = b""
        while data := connection.recv(65536):
            unread += data
            if unread.endswith(b"0\r\n\r\n" if b"chunked" in unread else b"\r\n\r\n"):
                received.append(unread)
                unread = b""
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nre")
                time.sleep(0.05)
                connection.sendall(b"al")

    return serve


@pytest.mark.parametrize("pipelined", [True, False])
@pytest.mark.parametrize("first", OTHER_REQUESTS)
@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("mode", MODES)
def test_a_later_request_for_a_mocked_host_is_answered_behind_the_others(
    mode: str, asked: str, first: str, pipelined: bool, setup: Setup
) -> None:
    received: list[bytes] = []
    with raw_server(serve_http(received)) as port, setup.open(mode, ASKED[asked], port) as client:
        client.sendall(OTHER_REQUESTS[first] + (HEAD if pipelined else b""))
        answers = bodies(client, 2 if pipelined else 1)
        if not pipelined:
            client.sendall(OTHER_REQUESTS[first])
            answers += bodies(client, 1)
            client.sendall(HEAD)
            answers += bodies(client, 1)
        client.sendall(OTHER_REQUESTS[first])
        answers += bodies(client, 1)

    assert answers == [b"real"] * (len(answers) - 2) + [b"mocked", b"real"]
    assert NAME.encode() not in b"".join(received)


def bodies(client: socket.socket, count: int) -> list[bytes]:
    """Return the bodies of so many responses."""
    got = b""
    while len(found := re.findall(rb"\r\n\r\n(real|mocked)", got)) < count:
        data = client.recv(65536)
        assert data, got
        got += data
    return found


def test_tls_for_a_mocked_host_is_answered_in_a_tunnel_through_another_proxy(setup: Setup) -> None:
    received: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        received.append(connection.recv(65536))
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        received.append(connection.recv(65536))

    with raw_server(serve) as port, setup.open("CONNECT", "127.0.0.1", port) as client:
        client.sendall(b"CONNECT 203.0.113.7:443 HTTP/1.1\r\nHost: 203.0.113.7:443\r\n\r\n")
        assert client.recv(1000).endswith(b"established\r\n\r\n")
        tls = Tls(client, NAME)
        tls.sendall(HEAD)
        response = answered(tls)

    assert response.endswith(b"mocked"), response
    assert b"".join(received[1:]) == b""


@pytest.mark.parametrize("mode", MODES)
def test_no_stream_of_http2_reaches_another_server_under_a_mocked_name(mode: str, setup: Setup) -> None:
    heard: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding=None))
        server.initiate_connection()
        connection.sendall(server.data_to_send())
        while data := connection.recv(65536):
            for event in server.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    heard.append(dict(event.headers)[b":authority"])
                    server.send_headers(event.stream_id, [(":status", "204")], end_stream=True)
            connection.sendall(server.data_to_send())

    with raw_server(serve) as port, setup.open(mode, "127.0.0.1", port) as opened:
        client = Http2Client(opened)
        assert client.send(AttackRequest("first", b"GET", b"/"), b"other.example") == 204
        assert client.send(AttackRequest("second", b"GET", b"/"), NAME.encode()) == 0
        assert not client.open

    assert heard == [b"other.example"]
    setup.proxy.wait_for(r"latehook: a connection to 127\.0\.0\.1:\d+ ends: a request on it is for a mocked host, and")
    with setup.open(mode, "127.0.0.1") as again:
        assert Http2Client(again).send(AttackRequest("again", b"GET", b"/"), NAME.encode()) == 200
    assert set(setup.third_party.received) <= {b""}


def test_after_an_upgrade_http_for_a_mocked_host_does_not_leave(setup: Setup) -> None:
    received: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nhello")
        while data := connection.recv(65536):
            received.append(data)
            connection.sendall(b"heard")

    with raw_server(serve) as port, socket.create_connection(("127.0.0.1", setup.ports["CONNECT"]), PROMPT) as client:
        client.sendall(f"GET http://localhost:{port}/ HTTP/1.1\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n".encode())
        got = b""
        while not got.endswith(b"hello"):
            got += client.recv(1000)
        client.sendall(b"\r\n")
        assert client.recv(1000) == b"heard"
        client.sendall(HEAD)
        assert client.recv(1000) == b""

    assert received == [b"\r\n"]
    setup.proxy.wait_for(
        r"latehook: a connection to localhost:\d+ ends: a request on it is for a mocked host, and others"
    )


SPELLINGS = ["api.slow.example\u3002", "\uff41pi\uff0eslow\uff61example", "API.SLOW.EXAMPLE."]


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_name_in_utf8_is_that_host_for_socks5(name: str, setup: Setup) -> None:
    with socks5(setup.ports["SOCKS5"], name, 80) as client:
        client.sendall(HEAD.replace(NAME.encode(), b"other.example"))
        assert answered(client).endswith(b"mocked")
    assert setup.witness.events == []


@pytest.mark.parametrize("name", [b"\xff\xfe.example", "\u00fc".encode() * 80, b"a..b", b"x" * 64 + b".example"])
def test_what_is_no_host_name_is_refused_by_socks5(name: bytes, setup: Setup) -> None:
    with socket.create_connection(("127.0.0.1", setup.ports["SOCKS5"]), PROMPT) as client:
        client.sendall(b"\5\1\0" + b"\5\1\0\3" + bytes([len(name)]) + name + b"\0\x50")
        assert b"".join(iter(lambda: client.recv(100), b"")) == b"\5\0" + b"\5\4\0\1\0\0\0\0\0\0"
    assert setup.witness.events == []


def test_dns_over_tcp_in_a_tunnel_is_answered_for_a_mocked_name(setup: Setup) -> None:
    query = b"\0\7\1\0\0\1\0\0\0\0\0\0\3api\4slow\7example\0\0\1\0\1"
    with setup.open("SOCKS5", "127.0.0.1", 53) as client:
        client.sendall(len(query).to_bytes(2) + query)
        answer = client.recv(1000)

    assert answer[2:4] == b"\0\7" and answer.endswith(b"\0\4" + bytes([127, 0, 0, 1]))
    assert setup.witness.events == []


# Other hosts


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("mode", MODES)
def test_a_server_that_speaks_first_is_heard_in_a_tunnel(mode: str, asked: str, setup: Setup) -> None:
    def serve(connection: socket.socket) -> None:
        connection.sendall(b"220 mail.other.example ready\r\n")
        connection.sendall(b"250 you said " + connection.recv(1000))

    with raw_server(serve) as port, setup.open(mode, ASKED[asked], port) as client:
        greeting = client.recv(1000)
        client.sendall(b"HELO\r\n")
        answered = client.recv(1000)

    assert (greeting, answered) == (b"220 mail.other.example ready\r\n", b"250 you said HELO\r\n")


@pytest.mark.parametrize(
    "said", [b"\0\1\2\3", b"hello", b"PROXY UNKNOWN\r\n", b"\r\n", b"GET\0", HEAD.replace(b"slow", b"fast")]
)
@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("mode", MODES)
def test_what_a_client_says_to_another_host_arrives_unchanged(mode: str, asked: str, said: bytes, setup: Setup) -> None:
    heard: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        heard.append(connection.recv(1000))
        connection.sendall(b"heard")

    with raw_server(serve) as port, setup.open(mode, ASKED[asked], port) as client:
        client.sendall(said)
        answered = client.recv(1000)

    assert (heard, answered) == ([said], b"heard")


def test_a_client_that_closes_its_half_at_once_is_heard(setup: Setup) -> None:
    heard: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        heard.append(b"".join(iter(lambda: connection.recv(1000), b"")))

    with raw_server(serve) as port, setup.open("SOCKS5", "127.0.0.1", port) as client:
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1000) == b""

    assert heard == [b"hello"]


def test_a_head_that_does_not_name_its_host_in_time_ends_the_connection(setup: Setup) -> None:
    with setup.open("CONNECT", "127.0.0.1") as client:
        client.sendall(b"GET / HTTP/1.1\r\nx-a: " + b"a" * 70_000)
        assert client.recv(1000) == b""

    setup.proxy.wait_for(r"latehook: a connection to 127\.0\.0\.1:\d+ ends: its first 65,536 bytes do not tell")
    assert setup.witness.events == []


@pytest.mark.parametrize("mode", MODES)
def test_tls_of_an_address_that_is_not_likely_to_be_the_third_party_is_not_decrypted(
    mode: str, setup: Setup, tmp_path: Path
) -> None:
    own = certificate(tmp_path / "ca", "localhost")
    with receiver(answer(body=b"its own"), tls=own.context) as server:
        with setup.open(mode, "127.0.0.1", server.port) as client:
            tls = Tls(client, None)
            tls.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            wait_until(lambda: server.requests, "the request")


# Requests with several names


def names(setup: Setup) -> dict[str, str]:
    return {
        "a": f"localhost:{setup.a.port}",
        "b": f"localhost:{setup.b.port}",
        "mocked": NAME,
        "other": "other.example",
    }


FORWARDED = [("a", "a")]
ANSWERED = {
    ("a", "b"): b"b",
    ("b", "a"): b"b",
    ("a", "mocked"): b"mocked",
    ("mocked", "a"): b"mocked",
    ("other", "b"): b"b",
    ("b", "other"): b"b",
}


@pytest.mark.parametrize(("url", "host"), ANSWERED)
def test_a_request_with_several_names_is_answered_by_the_mocks_that_do_not_forward_it(
    url: str, host: str, setup: Setup
) -> None:
    named = names(setup)
    got = ask(setup, f"GET http://{named[url]}/health HTTP/1.1\r\nHost: {named[host]}\r\n\r\n")

    assert got.endswith(b"\r\n\r\n" + ANSWERED[url, host]), got
    assert setup.witness.events == []


@pytest.mark.parametrize(
    ("tls", "host", "by"), [(NAME, "a", b"mocked"), ("localhost", "b", b"b"), (NAME, "other", b"mocked")]
)
def test_the_name_in_tls_counts_too(tls: str, host: str, by: bytes, setup: Setup) -> None:
    with setup.open("CONNECT", "localhost", setup.a.port) as client:
        inner = Tls(client, tls)
        inner.sendall(f"GET /health HTTP/1.1\r\nHost: {names(setup)[host]}\r\n\r\n".encode())
        response = answered(inner)

    assert response.endswith(b"\r\n\r\n" + by), response
    assert setup.witness.events == []


def test_a_host_behind_a_carriage_return_alone_counts(setup: Setup) -> None:
    assert ask(setup, f"GET http://other.example/ HTTP/1.1\r\nx: y\rHost: {NAME}\r\n\r\n").endswith(b"mocked")
    assert setup.witness.events == []


def test_a_url_in_the_path_of_http2_counts(setup: Setup) -> None:
    with socket.create_connection(("127.0.0.1", setup.ports["CONNECT"]), PROMPT) as client:
        request = AttackRequest("a URL", b"GET", f"http://{NAME}/jobs".encode())
        assert Http2Client(client).send(request, b"other.example") in (200, 501)
    assert setup.witness.events == []


def ask(setup: Setup, request: str) -> bytes:
    with socket.create_connection(("127.0.0.1", setup.ports["CONNECT"]), PROMPT) as client:
        client.sendall(request.encode())
        return answered(client)


NEXT: dict[str, Callable[[str], bytes]] = {
    "a request": lambda host: f"POST http://{host}/jobs HTTP/1.1\r\nHost: {host}\r\ncontent-length: 0\r\n\r\n".encode(),
    "CONNECT and bytes": lambda host: f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n\x00\x01bytes\r\n".encode(),
    "CONNECT and HTTP": lambda host: (
        f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\nPOST /jobs HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    ),
}


@pytest.mark.parametrize("pipelined", [True, False])
@pytest.mark.parametrize(
    "upgrade", ["", "Connection: upgrade\r\nUpgrade: h2c\r\n", "Connection: Upgrade\r\nUpgrade: X\r\n"]
)
@pytest.mark.parametrize("what", NEXT)
def test_after_a_forwarded_request_nothing_else_of_its_connection_leaves(
    what: str, upgrade: str, pipelined: bool, setup: Setup
) -> None:
    host = f"localhost:{setup.a.port}"
    before = len(setup.a.requests)
    forwarded = f"GET http://{host}/health HTTP/1.1\r\nHost: {host}\r\n{upgrade}\r\n".encode()
    behind = NEXT[what](host)

    with socket.create_connection(("127.0.0.1", setup.ports["CONNECT"]), PROMPT) as client:
        client.sendall(forwarded + (behind if pipelined else b""))
        got = b""
        while b"real" not in got and (data := client.recv(65536)):
            got += data
        client.sendall(b"" if pipelined else behind)
        client.shutdown(socket.SHUT_WR)
        while data := client.recv(65536):
            got += data

    assert b"real" in got
    assert [(request.method, request.path) for request in setup.a.requests[before:]] == [("GET", "/health")]
    assert "upgrade" not in {name.lower() for name in setup.a.requests[-1].headers}
    assert setup.witness.events.count(f"connect to ('127.0.0.1', {setup.a.port})") == 1


def test_after_a_forwarded_request_another_host_is_reached_on_the_same_connection(setup: Setup) -> None:
    with receiver(answer(body=b"other")) as other:
        urls = f"http://localhost:{setup.a.port}/health", f"http://localhost:{other.port}/"
        got = curl("-x", f"http://127.0.0.1:{setup.ports['CONNECT']}", *urls, "-w", " %{num_connects} ")

    assert got.stdout == "real 1 other 0 "
