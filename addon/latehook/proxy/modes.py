"""Latehook's variants of mitmproxy's modes that connect before a request is seen: SOCKS5, transparent, reverse."""

from collections.abc import Generator
from typing import Any, Protocol

from mitmproxy.proxy.context import Context

from latehook.base.hostnames import canonical_host
from latehook.proxy.compat import (
    DestinationKnown,
    DNSLayer,
    Layer,
    ReverseProxy,
    Socks5Proxy,
    Start,
    TransparentProxy,
)
from latehook.proxy.dns import Dns, DnsPolicy
from latehook.proxy.tunnels import Tunnel, TunnelPolicy

Commands = Generator[Any, Any, Any]


_HEAD_OF_NAME = b"\5\1\0\3"
"""How a request for a name begins: version, CONNECT, reserved, the kind of address (RFC 1928 section 4)."""

HOST_UNREACHABLE = 4
"""The reply of a SOCKS5 server to a request for a name that does not exist (RFC 1928 section 6)."""


class ModePolicy(TunnelPolicy, DnsPolicy, Protocol):
    """Decides about connections. Its methods raise nothing."""

    def is_mocked(self, context: Context) -> bool:
        """Return whether a connection's destination is a mocked host."""

    def may_be_mocked(self, context: Context) -> bool:
        """Return whether a connection's destination is an address at which a mocked host may be."""


class _Waiting(DestinationKnown):
    """A mode that does not connect to a host that is mocked, or that may be: see `tunnels`."""

    policy: ModePolicy

    def finish_start(self) -> Commands:
        if self.context.client.transport_protocol != "tcp":
            return (yield from super().finish_start())  # it connects to nothing: `next_layers` decides
        is_mocked = self.policy.is_mocked(self.context)
        if not isinstance(self, ReverseProxy):  # a reverse proxy has one destination, whatever its clients name
            self.child_layer = Tunnel(self.context, self.policy, is_mocked)
        elif not is_mocked:
            return (yield from super().finish_start())
        if not is_mocked and not self.policy.may_be_mocked(self.context):
            return (yield from super().finish_start())
        self._handle_event = self.child_layer.handle_event  # type: ignore[method-assign]
        yield from self.child_layer.handle_event(Start())
        return None


class Socks5(_Waiting, Socks5Proxy):
    """SOCKS5. A name may be in UTF-8, which mitmproxy does not read. What is no host name is refused."""

    def state_connect(self) -> Commands:
        size = len(_HEAD_OF_NAME) + 1
        end = size + self.buf[size - 1] if len(self.buf) >= size else 0
        if self.buf.startswith(_HEAD_OF_NAME) and size < end <= len(self.buf):
            name = _name_to_look_up(self.buf[size:end])
            if name is None:
                yield from self.socks_err("latehook: a SOCKS5 client asks for what is no host name", HOST_UNREACHABLE)
                return
            self.buf = _HEAD_OF_NAME + bytes([len(name)]) + name + self.buf[end:]
        yield from super().state_connect()


class Transparent(_Waiting, TransparentProxy):
    pass


class Reverse(_Waiting, ReverseProxy):
    pass


def _name_to_look_up(given: bytes) -> bytes | None:
    """Return the name of a host in ASCII (`xn--`); None for bytes that are no name, which nobody can look up."""
    try:
        name = given.decode()
        name = name if name.isascii() else canonical_host(name)
        name.encode("idna")  # as Python does before it looks a name up
        return name.encode("ascii")
    except UnicodeError:
        return None


_OURS: dict[type[Layer], type[Layer]] = {
    DNSLayer: Dns,
    Socks5Proxy: Socks5,
    TransparentProxy: Transparent,
    ReverseProxy: Reverse,
}


def adopt(layer: Layer, policy: ModePolicy) -> None:
    """Replace a layer by ours, if there is one: its class is changed, as mitmproxy has made it already."""
    ours = _OURS.get(type(layer))
    if ours is not None:
        layer.__class__ = ours
        layer.policy = policy  # type: ignore[attr-defined]


def connects_at_once(layer: Layer) -> bool:
    """Return whether the outermost layer of a connection is still one of mitmproxy's that connect at once."""
    return isinstance(layer, DestinationKnown) and not isinstance(layer, _Waiting)
