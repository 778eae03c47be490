"""HTTP servers that record what they receive: webhook receivers and third parties."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from support.limits import LIMIT
from support.waiting import wait_until


@dataclass(frozen=True)
class Received:
    """A request that a receiver got. `at` is its time of arrival in Unix seconds."""

    at: float
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Behave = Callable[["Handler", int], None]
"""(the handler, the request's number from 0) → answer it, or leave it unanswered."""


def answer(status: int = 200, body: bytes = b"ok", **headers: str) -> Behave:
    """Answer every request like this. In names of headers `_` stands for `-`."""

    def behave(handler: "Handler", number: int) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)

    return behave


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "Receiver"

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def _serve(self) -> None:
        if "chunked" in self.headers.get("transfer-encoding", ""):
            body = self._chunks()
        else:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        number = self.server.record(Received(time.time(), self.command, self.path, headers, body))
        self.server.behave(self, number)

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _serve

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Receiver(ThreadingHTTPServer):
    """A server that records every request in `requests` and answers with `behave`, which a test may replace."""

    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, behave: Behave | None = None, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.behave = behave or answer()
        self.requests: list[Received] = []
        self.connections = 0
        self._lock = threading.Lock()

    @property
    def port(self) -> int:
        return self.server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def record(self, request: Received) -> int:
        """Keep the request; return its number from 0."""
        with self._lock:
            self.requests.append(request)
            return len(self.requests) - 1

    def wait(self, count: int = 1, limit: float = LIMIT) -> Sequence[Received]:
        """Return all requests as soon as there are at least `count`."""
        wait_until(lambda: len(self.requests) >= count, f"{count} requests (came: {len(self.requests)})", limit)
        return self.requests

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections += 1
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


@contextmanager
def receiver(behave: Behave | None = None, tls: Any = None, port: int = 0) -> Iterator[Receiver]:
    """Run a receiver, over TLS if `tls` is an SSL context."""
    server = Receiver(behave, port)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    with serving(server):
        yield server


@contextmanager
def serving[Server: ThreadingHTTPServer](server: Server) -> Iterator[Server]:
    """Run the server's loop in a thread."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
