"""Connections by CONNECT, SOCKS5 or a transparent mode to a host that is not mocked by its own name or address.

A client that has looked a name up itself asks for an address, and some ask for another name: that of a gateway, say.
What it wants is then told by what it sends: TLS names a host in its handshake, HTTP in each request. So the client's
bytes are held until it is clear that they name no mocked host. Then they pass unchanged. TLS passes from then on, and
so does any other protocol. HTTP is read on, request by request: the next one may name another host. A SOCKS client asks
for a host, too, and what follows is read as if it had just connected.

**When the server is connected.** Connecting to an address may already be a contact with the third party; connecting to
a name that is not mocked is not. So a name is connected at once, as mitmproxy does it, and a client hears of a host
that is down. An address is connected when the client's first bytes have told that they are for another host, or after
PATIENCE seconds of silence: then it is a protocol in which the server speaks first (SMTP, SSH, MySQL).

**What the server says** passes at once, whatever the client has sent: there is nothing to hide in it.

**A request for a mocked host** is answered by the mock. If other requests have passed before it, the server first
answers them, and is disconnected. Over HTTP/2 and behind an `Upgrade`, the connection ends if other requests have
passed: the client sends the request again, on a new one.
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
    Wakeup,
)
from latehook.proxy.http1_messages import Responses, Unreadable
from latehook.proxy.relay import Relay, RelayPolicy
from latehook.proxy.sniffing import Kind, Opening
from latehook.proxy.tunnel_requests import Requests, method_of

Commands = Generator[Any, Any, Any]

PATIENCE = 1.0
"""Seconds to wait for the first bytes of a client, and for the rest of a word that may be an HTTP method.

HTTP and TLS clients speak at once. Other protocols wait no longer than this for what is held.
"""

LARGEST_OPENING = 64 * 1024
"""Bytes that are held: a larger ClientHello or head names its host too late, and the connection is closed."""

LARGEST_WAITING = 1024 * 1024
"""Bytes of a request for a mocked host that are held until the server has answered the requests before it."""


class TunnelPolicy(RelayPolicy, Protocol):
    """Decides about connections. Its methods raise nothing: an exception in a layer leaves the client unanswered."""

    def asks_for_mocked_host(self, opening: Opening, context: Context) -> bool:
        """Return whether the first bytes of a client ask for a mocked host."""

    def intercepts(self, context: Context) -> bool:
        """Return whether mitmproxy handles a connection to another host, instead of passing its bytes on."""

    def passes(self, opening: Opening, context: Context) -> None:
        """Note that a connection passes to a host that is not mocked."""


class Tunnel(Layer):
    """One such connection. If it is for a mocked host (`is_mocked`), mitmproxy's layers for TLS and HTTP follow.

    `relay` passes both directions of a connection on which HTTP has agreed on another protocol (`Upgrade`).
    """

    def __init__(
        self, context: Context, policy: TunnelPolicy, is_mocked: bool = False, relay: Layer | None = None
    ) -> None:
        super().__init__(context)
        self.is_mocked = is_mocked
        self._policy = policy
        self._is_upgraded = relay is not None
        self._requests = Requests(have_passed=self._is_upgraded)
        self._responses = Responses()
        self._relay = relay  # passes what the server sends, and what is taken from the requests
        self._next: Layer | None = None  # gets all events when nothing more is to be decided
        self._answers_next = False  # when the server has answered what has passed
        self._client_end: ConnectionClosed | None = None  # came meanwhile
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
            self._requests.held += event.data
            yield from self._read()
        elif isinstance(event, ConnectionClosed) and event.connection == self.context.client:
            yield from self._client_closed(event)
        elif self._relay is not None:
            yield from self._hear(self._relay, event)
        elif isinstance(event, DataReceived):  # the server speaks first
            yield from self._give_to(NextLayer(self.context), event)

    def _start(self) -> Commands:
        if self.is_mocked:
            yield from self._hand_over()
        elif self.context.server.connected:
            yield from self._connect()
        else:
            yield from self._wait()

    def _read(self) -> Commands:
        """Decide about what is held, as far as that is possible."""
        try:
            while self._requests.held and self._next is None and not self._answers_next:
                opening = self._requests.read()
                if opening.kind is not Kind.BODY and self._policy.asks_for_mocked_host(opening, self.context):
                    yield from self._answer(opening)
                elif opening.kind is Kind.UNCLEAR:
                    yield from self._wait()
                    return
                elif opening.kind is Kind.PARTIAL:
                    break
                else:
                    yield from self._pass(opening)
        except Unreadable as error:
            yield from self._end(str(error))
            return
        most = LARGEST_WAITING if self._answers_next else LARGEST_OPENING
        if len(self._requests.held) > most:
            yield from self._end(f"its first {most:,} bytes do not tell for which host it is")

    def _hear(self, relay: Layer, event: Event) -> Commands:
        """Pass what the server does."""
        is_servers = getattr(event, "connection", None) == self.context.server
        if is_servers and isinstance(event, DataReceived):
            self._responses.read(event.data)
        yield from relay.handle_event(event)
        if self._answers_next and not self._responses.are_due:
            yield from self._hand_over()
        elif self._answers_next and is_servers and isinstance(event, ConnectionClosed):
            yield from self._end("the server has disconnected")

    def _client_closed(self, event: ConnectionClosed) -> Commands:
        if self._answers_next:
            self._client_end = event
            return
        if self._requests.held and (opening := self._requests.read()).kind is Kind.UNCLEAR:
            yield from self._pass(opening)  # nothing more comes: it is no HTTP
        if self._next is None and self._relay is not None and (self._requests.have_passed or not self._requests.held):
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
        if self._next is not None or self._answers_next or not is_last:
            return
        if not self._requests.held:
            yield from self._connect()
        elif (opening := self._requests.read()).kind is Kind.UNCLEAR:
            yield from self._pass(opening)

    def _connect(self) -> Commands:
        """Connect to the server unless mitmproxy has done it, and let pass what the server says."""
        if self._policy.intercepts(self.context):
            if not self.context.server.connected and (yield OpenConnection(self.context.server)):
                yield from self._close()
        else:
            yield from self._begin_relay()

    def _begin_relay(self) -> Commands:
        if self._relay is None:
            self._relay = Relay(self.context, self._policy)
            yield from self._relay.handle_event(Start())

    def _pass(self, opening: Opening) -> Commands:
        """Pass what is not for a mocked host: the next piece of what is held, or all that the client sends."""
        if opening.kind is not Kind.BODY:
            self._policy.passes(opening, self.context)
        if not self._requests.have_passed and opening.mitmproxy_reads and self._policy.intercepts(self.context):
            yield from self._give_to(NextLayer(self.context))
            return
        yield from self._begin_relay()
        assert self._relay is not None
        data = self._requests.take(opening)
        if opening.kind is Kind.HTTP1:
            self._responses.expect(method_of(data[opening.front :]))
        if self._requests.are_over:
            self._next = self._relay
        yield from self._relay.handle_event(DataReceived(self.context.client, data))

    def _answer(self, opening: Opening) -> Commands:
        """Have a mock answer the next request, when the server has answered those before it."""
        others_passed = self._requests.have_passed
        if opening.kind in (Kind.SOCKS_GREETING, Kind.SOCKS):
            yield from self._end("a SOCKS client on it asks for a mocked host")
        elif others_passed and (self._is_upgraded or self._requests.are_http2 or self._responses.are_unreadable):
            yield from self._end("a request on it is for a mocked host, and others have passed before it")
        elif others_passed and self._responses.are_due:
            self._answers_next = True
        else:
            yield from self._hand_over()

    def _hand_over(self) -> Commands:
        """Let mitmproxy's layers go on, with a server that is not connected."""
        self.is_mocked = True
        if self._relay is not None:
            self.context.layers.remove(self._relay)
            self._abandoned = self.context.server
            self.context.server = Server(address=self._abandoned.address, via=self._abandoned.via)
            yield CloseConnection(self._abandoned)
        yield from self._give_to(NextLayer(self.context), self._client_end)

    def _give_to(self, layer: Layer, then: Event | None = None) -> Commands:
        """Give a layer all events from now on, and first what is held, then this event."""
        self._next = layer
        data = bytes(self._requests.held)
        self._requests.held.clear()
        yield from layer.handle_event(Start())
        if data:
            yield from layer.handle_event(DataReceived(self.context.client, data))
        if then is not None:
            yield from layer.handle_event(then)

    def _end(self, reason: str) -> Commands:
        self._policy.ends(self.context, reason)
        yield from self._close()

    def _close(self) -> Commands:
        self._handle_event = self._done  # type: ignore[assignment]
        self._requests.held.clear()
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


def has_decided(context: Context) -> bool:
    """Return whether a tunnel around a layer has found out that it is for another host, which mitmproxy handles."""
    return any(isinstance(layer, Tunnel) for layer in context.layers)


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
