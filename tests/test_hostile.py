"""Hostile and broken requests: whatever comes, the proxy lives, says nothing of its inside, and forwards nothing."""

import json
import re
import socket
import ssl
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

import hostile
from harness import LIMIT, Proxy, Receiver, curl, free_port, mitmdump, receiver
from hostile import Hostile

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


def flood_http1(world: World, connect: Callable[[], socket.socket], wanted: list[Hostile], absolute: bool) -> list[int]:
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


def flood_http2(world: World, wanted: list[Hostile]) -> list[int]:
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

    def start(self, request: Hostile, host: bytes, ends: bool) -> int:
        stream = self.state.get_next_available_stream_id()
        self.state.send_headers(stream, request.over_http2(host), end_stream=ends)
        self.flush()
        self.used += 1
        return stream

    def ask(self, request: Hostile, host: bytes) -> int:
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

    def requests(seed: int, count: int) -> list[Hostile]:
        return list(hostile.requests(seed, count))

    def broken(seed: int, count: int, absolute: bool) -> list[bytes]:
        return list(hostile.broken_http1(seed, count, world.host, absolute))

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

    print(world.proxy.memory_peak() // MB, [len(f) for f in answered])
    world.check()
    assert world.proxy.memory_peak() < MEMORY
    statuses = {status for flood in answered for status in flood}
    assert statuses >= {200, 404, 431, 500, 501}
    assert statuses <= {0, 200, 400, 404, 431, 500, 501}
    assert all(sum(map(bool, flood)) > len(flood) * 0.9 for flood in answered)
