"""Connections by CONNECT, SOCKS5 or a transparent mode to a host that is not mocked by its own name or address.

A client that has looked a name up itself asks for an address, and some ask for another name: that of a gateway, say.
What it wants is then told by its first bytes: TLS names a host in its handshake, HTTP in its request. So they are held
until it is clear that they name no mocked host. Then both directions pass unchanged.

**When the server is connected.** Connecting to an address may already be a contact with the third party; connecting to
a name that is not mocked is not. So a name is connected at once, as mitmproxy does it, and a client hears of a host
that is down. An address is connected when the client's first bytes have told that they are for another host, or after
PATIENCE seconds of silence: then it is a protocol in which the server speaks first (SMTP, SSH, MySQL).

**What the server says** passes at once, whatever the client has sent: there is nothing to hide in it.
"""

from collections.abc import Generator
from typing import Any, Protocol

from mitmproxy.connection import Server
from mitmproxy.proxy.context import Context

from latehook.base.hostnames import host_in_url
from latehook.proxy import sniffing
from latehook.proxy.compat import (
    CloseConnection,
    CommandCompleted,
    ConnectionClosed,
    DataReceived,
    Event,
    Layer,
    NextLayer,
    OpenConnection,
    RequestWakeup,
    Start,
    TCPLayer,
    Wakeup,
)
from latehook.proxy.sniffing import Kind, Opening

Commands = Generator[Any, Any, Any]

PATIENCE = 1.0
"""Seconds to wait for the first bytes of a client, and for the rest of a word that may be an HTTP method.

HTTP and TLS clients speak at once. Other protocols wait no longer than this for what is held.
"""

LARGEST_OPENING = 64 * 1024
"""Bytes that are held: a larger ClientHello or head names its host too late, and the connection is closed."""


class TunnelPolicy(Protocol):
    """Decides about connections. Its methods raise nothing: an exception in a layer leaves the client unanswered."""

    def asks_for_mocked_host(self, opening: Opening, context: Context) -> bool:
        """Return whether the first bytes of a client ask for a mocked host."""

    def intercepts(self) -> bool:
        """Return whether mitmproxy handles the connections to other hosts, instead of passing their bytes on."""

    def passes(self, opening: Opening, context: Context) -> None:
        """Note that a connection passes to a host that is not mocked."""

    def ends(self, context: Context, reason: str) -> None:
        """Note that a connection ends, and why."""


class Tunnel(Layer):
    """One such connection. If it is for a mocked host (`is_mocked`), mitmproxy's layers for TLS and HTTP follow."""

    def __init__(self, context: Context, policy: TunnelPolicy, is_mocked: bool = False) -> None:
        super().__init__(context)
        self.is_mocked = is_mocked
        self._policy = policy
        self._held = bytearray()
        self._relay: Layer | None = None  # passes both directions; the client's only when it is decided
        self._next: Layer | None = None  # gets all events when it is decided
        self._abandoned: Server | None = None
        self._timers: list[RequestWakeup] = []

    def _handle_event(self, event: Event) -> Commands:
        if isinstance(event, Wakeup) and event.command in self._timers:
            yield from self._on_timer(event)
        elif self._is_of_abandoned(event):
            return
        elif self._next is not None:
            yield from self._next.handle_event(event)
        elif isinstance(event, Start):
            yield from self._start()
        elif isinstance(event, DataReceived) and event.connection == self.context.client:
            yield from self._hold(event.data)
        elif isinstance(event, ConnectionClosed) and event.connection == self.context.client:
            yield from self._client_closed(event)
        elif self._relay is not None:
            yield from self._relay.handle_event(event)
        elif isinstance(event, DataReceived):  # the server speaks first
            yield from self._pass(Opening(Kind.OTHER))
            yield from self._give(event)

    def _start(self) -> Commands:
        if self.is_mocked:
            yield from self._hand_over()
        elif self.context.server.connected:
            yield from self._connect()
        else:
            yield from self._wait()

    def _hold(self, data: bytes) -> Commands:
        self._held += data
        opening = sniffing.read_opening(bytes(self._held))
        if self._policy.asks_for_mocked_host(opening, self.context):
            yield from self._hand_over()
        elif opening.kind is Kind.UNCLEAR:
            yield from self._wait()
        elif opening.kind is not Kind.PARTIAL:
            yield from self._pass(opening)
        elif len(self._held) > LARGEST_OPENING:
            self._policy.ends(self.context, f"its first {LARGEST_OPENING:,} bytes do not tell for which host it is")
            yield from self._close()

    def _client_closed(self, event: ConnectionClosed) -> Commands:
        opening = sniffing.read_opening(bytes(self._held))
        if self._held and opening.kind is Kind.UNCLEAR:  # nothing more comes that could make it HTTP
            yield from self._pass(opening)
        if not self._held and self._relay is not None:
            self._next = self._relay
        if self._next is None:
            yield from self._close()
        else:
            yield from self._next.handle_event(event)

    def _wait(self) -> Commands:
        self._timers.append(RequestWakeup(PATIENCE))
        yield self._timers[-1]

    def _on_timer(self, event: Wakeup) -> Commands:
        is_last = event.command is self._timers[-1]
        self._timers.remove(event.command)
        if self._next is not None or not is_last:
            return
        opening = sniffing.read_opening(bytes(self._held))
        if not self._held:
            yield from self._connect()
        elif opening.kind is Kind.UNCLEAR:
            yield from self._pass(opening)

    def _connect(self) -> Commands:
        """Connect to the server unless mitmproxy has done it, and let pass what the server says."""
        if self._policy.intercepts():
            if not self.context.server.connected and (yield OpenConnection(self.context.server)):
                yield from self._close()
        elif self._relay is None:
            self._relay = TCPLayer(self.context, ignore=True)
            yield from self._relay.handle_event(Start())

    def _pass(self, opening: Opening) -> Commands:
        self._policy.passes(opening, self.context)
        if self._policy.intercepts():
            self._next = NextLayer(self.context)
            yield from self._next.handle_event(Start())
        else:
            yield from self._connect()
            self._next = self._relay
        yield from self._send_held()

    def _hand_over(self) -> Commands:
        """Let mitmproxy's layers go on, with a server that is not connected."""
        self.is_mocked = True
        if self._relay is not None:
            self.context.layers.remove(self._relay)
            self._abandoned = self.context.server
            self.context.server = Server(address=self._abandoned.address, via=self._abandoned.via)
            yield CloseConnection(self._abandoned)
        self._next = NextLayer(self.context)
        yield from self._next.handle_event(Start())
        yield from self._send_held()

    def _send_held(self) -> Commands:
        if self._held:
            data, self._held = bytes(self._held), bytearray()
            yield from self._give(DataReceived(self.context.client, data))

    def _give(self, event: Event) -> Commands:
        assert self._next is not None
        yield from self._next.handle_event(event)

    def _close(self) -> Commands:
        self._handle_event = self._done  # type: ignore[assignment]
        if self._relay is not None:
            yield CloseConnection(self.context.server)
        yield CloseConnection(self.context.client)

    def _done(self, _: Event) -> Commands:
        yield from ()

    def _is_of_abandoned(self, event: Event) -> bool:
        about = event.command if isinstance(event, CommandCompleted) else event
        return self._abandoned is not None and getattr(about, "connection", None) is self._abandoned


class Refused(Layer):
    """A connection to a mocked host that is neither TLS nor HTTP: it is closed."""

    def __init__(self, context: Context, policy: TunnelPolicy) -> None:
        super().__init__(context)
        self._policy = policy

    def _handle_event(self, event: Event) -> Commands:
        if isinstance(event, Start):
            self._policy.ends(self.context, "it is for a mocked host, and is neither HTTP nor TLS")
            yield CloseConnection(self.context.client)


def is_for_mocked_host(context: Context) -> bool:
    """Return whether a tunnel around a layer has found out that it is for a mocked host."""
    return any(isinstance(layer, Tunnel) and layer.is_mocked for layer in context.layers)


def names(opening: Opening, context: Context) -> list[tuple[str, int]]:
    """Return all names of a connection's host: those of its destination, and those in the client's first bytes."""
    if context.server.address is None:
        return []
    host, port = context.server.address[:2]
    named = ((name, at or port) for name, at in map(sniffing.authority, opening.hosts))
    return [(host, port), *named]


def authority(context: Context) -> str:
    """Return a connection's destination as text."""
    address = context.server.address
    return f"{host_in_url(address[0])}:{address[1]}" if address else "no host"
