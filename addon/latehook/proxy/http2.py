"""A client's HTTP/2 connection: mitmproxy's, with limits, and with pauses in which other clients are served."""

import time
from collections.abc import Callable, Generator
from typing import Any

from mitmproxy.proxy.context import Context

from latehook.proxy import compat
from latehook.proxy.compat import (
    ConnectionClosed,
    DataReceived,
    Event,
    Http2Server,
    RequestWakeup,
    Wakeup,
    h2_errors,
    h2_events,
)
from latehook.proxy.sniffing import HTTP2_PREFACE

Commands = Generator[Any, Any, Any]

STREAMS_PER_TURN = 8
"""Requests that are begun in one turn of the event loop. Each takes one or two milliseconds, in which others wait."""

FRAMES_PER_TURN = 200
"""Frames of all kinds that are read in one turn: also one that asks for nothing takes some tens of microseconds."""

MOST_RESETS = 1000
"""Streams that a client may reset at once, and RESETS_PER_SECOND more each second: the defaults of nghttp2
(nghttp2_option_set_stream_reset_rate_limit). A client that resets more is disconnected: CVE-2023-44487, "rapid reset".
"""

RESETS_PER_SECOND = 33

FEW_RESETS = 20
"""Resets of one connection up to which it is served without pauses. No client but an attacker resets many streams."""

LARGEST_UNSENT = 64 * 1024 * 1024
"""Bytes of responses that may wait until the client reads them. Streams beyond it are refused."""

LARGEST_FRAME = 2**17
"""Bytes. mitmproxy announces this size to clients; it ends a connection with a larger frame."""

_FRAME_HEADER = 9
_HEADERS, _RST_STREAM = 1, 3  # types of frames (RFC 9113 section 6)


class Http2(Http2Server):
    """All streams of one connection."""

    clock: Callable[[], float] = staticmethod(time.monotonic)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._unread = bytearray()
        self._timer: RequestWakeup | None = None
        self._resets = 0
        self._permitted = float(MOST_RESETS)
        self._counted_at = self.clock()

    def _handle_event(self, event: Event) -> Commands:
        if isinstance(event, DataReceived):
            self._unread += event.data
            if self._timer is None:
                yield from self._read()
        elif isinstance(event, Wakeup) and event.command is self._timer:
            self._timer = None
            yield from self._read()
        else:
            if isinstance(event, ConnectionClosed):
                self._unread.clear()
            yield from super()._handle_event(event)

    def _read(self) -> Commands:
        """Read the frames of some requests, and leave those behind them for a later turn."""
        size, resets, has_more = _frames(self._unread)
        frames = bytes(self._unread[:size])
        del self._unread[:size]
        started = self.clock()
        if self._has_reset_too_many(resets, started):
            self._unread.clear()
            yield from self.protocol_error("too many streams were reset", h2_errors.ErrorCodes.ENHANCE_YOUR_CALM)
            return
        yield from super()._handle_event(DataReceived(self.conn, frames))
        self._set_reading(not has_more)
        if has_more:
            pause = self.clock() - started if self._resets > FEW_RESETS else 0.0
            self._timer = RequestWakeup(pause)
            yield self._timer

    def _has_reset_too_many(self, resets: int, now: float) -> bool:
        self._resets += resets
        earned = (now - self._counted_at) * RESETS_PER_SECOND
        self._counted_at = now
        self._permitted = min(self._permitted + earned, MOST_RESETS) - resets
        return self._permitted < 0

    def _set_reading(self, on: bool) -> None:
        """Take more from the client's socket, or leave it there: then TCP stops the client."""
        transport = compat.transport_of(self.context.client)
        if transport is not None:
            (transport.resume_reading if on else transport.pause_reading)()

    def handle_h2_event(self, event: Any) -> Commands:
        if isinstance(event, h2_events.RequestReceived) and self._unsent() > LARGEST_UNSENT:
            self.h2_conn.reset_stream(event.stream_id, h2_errors.ErrorCodes.REFUSED_STREAM)
            return False
        return (yield from super().handle_h2_event(event))

    def _unsent(self) -> int:
        buffers = self.h2_conn.stream_buffers.values()
        return sum(len(piece.data) for pieces in buffers for piece in pieces)


def _frames(data: bytes | bytearray) -> tuple[int, int, bool]:
    """Find the frames at the beginning that are read in one turn, without one that is cut off.

    Return their size in bytes, how many of them reset a stream, and whether others follow that must wait.
    """
    at = len(HTTP2_PREFACE) if data.startswith(HTTP2_PREFACE) else 0
    requests = resets = frames = 0
    while at + _FRAME_HEADER <= len(data):
        size, kind = int.from_bytes(data[at : at + 3]), data[at + 3]
        end = at + _FRAME_HEADER + size
        if size > LARGEST_FRAME:
            return len(data), resets, False  # mitmproxy refuses it
        if frames == FRAMES_PER_TURN or (kind == _HEADERS and requests == STREAMS_PER_TURN):
            return at, resets, True
        if end > len(data):
            break
        frames += 1
        requests += kind == _HEADERS
        resets += kind == _RST_STREAM
        at = end
    if HTTP2_PREFACE.startswith(data[: len(HTTP2_PREFACE)]) and len(data) < len(HTTP2_PREFACE):
        return 0, 0, False
    return at, resets, False
