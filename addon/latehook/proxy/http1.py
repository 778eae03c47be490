"""A client's HTTP/1 connection: mitmproxy's, with limits for what it would buffer without end."""

import re
from collections.abc import Callable, Generator
from typing import Any

from mitmproxy.proxy.context import Context

from latehook.proxy import compat, fast
from latehook.proxy.compat import (
    CloseConnection,
    ConnectionClosed,
    DataReceived,
    ErrorCode,
    Event,
    Http1Server,
    ReceiveHttp,
    RequestHeaders,
    RequestProtocolError,
    RequestWakeup,
    SendData,
    Wakeup,
    make_body_reader,
    make_error_response,
)

Commands = Generator[Any, Any, Any]

REQUESTS_PER_TURN = 8
"""Requests of those that come at once that are begun in one turn of the event loop: others wait meanwhile."""

LARGEST_UNSENT = 256 * 1024
"""Bytes of responses that the client has not read, at which the next request waits."""

UNSENT_PAUSE = 0.02
"""Seconds until it is looked again whether the client has read them."""

LARGEST_HEAD = 64 * 1024
"""Size of the largest head that a mocked host accepts, counted as in HTTP/2 (RFC 9113 6.5.2): the limit is the same."""

LINE_OVERHEAD = 32
"""Bytes that each header counts for besides its own."""

LARGEST_UNREAD = 1024 * 1024
"""Bytes that may wait on a connection to any host until they are complete: a head, the size of a chunk or trailers; or
until the request before is answered.
"""


class Http1(Http1Server):
    """A client's HTTP/1 connection with limits: mitmproxy's own has none for what is not the body of a request.

    Trailers after a chunked body are left out: mitmproxy's own connection never answers a request that has them.
    """

    is_for_mocked_host: Callable[[bytes, Context], bool]
    _refused = False
    _in_turn = 0  # requests that were read in this turn of the event loop
    _timer: RequestWakeup | None = None  # until then no request is read
    _paused_for = 0.0  # seconds, because the client does not read
    _closed: ConnectionClosed | None = None  # came in a pause

    def _handle_event(self, event: Event) -> Commands:
        if isinstance(event, (DataReceived, Wakeup)):
            self._in_turn = 0
        if self._refused:
            if isinstance(event, ConnectionClosed):
                yield CloseConnection(self.conn)
        elif isinstance(event, Wakeup):
            yield from self._resume(event)
        elif self._timer is not None and isinstance(event, ConnectionClosed):
            self._closed = event
        else:
            yield from super()._handle_event(event)

    @property
    def body_reader(self) -> Any:
        return self._reader

    @body_reader.setter
    def body_reader(self, reader: Any) -> None:
        self._reader = _WithoutTrailers(reader)

    def read_headers(self, event: Event) -> Commands:
        unread = self._without_empty_lines(bytes(self.buf))
        if self._timer is not None and isinstance(event, DataReceived):
            if len(unread) > LARGEST_UNREAD:
                yield from self._refuse(400, "more requests than can wait came before these answers were read")
            return
        if self._in_turn and unread and (pause := self._pause()) is not None:
            self._timer = RequestWakeup(pause)
            yield self._timer
            return
        head = _beginning(unread)
        if len(head) > LARGEST_UNREAD or (_size(head) > LARGEST_HEAD and self.is_for_mocked_host(head, self.context)):
            problem = f"the head of this request is too large: a mocked host takes {LARGEST_HEAD:,} bytes"
            yield from self._refuse(431, problem)
        elif isinstance(event, DataReceived) and (plain := fast.read_head(unread)) is not None:
            self._in_turn += 1
            yield from self._begin(plain, event)
        else:
            self._in_turn += 1
            yield from super().read_headers(event)  # type: ignore[arg-type]

    def _without_empty_lines(self, unread: bytes) -> bytes:
        """Drop empty lines in front of a request, as servers should (RFC 9112 section 2.2): mitmproxy stops there."""
        if unread[:1] not in (b"\r", b"\n"):
            return unread
        rest = unread.lstrip(b"\r\n")
        self.buf.maybe_extract_at_most(len(unread) - len(rest))
        return rest

    def _pause(self) -> float | None:
        """Return the seconds after which the next of several requests that came at once is read; None for now.

        Other clients are served in between, and what this client does not read does not pile up.
        """
        if compat.unsent(self.context.client) > LARGEST_UNSENT:
            return UNSENT_PAUSE
        self._paused_for = 0.0
        return 0.0 if self._in_turn >= REQUESTS_PER_TURN else None

    def _resume(self, event: Wakeup) -> Commands:
        if event.command is not self._timer:
            return
        self._paused_for += self._timer.delay
        self._timer = None
        if self._paused_for > self.context.options.tcp_timeout:
            yield CloseConnection(self.conn)
            return
        self._in_turn = 1 if self._paused_for else 0  # still look at what is unsent
        if self.state == self.read_headers:
            yield from self.state(DataReceived(self.conn, b""))
        if self._closed is not None and self._timer is None:
            closed, self._closed = self._closed, None
            yield from self.state(closed)

    def _begin(self, head: fast.PlainHead, event: DataReceived) -> Commands:
        """Go on with the body behind a head, as mitmproxy does."""
        self.buf.maybe_extract_at_most(head.size)
        self.request = head.request
        yield ReceiveHttp(RequestHeaders(self.stream_id, head.request, head.body_size == 0))
        self.body_reader = make_body_reader(head.body_size)
        self.state = self.read_body
        yield from self.state(event)

    def read_body(self, event: Event) -> Commands:
        yield from super().read_body(event)
        if self.state == self.read_body and len(self.buf) > LARGEST_UNREAD:
            yield from self._refuse(400, "a chunk of this request's body has no end to its size, or to its trailers")

    def wait(self, event: Event) -> Commands:
        yield from super().wait(event)
        if self.state == self.wait and len(self.buf) > LARGEST_UNREAD:
            yield from self._refuse(400, "more requests than can wait came before this one's answer")

    def _refuse(self, status: int, problem: str) -> Commands:
        """Answer, unless an answer has begun, and close the connection: nobody knows where the next request begins."""
        if self.response is None:
            yield SendData(self.conn, make_error_response(status, f"latehook: {problem}"))
        self._refused = True
        self.buf.maybe_extract_at_most(len(self.buf))
        if self.request is not None:
            yield ReceiveHttp(RequestProtocolError(self.stream_id, problem, ErrorCode.CLIENT_DISCONNECTED))
        if (transport := compat.transport_of(self.context.client)) is not None:
            transport.close()


def _beginning(unread: bytes) -> bytes:
    """Return what there is of the next request's head; b"" if it is so short that its size needs no check."""
    if len(unread) <= LARGEST_HEAD // LINE_OVERHEAD:
        return b""
    end = _END_OF_HEAD.search(unread)
    return unread if end is None else unread[: end.start()]


_END_OF_HEAD = re.compile(rb"\n\r?\n")


def _size(head: bytes) -> int:
    return len(head) + LINE_OVERHEAD * head.count(b"\n")


class _WithoutTrailers:
    """A reader of h11's that drops trailers."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self.read_eof = reader.read_eof

    def __call__(self, buffer: Any) -> Any:
        event = self._reader(buffer)
        return type(event)() if getattr(event, "headers", None) else event  # only the end of the body has headers
