"""Which connections are intercepted and which pass untouched; nothing leaves for a mocked host."""

import logging
import re
import socket
import time
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from mitmproxy import ctx, exceptions, http, tls
from mitmproxy.connection import Client
from mitmproxy.proxy import layers, mode_specs
from mitmproxy.proxy.commands import StartHook
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import NextLayer
from mitmproxy.proxy.layers import modes
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from latehook.base import logs
from latehook.base.hostnames import address_of
from latehook.proxy import layers as ours
from latehook.proxy import sniffing
from latehook.proxy.faults import transport_of
from latehook.proxy.layers import CONTROL, Exchange, Sent
from latehook.proxy.mocked_hosts import MockedHosts

log = logging.getLogger(logs.LOGGER)

PREFIX = f"{CONTROL.decode()}/"

NEVER = "latehook: a mocked host is never contacted"


class Guard:
    """mitmproxy's connection hooks. Whatever fails in one of them, the connection does not reach a mocked host."""

    name = "latehook-guard"

    def __init__(
        self,
        refusal_to_connect: Callable[[http.HTTPFlow], http.Response],
        settle: Callable[[StartHook, http.HTTPFlow, Exchange], bool],
    ) -> None:
        self.hosts = MockedHosts()
        self.refusal_to_connect = refusal_to_connect
        self._settle = settle
        self._sent: WeakKeyDictionary[http.Request, Sent] = WeakKeyDictionary()
        self._exchanges: WeakKeyDictionary[http.HTTPFlow, Exchange] = WeakKeyDictionary()
        self._allowed: set[tuple[str, tuple[str, int]]] = set()

    # What others ask

    def exchange(self, flow: http.HTTPFlow) -> Exchange:
        """What is known of a request: decided once, by the name in its URL, its Host header or its TLS handshake."""
        known = self._exchanges.get(flow)
        if known is None:
            try:
                known = self._decide(flow)
            except Exception:
                log.exception("latehook: cannot tell whether a request is mocked: it is not let through")
                known = Exchange(True)
            self._exchanges[flow] = known
        return known

    def note(self, request: http.Request, sent: Sent) -> None:
        """A request may be for control: this is what it named as its host."""
        self._sent[request] = sent

    def lets_out(self, flow: http.HTTPFlow) -> bool:
        """Whether a request may go upstream. Another addon may have pointed it at a mocked host since it came."""
        exchange = self.exchange(flow)
        address = flow.request.host, flow.request.port
        if exchange.forward:
            self._allowed.add((flow.client_conn.id, address))
            return True
        return not exchange.mocked and not self.hosts.closed(*address)

    def settles(self, hook: StartHook, flow: http.HTTPFlow) -> bool:
        """Whether a hook of a mocked request has been dealt with here and now: nobody else would have heard it."""
        try:
            exchange = self.exchange(flow)
            return exchange.stays and self._settle(hook, flow, exchange)
        except Exception:  # in a layer, an exception would leave the client without an answer
            log.exception("latehook: an error of its own")
            return False

    def answers(self, head: bytes, context: Context) -> bool:
        """Whether a request that begins so, and may not end, is for a mocked host."""
        address, client = context.server.address, context.client
        port = address[1] if address else 443 if client.tls else 80
        line, _, headers = head.partition(b"\n")
        target = re.match(rb"[^ ]+ (?:https?://)?([^/ ]+)", line, re.IGNORECASE)
        names = [address[0] if address else "", client.sni or "", sniffing.host_header(b"\n" + headers) or ""]
        names += [target[1].decode("latin-1")] if target else []
        asked = (sniffing.authority(name) for name in names if name)
        return any(self.hosts.closed(host, at or port) for host, at in asked)

    def refusal(self, host: str, port: int, address: str | None = None) -> str | None:
        """Why no webhook may go to this host, or to the address it has led to: it would come back to Latehook."""
        for name in dict.fromkeys((host, str(address_of(address or host) or host))):
            if self.hosts.closed(name, port):
                return f"refused: {name} is mocked here, so the webhook would come back to Latehook"
            if port in self._own_ports() and _is_local(name):
                return f"refused: {name}:{port} is Latehook's own port"
        return None

    # mitmproxy's hooks

    def client_connected(self, client: Client) -> None:
        """Modes that connect at once must wait where the destination may be mocked."""
        if _connects_at_once(client):
            context = ctx.master.addons.get("proxyserver").connections[client.id].layer.context
            context.options = LazyWhereMocked(context.options, context, self._may_be_mocked)

    def client_disconnected(self, client: Client) -> None:
        self._allowed = {entry for entry in self._allowed if entry[0] != client.id}
        # mitmproxy leaves the socket open where its closing is canceled while a hook is waited for (server.py).
        if (transport := transport_of(client)) is not None:
            transport.close()

    def http_connect(self, flow: http.HTTPFlow) -> None:
        """A 2xx of ours keeps mitmproxy from connecting upstream before it has seen a request."""
        if flow.response is None and self.hosts.closed(flow.request.host, flow.request.port):
            now = time.time()
            version = flow.request.data.http_version
            flow.response = http.Response(version, 200, b"Connection established", http.Headers(), b"", None, now, now)

    def next_layer(self, next_layer: NextLayer) -> None:
        if next_layer.layer is not None:
            return
        if self._passes(next_layer):
            next_layer.layer = layers.TCPLayer(next_layer.context, ignore=True)
            return
        ctx.master.addons.get("nextlayer").next_layer(next_layer)
        ours.adopt(next_layer.layer, self)

    def tls_clienthello(self, data: tls.ClientHelloData) -> None:
        address = data.context.server.address
        port = address[1] if address else 443
        names = (address[0] if address else "", data.client_hello.sni or "")
        if any(self.hosts.closed(name, port) for name in names):
            if ctx.options.http2 and b"h2" in data.client_hello.alpn_protocols:
                data.context.client.alpn = b"h2"  # as servers choose; mitmproxy takes what is named first
            data.establish_server_tls_first = False
            raise exceptions.AddonHalt  # or mitmproxy's own TLS addon connects after all

    def server_connect(self, data: ServerConnectionHookData) -> None:
        """The last net, for what is not HTTP and for what went wrong before."""
        address = data.server.address
        try:
            if address is None or (data.client.id, address[:2]) in self._allowed:
                return
            host, port = address[:2]
            if self.hosts.closed(host, port) or self._asked_by_tls(data.client, port) or not _waited(data.client):
                data.server.error = NEVER
        except Exception:
            log.exception("latehook: cannot tell whether a connection is to a mocked host: it is not made")
            data.server.error = NEVER

    # Decisions

    def _decide(self, flow: http.HTTPFlow) -> Exchange:
        request = flow.request
        named, named_port = sniffing.authority(request.host_header or "")
        port = request.port
        for host, at in ((named, named_port or port), (request.host, port), (flow.client_conn.sni or "", port)):
            if host and self.hosts.closed(host, at):
                return Exchange(True, host, at, sent=self._sent_to_control(request))
        sent = self._sent_to_control(request)
        if sent is not None and (sent.direct or self._is_asked_here(flow)):
            return Exchange(True, request.host, port, sent=sent)
        return Exchange(False)

    def _sent_to_control(self, request: http.Request) -> Sent | None:
        is_control = request.path in (PREFIX[:-1], PREFIX) or request.path.startswith((PREFIX, f"{PREFIX[:-1]}?"))
        return self._sent.get(request) if is_control else None

    def _is_asked_here(self, flow: http.HTTPFlow) -> bool:
        """Whether a request is to our own listener, whoever it names; or came where all is for one server."""
        if isinstance(flow.client_conn.proxy_mode, mode_specs.ReverseMode):
            return True
        return flow.request.port in self._own_ports() and _is_local(flow.request.host)

    def _asked_by_tls(self, client: Client, port: int) -> bool:
        """Whether a client that looked the name up itself asks for a mocked host at an address.

        Not through an upstream proxy: there it is the address of that proxy, and the layers let nothing mocked come
        so far.
        """
        return (
            bool(client.sni)
            and not isinstance(client.proxy_mode, mode_specs.UpstreamMode)
            and self.hosts.closed(client.sni or "", port)
        )

    def _may_be_mocked(self, context: Context) -> bool:
        address = context.server.address
        if address is None:
            return False
        host, port = address[:2]
        if self.hosts.closed(host, port):
            return True
        # A client that looks names up itself sends an address: only its TLS or HTTP will say for whom it is.
        by_address = not isinstance(context.client.proxy_mode, mode_specs.ReverseMode) and address_of(host) is not None
        return by_address and port in self.hosts.ports()

    def _passes(self, next_layer: NextLayer) -> bool:
        """Whether the connection is another host's, to be passed on byte by byte."""
        context = next_layer.context
        address = context.server.address
        if context.client.transport_protocol != "tcp" or context.client.tls_established or address is None:
            return False
        if isinstance(context.layers[0], modes.ReverseProxy):
            return False
        if len(context.layers) == 1 and isinstance(context.layers[0], (modes.HttpProxy, modes.HttpUpstreamProxy)):
            return False
        host, port = address[:2]
        if self.hosts.closed(host, port):
            return False
        if address_of(host) is not None and port in self.hosts.ports() and not next_layer.data_server():
            name = sniffing.named_in(next_layer.data_client())
            return name is not None and not self.hosts.closed(name, port)
        return True

    @staticmethod
    def _own_ports() -> set[int]:
        proxyserver = ctx.master.addons.get("proxyserver")
        ports = {address[1] for address in proxyserver.listen_addrs()} if proxyserver else set()
        return ports | ({ctx.options.web_port} if "web_port" in ctx.options else set())


class Shut:
    """Where Latehook could not start: nothing leaves for anywhere."""

    name = "latehook-shut"

    def server_connect(self, data: ServerConnectionHookData) -> None:
        data.server.error = "latehook: could not start"


class LazyWhereMocked:
    """mitmproxy's options for one connection: `lazy` where its destination may be mocked, else as they are.

    The strategy is asked for after the destination is known, and before anything connects to it.
    """

    def __init__(self, options: Any, context: Context, may_be_mocked: Callable[[Context], bool]) -> None:
        self._options = options
        self._context = context
        self._may_be_mocked = may_be_mocked

    def __getattr__(self, name: str) -> Any:
        if name == "connection_strategy" and self._is_to_wait():
            return "lazy"
        return getattr(self._options, name)

    def _is_to_wait(self) -> bool:
        try:
            return self._may_be_mocked(self._context)
        except Exception:  # in a layer, an exception would leave the client without an answer
            log.exception("latehook: cannot tell whether a connection is to a mocked host: it waits")
            return True

    def __contains__(self, name: str) -> bool:
        return name in self._options


def _connects_at_once(client: Client) -> bool:
    """Whether its mode connects before it has seen for whom: all do but those of clients that know of the proxy."""
    return not isinstance(client.proxy_mode, (mode_specs.RegularMode, mode_specs.UpstreamMode))


def _waited(client: Client) -> bool:
    """False if `client_connected` failed, and mitmproxy connects before it has seen for whom."""
    handler = ctx.master.addons.get("proxyserver").connections.get(client.id)  # None: mitmproxy replays a request
    return (
        handler is None or not _connects_at_once(client) or isinstance(handler.layer.context.options, LazyWhereMocked)
    )


def _is_local(host: str) -> bool:
    """Whether an address is one of this machine's: only those can be bound to."""
    if address_of(host) is None:
        return host.lower().rstrip(".") == "localhost"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True
