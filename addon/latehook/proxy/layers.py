"""mitmproxy's HTTP layers, ours where they must be: the choke point before the third party, and uploads past memory.

Every HTTP request goes upstream through `HttpStream.make_server_connection`, also on a connection that is already open
and also behind an upstream proxy, where no hook is asked. So that is where a mocked one is stopped. A CONNECT goes
through `handle_connect_…`: a mocked one connects to nothing, and has no tunnel through an upstream proxy.
"""

import asyncio
import hashlib
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from mitmproxy import http
from mitmproxy.flow import Error
from mitmproxy.net.http.http1 import connection_close
from mitmproxy.proxy import events
from mitmproxy.proxy.commands import StartHook
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import Layer, NextLayer
from mitmproxy.proxy.layers.http import (
    DropStream,
    HttpErrorHook,
    HttpLayer,
    HTTPMode,
    HttpStream,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
)

from latehook.base.model import ResponseFault
from latehook.bodies.decoding import MAX_BODY_SIZE
from latehook.bodies.forms import MultipartReader
from latehook.proxy import faults
from latehook.proxy.http1 import Http1

CONTROL = b"/_latehook"
"""What the paths of Latehook's own control begin with."""

Commands = Generator[Any, Any, Any]


@dataclass(slots=True)
class Upload:
    """A request's body as it passes: all of it is counted, at most `bodies.MAX_BODY_SIZE` bytes are kept.

    Its form is read, and its hash made, on the way where something wants them: `reader`, `hash`.
    """

    size: int = 0
    kept: bytearray | None = field(default_factory=bytearray)
    reader: MultipartReader | None = None
    hash: "hashlib._Hash | None" = None

    def add(self, data: bytes) -> None:
        self.size += len(data)
        if self.reader is not None:
            self.reader.feed(data)
        if self.hash is not None:
            self.hash.update(data)
        if self.size > MAX_BODY_SIZE:
            self.kept = None
        elif self.kept is not None:
            self.kept += data

    @property
    def body(self) -> bytes | None:
        return None if self.kept is None else bytes(self.kept)


@dataclass(frozen=True, slots=True)
class Sent:
    """What a request named as its host. `direct`: nothing, but in its Host header: it asks this server, not a proxy."""

    host: str
    direct: bool


@dataclass(slots=True)
class Exchange:
    """What is known of one request on its way: `host` and `port` are those it is mocked by.

    `answering` is its response in the making; `fault` what becomes of that on purpose.
    `sent` is there where it is for Latehook's own control; `leave` is then called when its client has left.
    """

    mocked: bool
    host: str = ""
    port: int = 0
    forward: bool = False
    answering: "asyncio.Task[http.Response | None] | None" = None
    fault: ResponseFault | None = None
    sent: Sent | None = None
    leave: Callable[[], object] | None = None
    upload: Upload = field(default_factory=Upload)

    @property
    def stays(self) -> bool:
        """It never goes to the third party."""
        return self.mocked and not self.forward


class Policy(Protocol):
    """Who decides: the guard."""

    def exchange(self, flow: http.HTTPFlow) -> Exchange: ...
    def note(self, request: http.Request, sent: Sent) -> None: ...
    def refusal_to_connect(self, flow: http.HTTPFlow) -> http.Response: ...
    def lets_out(self, flow: http.HTTPFlow) -> bool: ...
    def settles(self, hook: StartHook, flow: http.HTTPFlow) -> bool: ...
    def answers(self, head: bytes, context: Context) -> bool: ...


class Stream(HttpStream):
    """One request. A mocked one is neither streamed nor limited, and cannot be connected upstream."""

    policy: Policy

    @cached_property
    def _exchange(self) -> Exchange:
        return self.policy.exchange(self.flow)

    @property
    def _stays(self) -> bool:
        return self._exchange.stays

    def handle_event(self, event: events.Event) -> Commands:
        """While a hook is awaited events wait too, but whoever waits for a change may know that its client has left."""
        if isinstance(event, RequestProtocolError) and hasattr(self, "flow"):
            exchange = self.policy.exchange(self.flow)
            if exchange.leave is not None:
                exchange.leave()
        return super().handle_event(event)

    def state_wait_for_request_headers(self, event: RequestHeaders) -> Commands:
        """mitmproxy fills in what a request names as its host, or writes another: control must know what was sent."""
        request = event.request
        if request.data.path.startswith(CONTROL):
            direct = self.mode is not HTTPMode.transparent and not request.data.host
            self.policy.note(request, Sent(request.host_header or "", direct))
        yield from super().state_wait_for_request_headers(event)

    def _handle_event(self, event: events.Event) -> Commands:
        """As mitmproxy does, without the way through all its addons for hooks that only Latehook would hear."""
        steps = super()._handle_event(event)
        reply = None
        while True:
            try:
                command = steps.send(reply)
            except StopIteration:
                return
            settled = isinstance(command, StartHook) and self.policy.settles(command, self.flow)
            reply = None if settled else (yield command)

    def check_body_size(self, request: bool) -> Commands:
        if self._stays:
            return False
        return (yield from super().check_body_size(request))

    def start_request_stream(self) -> Commands:
        if self.policy.lets_out(self.flow):
            yield from super().start_request_stream()
        else:
            self.client_state = self.state_consume_request_body

    def state_consume_request_body(self, event: events.Event) -> Commands:
        if self._stays and isinstance(event, RequestData):
            self._exchange.upload.add(event.data)
            return
        if self._stays and isinstance(event, RequestEndOfMessage):
            self.request_body_buf += self._exchange.upload.body or b""
        yield from super().state_consume_request_body(event)

    def send_response(self, already_streamed: bool = False) -> Commands:
        if self._stays and self._exchange.fault is not None:
            yield from self._fail(self._exchange.fault)
            return
        request, response = self.flow.request, self.flow.response
        version = request.data.http_version
        if self._stays and response is not None and version in _HTTP1 and connection_close(version, request.headers):
            # Told, a client opens its next connection; else it may use this one while mitmproxy is closing it.
            response.headers.setdefault("connection", "close")
        yield from super().send_response(already_streamed)

    def _fail(self, fault: ResponseFault) -> Commands:
        """Send what the fault leaves of the response. As for mitmproxy's own errors, no `response` but `error`."""
        self.flow.error = Error(f"{fault} on purpose (latehook)")
        yield HttpErrorHook(self.flow)
        self.flow.live = False
        self.client_state = self.server_state = self.state_errored
        yield from faults.carry_out(fault, self.flow, self.context.client, self.stream_id)
        yield DropStream(self.stream_id)

    def make_server_connection(self) -> Commands:
        if not self.policy.lets_out(self.flow):
            self.flow.response = self.policy.refusal_to_connect(self.flow)
            yield from self.send_response()
            return False
        return (yield from super().make_server_connection())

    def handle_connect_regular(self) -> Commands:
        yield from self._connect(super().handle_connect_regular)

    def handle_connect_upstream(self) -> Commands:
        yield from self._connect(super().handle_connect_upstream)

    def _connect(self, as_usual: Callable[[], Commands]) -> Commands:
        if self._stays:
            self.child_layer = NextLayer(self.context)
            yield from self.handle_connect_finish()  # type: ignore[no-untyped-call]
        else:
            yield from as_usual()


_HTTP1 = (b"HTTP/1.1", b"HTTP/1.0")


class Http(HttpLayer):
    """All requests of one client connection."""

    policy: Policy

    def _handle_event(self, event: events.Event) -> Commands:
        client = self.context.client
        if isinstance(event, events.Start) and client.transport_protocol == "tcp" and client.alpn != b"h2":
            connection = Http1(self.context.fork())
            connection.policy = self.policy
            self.connections.setdefault(client, connection)
        yield from super()._handle_event(event)

    def make_stream(self, stream_id: int) -> Commands:
        stream = Stream(_fork(self.context), stream_id)
        stream.policy = self.policy
        self.streams[stream_id] = stream
        yield from self.event_to_child(stream, events.Start())


def _fork(context: Context) -> Context:
    """As `context.fork()`, which makes a server connection first and throws it away: 3 % of a mocked request."""
    forked = Context.__new__(Context)
    forked.__dict__ = {**context.__dict__, "layers": context.layers.copy()}
    return forked


def adopt(layer: Layer | None, policy: Policy) -> None:
    """Make the HTTP layer at the end of a stack that mitmproxy has chosen ours."""
    while layer is not None and not isinstance(layer, HttpLayer):
        layer = getattr(layer, "child_layer", None)
    if layer is not None:
        layer.__class__ = Http  # a layer registers itself when it is made: there is no making a second one
        layer.policy = policy  # type: ignore[attr-defined]
