"""Serve an ASGI application, the control API, for a mitmproxy flow: requests to it come to the proxy's own port."""

import asyncio
import string
import time
from collections.abc import MutableMapping
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import quote_from_bytes, unquote

from mitmproxy import http
from mitmproxy.connection import Client, Server

from latehook.base.control_path import OWN_ORIGIN
from latehook.base.json_text import encode_json
from latehook.proxy import compat
from latehook.proxy.request_state import RequestState

Message = MutableMapping[str, Any]

_VERSIONS = {"HTTP/1.0": "1.0", "HTTP/2.0": "2", "HTTP/3": "3"}


class App(Protocol):
    """An ASGI application."""

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None: ...


async def serve(app: App, flow: http.HTTPFlow, state: RequestState) -> http.Response:
    """Return the application's response. The application is canceled when the client disconnects."""
    if state.upload.body is None:
        return _response(413, [(b"content-type", b"text/plain")], b"latehook: the body is too large")
    messages = _Messages(state.upload.body)
    task = asyncio.get_running_loop().create_task(app(_scope(flow, state), messages.receive, messages.send))
    state.on_disconnect = task.cancel
    try:
        await task
    except asyncio.CancelledError:
        return _response(499, [], b"")
    finally:
        state.on_disconnect = None
    body = b"" if flow.request.method == "HEAD" else b"".join(messages.body)
    return _response(messages.status, messages.headers, body)


class _Messages:
    """The ASGI messages of one request: those that the application receives, and those that it sends."""

    def __init__(self, body: bytes) -> None:
        self.status = 500
        self.headers: list[tuple[bytes, bytes]] = []
        self.body: list[bytes] = []
        self._request: bytes | None = body

    async def receive(self) -> Message:
        if self._request is None:
            await asyncio.get_running_loop().create_future()  # until the client disconnects, and this is canceled
        body, self._request = self._request, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message.get("headers", ()))
        else:
            self.body.append(message.get("body", b""))


def _scope(flow: http.HTTPFlow, state: RequestState) -> Message:
    request = flow.request
    path, _, query = _in_ascii(request.data.path).partition(b"?")
    named = state.control.host if state.control is not None and state.control.host else request.host
    headers = [(name.lower(), value) for name, value in request.headers.fields if name.lower() != b"host"]
    client = _first_client(flow.client_conn)
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": _VERSIONS.get(request.http_version, "1.1"),
        "method": request.method,
        "scheme": "https" if flow.client_conn.tls else "http",
        "path": unquote(path),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": [(b"host", named.encode("utf-8", "surrogateescape")), *headers],
        "client": client.peername[:2],
        "server": client.sockname[:2],
        "extensions": {OWN_ORIGIN: {}} if state.own_origin else {},
    }


def _in_ascii(target: bytes) -> bytes:
    """Return a request's target with escapes for the bytes that some clients send as they are."""
    return target if target.isascii() else quote_from_bytes(target, safe=string.punctuation).encode()


def _first_client(client: Client) -> Client:
    """Return the client that a request comes from. If it came through this proxy, that is the proxy's own client.

    Otherwise every such client would count as this machine.
    """
    clients = {
        connection.sockname: other
        for other, opened in compat.open_connections()
        for connection in opened
        if isinstance(connection, Server)
    }
    for _ in clients:
        client = clients.get(client.peername, client)
    return client


def problem(status: int, detail: str) -> http.Response:
    """Return a problem in the format of RFC 9457, as the application does it."""
    body = encode_json({"title": HTTPStatus(status).phrase, "status": status, "detail": detail})
    headers = [(b"content-type", b"application/problem+json"), (b"content-length", b"%d" % len(body))]
    return _response(status, headers, body)


def _response(status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> http.Response:
    now = time.time()
    return http.Response(b"HTTP/1.1", status, b"", http.Headers(headers), body, None, now, now)
