"""PURE: read which hosts an HTTP/2 client names, in bytes that pass unchanged."""

from latehook.proxy.compat import HpackDecoder, HPACKError
from latehook.proxy.http1_messages import Unreadable
from latehook.proxy.sniffing import Kind, Opening, host_in_target

LARGEST_HEAD = 1024 * 1024
"""Bytes of one request's headers, unpacked."""

LARGEST_TABLE = 1024 * 1024
"""Bytes of headers that a server may remember for a client. Most permit 4,096 (SETTINGS_HEADER_TABLE_SIZE)."""

_FRAME_HEADER = 9
_HEADERS, _PUSH_PROMISE, _CONTINUATION = 1, 5, 9  # types of frames (RFC 9113 section 6)
_END_HEADERS, _PADDED, _PRIORITY = 4, 8, 32  # flags

_BODY = Opening(Kind.BODY)


class Frames:
    """The frames that a client sends behind the preface, which ends at `start` in what is held.

    `has_begun` is set when something has passed to the server.
    """

    def __init__(self, start: int) -> None:
        self.size = start
        """Bytes at the beginning of what is held that have been read."""
        self.has_begun = False
        self._left = 0  # bytes of a frame that is no head
        self._hpack = HpackDecoder(LARGEST_HEAD)
        self._hpack.max_allowed_table_size = LARGEST_TABLE

    def read(self, held: bytes) -> Opening:
        """Return what the held bytes are, up to the end of the next request's head. Raises Unreadable."""
        while (frame := self._read_frame(held)) is not None:
            if frame.kind is Kind.HTTP2:
                return frame
        if self.has_begun and self.size:
            return _BODY
        return Opening(Kind.PARTIAL if self.size < len(held) else Kind.UNCLEAR)

    def take(self) -> int:
        """Note that what has been read passes; return its size in bytes."""
        size, self.size, self.has_begun = self.size, 0, True
        return size

    def _read_frame(self, held: bytes) -> Opening | None:
        """Read a piece of a frame, or all frames of a head; None if more must come."""
        if self._left:
            size = min(self._left, len(held) - self.size)
            self._left -= size
            self.size += size
            return _BODY if size else None
        if self.size + _FRAME_HEADER > len(held):
            return None
        kind = held[self.size + 3]
        if kind == _HEADERS:
            return self._read_head(held)
        if kind in (_PUSH_PROMISE, _CONTINUATION):
            raise Unreadable(f"an HTTP/2 frame of type {kind} is not expected")
        self._left = int.from_bytes(held[self.size : self.size + 3])
        self.size += _FRAME_HEADER
        return _BODY

    def _read_head(self, held: bytes) -> Opening | None:
        at, block, is_whole, expected = self.size, b"", False, _HEADERS
        while not is_whole:
            size, kind, flags = int.from_bytes(held[at : at + 3]), held[at + 3 : at + 4], held[at + 4 : at + 5]
            payload = held[at + _FRAME_HEADER : at + _FRAME_HEADER + size]
            if len(held) < at + _FRAME_HEADER + size:
                return None
            if kind[0] != expected:
                raise Unreadable("an HTTP/2 head is cut off by another frame")
            block += _without_padding(payload, flags[0]) if expected == _HEADERS else payload
            is_whole, expected = bool(flags[0] & _END_HEADERS), _CONTINUATION
            at += _FRAME_HEADER + size
        self.size = at
        return Opening(Kind.HTTP2, self._hosts(block))

    def _hosts(self, block: bytes) -> tuple[str, ...]:
        try:
            headers = self._hpack.decode(block, raw=True)
        except (HPACKError, ValueError, IndexError) as error:
            raise Unreadable(f"an HTTP/2 head cannot be read: {type(error).__name__}") from error
        found = [value.decode("latin-1") for name, value in headers if name.lower() in (b":authority", b"host")]
        return (*found, *(host for name, value in headers if name == b":path" and (host := host_in_target(value))))


def _without_padding(payload: bytes, flags: int) -> bytes:
    """Return the fields of a HEADERS frame (RFC 9113 section 6.2)."""
    at = bool(flags & _PADDED) + (5 if flags & _PRIORITY else 0)
    padding = payload[0] if flags & _PADDED and payload else 0
    if at + padding > len(payload):
        raise Unreadable("an HTTP/2 head has more padding than bytes")
    return payload[at : len(payload) - padding]
