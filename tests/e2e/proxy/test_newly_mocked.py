"""What is open to a host when it becomes a mocked one ends: no byte goes to the real service any more."""

import http.client
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from support.attack_clients import Http2Client
from support.attacks import AttackRequest
from support.certificates import certificate
from support.limits import PROMPT
from support.process import Proxy
from support.raw_servers import raw_server
from support.receivers import Receiver, receiver
from support.tunnel_clients import connect
from support.waiting import wait_until


def mock(proxy: Proxy, host: str, status: int = 200) -> None:
    """Put a mock for all of a host in front, through the control API."""
    text = f"mocks: [{{match: 'ANY {host}/**', response: {{status: {status}, text: mocked}}}}]"
    posted = httpx.post(
        f"{proxy.url}/_latehook/mocks", content=text, headers={"content-type": "application/yaml"}, trust_env=False
    )
    assert posted.status_code == 200, posted.text


@pytest.mark.parametrize("asked", ["localhost", "127.0.0.1"])
def test_a_tunnel_ends(asked: str, start: Callable[..., Proxy]) -> None:
    heard: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        while data := connection.recv(1000):
            heard.append(data)
            connection.sendall(b"heard")

    proxy = start(mocks="mocks: []")
    with raw_server(serve) as port, connect(proxy.port, asked, port) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: real.example\r\n\r\n")
        assert client.recv(1000) == b"heard"
        mock(proxy, "another.example")
        client.sendall(b"GET /2 HTTP/1.1\r\nHost: real.example\r\n\r\n")
        assert client.recv(1000) == b"heard"
        mock(proxy, f"localhost:{port}" if asked == "localhost" else "real.example")
        assert client.recv(1000) == b""

    assert len(heard) == 2
    proxy.wait_for(r"latehook: (localhost|real\.example):\d+ is mocked now: a connection to it ends")


def test_a_client_that_speaks_http_with_the_proxy_stays_and_gets_the_mocks_answer(
    start: Callable[..., Proxy], sut: Receiver
) -> None:
    proxy = start(mocks="mocks: []")
    client = http.client.HTTPConnection("127.0.0.1", proxy.port)
    url = f"http://localhost:{sut.port}/x"

    client.request("GET", url)
    before = client.getresponse().read()
    opened = client.sock
    mock(proxy, f"localhost:{sut.port}")
    client.request("GET", url)
    after = client.getresponse().read()

    assert (before, after, client.sock) == (b"ok", b"mocked", opened)
    assert len(sut.requests) == 1
    client.close()


def test_an_edit_of_the_mocks_file_ends_a_tunnel_too(start: Callable[..., Proxy], tmp_path: object) -> None:
    ended: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        connection.sendall(b"220 ready\r\n")
        ended.append(b"".join(iter(lambda: connection.recv(1000), b"")))

    proxy = start(mocks="mocks: []")
    with raw_server(serve) as port, connect(proxy.port, "localhost", port) as client:
        assert client.recv(1000) == b"220 ready\r\n"
        client.sendall(b"EHLO me\r\n")
        (tmp_path / "mocks.yaml").write_text(f"mocks: [{{match: 'ANY localhost:{port}/**'}}]")  # type: ignore[operator]
        assert client.recv(1000) == b""
        wait_until(lambda: ended, "the end of the connection to the server")

    assert ended == [b"EHLO me\r\n"]


HANDSHAKE = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
"""The handshake of RFC 6455 section 1.3."""

MASKED = b"\x81\x82\0\0\0\0"


def test_a_websocket_ends(start: Callable[..., Proxy]) -> None:
    heard: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(SWITCHING)
        while data := connection.recv(1000):
            heard.append(data)
            connection.sendall(b"\x81\x02ok")

    proxy = start(mocks="mocks: []")
    with raw_server(serve) as port, socket.create_connection(("127.0.0.1", proxy.port), PROMPT) as client:
        client.sendall(f"GET http://localhost:{port}/ HTTP/1.1\r\nHost: localhost:{port}\r\n".encode() + HANDSHAKE)
        got = b""
        while not got.endswith(b"\r\n\r\n"):
            got += client.recv(1000)
        client.sendall(MASKED + b"hi")
        assert client.recv(1000) == b"\x81\x02ok"
        mock(proxy, f"localhost:{port}")
        rest = b"".join(iter(lambda: client.recv(1000), b""))

    assert rest[:1] in (b"", b"\x88")  # perhaps a frame that closes
    assert len(heard) == 1


def test_a_client_of_http2_whose_tls_is_decrypted_gets_the_mocks_answer(
    start: Callable[..., Proxy], tmp_path: Path
) -> None:
    own = certificate(tmp_path / "ca", "localhost")
    lazy = ["upstream_cert=false", "connection_strategy=lazy"]  # so that the client may speak HTTP/2 with the proxy
    options = ["mock_others=intercept", f"ssl_verify_upstream_trusted_ca={own.ca}", *lazy]
    proxy = start(*(argument for option in options for argument in ("--set", option)), mocks="mocks: []")
    trusted = ssl.create_default_context(cafile=proxy.ca)
    trusted.set_alpn_protocols(["h2"])
    with receiver(tls=own.context) as real, connect(proxy.port, "localhost", real.port) as tunnel:
        client = Http2Client(trusted.wrap_socket(tunnel, server_hostname="localhost"))
        request, host = AttackRequest("get", b"GET", b"/"), b"localhost:%d" % real.port
        before = client.send(request, host)
        mock(proxy, host.decode(), status=202)
        after = client.send(request, host)
        client.close()

    assert (before, after) == (200, 202)
    assert len(real.requests) == 1
