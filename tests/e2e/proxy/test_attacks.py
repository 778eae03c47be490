"""Hostile and broken requests: the proxy keeps working, shows no traceback, and forwards nothing."""

import json
import re
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import pytest

from support import attacks
from support.attack_clients import LEAK, Http2Client, check_no_leak, connect, frame, read_response
from support.attacks import AttackRequest
from support.ports import free_port
from support.process import Proxy, mitmdump
from support.programs import curl
from support.raw_servers import raw_server
from support.receivers import Receiver, receiver

MB = 1024 * 1024
MEMORY = 350 * MB
"""Bytes of the process at its peak. It starts with about 90 MB, and each connection may hold some bodies."""

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
  - match: GET localhost:{port}/long
    response: {{text: "{long}"}}
  - match: GET localhost:{port}/slow
    response: {{delay: 300ms, text: "{long}"}}
"""

UNEXPECTED = "an internal error"
"""What Latehook writes about an unexpected exception."""

START_LINES = 5
"""Lines about the start; one has the name of the script, which is a .py file."""


@dataclass(frozen=True)
class Setup:
    """The proxy, its port as a reverse proxy, and the third party, which counts its connections."""

    proxy: Proxy
    reverse: int
    third_party: Receiver

    @property
    def host(self) -> bytes:
        return b"localhost:%d" % self.third_party.port

    def direct(self) -> socket.socket:
        """Connect to the proxy."""
        return connect(self.proxy.port)

    def to_reverse(self) -> socket.socket:
        """Connect to the reverse proxy."""
        return connect(self.reverse)

    def tls(self, alpn: str = "http/1.1") -> socket.socket:
        """Connect to the third party with TLS through a CONNECT tunnel."""
        plain = self.direct()
        plain.sendall(b"CONNECT %s HTTP/1.1\r\nhost: %s\r\n\r\n" % (self.host, self.host))
        assert b" 200 " in plain.recv(4096)
        context = ssl.create_default_context(cafile=self.proxy.ca)
        context.set_alpn_protocols([alpn])
        return context.wrap_socket(plain, server_hostname="localhost")

    def check(self) -> None:
        """Check that the proxy still answers, has forwarded nothing, and has logged no unexpected exception."""
        sent = curl("-x", self.proxy.url, "-d", '{"n": 1}', f"http://localhost:{self.third_party.port}/json")
        assert json.loads(sent.stdout)["echo"] == {"n": 1}
        assert self.third_party.connections == 0
        assert self.proxy.process.poll() is None
        lines = [line for line in self.proxy.lines[START_LINES:] if LEAK.search(line.encode()) or UNEXPECTED in line]
        assert lines == []


@pytest.fixture(scope="module")
def setup(confdir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setup]:
    file = tmp_path_factory.mktemp("attacks") / "mocks.yaml"
    with receiver() as third_party:
        file.write_text(MOCKS.format(port=third_party.port, long="x" * 400_000))
        modes = "--mode", "regular", "--mode", f"reverse:http://localhost:{third_party.port}@{free_port()}"
        options = "--set", f"mock_file={file}", *modes
        with mitmdump(confdir, *options) as proxy:
            found = proxy.wait_for(r"reverse proxy.* listening at")
            yield Setup(proxy, int(found.rpartition(":")[2].rstrip(".")), third_party)


# Floods


def flood_http1(
    setup: Setup, open_connection: Callable[[], socket.socket], requests: list[AttackRequest], absolute: bool
) -> list[int]:
    """Send requests one after the other, on one connection as long as it lasts; return their statuses."""
    statuses = []
    connection = open_connection()
    for request in requests:
        goes_on = False
        with suppress(ConnectionError, ssl.SSLError):
            connection.sendall(request.over_http1(setup.host, absolute))
            status, received, goes_on = read_response(connection, request.method)
            statuses.append(status)
            check_no_leak(request.body, received)
        if not goes_on:
            connection.close()
            connection = open_connection()
    connection.close()
    return statuses


def flood_http2(setup: Setup, requests: list[AttackRequest]) -> list[int]:
    """Send requests, up to 200 on a connection; return their statuses."""
    statuses: list[int] = []
    left = list(requests)
    while left:
        with closing(Http2Client(setup.tls("h2"))) as client:
            while left and client.open and client.used < 200:
                request = left.pop(0)
                statuses.append(client.send(request, setup.host))
    return statuses


def send_broken(open_connection: Callable[[], socket.socket], requests: list[bytes]) -> None:
    """Send each on its own connection and close the sending half."""
    for data in requests:
        with closing(open_connection()) as connection:
            with suppress(ConnectionError, ssl.SSLError):
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                received = b"".join(iter(lambda: connection.recv(65536), b""))
                check_no_leak(b"", received)


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, pytest.param(5, marks=pytest.mark.long)])
def test_the_proxy_survives_hostile_requests(setup: Setup, times: int) -> None:
    def requests(seed: int, count: int) -> list[AttackRequest]:
        return list(attacks.requests(seed, times * count))

    def broken(seed: int, count: int, absolute: bool) -> list[bytes]:
        return list(attacks.broken_http1(seed, times * count, setup.host, absolute))

    with ThreadPoolExecutor(8) as pool:
        floods = [
            pool.submit(flood_http1, setup, setup.direct, requests(1, 130), True),
            pool.submit(flood_http1, setup, setup.direct, requests(2, 130), True),
            pool.submit(flood_http1, setup, setup.tls, requests(3, 90), False),
            pool.submit(flood_http1, setup, setup.to_reverse, requests(4, 80), False),
            pool.submit(flood_http2, setup, requests(5, 70)),
        ]
        others = [
            pool.submit(send_broken, setup.direct, broken(6, 25, True)),
            pool.submit(send_broken, setup.to_reverse, broken(7, 15, False)),
            pool.submit(send_broken, setup.tls, broken(8, 5, False)),
        ]
        answered = [flood.result() for flood in floods]
        for other in others:
            other.result()

    setup.check()
    assert setup.proxy.memory_peak() < MEMORY
    statuses = {status for flood in answered for status in flood}
    assert statuses >= {200, 404, 431, 500, 501}
    assert statuses <= {0, 200, 400, 404, 431, 500, 501}
    assert all(sum(map(bool, flood)) > len(flood) * 0.9 for flood in answered)


# Endless requests


def endless(setup: Setup, start: bytes, more: bytes, most: int) -> bytes:
    """Send `more` again and again after `start`; return the response. The proxy must close before `most` bytes are sent."""
    received, sent = b"", 0
    with closing(setup.direct()) as connection:
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
    "headers without a host": (b"GET / HTTP/1.1\r\n", b"x-a: 1\r\n" * 8192),
    "chunk size": (
        b"POST http://HOST/json HTTP/1.1\r\nhost: HOST\r\ntransfer-encoding: chunked\r\n\r\n1;",
        b"a" * 65536,
    ),
    "trailers": (
        b"POST http://HOST/json HTTP/1.1\r\nhost: HOST\r\ntransfer-encoding: chunked\r\n\r\n0\r\n",
        b"x-a: 1\r\n" * 8192,
    ),
    "requests on one connection": (
        b"GET http://HOST/slow HTTP/1.1\r\nhost: HOST\r\n\r\n",
        b"GET http://HOST/echo HTTP/1.1\r\nhost: HOST\r\n\r\n" * 1000,
    ),
}


@pytest.mark.parametrize("what", ENDLESS)
def test_an_endless_request_is_ended(what: str, setup: Setup) -> None:
    start, more = (piece.replace(b"HOST", setup.host) for piece in ENDLESS[what])
    before = setup.proxy.memory_peak()

    with ThreadPoolExecutor(8) as pool:  # the kernel's own buffers take some MB of each
        received = list(pool.map(lambda _: endless(setup, start, more, 100 * MB), range(8)))

    assert setup.proxy.memory_peak() - before < 100 * MB
    assert all(answer[:13] in (b"", b"HTTP/1.1 431 ", b"HTTP/1.1 400 ") for answer in received)
    setup.check()


@pytest.mark.parametrize("size", [60_000, 70_000])
@pytest.mark.parametrize("way", ["proxy", "tls", "reverse"])
def test_a_mocked_host_accepts_a_head_of_64_kib(way: str, size: int, setup: Setup) -> None:
    connect = {"proxy": setup.direct, "tls": setup.tls, "reverse": setup.to_reverse}[way]
    request = AttackRequest("head", b"GET", b"/echo", [(b"x-b", b"b" * size)])

    with closing(connect()) as connection:
        connection.sendall(request.over_http1(setup.host, way == "proxy"))
        status, received, _ = read_response(connection, b"GET")

    if size > 65536:
        assert status == 431
        assert b"latehook: the head of this request is too large: a mocked host takes 65,536 bytes" in received
    else:
        assert status == 200


def test_the_head_of_a_request_to_another_host_is_not_limited(setup: Setup) -> None:
    heads: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(65536)
        heads.append(head)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

    with raw_server(serve) as port, closing(setup.direct()) as connection:
        request = AttackRequest("head", b"GET", b"/", [(b"x-b", b"b" * 500_000)])
        connection.sendall(request.over_http1(b"localhost:%d" % port, absolute=True))
        status, _, _ = read_response(connection, b"GET")

    assert status == 200
    assert b"b" * 500_000 in heads[0]


# Clients that disconnect, and HTTP/2


def test_clients_that_disconnect_before_or_during_a_response_do_not_disturb_others(setup: Setup) -> None:
    request = AttackRequest("slow", b"GET", b"/slow").over_http1(setup.host, absolute=True)
    staying = setup.direct()
    staying.sendall(request)
    for number in range(18):
        connection = setup.direct()
        connection.sendall(request)
        if number % 3 == 0:  # in the middle of 400 kB
            connection.recv(1000)
        if number % 3 == 1:
            linger = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)  # a reset instead of an orderly end
        connection.close()

    with closing(staying):
        assert read_response(staying, b"GET")[0] == 200
    setup.check()


def test_resetting_http2_streams_during_their_bodies_does_not_disturb_the_others(setup: Setup) -> None:
    with closing(Http2Client(setup.tls("h2"))) as client:
        for number in range(500):
            stream = client.start(AttackRequest("reset", body=b"x"), setup.host, ends=False)
            if number % 2:
                client.state.send_data(stream, b'{"n": ')
            client.state.reset_stream(stream, error_code=number % 15)
            client.flush()
        assert client.send(AttackRequest("sound", body=b'{"n": 1}'), setup.host) == 200
    setup.check()


def test_http2_trailers_after_a_body_are_ignored(setup: Setup) -> None:
    with closing(Http2Client(setup.tls("h2"))) as client:
        stream = client.start(AttackRequest("trailers"), setup.host, ends=False)
        client.state.send_data(stream, b'{"n": 1}')
        client.state.send_headers(stream, [(b"x-checksum", b"1")], end_stream=True)
        client.flush()
        events = []
        while not any(isinstance(event, h2.events.StreamEnded) for event in events):
            events += client.receive()
    assert b'"echo":{"n":1}' in b"".join(event.data for event in events if isinstance(event, h2.events.DataReceived))
    setup.check()


def test_a_client_that_resets_streams_without_end_is_disconnected_and_others_are_served(setup: Setup) -> None:
    before = setup.proxy.memory_peak()
    received = b""
    with closing(Http2Client(setup.tls("h2"))) as client:
        while b"too many streams were reset" not in received:  # it comes in a GOAWAY frame
            received = reset_many(setup, client)
            assert received, "the proxy closed the connection, and did not say why"
        with suppress(ConnectionError, ssl.SSLError):
            while client.socket.recv(65536):  # until the proxy closes the connection
                pass

    assert setup.proxy.memory_peak() - before < 50 * MB
    setup.check()


def reset_many(setup: Setup, client: Http2Client) -> bytes:
    """Reset 1500 streams while another client is served. Return what comes until the proxy has read all, or closes.

    A slow machine may read them in so many seconds that they are not yet too many.
    """
    for _ in range(1500):
        stream = client.state.get_next_available_stream_id()
        client.state.send_headers(stream, AttackRequest("reset").over_http2(setup.host), end_stream=True)
        client.state.reset_stream(stream, 8)
    client.state.ping(b"all read")
    received = b""
    with suppress(ConnectionError, ssl.SSLError):
        with ThreadPoolExecutor(1) as pool:
            sent = pool.submit(client.flush)
            setup.check()
            sent.result()
        while b"all read" not in received and (data := client.socket.recv(65536)):
            received += data
    return received


def test_answers_that_nobody_reads_do_not_pile_up(setup: Setup) -> None:
    request = AttackRequest("long", b"GET", b"/long").over_http1(setup.host, absolute=True)
    before = setup.proxy.memory_peak()
    with ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(closing(setup.direct())).sendall(request * 200)
        for _ in range(5):
            setup.check()

    assert setup.proxy.memory_peak() - before < 50 * MB  # all of them are 400 MB


def test_pipelined_requests_are_answered_in_order_although_they_wait_for_their_turn(setup: Setup) -> None:
    requests = [AttackRequest("small", b"GET", b"/echo?n=%d" % n) for n in range(50)]
    with closing(setup.direct()) as connection:
        connection.sendall(b"".join(request.over_http1(setup.host, absolute=True) for request in requests))
        received = b""
        while len(numbers := re.findall(rb'"query":{"n":"(\d+)"}', received)) < 50 and (data := connection.recv(65536)):
            received += data

    assert numbers == [b"%d" % n for n in range(50)]


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
def test_invalid_and_excessive_http2_frames(what: str, setup: Setup) -> None:
    before = setup.proxy.memory_peak()
    for _ in range(3):
        with closing(setup.tls("h2")) as connection:
            with suppress(ConnectionError, ssl.SSLError):
                connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"") + HTTP2[what])
                check_no_leak(b"", connection.recv(65536))

    setup.check()
    assert setup.proxy.memory_peak() - before < 50 * MB


# What a job stores


def test_only_the_request_that_cannot_be_stored_gets_an_error(setup: Setup) -> None:
    sound, half = (AttackRequest("job", body=b'{"n": %s}' % n) for n in (b"1" + b"0" * 30, b'"\\ud800"'))

    def ask(request: AttackRequest) -> tuple[int, bytes, bool]:
        with closing(setup.direct()) as connection:
            connection.sendall(request.over_http1(setup.host, absolute=True))
            return read_response(connection, b"POST")

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, [sound, half] * 30))

    assert [status for status, _, _ in answers] == [200, 500] * 30
    assert b"mocks.yaml:3" in answers[1][1] and b"texts may have no lone surrogates" in answers[1][1]
    setup.check()
