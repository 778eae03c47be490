"""Clients that ask the proxy for a connection, by CONNECT or SOCKS5, and then say by TLS or HTTP what they want."""

import socket
import ssl
from collections.abc import Callable
from typing import Any

from support.limits import PROMPT


def connect(port: int, host: str, to: int) -> socket.socket:
    """Return a tunnel to `host:to` through the HTTP proxy at `port`."""
    client = _open(port)
    client.sendall(f"CONNECT {host}:{to} HTTP/1.1\r\nhost: {host}:{to}\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n") and (byte := client.recv(1)):
        head += byte
    assert head.startswith(b"HTTP/1.1 200 "), head
    return client


def socks5(port: int, host: str, to: int) -> socket.socket:
    """Return a connection to `host:to` through the SOCKS5 proxy at `port`. An address is sent as an address."""
    client = _open(port)
    client.sendall(b"\5\1\0")
    assert client.recv(2) == b"\5\0"
    try:
        target = b"\1" + socket.inet_aton(host)
    except OSError:
        name = host.encode()
        target = b"\3" + bytes([len(name)]) + name
    client.sendall(b"\5\1\0" + target + to.to_bytes(2))
    reply = client.recv(10)
    assert reply[:2] == b"\5\0", reply
    return client


def _open(port: int) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), PROMPT)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def send(client: socket.socket, data: bytes, piece: int) -> None:
    """Send data in pieces of so many bytes, each on its own; 0: all at once."""
    for at in range(0, len(data), piece or len(data)):
        client.sendall(data[at : at + (piece or len(data))])


class Tls:
    """A TLS client on a connection, which sends its bytes in pieces and trusts any certificate."""

    def __init__(self, client: socket.socket, name: str | None, piece: int = 0, alpn: str | None = None) -> None:
        self._client = client
        self._piece = piece
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if alpn is not None:
            context.set_alpn_protocols([alpn])
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=name)
        self._run(self._tls.do_handshake)

    def sendall(self, data: bytes) -> None:
        self._run(lambda: self._tls.write(data))

    def recv(self, size: int) -> bytes:
        return self._run(lambda: self._tls.read(size))

    def _run(self, step: Callable[[], Any]) -> Any:
        while True:
            try:
                done = step()
            except ssl.SSLWantReadError:
                self._flush()
                data = self._client.recv(65536)
                if not data:
                    raise ConnectionError("the connection ended in the handshake") from None
                self._in.write(data)
            else:
                self._flush()
                return done

    def _flush(self) -> None:
        if data := self._out.read():
            send(self._client, data, self._piece)
