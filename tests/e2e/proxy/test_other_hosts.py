"""Hosts that are not mocked: their traffic is forwarded unchanged. And `response: forward` of mocked hosts."""

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from support.certificates import Certificate, certificate
from support.limits import LIMIT, LONG_LIMIT
from support.ports import free_port
from support.process import Proxy, mitmdump
from support.programs import curl
from support.raw_servers import raw_server
from support.receivers import Handler, Receiver, answer, receiver

MB = 1024 * 1024
SIZE = 200 * MB
MEMORY_GROWTH = 150 * MB
"""Bytes that the process may grow by while it forwards 200 MB."""

MOCKS = """
mocks:
  - match: POST api.slow.example/jobs
    response: {{json: {{mocked: true}}}}
  - match: ANY localhost:{mocked}/**
    response: {{json: {{mocked: true}}}}
  - match: ANY localhost:{real}/forwarded
    response: forward
  - match: GET localhost:{real}/mocked
    response: {{json: {{mocked: true}}}}
  - match: ANY localhost:{real_tls}/forwarded
    response: forward
  - match: GET localhost:{real_tls}/mocked
    response: {{json: {{mocked: true}}}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("other_hosts")


@pytest.fixture(scope="module")
def other(folder: Path) -> Certificate:
    """The certificate of the hosts that are not mocked."""
    return certificate(folder / "ca", "localhost")


@pytest.fixture(scope="module")
def mocked_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def real() -> Iterator[Receiver]:
    """The real service that some requests are forwarded to."""
    with receiver(answer(body=b"real")) as server:
        yield server


@pytest.fixture(scope="module")
def real_tls(other: Certificate) -> Iterator[Receiver]:
    with receiver(answer(body=b"real"), tls=other.context) as server:
        yield server


@pytest.fixture(scope="module")
def proxy(
    confdir: Path, folder: Path, mocked_port: int, real: Receiver, real_tls: Receiver, other: Certificate
) -> Iterator[Proxy]:
    file = folder / "mocks.yaml"
    file.write_text(MOCKS.format(mocked=mocked_port, real=real.port, real_tls=real_tls.port))
    trusted = f"ssl_verify_upstream_trusted_ca={other.ca}"
    with mitmdump(confdir, "--set", f"mock_file={file}", "--set", trusted) as started:
        yield started


@contextmanager
def client_of(proxy: Proxy, http2: bool = False) -> Iterator[httpx.Client]:
    """Return a client that keeps its connection and trusts only mitmproxy's CA."""
    trusted = ssl.create_default_context(cafile=proxy.ca)
    with httpx.Client(proxy=proxy.url, verify=trusted, http2=http2, timeout=LIMIT, trust_env=False) as client:
        yield client


@contextmanager
def tunnel(proxy: Proxy, port: int) -> Iterator[tuple[socket.socket, bytes]]:
    """Open a CONNECT tunnel to a port of localhost; give the socket and the proxy's response."""
    with socket.create_connection(("127.0.0.1", proxy.port), LIMIT) as connection:
        connection.sendall(f"CONNECT localhost:{port} HTTP/1.1\r\nhost: localhost:{port}\r\n\r\n".encode())
        head = b""
        while not head.endswith(b"\r\n\r\n") and (byte := connection.recv(1)):
            head += byte
        yield connection, head


# Tunnels


def test_the_certificate_of_another_host_arrives_untouched(proxy: Proxy, other: Certificate) -> None:
    with receiver(answer(body=b"its own"), tls=other.context) as server:
        url = f"https://localhost:{server.port}/"
        answered = curl("-x", proxy.url, "--cacert", other.ca, url)
        by_mitmproxy = curl("-x", proxy.url, "--cacert", proxy.ca, url)

    assert (answered.returncode, answered.stdout) == (0, "its own")
    assert by_mitmproxy.returncode == 60  # it is not mitmproxy's


def test_the_greeting_of_a_server_that_speaks_first_arrives_before_the_client_sends_anything(proxy: Proxy) -> None:
    def serve(connection: socket.socket) -> None:
        connection.sendall(b"220 mail.other.example ready\r\n")
        connection.sendall(b"250 you said " + connection.recv(1000))

    with raw_server(serve) as port, tunnel(proxy, port) as (client, head):
        greeting = client.recv(1000)
        client.sendall(b"HELO\r\n")
        answered = client.recv(1000)

    assert head.startswith(b"HTTP/1.1 200 ")
    assert greeting == b"220 mail.other.example ready\r\n"
    assert answered == b"250 you said HELO\r\n"


def test_http_in_a_tunnel_to_another_host_is_forwarded_byte_by_byte(proxy: Proxy) -> None:
    asked = b"GET /x HTTP/1.1\r\nHoSt:  localhost\r\nX-Odd :\t1\r\n\r\n"
    heard: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        heard.append(connection.recv(1000))
        connection.sendall(b"anything at all")

    with raw_server(serve) as port, tunnel(proxy, port) as (client, _):
        client.sendall(asked)
        answered = client.recv(1000)

    assert heard == [asked]
    assert answered == b"anything at all"


def test_a_host_that_refuses_connections_gives_a_502(proxy: Proxy) -> None:
    url = f"localhost:{free_port()}/"
    written = ["-x", proxy.url, "-o", "/dev/null", "-w", "%{http_code} %{http_connect}"]

    plain = curl(*written, f"http://{url}")
    tunnelled = curl(*written, f"https://{url}")

    assert plain.stdout == "502 000"
    assert tunnelled.stdout == "000 502"


def test_a_name_that_does_not_resolve_gives_a_502(proxy: Proxy) -> None:
    written = ["-x", proxy.url, "-o", "/dev/null", "-w", "%{http_code} %{http_connect}"]

    tunnelled = curl(*written, "https://other.invalid/")

    assert tunnelled.stdout == "000 502"


# Plain HTTP


@pytest.mark.parametrize("framing", ["chunked", "until the end"])
def test_the_events_of_a_stream_arrive_as_they_are_sent(framing: str, proxy: Proxy) -> None:
    first_was_read = threading.Event()

    def behave(handler: Handler, number: int) -> None:
        chunked = framing == "chunked"
        handler.send_response(200)
        handler.send_header("content-type", "text/event-stream")
        handler.send_header(*(("transfer-encoding", "chunked") if chunked else ("connection", "close")))
        handler.end_headers()
        for event in (b"data: first\n\n", b"data: second\n\n"):
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(event), event) if chunked else event)
            handler.wfile.flush()
            if not first_was_read.wait(LIMIT):
                return
        if chunked:
            handler.wfile.write(b"0\r\n\r\n")
        handler.close_connection = True

    with receiver(behave) as server, client_of(proxy) as client:
        with client.stream("GET", f"http://localhost:{server.port}/events") as response:
            pieces = response.iter_raw()
            first = next(pieces)
            first_was_read.set()
            rest = b"".join(pieces)

    assert (first, rest) == (b"data: first\n\n", b"data: second\n\n")


def needs_proc(test: Callable[..., None]) -> Callable[..., None]:
    missing = not Path("/proc/self/status").exists()
    return pytest.mark.skipif(missing, reason="this system has no /proc to read the memory peak from")(test)


@needs_proc
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_download_of_200_mb_is_not_held_in_memory(framing: str, proxy: Proxy) -> None:
    piece = bytes(MB)

    def behave(handler: Handler, number: int) -> None:
        chunked = framing == "chunked"
        handler.send_response(200)
        handler.send_header(*(("transfer-encoding", "chunked") if chunked else ("content-length", str(SIZE))))
        handler.end_headers()
        for _ in range(SIZE // MB):
            handler.wfile.write(b"%x\r\n%s\r\n" % (MB, piece) if chunked else piece)
        if chunked:
            handler.wfile.write(b"0\r\n\r\n")

    with receiver(behave) as server:
        before = proxy.memory_peak()
        url = f"http://localhost:{server.port}/download"
        got = curl("-x", proxy.url, "-o", "/dev/null", "-w", "%{http_code} %{size_download}", url, limit=LONG_LIMIT)

    assert got.stdout == f"200 {SIZE}"
    assert proxy.memory_peak() - before < MEMORY_GROWTH


@needs_proc
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_an_upload_of_200_mb_to_another_host_is_forwarded_and_not_held_in_memory(
    framing: str, proxy: Proxy, tmp_path: Path
) -> None:
    file = tmp_path / "upload"
    with file.open("wb") as empty:
        empty.truncate(SIZE)
    passed: list[int] = []

    def serve(connection: socket.socket) -> None:
        """Count what comes behind the head until the end of the body is seen, then answer."""
        received = b""
        while b"\r\n\r\n" not in received:
            received += connection.recv(65536)
        head, _, last = received.partition(b"\r\n\r\n")
        size = len(last)
        while not last.endswith(b"\r\n0\r\n\r\n") if b"chunked" in head.lower() else size < SIZE:
            last = last[-7:] + (data := connection.recv(MB))
            size += len(data)
        passed.append(size)
        connection.sendall(b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n")

    with raw_server(serve) as port:
        before = proxy.memory_peak()
        length = ["-H", "transfer-encoding: chunked"] if framing == "chunked" else []
        written = ["-o", "/dev/null", "-w", "%{http_code}", "-T", str(file), "-H", "expect:"]
        put = curl("-x", proxy.url, *written, *length, f"http://localhost:{port}/upload", limit=LONG_LIMIT)

    assert put.stdout == "201"
    assert passed[0] == SIZE if framing == "length" else passed[0] > SIZE
    assert proxy.memory_peak() - before < MEMORY_GROWTH


def test_a_flow_file_has_small_messages_of_other_hosts(confdir: Path, tmp_path: Path) -> None:
    from mitmproxy.io import FlowReader

    file = tmp_path / "flows"
    with receiver(answer(body=b"a small answer")) as server:
        with mitmdump(confdir, "-w", str(file), env={"CALLBACK_URL": server.url}) as proxy:
            curl("-x", proxy.url, "-d", "a small question", f"http://localhost:{server.port}/")
            proxy.stop()

    with file.open("rb") as saved:
        [flow] = FlowReader(saved).stream()
    assert (flow.request.content, flow.response.content) == (b"a small question", b"a small answer")  # type: ignore


# Other ports of mocked hosts, and forwarded requests


def test_the_other_ports_of_a_host_that_is_mocked_with_a_port_are_not_mocked(
    proxy: Proxy, mocked_port: int, other: Certificate
) -> None:
    with receiver(answer(body=b"3000")) as plain, receiver(answer(body=b"3001"), tls=other.context) as tls:
        with client_of(proxy) as client:
            answers = [client.get(f"http://localhost:{port}/") for port in (mocked_port, plain.port, mocked_port)]
        by_tls = curl("-x", proxy.url, "--cacert", other.ca, f"https://localhost:{tls.port}/")

    assert [answered.text for answered in answers] == ['{"mocked":true}', "3000", '{"mocked":true}']
    assert by_tls.stdout == "3001"


@pytest.mark.parametrize("how", ["http", "https", "https-http2"])
def test_only_forwarded_requests_of_a_connection_reach_the_real_service(
    how: str, proxy: Proxy, real: Receiver, real_tls: Receiver
) -> None:
    service = real if how == "http" else real_tls
    base = f"{how.partition('-')[0]}://localhost:{service.port}"
    before = len(service.requests)

    with client_of(proxy, http2=how == "https-http2") as client:
        forwarded = client.post(f"{base}/forwarded", content=b"a question", headers={"x-mine": "1"})
        unmatched = client.get(f"{base}/nowhere")
        mocked = client.get(f"{base}/mocked")
        again = client.get(f"{base}/forwarded")

    assert [response.status_code for response in (forwarded, unmatched, mocked, again)] == [200, 501, 200, 200]
    assert (forwarded.text, mocked.text, again.text) == ("real", '{"mocked":true}', "real")
    assert unmatched.json()["error"].startswith("latehook:")
    assert forwarded.http_version == ("HTTP/2" if how == "https-http2" else "HTTP/1.1")
    seen = service.requests[before:]
    assert [(request.method, request.path, request.body) for request in seen] == [
        ("POST", "/forwarded", b"a question"),
        ("GET", "/forwarded", b""),
    ]
    assert seen[0].headers["x-mine"] == "1"


def test_a_forwarded_body_without_a_content_length_arrives_whole(proxy: Proxy, real: Receiver) -> None:
    pieces = [b"x" * 100_000] * 20

    with client_of(proxy) as client:
        forwarded = client.post(f"http://localhost:{real.port}/forwarded", content=iter(pieces))

    assert forwarded.text == "real"
    assert real.requests[-1].body == b"".join(pieces)


def test_the_same_proxy_mocks_a_host(proxy: Proxy) -> None:
    answered = curl("-x", proxy.url, "--cacert", proxy.ca, "-d", "{}", "https://api.slow.example/jobs")

    assert json.loads(answered.stdout) == {"mocked": True}
