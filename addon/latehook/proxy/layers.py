"""Latehook's variants of mitmproxy's HTTP layers: they let no mocked request out, and keep large uploads out of memory.

Every HTTP request goes upstream through `HttpStream.make_server_connection`, also over a connection that is already
open, and through an upstream proxy: in these cases mitmproxy asks no hook. So mocked requests are stopped there. A
CONNECT goes through `handle_connect_…`: for a mocked host it connects to nothing, also not to an upstream proxy.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from mitmproxy import http
from mitmproxy.flow import Error
from mitmproxy.proxy.context import Context

from latehook.base.control_path import CONTROL_PATH
from latehook.base.messages import ResponseFault
from latehook.proxy import fast, faults, modes
from latehook.proxy.compat import (
    DNSLayer,
    DropStream,
    Event,
    HttpErrorHook,
    HttpLayer,
    HTTPMode,
    HttpRequestHook,
    HttpStream,
    Layer,
    NextLayer,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    Start,
    StartHook,
    TCPLayer,
    connection_close,
)
from latehook.proxy.http1 import Http1
from latehook.proxy.http2 import Http2
from latehook.proxy.modes import ModePolicy
from latehook.proxy.request_state import RequestState, RequestTarget
from latehook.proxy.tunnels import Tunnel

Commands = Generator[Any, Any, Any]

_CONTROL_PATH = CONTROL_PATH.encode()


class RequestPolicy(ModePolicy, Protocol):
    """Decides about each request. Its methods raise nothing: an exception in a layer leaves the client unanswered."""

    def state(self, flow: http.HTTPFlow) -> RequestState:
        """Return what is known of a request."""

    def note_target(self, request: http.Request, target: RequestTarget) -> None:
        """Keep what a request named as its host."""

    def may_leave(self, flow: http.HTTPFlow) -> bool:
        """Return whether a request may go upstream, to where its flow points now."""

    def connecting(self, flow: http.HTTPFlow) -> None:
        """Note that a request opens its connection now, or takes one that is open."""

    def connected(self, flow: http.HTTPFlow) -> None:
        """Note that a request has its connection, or cannot get one."""

    def refusal(self, flow: http.HTTPFlow) -> http.Response:
        """Return the response to a request that may not go upstream and that no hook has answered."""

    def handle_hook(self, hook: StartHook, flow: http.HTTPFlow, state: RequestState) -> bool:
        """Handle a hook without mitmproxy's other addons, if possible. Return whether this was done."""

    def is_for_mocked_host(self, head: bytes, context: Context) -> bool:
        """Return whether the beginning of a request's head names a mocked host."""


@dataclass
class AnswerHook(StartHook):
    """Answer a mocked request. It comes where mitmproxy would connect to the server: after all `request` hooks.

    So a mock sees a request as scripts and options have left it, and not before a user has let go a request that is
    held. A request that is killed, or that another addon has answered, starts nothing.
    """

    name = "latehook_answer"
    flow: http.HTTPFlow


class Stream(HttpStream):
    """One request. A mocked one is neither streamed nor limited in size, and never goes upstream."""

    policy: RequestPolicy
    _answer_is_due = False
    _request_hook_is_due = False

    @cached_property
    def _state(self) -> RequestState:
        return self.policy.state(self.flow)

    def handle_event(self, event: Event) -> Commands:
        """Tell the control API that its client has disconnected: mitmproxy keeps events back while a hook runs."""
        if isinstance(event, RequestProtocolError) and hasattr(self, "flow"):
            state = self.policy.state(self.flow)
            if state.on_disconnect is not None:
                state.on_disconnect()
        return super().handle_event(event)

    def state_wait_for_request_headers(self, event: RequestHeaders) -> Commands:
        """Note what a request to the control API names as its host, before mitmproxy fills it in or replaces it."""
        request = event.request
        if request.data.path.startswith(_CONTROL_PATH):
            direct = self.mode is not HTTPMode.transparent and not request.data.host
            self.policy.note_target(request, RequestTarget(request.host_header or "", direct))
        yield from super().state_wait_for_request_headers(event)

    def _handle_event(self, event: Event) -> Commands:
        """Pass on mitmproxy's commands, except hooks that the policy has handled."""
        steps = super()._handle_event(event)
        reply = None
        while True:
            try:
                command = steps.send(reply)
            except StopIteration:
                return
            handled = isinstance(command, StartHook) and self.policy.handle_hook(command, self.flow, self._state)
            self._request_hook_is_due |= handled and isinstance(command, HttpRequestHook)
            reply = None if handled else (yield command)

    def check_body_size(self, request: bool) -> Commands:
        if self._state.answered_here:
            return False
        return (yield from super().check_body_size(request))

    def start_request_stream(self) -> Commands:
        if self.policy.may_leave(self.flow):
            yield from super().start_request_stream()
        else:
            self.client_state = self.state_consume_request_body

    def state_consume_request_body(self, event: Event) -> Commands:
        if self._state.answered_here and isinstance(event, RequestData):
            self._state.upload.add(event.data)
            return
        if self._state.answered_here and isinstance(event, RequestEndOfMessage):
            self.request_body_buf += self._state.upload.body or b""
            self._answer_is_due = True
        yield from super().state_consume_request_body(event)

    def check_killed(self, emit_error_hook: bool) -> Commands:
        """Answer a mocked request at the first check after its `request` hooks. Return whether it was killed."""
        is_killed = yield from super().check_killed(emit_error_hook)
        is_due, self._answer_is_due = self._answer_is_due, False
        if is_killed or not is_due or not self._state.answered_here or self.flow.response is not None:
            return is_killed
        yield AnswerHook(self.flow)
        if self._state.forward and self._request_hook_is_due:
            yield HttpRequestHook(self.flow)
        return (yield from super().check_killed(emit_error_hook))

    def send_response(self, already_streamed: bool = False) -> Commands:
        if self._state.answered_here and self._state.fault is not None:
            yield from self._send_fault(self._state.fault)
            return
        if self._state.answered_here:
            self._announce_close()
        yield from super().send_response(already_streamed)

    def _announce_close(self) -> None:
        """Add `connection: close` if mitmproxy will close the connection: the client may not reuse it meanwhile."""
        request, response = self.flow.request, self.flow.response
        version = request.data.http_version
        if response is not None and version in _HTTP1 and connection_close(version, request.headers):
            response.headers.setdefault("connection", "close")

    def _send_fault(self, fault: ResponseFault) -> Commands:
        """Send what the fault leaves of the response. The hook is `error`, as for mitmproxy's own errors."""
        self.flow.error = Error(f"{fault} on purpose (latehook)")
        yield HttpErrorHook(self.flow)
        self.flow.live = False
        self.client_state = self.server_state = self.state_errored
        yield from faults.send(fault, self.flow, self.context.client, self.stream_id)
        yield DropStream(self.stream_id)

    def make_server_connection(self) -> Commands:
        if not self.policy.may_leave(self.flow):
            self.flow.response = self.policy.refusal(self.flow)
            yield from self.send_response()
            return False
        self.policy.connecting(self.flow)
        try:
            return (yield from super().make_server_connection())
        finally:
            self.policy.connected(self.flow)

    def handle_connect_regular(self) -> Commands:
        yield from self._connect(super().handle_connect_regular)

    def handle_connect_upstream(self) -> Commands:
        yield from self._connect(super().handle_connect_upstream)

    def _connect(self, connect: Callable[[], Commands]) -> Commands:
        """Answer a CONNECT. Only to a host that is not mocked, and cannot be, is a connection made at once."""
        if self._state.answered_here:
            self.child_layer = Tunnel(self.context, self.policy, is_mocked=True)
            yield from self.handle_connect_finish()
        elif self.mode is HTTPMode.regular and self.flow.response is None and self.policy.may_be_mocked(self.context):
            yield from self.handle_connect_finish()
        else:
            yield from connect()

    def passthrough(self, event: Event) -> Commands:
        """Read what a client sends after a response with 101, as in a tunnel: it may be HTTP for a mocked host."""
        if isinstance(self.child_layer, TCPLayer) and not self._state.forward:
            self.child_layer = Tunnel(self.context, self.policy, relay=self.child_layer)
        yield from super().passthrough(event)

    def handle_connect_finish(self) -> Commands:
        if self.child_layer is None or isinstance(self.child_layer, NextLayer):
            self.child_layer = Tunnel(self.context, self.policy)
        yield from super().handle_connect_finish()  # type: ignore[no-untyped-call]


_HTTP1 = (b"HTTP/1.1", b"HTTP/1.0")


class Http(HttpLayer):
    """All requests of one client connection."""

    policy: RequestPolicy

    def _handle_event(self, event: Event) -> Commands:
        client = self.context.client
        if isinstance(event, Start) and client.transport_protocol == "tcp":
            self.connections.setdefault(client, self._client_connection())
        yield from super()._handle_event(event)

    def _client_connection(self) -> Layer:
        if self.context.client.alpn == b"h2":
            return Http2(self.context.fork())
        connection = Http1(self.context.fork())
        connection.is_for_mocked_host = self.policy.is_for_mocked_host
        return connection

    def make_stream(self, stream_id: int) -> Commands:
        stream = Stream(fast.fork(self.context), stream_id)
        stream.policy = self.policy
        self.streams[stream_id] = stream
        yield from self.event_to_child(stream, Start())


def adopt(layer: Layer | None, policy: RequestPolicy) -> None:
    """Replace the HTTP or DNS layer at the end of a stack that mitmproxy has chosen by ours.

    Its class is changed: a layer adds itself to the stack when it is made, so there is no making a second one.
    """
    while layer is not None and not isinstance(layer, (HttpLayer, DNSLayer)):
        layer = getattr(layer, "child_layer", None)
    if isinstance(layer, DNSLayer):
        modes.adopt(layer, policy)
    elif layer is not None:
        layer.__class__ = Http
        layer.policy = policy  # type: ignore[attr-defined]
