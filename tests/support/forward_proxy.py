"""An HTTP proxy as companies have it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from support.limits import LIMIT
from support.receivers import answer, serving


class ForwardProxy(ThreadingHTTPServer):
    """A proxy that connects to 127.0.0.1 for every host name and records each request line in `asked`: `METHOD target`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


@contextmanager
def forward_proxy() -> Iterator[ForwardProxy]:
    """Run such a proxy."""
    with serving(ForwardProxy()) as server:
        yield server


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ForwardProxy

    def do_CONNECT(self) -> None:
        self.server.asked.append(f"CONNECT {self.path}")
        try:
            target = socket.create_connection(("127.0.0.1", int(self.path.rpartition(":")[2])), LIMIT)
        except OSError:
            self.send_error(502)
            return
        self.send_response(200)
        self.end_headers()
        with target:
            back = threading.Thread(target=_copy, args=(target, self.connection), daemon=True)
            back.start()
            _copy(self.connection, target)
            back.join(LIMIT)
        self.close_connection = True

    def _forward(self) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        target = HTTPConnection("127.0.0.1", parts.port or 80, timeout=LIMIT)
        try:
            target.request(self.command, parts._replace(scheme="", netloc="").geturl(), body, dict(self.headers))
            response = target.getresponse()
            answer(response.status, response.read())(self, 0)  # type: ignore[arg-type]
        except OSError:
            self.send_error(502)
        finally:
            target.close()

    do_GET = do_POST = do_HEAD = _forward

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _copy(source: socket.socket, target: socket.socket) -> None:
    """Copy bytes until `source` ends."""
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
