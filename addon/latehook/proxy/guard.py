"""Decide which connections are intercepted and which pass untouched. Nothing leaves for a mocked host."""

import asyncio
import logging
import time
from typing import Protocol

from mitmproxy import ctx, dns, exceptions, http, tls
from mitmproxy.connection import Client
from mitmproxy.proxy import mode_specs
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from latehook.base import logs
from latehook.base.hostnames import DEFAULT_PORTS, address_of
from latehook.proxy import compat, listeners, modes, next_layers, sniffing, tunnels
from latehook.proxy.arrivals import Arrivals
from latehook.proxy.compat import NextLayer, StartHook
from latehook.proxy.dns import answer_for_mocked, is_to_name_server, own_address, refuse
from latehook.proxy.fast import Shortcuts
from latehook.proxy.layers import AnswerHook
from latehook.proxy.mocked_hosts import ClosedHosts
from latehook.proxy.open_connections import OpenConnections
from latehook.proxy.other_hosts import OtherHosts
from latehook.proxy.request_state import RequestState, RequestStates, RequestTarget
from latehook.proxy.sniffing import Kind, Opening

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
        connections: OpenConnections,
        started: asyncio.Event,
    ) -> None:
        """Clients wait until `started` is set: until then, the store's added mocks are not known, nor their hosts."""
        self._started = started
        self._hosts = hosts
        self._others = others
        self._connections = connections
        self._states = states
        self._answers = answers
        self._shortcuts = shortcuts
        self._arrivals = Arrivals()
        self._allowed: dict[http.HTTPFlow, tuple[str, tuple[str, int]]] = {}
        """The requests that may connect right now, each with its client's id and the server's address."""

    # The policy for the layers

    def state(self, flow: http.HTTPFlow) -> RequestState:
        return self._states.of(flow)

    def note_target(self, request: http.Request, target: RequestTarget) -> None:
        self._states.note_target(request, target)

    def may_leave(self, flow: http.HTTPFlow) -> bool:
        """Return whether a request may go upstream. Another addon may have pointed it at a mocked host meanwhile.

        A host of an unmocked request may also have become a mocked one since the request began.
        """
        try:
            return self._may_leave(flow, self._states.of(flow))
        except Exception:
            log.exception("latehook: cannot tell whether a request may leave: it stays")
            return False

    def connecting(self, flow: http.HTTPFlow) -> None:
        """Permit a request that may leave to open its connection, until `connected`."""
        self._allowed[flow] = flow.client_conn.id, (flow.request.host, flow.request.port)

    def connected(self, flow: http.HTTPFlow) -> None:
        """Permit no connection any more: else a CONNECT that follows could use it for what is no HTTP."""
        self._allowed.pop(flow, None)

    def refusal(self, flow: http.HTTPFlow) -> http.Response:
        return self._answers.not_contacted(flow)

    def handle_hook(self, hook: StartHook, flow: http.HTTPFlow, state: RequestState) -> bool:
        """Handle a hook of a request that is answered here. No addon hears of requests to the control API."""
        try:
            state.is_in_our_layers = True
            if state.control is not None:
                return not isinstance(hook, AnswerHook)
            is_plain = state.answered_here and not (state.refused or state.to_page)
            return is_plain and self._shortcuts.handle(hook, flow, state)
        except Exception:
            log.exception("latehook: an internal error")
            return False

    def is_for_mocked_host(self, head: bytes, context: Context) -> bool:
        address, client = context.server.address, context.client
        port = address[1] if address else DEFAULT_PORTS["https" if client.tls else "http"]
        names = [address[0] if address else "", client.sni or "", *sniffing.hosts_in_head(head)]
        asked = (sniffing.authority(name) for name in names if name)
        return any(self._hosts.contains(host, at or port) for host, at in asked)

    # The policy for connections

    def is_mocked(self, context: Context) -> bool:
        address = context.server.address
        try:
            return address is not None and self._hosts.contains(*address[:2])
        except Exception:
            log.exception("latehook: cannot tell whether a connection is to a mocked host: it is treated as such")
            return True

    def may_be_mocked(self, context: Context) -> bool:
        address = context.server.address
        try:
            return address is not None and address_of(address[0]) is not None and self._hosts.has_port(address[1])
        except Exception:
            log.exception("latehook: cannot tell whether a connection may be to a mocked host: it waits")
            return True

    def asks_for_mocked_host(self, opening: Opening, context: Context) -> bool:
        try:
            return self._names_mocked_host(opening, context) or self._hides_its_host(opening, context)
        except Exception:
            log.exception("latehook: cannot tell whether a connection is for a mocked host: it is treated as such")
            return True

    def intercepts(self, context: Context) -> bool:
        return self._others.intercepted or is_to_name_server(context)

    def passes(self, opening: Opening, context: Context) -> None:
        if not (opening.mitmproxy_reads and self._others.intercepted):
            is_one_of_many = opening.kind is Kind.HTTP2
            self._connections.passes(context.client, tunnels.names(opening, context), is_one_of_many)

    def lets_nothing_leave(self) -> bool:
        return self._others.is_closed

    def ends(self, context: Context, reason: str) -> None:
        address = context.server.address
        if address is not None and self._hosts.refuses(*address[:2]):
            self._others.refusal(*address[:2])
        else:
            log.warning("latehook: a connection to %s ends: %s", tunnels.authority(context), reason)

    def _names_mocked_host(self, opening: Opening, context: Context) -> bool:
        return any(self._hosts.contains(*name) for name in tunnels.names(opening, context))

    def _hides_its_host(self, opening: Opening, context: Context) -> bool:
        """Return whether only what is in TLS can tell the host: an address is asked for, without a server name.

        That is how clients of an address speak, and old clients of any host. TLS is decrypted at the ports where the
        third party is likely, and passes at all others.
        """
        address = context.server.address
        if opening.kind is not Kind.TLS or opening.hosts or address is None:
            return False
        hides = address_of(address[0]) is not None and address[1] in self._hosts.ports()
        if hides:
            log.info(
                "latehook: TLS to %s has no server name: it is decrypted, for a mocked host may be meant",
                tunnels.authority(context),
            )
        return hides

    def answer_query(self, query: dns.DNSMessage, client: Client) -> dns.DNSMessage | None:
        try:
            answer = answer_for_mocked(query, self._hosts.mocked.contains_name, lambda: own_address(client))
            return refuse(query) if answer is None and self._others.refused else answer
        except Exception:
            log.exception("latehook: cannot tell whether a query is for a mocked host: it is refused")
            return refuse(query)

    # mitmproxy's hooks

    async def client_connected(self, client: Client) -> None:
        """Make modes that connect at once wait, if the destination may be mocked. Begin few clients a turn."""
        modes.adopt(compat.outermost_layer(client), self)
        with compat.reading_paused(client):
            await self._started.wait()
            await self._arrivals.next()

    def client_disconnected(self, client: Client) -> None:
        self._others.forget(client)
        self._connections.forget(client)
        self._allowed = {flow: allowed for flow, allowed in self._allowed.items() if allowed[0] != client.id}
        # mitmproxy leaves the socket open if the task that closes it is canceled while a hook runs (server.py).
        if (transport := compat.transport_of(client)) is not None:
            transport.close()

    async def http_connect(self, flow: http.HTTPFlow) -> None:
        """Answer a CONNECT for a mocked host, or for this proxy itself: without an answer, mitmproxy connects upstream.

        A client that asks for an address may mean a mocked host: what it sends then will tell.
        """
        if flow.response is not None:
            return
        host, port = flow.request.host, flow.request.port
        is_address = address_of(host) is not None
        if self._hosts.refuses(host, port) and not is_address and not listeners.is_own_proxy(host, port):
            flow.response = await self._answers.refuse_connect(flow)
        elif not self._states.of(flow).answered_here:
            if not is_address:
                self._others.request_leaves(flow)
        else:
            now = time.time()
            version = flow.request.data.http_version
            flow.response = http.Response(version, 200, b"Connection established", http.Headers(), b"", None, now, now)

    def request(self, flow: http.HTTPFlow) -> None:
        """Refuse a mocked request that mitmproxy's own layers carry because `next_layer` failed: it would leave."""
        state = self._states.of(flow)
        if flow.live and flow.response is None and state.answered_here and not state.is_in_our_layers:
            flow.response = self.refusal(flow)

    def next_layer(self, next_layer: NextLayer) -> None:
        if next_layer.layer is None:
            next_layers.choose(next_layer, self)

    def tls_clienthello(self, data: tls.ClientHelloData) -> None:
        address = data.context.server.address
        port = address[1] if address else DEFAULT_PORTS["https"]
        names = (address[0] if address else "", data.client_hello.sni or "")
        is_mocked = tunnels.is_for_mocked_host(data.context)
        if is_mocked or any(self._hosts.contains(name, port) for name in names):
            if ctx.options.http2 and b"h2" in data.client_hello.alpn_protocols:
                data.context.client.alpn = b"h2"  # as servers choose; mitmproxy takes what the client names first
            data.establish_server_tls_first = False
            raise exceptions.AddonHalt  # or mitmproxy's own TLS addon sets it to True again

    def server_connect(self, data: ServerConnectionHookData) -> None:
        """Refuse a connection to a mocked host: of what is not HTTP, and of what went wrong before."""
        address = data.server.address
        try:
            if address is None or (data.client.id, address[:2]) in self._allowed.values():
                return
            host, port = address[:2]
            if self._hosts.refuses(host, port) and not self._is_way_of_allowed(data.client):
                data.server.error = self._others.refusal(host, port)
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

    def _may_leave(self, flow: http.HTTPFlow, state: RequestState) -> bool:
        host, port = flow.request.host, flow.request.port
        if state.answered_here or not state.forwarded_to.issuperset(self._states.mocked_names(flow)):
            return False
        if self._hosts.refuses(host, port) and not (state.forward and address_of(host) is not None):
            return False
        if not state.forward:
            self._others.request_leaves(flow)
        return True

    def _is_way_of_allowed(self, client: Client) -> bool:
        """Return whether a client's forwarded request goes out through an upstream proxy."""
        return isinstance(client.proxy_mode, mode_specs.UpstreamMode) and any(
            allowed[0] == client.id for allowed in self._allowed.values()
        )

    def _names_mocked(self, client: Client, port: int) -> bool:
        """Return whether a client that has resolved the name itself names a mocked host in its TLS handshake.

        An upstream proxy is not such an address: the layers send nothing mocked to it.
        """
        if not client.sni or isinstance(client.proxy_mode, mode_specs.UpstreamMode):
            return False
        return self._hosts.contains(client.sni, port)


def _waited(client: Client) -> bool:
    """Return False if `client_connected` failed, and mitmproxy connects before it has seen for whom."""
    return compat.replays(client) or not modes.connects_at_once(compat.outermost_layer(client))
