"""From a mitmproxy flow to an ASGI application and back: Latehook's own control is served on the proxy's port."""

import asyncio
import time
from collections.abc import MutableMapping
from typing import Any, Protocol
from urllib.parse import unquote

from mitmproxy import ctx, http
from mitmproxy.connection import Client, Server

from latehook.proxy.layers import Exchange

Message = MutableMapping[str, Any]

_VERSIONS = {"HTTP/1.0": "1.0", "HTTP/2.0": "2", "HTTP/3": "3"}


class App(Protocol):
    """An ASGI application."""

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None: ...


async def serve(app: App, flow: http.HTTPFlow, exchange: Exchange) -> http.Response:
    """The application's response. What it does ends when the client leaves."""
    if exchange.upload.body is None:
        return _response(413, [(b"content-type", b"text/plain")], b"latehook: the body is too large")
    call = _Call(exchange.upload.body)
    task = asyncio.get_running_loop().create_task(app(_scope(flow, exchange), call.receive, call.send))
    exchange.leave = task.cancel
    try:
        await task
    except asyncio.CancelledError:
        return _response(499, [], b"")
    finally:
        exchange.leave = None
    return _response(call.status, call.headers, b"" if flow.request.method == "HEAD" else bytes(call.body))


class _Call:
    """One call of the application: what it is sent, and what it sends."""

    def __init__(self, body: bytes) -> None:
        self.status = 500
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = bytearray()
        self._request: bytes | None = body

    async def receive(self) -> Message:
        if self._request is None:
            await asyncio.get_running_loop().create_future()  # whoever asks for more waits for the client to leave
        body, self._request = self._request, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message.get("headers", ()))
        else:
            self.body += message.get("body", b"")


def _scope(flow: http.HTTPFlow, exchange: Exchange) -> Message:
    request = flow.request
    path, _, query = request.path.partition("?")
    named = exchange.sent.host if exchange.sent is not None and exchange.sent.host else request.host
    headers = [(name.lower(), value) for name, value in request.headers.fields if name.lower() != b"host"]
    peer = _origin(flow.client_conn)
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": _VERSIONS.get(request.http_version, "1.1"),
        "method": request.method,
        "scheme": "https" if flow.client_conn.tls else "http",
        "path": unquote(path),
        "raw_path": path.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "root_path": "",
        "headers": [(b"host", named.encode("latin-1")), *headers],
        "client": peer.peername[:2],
        "server": (request.host, request.port),
    }


def _origin(client: Client) -> Client:
    """Who asks: of what comes through this proxy itself, whoever came to it. Else all of them would be this machine."""
    handlers = ctx.master.addons.get("proxyserver").connections
    for _ in range(len(handlers)):
        for handler in handlers.values():
            if any(isinstance(other, Server) and other.sockname == client.peername for other in handler.transports):
                client = handler.client
                break
        else:
            return client
    return client


def _response(status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> http.Response:
    now = time.time()
    return http.Response(b"HTTP/1.1", status, b"", http.Headers(headers), body, None, now, now)
