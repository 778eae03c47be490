"""Connections to receivers: httpx's requests over HTTP/1.1, each sent exactly once.

httpx's own transport sends a request with the cost of two, and holds the event loop when a hundred are under way
(measured with httpcore 1.0). aiohttp sends a request a second time by itself when its connection breaks off. So this
transport opens the connections itself, and h11 speaks HTTP on them.
"""

import asyncio
import os
import re
import ssl
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable

import h11
import httpx

from latehook.base.messages import ResponseHead, WireTrace
from latehook.delivery.addresses import Addresses, Lookup, connect, system_lookup
from latehook.delivery.answer_heads import LONGEST_HEAD, HeadReader
from latehook.delivery.attempts import ConnectObserver
from latehook.delivery.readiness import is_readable
from latehook.webhooks.targets import Origin

IDLE_KEPT = 1.0
"""Seconds for which an idle connection is kept. Common servers keep one for longer, so they do not close it first."""

READ_SIZE = 64 * 1024
"""Bytes that are read from a socket at once."""

Refusal = Callable[[str, int, str | None], str | None]
"""Takes a host, a port, and the address that the host has led to (None: not known yet).

Returns why no webhook may go there, or None where it may.
"""


class Refused(OSError):
    """A destination to which no webhook may go. The text is the reason."""


class Connections(httpx.AsyncBaseTransport):
    """An httpx transport that sends each request once, and keeps idle connections for `IDLE_KEPT` seconds.

    `refusal` is asked before each connection is made. `lookup` finds the addresses of a host. `now` gives Unix seconds.

    It reads these extensions of a request: `target` (bytes: path and query exactly as they go into the request line),
    `connect_to` (the `Origin` that the connection is made to; TLS is for the URL's host), `verify` (whether the
    receiver's certificate is verified, or the file with the authority that must have signed it), `wire` (a `WireTrace`
    that notes what went over the connection, or None), and `observer` (a `ConnectObserver`, or None).
    """

    def __init__(self, refusal: Refusal, lookup: Lookup = system_lookup, now: Callable[[], float] = time.time) -> None:
        self._addresses = Addresses(lookup)
        self._refusal = refusal
        self._now = now
        self._idle: defaultdict[object, list[_Connection]] = defaultdict(list)
        self._contexts: dict[bool | str, ssl.SSLContext] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request and return the response when its head has come.

        Raises `Refused` where the destination may not be reached, and `httpx.TransportError` for all else that fails.
        """
        wire: WireTrace | None = request.extensions["wire"]
        key = origin, tls = _key(request)
        if wire is not None:
            wire.server = (origin.host, origin.port)
        connection = self._take_idle(key)
        if connection is None:
            connection = await _explained(request, self._open(origin, tls, request.extensions["observer"]))
        try:
            head = await _explained(request, connection.exchange(request, self._now))
        except BaseException:
            connection.close()
            raise
        stream = _Body(request, connection, lambda: self._put_back(key, connection))
        return httpx.Response(head.status_code, headers=head.headers.raw_items(), stream=stream, request=request)

    def has_idle(self, request: httpx.Request) -> bool:
        """Return whether a connection is kept open that another such request would use."""
        return bool(self._idle.get(_key(request)))

    async def aclose(self) -> None:
        """Close all idle connections."""
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
        self._idle.clear()

    def _take_idle(self, key: object) -> "_Connection | None":
        """Return an idle connection that its receiver has not closed, or None."""
        idle = self._idle.get(key)
        while idle:
            connection = idle.pop()
            if connection.is_usable():
                return connection
            connection.close()
        return None

    def _put_back(self, key: object, connection: "_Connection") -> None:
        """Keep the connection for another request if its answer was read to the end. Close it otherwise."""
        if not connection.start_next():
            connection.close()
            return
        self._idle[key].append(connection)
        asyncio.get_running_loop().call_later(IDLE_KEPT, self._close_if_idle, key, connection, connection.requests)

    def _close_if_idle(self, key: object, connection: "_Connection", requests: int) -> None:
        idle = self._idle.get(key, [])
        if connection.requests == requests and connection in idle:
            idle.remove(connection)
            connection.close()
        if not idle:
            self._idle.pop(key, None)

    async def _open(
        self, origin: Origin, tls: tuple[str, bool | str] | None, observer: ConnectObserver | None
    ) -> "_Connection":
        found = await self._addresses.of(origin.host, origin.port)
        reasons = [self._refusal(origin.host, origin.port, address.host) for address in found]
        allowed = [address for address, reason in zip(found, reasons, strict=True) if reason is None]
        if not allowed:
            raise Refused(reasons[0])
        connected = await connect(allowed, observer)
        try:
            if tls is None:
                return _Connection(*await asyncio.open_connection(sock=connected))
            name, verify = tls
            context = await self._context(verify)
            return _Connection(*await asyncio.open_connection(sock=connected, ssl=context, server_hostname=name))
        except BaseException:
            connected.close()
            raise

    async def _context(self, verify: bool | str) -> ssl.SSLContext:
        """Return the TLS settings for a value of `verify`, made in a thread: reading all authorities is slow."""
        if verify not in self._contexts:
            self._contexts[verify] = await asyncio.to_thread(_make_context, verify)
        return self._contexts[verify]


def _key(request: httpx.Request) -> tuple[Origin, tuple[str, bool | str] | None]:
    """Return what requests must have in common to use one connection: where it leads to, and its TLS settings."""
    origin: Origin = request.extensions["connect_to"]
    is_tls = origin.scheme == "https"
    return origin, (request.url.raw_host.decode(), request.extensions["verify"]) if is_tls else None


def _make_context(verify: bool | str) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=verify if isinstance(verify, str) else None)
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context


class _Connection:
    """One connection. `requests` is the number of requests that were sent on it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests = 0
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=LONGEST_HEAD)
        self._head = HeadReader()

    async def exchange(self, request: httpx.Request, now: Callable[[], float]) -> h11.Response:
        """Send the request, and return the head of its answer."""
        self.requests += 1
        self._head = HeadReader()
        wire: WireTrace | None = request.extensions["wire"]
        target, headers = request.extensions["target"], request.headers.raw
        sent = self._http.send(h11.Request(method=request.method, target=target, headers=headers)) or b""
        if request.content:
            sent += self._http.send(h11.Data(data=request.content)) or b""
        sent += self._http.send(h11.EndOfMessage()) or b""
        self._writer.write(sent)
        if wire is not None:
            wire.target, wire.sent_at = target.decode("ascii"), now()
            wire.headers = tuple((name.decode("latin-1"), value.decode("utf-8", "replace")) for name, value in headers)
        while not isinstance(event := await self._next_event(), h11.Response):
            if not isinstance(event, h11.InformationalResponse):
                raise h11.RemoteProtocolError(f"unexpected {type(event).__name__}")
        if wire is not None:
            version, reason = f"HTTP/{event.http_version.decode()}", event.reason.decode("latin-1")
            wire.answer = ResponseHead(now(), version, event.status_code, reason, tuple(event.headers.raw_items()))
        return event

    async def body(self) -> AsyncIterator[bytes]:
        """Give the body of the answer piece by piece."""
        while isinstance(event := await self._next_event(), h11.Data):
            yield bytes(event.data)

    async def _next_event(self) -> h11.Event | type[h11.PAUSED]:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            data = await self._reader.read(READ_SIZE)
            complete = self._head.read(data)
            if not data and not complete and self._http.their_state is h11.SEND_RESPONSE:
                raise ConnectionAbortedError("the receiver closed the connection without an answer")
            if complete:
                self._http.receive_data(complete)
            if not data:
                self._http.receive_data(b"")
        return event  # type: ignore[return-value]  # NEED_DATA is handled above

    def start_next(self) -> bool:
        """Return whether the connection can be used for another request: both sides are done with this one."""
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE and not self._http.trailing_data[0]:
            self._http.start_next_cycle()
            return True
        return False

    def is_usable(self) -> bool:
        """Return whether nothing has come on the idle connection: data or its end would mean that it is of no use."""
        if self._reader.at_eof() or self._writer.is_closing():
            return False
        return not is_readable(self._writer.get_extra_info("socket"))

    def close(self) -> None:
        self._writer.transport.abort() if self._http.their_state is h11.SEND_BODY else self._writer.close()


class _Body(httpx.AsyncByteStream):
    """The body of an answer, as it comes."""

    def __init__(self, request: httpx.Request, connection: _Connection, put_back: Callable[[], None]) -> None:
        self._request = request
        self._connection = connection
        self._put_back = put_back

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._connection.body():
                yield piece
        except (OSError, h11.RemoteProtocolError) as error:
            raise httpx.ReadError(_reason(error), request=self._request) from error

    async def aclose(self) -> None:
        self._put_back()


async def _explained[Value](request: httpx.Request, action: Awaitable[Value]) -> Value:
    """Await the action. What fails becomes httpx's error, with a text for people."""
    try:
        return await action
    except Refused:
        raise
    except (OSError, h11.ProtocolError) as error:
        raise httpx.TransportError(_reason(error), request=request) from error


def _reason(error: Exception) -> str:
    """Return an error of a connection in one line, from the receiver's side."""
    match error:
        case h11.RemoteProtocolError() if "closed connection" in str(error) or "incomplete" in str(error):
            return "the receiver closed the connection in the middle of its answer"
        case h11.RemoteProtocolError():
            return f"the answer is not HTTP: {_in_plain_words(str(error))}"
        case ssl.SSLCertVerificationError():
            return f"TLS: {error.verify_message or error}"
        case ssl.SSLError():
            return f"TLS: {error.reason or error}"
        case OSError() if error.errno:
            return os.strerror(error.errno)
    return str(error) or type(error).__name__


def _in_plain_words(text: str) -> str:
    """Return h11's error without its Python values."""
    if "_SWITCH_" in text:
        return "it changes to another protocol (status 101)"
    if "Receive buffer too long" in text:
        return f"its head has more than {LONGEST_HEAD:,} bytes"
    return re.sub(r"bytearray\(b(['\"])(.*)\1\)", r"\1\2\1", text)
