"""Choose the next layer of a connection, by what the client has sent."""

from collections.abc import Generator
from typing import Any

from mitmproxy import exceptions
from mitmproxy.proxy.context import Context

from latehook.proxy import compat, layers, sniffing, tunnels
from latehook.proxy.compat import (
    DataReceived,
    Event,
    HttpLayer,
    HTTPMode,
    HttpProxy,
    HttpUpstreamProxy,
    Layer,
    NextLayer,
    ReverseProxy,
    TransparentProxy,
    UDPLayer,
)
from latehook.proxy.layers import RequestPolicy
from latehook.proxy.sniffing import Kind, Opening
from latehook.proxy.tunnels import Refused, Tunnel


def choose(next_layer: NextLayer, policy: RequestPolicy) -> None:
    """Choose a layer. Raises AddonHalt if more must come before it can be chosen: or mitmproxy's own addon would."""
    context = next_layer.context
    is_tcp = context.client.transport_protocol == "tcp"
    if is_tcp and sniffing.is_cut_off(next_layer.data_client()):
        raise exceptions.AddonHalt  # mitmproxy takes this for anything but TLS
    if _is_explicit(context) and sniffing.is_http2(next_layer.data_client()):
        context.client.alpn = b"h2"  # mitmproxy then speaks it, without TLS too
    if tunnels.is_for_mocked_host(context) or (not _is_explicit(context) and policy.is_mocked(context)):
        _choose_for_mocked_host(next_layer, policy)
    elif not is_tcp:
        _choose_for_datagrams(next_layer, policy)
    elif _passes(context, policy):
        next_layer.layer = Tunnel(context, policy)
    else:
        compat.choose_layer(next_layer)
    layers.adopt(next_layer.layer, policy)


def _choose_for_mocked_host(next_layer: NextLayer, policy: RequestPolicy) -> None:
    """Choose TLS or HTTP, whatever mitmproxy's options say about this host.

    What comes in pieces is waited for. What is neither is refused.
    """
    context = next_layer.context
    opening = sniffing.read_opening(next_layer.data_client())
    kind = opening.kind
    if kind is Kind.HTTP2:
        context.client.alpn = b"h2"
    is_tcp = context.client.transport_protocol == "tcp"
    if is_tcp and opening.front and not _is_reverse(context):
        next_layer.layer = _BehindFront(context, opening.front)
    elif not is_tcp or _is_reverse(context) or kind is Kind.TLS:
        compat.choose_layer_for_mocked_host(next_layer)
    elif kind in (Kind.HTTP1, Kind.HTTP2) or context.client.alpn:
        next_layer.layer = HttpLayer(context, HTTPMode.transparent)
    elif kind in (Kind.SOCKS_GREETING, Kind.SOCKS, Kind.OTHER):
        next_layer.layer = Refused(context, policy)
    if next_layer.layer is None:
        raise exceptions.AddonHalt


class _BehindFront(Layer):
    """A connection without the first bytes of its client: headers of the PROXY protocol, which are for a balancer."""

    def __init__(self, context: Context, size: int) -> None:
        super().__init__(context)
        self._left = size
        self._next = NextLayer(context)

    def _handle_event(self, event: Event) -> Generator[Any, Any, Any]:
        if isinstance(event, DataReceived) and event.connection == self.context.client:
            behind = event.data[self._left :]
            self._left = max(0, self._left - len(event.data))
            event = DataReceived(event.connection, behind)
            if not behind:
                return
        yield from self._next.handle_event(event)


def _choose_for_datagrams(next_layer: NextLayer, policy: RequestPolicy) -> None:
    """Choose a layer for UDP: that of a mocked host if its name is in a QUIC or DTLS handshake."""
    context = next_layer.context
    is_transparent = len(context.layers) == 1 and isinstance(context.layers[0], TransparentProxy)
    if not is_transparent or policy.intercepts(context):
        compat.choose_layer(next_layer)
        return
    hello = compat.datagram_hello(next_layer)
    name = (hello.sni,) if hello is not None and hello.sni else ()
    opening = Opening(Kind.OTHER if hello is None else Kind.TLS, name)
    if policy.asks_for_mocked_host(opening, context):
        compat.choose_layer_for_mocked_host(next_layer)
    else:
        policy.passes(opening, context)
        next_layer.layer = UDPLayer(context, ignore=True)


def _passes(context: Context, policy: RequestPolicy) -> bool:
    """Return whether a connection may be to a host that is not mocked, whose bytes are passed on as they are."""
    if context.client.tls_established or context.server.address is None or tunnels.has_decided(context):
        return False
    outermost = context.layers[0]
    return not (isinstance(outermost, ReverseProxy) or _is_explicit(context) or policy.intercepts(context))


def _is_explicit(context: Context) -> bool:
    """Return whether a connection to the proxy itself has just begun, in a mode in which clients use a proxy."""
    return len(context.layers) == 1 and isinstance(context.layers[0], (HttpProxy, HttpUpstreamProxy))


def _is_reverse(context: Context) -> bool:
    return len(context.layers) == 1 and isinstance(context.layers[0], ReverseProxy)
