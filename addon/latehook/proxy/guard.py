"""Decide which connections are intercepted and which pass untouched. Nothing leaves for a mocked host."""

import logging
import time
from collections.abc import Callable
from typing import Any, Protocol

from mitmproxy import ctx, exceptions, http, tls
from mitmproxy.connection import Client
from mitmproxy.proxy import mode_specs
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from latehook.base import logs
from latehook.base.hostnames import DEFAULT_PORTS, address_of
from latehook.proxy import compat, layers, sniffing
from latehook.proxy.compat import HttpProxy, HttpUpstreamProxy, NextLayer, ReverseProxy, StartHook
from latehook.proxy.fast import Shortcuts
from latehook.proxy.layers import AnswerHook
from latehook.proxy.mocked_hosts import ClosedHosts
from latehook.proxy.other_hosts import OtherHosts, refusal
from latehook.proxy.request_state import RequestState, RequestStates, RequestTarget

log = logging.getLogger(logs.LOGGER)

NEVER_CONTACTED = "latehook: a mocked host is never contacted"


class Answers(Protocol):
    """Makes the responses to mocked requests: the hooks."""

    def not_contacted(self, flow: http.HTTPFlow) -> http.Response: ...
    async def refuse_connect(self, flow: http.HTTPFlow) -> http.Response: ...


class Guard:
    """mitmproxy's hooks for connections, and the policy for its HTTP layers.

    Whatever fails in one of the hooks, the connection does not reach a mocked host.
    """

    name = "latehook-guard"

    def __init__(
        self,
        hosts: ClosedHosts,
        others: OtherHosts,
        states: RequestStates,
        answers: Answers,
        shortcuts: Shortcuts,
    ) -> None:
        self._hosts = hosts
        self._others = others
        self._states = states
        self._answers = answers
        self._shortcuts = shortcuts
        self._allowed: set[tuple[str, tuple[str, int]]] = set()
        """Connections that forwarded requests may open: the client's id and the server's address."""

    # The policy for the layers

    def state(self, flow: http.HTTPFlow) -> RequestState:
        return self._states.of(flow)

    def note_target(self, request: http.Request, target: RequestTarget) -> None:
        self._states.note_target(request, target)

    def may_leave(self, flow: http.HTTPFlow) -> bool:
        """Return whether a request may go upstream. Another addon may have pointed it at a mocked host meanwhile."""
        state = self._states.of(flow)
        address = flow.request.host, flow.request.port
        if state.forward:
            self._allowed.add((flow.client_conn.id, address))
            return True
        leaves = not state.mocked and not self._hosts.contains(*address)
        if leaves:
            self._others.request_leaves(flow)
        return leaves

    def refusal(self, flow: http.HTTPFlow) -> http.Response:
        return self._answers.not_contacted(flow)

    def handle_hook(self, hook: StartHook, flow: http.HTTPFlow) -> bool:
        """Handle a hook of a request that is answered here. No addon hears of requests to the control API."""
        try:
            state = self._states.of(flow)
            if state.control is not None:
                return not isinstance(hook, AnswerHook)
            return state.answered_here and not state.refused and self._shortcuts.handle(hook, flow, state)
        except Exception:
            log.exception("latehook: an internal error")
            return False

    def is_for_mocked_host(self, head: bytes, context: Context) -> bool:
        address, client = context.server.address, context.client
        port = address[1] if address else DEFAULT_PORTS["https" if client.tls else "http"]
        names = [address[0] if address else "", client.sni or "", *sniffing.hosts_in_head(head)]
        asked = (sniffing.authority(name) for name in names if name)
        return any(self._hosts.contains(host, at or port) for host, at in asked)

    # mitmproxy's hooks

    def client_connected(self, client: Client) -> None:
        """Make modes that connect at once wait, if the destination may be mocked."""
        if _connects_at_once(client):
            context = compat.context_of(client)
            context.options = _LazyIfMocked(context.options, context, self._may_be_mocked)  # type: ignore[assignment]

    def client_disconnected(self, client: Client) -> None:
        self._others.forget(client)
        self._allowed = {entry for entry in self._allowed if entry[0] != client.id}
        # mitmproxy leaves the socket open if the task that closes it is canceled while a hook runs (server.py).
        if (transport := compat.transport_of(client)) is not None:
            transport.close()

    async def http_connect(self, flow: http.HTTPFlow) -> None:
        """Answer a CONNECT for a mocked host: this keeps mitmproxy from connecting upstream before a request comes.

        A client that asks for an address may mean a mocked host: what it sends then will tell.
        """
        if flow.response is not None:
            return
        host, port = flow.request.host, flow.request.port
        if self._hosts.refuses(host, port) and address_of(host) is None:
            flow.response = await self._answers.refuse_connect(flow)
        elif not self._hosts.contains(host, port):
            self._others.request_leaves(flow)
        else:
            now = time.time()
            version = flow.request.data.http_version
            flow.response = http.Response(version, 200, b"Connection established", http.Headers(), b"", None, now, now)

    def next_layer(self, next_layer: NextLayer) -> None:
        if next_layer.layer is not None:
            return
        if self._passes(next_layer):
            next_layer.layer = compat.TCPLayer(next_layer.context, ignore=True)
            return
        compat.choose_layer(next_layer)
        layers.adopt(next_layer.layer, self)

    def tls_clienthello(self, data: tls.ClientHelloData) -> None:
        address = data.context.server.address
        port = address[1] if address else DEFAULT_PORTS["https"]
        names = (address[0] if address else "", data.client_hello.sni or "")
        if any(self._hosts.contains(name, port) for name in names):
            if ctx.options.http2 and b"h2" in data.client_hello.alpn_protocols:
                data.context.client.alpn = b"h2"  # as servers choose; mitmproxy takes what the client names first
            data.establish_server_tls_first = False
            raise exceptions.AddonHalt  # or mitmproxy's own TLS addon sets it to True again

    def server_connect(self, data: ServerConnectionHookData) -> None:
        """Refuse a connection to a mocked host: of what is not HTTP, and of what went wrong before."""
        address = data.server.address
        try:
            if address is None or (data.client.id, address[:2]) in self._allowed:
                return
            host, port = address[:2]
            if self._hosts.refuses(host, port) and not self._is_way_of_allowed(data.client):
                data.server.error = refusal(host, port)
            elif (
                self._hosts.mocked.contains(host, port)
                or self._names_mocked(data.client, port)
                or not _waited(data.client)
            ):
                data.server.error = NEVER_CONTACTED
            else:
                self._others.connection_leaves(data)
        except Exception:
            log.exception("latehook: cannot tell whether a connection is to a mocked host: it is not made")
            data.server.error = NEVER_CONTACTED

    # Decisions

    def _is_way_of_allowed(self, client: Client) -> bool:
        """Return whether a client's forwarded request goes out through an upstream proxy."""
        return isinstance(client.proxy_mode, mode_specs.UpstreamMode) and any(
            allowed[0] == client.id for allowed in self._allowed
        )

    def _names_mocked(self, client: Client, port: int) -> bool:
        """Return whether a client that has resolved the name itself names a mocked host in its TLS handshake.

        An upstream proxy is not such an address: the layers send nothing mocked to it.
        """
        if not client.sni or isinstance(client.proxy_mode, mode_specs.UpstreamMode):
            return False
        return self._hosts.contains(client.sni, port)

    def _may_be_mocked(self, context: Context) -> bool:
        address = context.server.address
        if address is None:
            return False
        host, port = address[:2]
        if self._hosts.contains(host, port):
            return True
        # A client that has resolved the name itself sends an address. Its TLS or HTTP will tell the name.
        by_address = not isinstance(context.client.proxy_mode, mode_specs.ReverseMode) and address_of(host) is not None
        return by_address and port in self._hosts.ports()

    def _passes(self, next_layer: NextLayer) -> bool:
        """Return whether a connection is to a host that is not mocked, and its bytes are passed on as they are."""
        context = next_layer.context
        address = context.server.address
        if context.client.transport_protocol != "tcp" or context.client.tls_established or address is None:
            return False
        outermost = context.layers[0]
        if isinstance(outermost, ReverseProxy) or self._others.intercepted:
            return False
        if len(context.layers) == 1 and isinstance(outermost, (HttpProxy, HttpUpstreamProxy)):
            return False
        host, port = address[:2]
        if self._hosts.contains(host, port):
            return False
        if address_of(host) is not None and port in self._hosts.ports() and not next_layer.data_server():
            name = sniffing.host_in(next_layer.data_client())
            return name is not None and not self._hosts.contains(name, port)
        return True


class _LazyIfMocked:
    """mitmproxy's options for one connection: the connection strategy is `lazy` if the destination may be mocked.

    mitmproxy reads the strategy when it knows the destination, before it connects.
    """

    def __init__(self, options: Any, context: Context, may_be_mocked: Callable[[Context], bool]) -> None:
        self._options = options
        self._context = context
        self._may_be_mocked = may_be_mocked

    def __getattr__(self, name: str) -> Any:
        if name == "connection_strategy" and self._waits():
            return "lazy"
        return getattr(self._options, name)

    def _waits(self) -> bool:
        try:
            return self._may_be_mocked(self._context)
        except Exception:  # in a layer, an exception would leave the client unanswered
            log.exception("latehook: cannot tell whether a connection is to a mocked host: it waits")
            return True

    def __contains__(self, name: str) -> bool:
        return name in self._options


def _connects_at_once(client: Client) -> bool:
    """Return whether a client's mode connects before a request is seen: all but those of clients that use a proxy."""
    return not isinstance(client.proxy_mode, (mode_specs.RegularMode, mode_specs.UpstreamMode))


def _waited(client: Client) -> bool:
    """Return False if `client_connected` failed, and mitmproxy connects before it has seen for whom."""
    if compat.replays(client) or not _connects_at_once(client):
        return True
    return isinstance(compat.context_of(client).options, _LazyIfMocked)
