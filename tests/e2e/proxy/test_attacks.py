"""Hostile and broken requests: whatever comes, the proxy lives, says nothing of its inside, and forwards nothing."""

import json
import re
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import pytest

from support import attacks
from support.attacks import AttackRequest
from support.limits import LIMIT
from support.ports import free_port
from support.process import Proxy, mitmdump
from support.programs import curl
from support.raw_servers import raw_server
from support.receivers import Receiver, receiver

MB = 1024 * 1024
MEMORY = 350 * MB
"""What the process may have taken at its highest: it begins with about 90 MB, and each connection may hold some bodies."""

MOCKS = """
mocks:
  - match: POST localhost:{port}/json
    job:
      id: "{{{{ request.json.id or uuid() }}}}"
      vars: {{n: "{{{{ request.json.n }}}}", name: "{{{{ request.json.name }}}}"}}
      idempotency_key: "{{{{ request.json.key }}}}"
    response:
      headers: {{x-name: "{{{{ request.json.name }}}}"}}
      json: {{id: "{{{{ job.id }}}}", size: "{{{{ request.size }}}}", echo: "{{{{ request.json }}}}"}}
    webhook: {{after: 1h, to: "{{{{ request.json.to }}}}", json: {{id: "{{{{ job.id }}}}"}}}}
  - match: POST localhost:{port}/form
    response: {{json: {{form: "{{{{ request.form }}}}", files: "{{{{ request.files }}}}", sha256: "{{{{ request.sha256 }}}}"}}}}
  - match: POST localhost:{port}/text
    response: {{text: "{{{{ request.text }}}}"}}
  - match: ANY localhost:{port}/echo
    response:
      headers: {{x-echo: "{{{{ request.headers.x_a }}}}"}}
      json: {{method: "{{{{ request.method }}}}", url: "{{{{ request.url }}}}", query: "{{{{ request.query }}}}", headers: "{{{{ request.headers }}}}"}}
  - match: ANY localhost:{port}/things/{{a}}-{{b}}/{{id}}.json
    response: {{json: {{a: "{{{{ request.path.a }}}}", b: "{{{{ request.path.b }}}}", id: "{{{{ request.path.id }}}}"}}}}
  - match: GET localhost:{port}/jobs/{{id}}
    lookup: request.path.id
    response: {{json: {{id: "{{{{ job.id }}}}"}}}}
  - match: GET localhost:{port}/slow
    response: {{delay: 300ms, text: "{long}"}}
"""

INSIDE = re.compile(rb"Traceback|File \"|\.py\b|site-packages|mitmproxy has crashed")
"""What only an error that nobody has thought of says."""

OWN = "an error of its own"
STARTED = 5
"""Lines that tell of the start, the script's name among them."""


@dataclass(frozen=True)
class World:
    """The proxy, the same as a reverse proxy, and the third party, which would notice a connection."""

    proxy: Proxy
    reverse: int
    third: Receiver

    @property
    def host(self) -> bytes:
        return b"localhost:%d" % self.third.port

    def connect(self, port: int | None = None) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", port or self.proxy.port), LIMIT)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else a small write waits for an answer
        return connection

    def tls(self, alpn: str = "http/1.1") -> socket.socket:
        """A connection through CONNECT."""
        plain = self.connect()
        plain.sendall(b"CONNECT %s HTTP/1.1\r\nhost: %s\r\n\r\n" % (self.host, self.host))
        assert b" 200 " in plain.recv(4096)
        context = ssl.create_default_context(cafile=self.proxy.ca)
        context.set_alpn_protocols([alpn])
        return context.wrap_socket(plain, server_hostname="localhost")

    def check(self) -> None:
        """It lives, has said nothing of its inside, has forwarded nothing, and answers as always."""
        sent = curl("-x", self.proxy.url, "-d", '{"n": 1}', f"http://localhost:{self.third.port}/json")
        assert json.loads(sent.stdout)["echo"] == {"n": 1}
        assert self.third.connections == 0
        assert self.proxy.process.poll() is None
        lines = [line for line in self.proxy.lines[STARTED:] if INSIDE.search(line.encode()) or OWN in line]
        assert lines == []


@pytest.fixture(scope="module")
def world(confdir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    file = tmp_path_factory.mktemp("hostile") / "mocks.yaml"
    with receiver() as third:
        file.write_text(MOCKS.format(port=third.port, long="x" * 400_000))
        modes = "--mode", "regular", "--mode", f"reverse:http://localhost:{third.port}@{free_port()}"
        options = "--set", f"mock_file={file}", *modes
        with mitmdump(confdir, *options) as proxy:
            found = proxy.wait_for(r"reverse proxy.* listening at")
            yield World(proxy, int(found.rpartition(":")[2].rstrip(".")), third)


# Floods


def read_response(connection: socket.socket, method: bytes) -> tuple[int, bytes, bool]:
    """(status, the response's bytes, whether the connection goes on); status 0 where none came."""
    received = b""
    while b"\r\n\r\n" not in received:
        data = connection.recv(65536)
        if not data:
            return 0, received, False
        received += data
        if received.startswith(b"HTTP/1.1 100 "):
            received = received.partition(b"\r\n\r\n")[2]
    head, _, _ = received.partition(b"\r\n\r\n")
    length = re.search(rb"\ncontent-length: *(\d+)", head, re.IGNORECASE)
    missing = 0 if length is None or method == b"HEAD" else int(length[1]) - (len(received) - len(head) - 4)
    while missing > 0 and (data := connection.recv(65536)):
        received += data
        missing -= len(data)
    return int(head[9:12]), received, b"connection: close" not in head.lower()


def flood_http1(
    world: World, connect: Callable[[], socket.socket], wanted: list[AttackRequest], absolute: bool
) -> list[int]:
    """Send them one after the other, on one connection while it lasts; their statuses."""
    statuses = []
    connection = connect()
    for request in wanted:
        goes_on = False
        with suppress(ConnectionError, ssl.SSLError):
            connection.sendall(request.over_http1(world.host, absolute))
            status, received, goes_on = read_response(connection, request.method)
            statuses.append(status)
            assert not INSIDE.search(received.replace(request.body or b"\0", b"")), (request.family, received[:2000])
        if not goes_on:
            connection.close()
            connection = connect()
    connection.close()
    return statuses


def flood_http2(world: World, wanted: list[AttackRequest]) -> list[int]:
    statuses: list[int] = []
    left = list(wanted)
    while left:
        with closing(Http2(world.tls("h2"))) as client:
            while left and client.open and client.used < 200:
                request = left.pop(0)
                statuses.append(client.ask(request, world.host))
    return statuses


class Http2:
    """A client that checks nothing of what it sends."""

    def __init__(self, connection: socket.socket) -> None:
        config = h2.config.H2Configuration(
            validate_outbound_headers=False, normalize_outbound_headers=False, header_encoding=None
        )
        self.socket = connection
        self.state = h2.connection.H2Connection(config)
        self.state.initiate_connection()
        self.flush()
        self.open = True
        self.used = 0

    def close(self) -> None:
        self.socket.close()

    def flush(self) -> None:
        self.socket.sendall(self.state.data_to_send())

    def start(self, request: AttackRequest, host: bytes, ends: bool) -> int:
        stream = self.state.get_next_available_stream_id()
        self.state.send_headers(stream, request.over_http2(host), end_stream=ends)
        self.flush()
        self.used += 1
        return stream

    def ask(self, request: AttackRequest, host: bytes) -> int:
        """The status of the response; 0 where there is none."""
        status, received, ended, body = 0, b"", False, request.body
        with suppress(ConnectionError, ssl.SSLError, h2.exceptions.ProtocolError):
            stream = self.start(request, host, ends=not body)
            while not ended:
                while body and (room := self.state.local_flow_control_window(stream)):
                    size = min(room, self.state.max_outbound_frame_size, len(body))
                    self.state.send_data(stream, body[:size], end_stream=size == len(body))
                    body = body[size:]
                self.flush()
                for event in self.receive():
                    if isinstance(event, h2.events.ResponseReceived) and event.stream_id == stream:
                        status = int(dict(event.headers)[b":status"])
                    elif isinstance(event, h2.events.DataReceived):
                        received += event.data
                        self.state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    elif isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)):
                        ended = ended or event.stream_id == stream
                    elif isinstance(event, h2.events.ConnectionTerminated):
                        self.open = False
                ended = ended or not self.open
            self.flush()
            assert not INSIDE.search(received.replace(request.body or b"\0", b"")), (request.family, received[:2000])
            return status
        self.open = False
        return status

    def receive(self) -> list[h2.events.Event]:
        data = self.socket.recv(65536)
        if not data:
            self.open = False
            return []
        return self.state.receive_data(data)


def send_broken(connect: Callable[[], socket.socket], wanted: list[bytes]) -> None:
    """Each on a connection of its own, which the client then half closes."""
    for data in wanted:
        with closing(connect()) as connection:
            with suppress(ConnectionError, ssl.SSLError):
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                received = b"".join(iter(lambda: connection.recv(65536), b""))
                assert not INSIDE.search(received), (data[:200], received[:2000])


def test_ten_thousand_hostile_requests_change_nothing(world: World) -> None:
    def reverse() -> socket.socket:
        return world.connect(world.reverse)

    def requests(seed: int, count: int) -> list[AttackRequest]:
        return list(attacks.requests(seed, count))

    def broken(seed: int, count: int, absolute: bool) -> list[bytes]:
        return list(attacks.broken_http1(seed, count, world.host, absolute))

    with ThreadPoolExecutor(8) as pool:
        floods = [
            pool.submit(flood_http1, world, world.connect, requests(1, 2600), True),
            pool.submit(flood_http1, world, world.connect, requests(2, 2600), True),
            pool.submit(flood_http1, world, world.tls, requests(3, 1800), False),
            pool.submit(flood_http1, world, reverse, requests(4, 1600), False),
            pool.submit(flood_http2, world, requests(5, 1400)),
        ]
        others = [
            pool.submit(send_broken, world.connect, broken(6, 500, True)),
            pool.submit(send_broken, reverse, broken(7, 300, False)),
            pool.submit(send_broken, world.tls, broken(8, 100, False)),
        ]
        answered = [flood.result() for flood in floods]
        for other in others:
            other.result()

    world.check()
    assert world.proxy.memory_peak() < MEMORY
    statuses = {status for flood in answered for status in flood}
    assert statuses >= {200, 404, 431, 500, 501}
    assert statuses <= {0, 200, 400, 404, 431, 500, 501}
    assert all(sum(map(bool, flood)) > len(flood) * 0.9 for flood in answered)


# What has no end


def endless(world: World, start: bytes, more: bytes, most: int) -> bytes:
    """Send more and more behind the start, until the connection ends; what came back. It must end before `most`."""
    received, sent = b"", 0
    with closing(world.connect()) as connection:
        with suppress(ConnectionError):
            connection.sendall(start)
            while sent < most:
                connection.sendall(more)
                sent += len(more)
        with suppress(ConnectionError):
            received = connection.recv(65536)
    assert sent < most
    return received


ENDLESS = {
    "request line": (b"GET http://localhost/", b"a" * 65536),
    "a mocked host's header": (b"POST http://HOST/json HTTP/1.1\r\nhost: HOST\r\nx-a: ", b"a" * 65536),
    "nobody's headers": (b"GET / HTTP/1.1\r\n", b"x-a: 1\r\n" * 8192),
    "chunk size": (
        b"POST http://HOST/json HTTP/1.1\r\nhost: HOST\r\ntransfer-encoding: chunked\r\n\r\n1;",
        b"a" * 65536,
    ),
    "trailers": (
        b"POST http://HOST/json HTTP/1.1\r\nhost: HOST\r\ntransfer-encoding: chunked\r\n\r\n0\r\n",
        b"x-a: 1\r\n" * 8192,
    ),
    "requests behind one": (
        b"GET http://HOST/slow HTTP/1.1\r\nhost: HOST\r\n\r\n",
        b"GET http://HOST/echo HTTP/1.1\r\nhost: HOST\r\n\r\n" * 1000,
    ),
}


@pytest.mark.parametrize("what", ENDLESS)
def test_what_has_no_end_is_ended(what: str, world: World) -> None:
    start, more = (piece.replace(b"HOST", world.host) for piece in ENDLESS[what])
    before = world.proxy.memory_peak()

    with ThreadPoolExecutor(8) as pool:  # the kernel's own buffers take some MB of each
        received = list(pool.map(lambda _: endless(world, start, more, 100 * MB), range(8)))

    assert world.proxy.memory_peak() - before < 100 * MB
    assert all(answer[:13] in (b"", b"HTTP/1.1 431 ", b"HTTP/1.1 400 ") for answer in received)
    world.check()


@pytest.mark.parametrize("size", [60_000, 70_000])
@pytest.mark.parametrize("way", ["proxy", "tls", "reverse"])
def test_a_mocked_host_takes_a_head_of_64_kib(way: str, size: int, world: World) -> None:
    connect = {"proxy": world.connect, "tls": world.tls, "reverse": lambda: world.connect(world.reverse)}[way]
    request = AttackRequest("head", b"GET", b"/echo", [(b"x-b", b"b" * size)])

    with closing(connect()) as connection:
        connection.sendall(request.over_http1(world.host, way == "proxy"))
        status, received, _ = read_response(connection, b"GET")

    if size > 65536:
        assert status == 431
        assert b"latehook: the head of this request is too large: a mocked host takes 65,536 bytes" in received
    else:
        assert status == 200


def test_another_host_takes_the_head_that_it_likes(world: World) -> None:
    heads: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(65536)
        heads.append(head)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

    with raw_server(serve) as port, closing(world.connect()) as connection:
        request = AttackRequest("head", b"GET", b"/", [(b"x-b", b"b" * 500_000)])
        connection.sendall(request.over_http1(b"localhost:%d" % port, absolute=True))
        status, _, _ = read_response(connection, b"GET")

    assert status == 200
    assert b"b" * 500_000 in heads[0]


# Clients that go, and HTTP/2


def test_clients_that_leave_before_or_in_a_response_harm_nobody(world: World) -> None:
    request = AttackRequest("slow", b"GET", b"/slow").over_http1(world.host, absolute=True)
    staying = world.connect()
    staying.sendall(request)
    for number in range(18):
        connection = world.connect()
        connection.sendall(request)
        if number % 3 == 0:  # in the middle of 400 kB
            connection.recv(1000)
        if number % 3 == 1:
            linger = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)  # a reset instead of an orderly end
        connection.close()

    with closing(staying):
        assert read_response(staying, b"GET")[0] == 200
    world.check()


def test_http2_streams_that_are_reset_in_their_bodies_leave_the_others_alone(world: World) -> None:
    with closing(Http2(world.tls("h2"))) as client:
        for number in range(500):
            stream = client.start(AttackRequest("reset", body=b"x"), world.host, ends=False)
            if number % 2:
                client.state.send_data(stream, b'{"n": ')
            client.state.reset_stream(stream, error_code=number % 15)
            client.flush()
        assert client.ask(AttackRequest("sound", body=b'{"n": 1}'), world.host) == 200
    world.check()


def test_http2_trailers_behind_a_body_are_left_out(world: World) -> None:
    with closing(Http2(world.tls("h2"))) as client:
        stream = client.start(AttackRequest("trailers"), world.host, ends=False)
        client.state.send_data(stream, b'{"n": 1}')
        client.state.send_headers(stream, [(b"x-checksum", b"1")], end_stream=True)
        client.flush()
        events = []
        while not any(isinstance(event, h2.events.StreamEnded) for event in events):
            events += client.receive()
    assert b'"echo":{"n":1}' in b"".join(event.data for event in events if isinstance(event, h2.events.DataReceived))
    world.check()


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


HTTP2 = {
    "continuations": frame(1, 0, 1, b"\x82") + frame(9, 0, 1, b"\x00" * 16_000) * 500,
    "headers that do not unpack": frame(1, 5, 1, b"\xff" * 200),
    "a bomb of headers": frame(1, 5, 1, b"\x40\x01a\x7f\xa1\x1e" + b"b" * 4000 + b"\xbe" * 12_000),
    "settings": frame(4, 0, 0, b"") * 20_000,
    "pings": frame(6, 0, 0, b"12345678") * 20_000,
    "a window too large": frame(8, 0, 0, b"\x7f\xff\xff\xff") * 2,
    "data for no stream": frame(0, 0, 7, b"x" * 1000),
    "frames of no kind": frame(99, 0, 0, b"x") * 1000,
    "a frame too long": frame(0, 0, 1, b"x" * 100_000),
    "noise": bytes(range(256)) * 50,
}


@pytest.mark.parametrize("what", HTTP2)
def test_http2_frames_that_nobody_sends(what: str, world: World) -> None:
    before = world.proxy.memory_peak()
    for _ in range(3):
        with closing(world.tls("h2")) as connection:
            with suppress(ConnectionError, ssl.SSLError):
                connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"") + HTTP2[what])
                assert not INSIDE.search(connection.recv(65536))

    world.check()
    assert world.proxy.memory_peak() - before < 50 * MB


# What a job keeps


def test_one_request_that_cannot_be_kept_gets_an_error_alone(world: World) -> None:
    sound, large = (AttackRequest("job", body=b'{"n": %s}' % n) for n in (b"1", b"1" + b"0" * 30))

    def ask(request: AttackRequest) -> tuple[int, bytes, bool]:
        with closing(world.connect()) as connection:
            connection.sendall(request.over_http1(world.host, absolute=True))
            return read_response(connection, b"POST")

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, [sound, large] * 30))

    assert [status for status, _, _ in answers] == [200, 500] * 30
    assert b"mocks.yaml:3" in answers[1][1] and b"whole numbers have at most 64 bits" in answers[1][1]
    world.check()
