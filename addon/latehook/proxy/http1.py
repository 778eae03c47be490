"""A client's HTTP/1 connection: mitmproxy's, with bounds, and a way past the slowest of what it does to a head."""

import functools
import re
import time
from collections.abc import Generator
from typing import Any, NamedTuple, Protocol

from h11._receivebuffer import ReceiveBuffer
from mitmproxy import http
from mitmproxy.net.http import http1
from mitmproxy.proxy import events
from mitmproxy.proxy.commands import CloseConnection, SendData
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import ErrorCode, ReceiveHttp, RequestHeaders, RequestProtocolError
from mitmproxy.proxy.layers.http._http1 import Http1Server, make_body_reader, make_error_response

from latehook.proxy import faults

Commands = Generator[Any, Any, Any]

HEAD = 64 * 1024
"""Size of the largest head that a mocked host takes, counted as HTTP/2 does (RFC 9113 6.5.2), where it is the same."""

LINE = 32
"""Bytes that each header counts for besides its own."""

UNREAD = 1024 * 1024
"""Bytes that wait on a connection, to any host, for what makes sense of them: the rest of a head, of a chunk's size, of
trailers, or the answer to the request before.
"""


class Head(NamedTuple):
    """A request's head as it was read: its `size` in bytes, and that of the body that follows, None where chunked."""

    request: http.Request
    size: int
    body_size: int | None


PLAIN = 8 * 1024
"""Bytes up to which a head is looked at for being plain."""

_LINE = re.compile(rb"((?!CONNECT )[A-Z]+) (https?://[^/?#\s]{1,300})?(/[!-~]*) (HTTP/1\.[01])")


def plain_head(unread: bytes) -> Head | None:
    """The head at the beginning of what came, as mitmproxy reads it; None where it is not as most clients send it.

    mitmproxy's own reader, which then takes it, reads a URL twice, and has the type of each field checked that it has
    made itself: a quarter of what a mocked request costs.
    """
    end = unread.find(b"\r\n\r\n", 0, PLAIN)
    first, *lines = unread[: max(end, 0)].split(b"\r\n")
    line = _LINE.fullmatch(first)
    if line is None or unread.count(b"\n", 0, end) != len(lines):
        return None
    origin = _origin(line[2] or b"")
    fields = [(name, value.strip()) for name, colon, value in (line.partition(b":") for line in lines) if colon]
    if origin is None or len(fields) != len(lines) or any(name[:1] in (b"", b" ", b"\t") for name, _ in fields):
        return None
    request, data = http.Request.__new__(http.Request), http.RequestData.__new__(http.RequestData)
    data.__dict__ = {
        **origin.__dict__,
        **{"method": line[1], "path": line[3], "http_version": line[4], "headers": http.Headers(fields)},
        "timestamp_start": time.time(),
    }
    request.data = data
    try:
        return Head(request, end + 4, http1.expected_http_body_size(request))
    except ValueError:
        return None


@functools.lru_cache(maxsize=256)
def _origin(text: bytes) -> http.RequestData | None:
    """What mitmproxy makes of the scheme and authority of a URL, or of their absence."""
    try:
        return http1.read_request_head([b"GET %b/ HTTP/1.1" % text]).data
    except ValueError:
        return None


class Policy(Protocol):
    """Who knows what is mocked: the guard."""

    def answers(self, head: bytes, context: Context) -> bool: ...


class Http1(Http1Server):
    """A client's HTTP/1 connection, with bounds for what is not yet read as a body: mitmproxy's own has none.

    Trailers behind a chunked body are left out: mitmproxy's own leaves the client hanging.
    """

    policy: Policy
    _refused = False

    def _handle_event(self, event: events.Event) -> Commands:
        if not self._refused:
            yield from super()._handle_event(event)
        elif isinstance(event, events.ConnectionClosed):
            yield CloseConnection(self.conn)

    @property
    def body_reader(self) -> Any:
        return self._reader

    @body_reader.setter
    def body_reader(self, reader: Any) -> None:
        self._reader = _WithoutTrailers(reader)

    def read_headers(self, event: events.Event) -> Commands:
        unread = bytes(self.buf)
        head = _beginning(unread)
        if len(head) > UNREAD or (_size(head) > HEAD and self.policy.answers(head, self.context)):
            yield from self._refuse(431, f"the head of this request is too large: a mocked host takes {HEAD:,} bytes")
        elif isinstance(event, events.DataReceived) and (plain := plain_head(unread)) is not None:
            yield from self._begin(plain, event)
        else:
            yield from super().read_headers(event)  # type: ignore[arg-type]

    def _begin(self, head: Head, event: events.DataReceived) -> Commands:
        """Go on with the body behind a head, as mitmproxy does."""
        self.buf.maybe_extract_at_most(head.size)
        self.request = head.request
        yield ReceiveHttp(RequestHeaders(self.stream_id, head.request, head.body_size == 0))
        self.body_reader = make_body_reader(head.body_size)
        self.state = self.read_body
        yield from self.state(event)

    def read_body(self, event: events.Event) -> Commands:
        yield from super().read_body(event)
        if self.state == self.read_body and len(self.buf) > UNREAD:
            yield from self._refuse(400, "a chunk of this request's body has no end to its size, or to its trailers")

    def wait(self, event: events.Event) -> Commands:
        yield from super().wait(event)
        if self.state == self.wait and len(self.buf) > UNREAD:
            yield from self._refuse(400, "more requests than can wait came before this one's answer")

    def _refuse(self, status: int, problem: str) -> Commands:
        """Answer, unless an answer has begun, and end the connection: where the next request begins is not known."""
        if self.response is None:
            yield SendData(self.conn, make_error_response(status, f"latehook: {problem}"))
        self._refused = True
        self.buf = ReceiveBuffer()
        if self.request is not None:
            yield ReceiveHttp(RequestProtocolError(self.stream_id, problem, ErrorCode.CLIENT_DISCONNECTED))
        if (transport := faults.transport_of(self.context.client)) is not None:
            transport.close()


def _beginning(unread: bytes) -> bytes:
    """What there is of the next request's head."""
    if len(unread) <= HEAD // LINE:  # nearly all: too small for a closer look
        return b""
    end = _END_OF_HEAD.search(unread)
    return unread if end is None else unread[: end.start()]


_END_OF_HEAD = re.compile(rb"\n\r?\n")


def _size(head: bytes) -> int:
    return len(head) + LINE * head.count(b"\n")


class _WithoutTrailers:
    """A reader of h11's."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self.read_eof = reader.read_eof

    def __call__(self, buffer: Any) -> Any:
        event = self._reader(buffer)
        return type(event)() if getattr(event, "headers", None) else event  # only the body's end has any: its trailers
