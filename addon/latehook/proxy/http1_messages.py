"""PURE: find the ends of HTTP/1 messages in bytes that pass unchanged."""

import math
import re
from collections import deque

from latehook.proxy.sniffing import END_OF_HEAD, header_values

LONGEST_LINE = 64 * 1024
"""Bytes of a line of a chunked body: the size of a chunk, or a trailer."""

LONGEST_NUMBER = 18
"""Digits of a length; one with more has no end."""

LARGEST_HEAD = 256 * 1024
"""Bytes of a response's head."""


class Unreadable(Exception):
    """The next message cannot be found. The text says why."""


class Body:
    """The body of one message, as it arrives (RFC 9112 sections 6 and 7.1).

    Without a length, the body of a request is empty (`otherwise=0`), and that of a response ends with the connection.
    Raises Unreadable for a length that cannot be told.
    """

    def __init__(self, head: bytes, otherwise: float = 0) -> None:
        if not otherwise and _is_ambiguous(head):
            raise Unreadable("a request has a length that servers read in more than one way")
        codings = b",".join(header_values(head, b"transfer-encoding")).lower().split(b",")
        self._is_chunked = codings[-1].strip() == b"chunked"
        self._left = 0 if self._is_chunked else _length(head, otherwise)
        self._line = bytearray()
        self._is_behind_chunk = self._is_in_trailers = self._has_ended = False

    @property
    def has_ended(self) -> bool:
        """Whether the next byte is not a part of this body."""
        return self._has_ended if self._is_chunked else not self._left

    def take(self, data: bytes) -> int:
        """Return how many of the next bytes belong to this body. Raises Unreadable."""
        at = 0
        while at < len(data) and not self.has_ended:
            if self._left:
                size = int(min(self._left, len(data) - at))
                self._left -= size
                at += size
            else:
                at = self._take_line(data, at)
        return at

    def _take_line(self, data: bytes, at: int) -> int:
        end = data.find(b"\n", at) + 1
        self._line += data[at : end or len(data)]
        if len(self._line) > LONGEST_LINE:
            raise Unreadable("a line of a chunked body is too long")
        if not end:
            return len(data)
        line = bytes(self._line).strip()
        self._line.clear()
        self._read_line(line)
        return end

    def _read_line(self, line: bytes) -> None:
        if self._is_in_trailers:
            self._has_ended = not line
        elif self._is_behind_chunk and not line:
            self._is_behind_chunk = False
        elif self._is_behind_chunk or (size := _CHUNK_SIZE.fullmatch(line)) is None:
            raise Unreadable("the size of a chunk cannot be read")
        else:
            self._left = int(size[1], 16)
            self._is_in_trailers = not self._left
            self._is_behind_chunk = bool(self._left)


def _is_ambiguous(head: bytes) -> bool:
    """Return whether servers differ in where a request ends (RFC 9112 sections 5.1, 6.1 and 11.2).

    It has both a length and a coding; or one of them behind a carriage return alone, with a blank before its colon, on
    several lines, or with bytes that some servers drop.
    """
    length, coding = (header_values(head, name) for name in (b"content-length", b"transfer-encoding"))
    strict = _LENGTHS.findall(head)
    return bool(length and coding) or len(strict) != len(length) + len(coding)


_LENGTHS = re.compile(
    rb"\n(?:content-length|transfer-encoding):[ \t]*[\x21-\x7e](?:[ \t\x21-\x7e]*)(?=\r?\n[^ \t])", re.I
)

_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?", re.DOTALL)


def _length(head: bytes, otherwise: float) -> float:
    """Return the length of a body that is not chunked."""
    if header_values(head, b"transfer-encoding"):
        return _unknown(otherwise, "a transfer-encoding that does not end with chunked")
    lengths = {value.strip() for text in header_values(head, b"content-length") for value in text.split(b",")}
    if not lengths:
        return otherwise
    if len(lengths) > 1 or not (length := lengths.pop()).isdigit():
        return _unknown(otherwise, "a content-length that cannot be read")
    return int(length) if len(length) <= LONGEST_NUMBER else math.inf


def _unknown(otherwise: float, what: str) -> float:
    if not otherwise:
        raise Unreadable(f"a request has {what}")
    return math.inf


class Responses:
    """The responses of a server to the requests that have passed to it."""

    def __init__(self) -> None:
        self._methods: deque[bytes] = deque()
        self._head = bytearray()
        self._body: Body | None = None
        self.are_unreadable = False
        """Whether nobody can tell where a response ends, other than by the end of the connection."""

    @property
    def are_due(self) -> bool:
        """Whether the server has not answered all requests."""
        return bool(self._methods)

    def expect(self, method: bytes) -> None:
        """Note that a request with this method has passed."""
        self._methods.append(method.upper())

    def read(self, data: bytes) -> None:
        """Read the next bytes of the server."""
        while data and self._methods and not self.are_unreadable:
            data = self._read_head(data) if self._body is None else self._read_body(self._body, data)
        if self._methods and self._body is not None and self._body.has_ended:
            self._read_body(self._body, b"")

    def _read_head(self, data: bytes) -> bytes:
        """Read more of a head; return what is behind it."""
        self._head += data
        end = END_OF_HEAD.search(self._head)
        if end is None:
            self.are_unreadable = len(self._head) > LARGEST_HEAD
            return b""
        head, rest = bytes(self._head[: end.end()]), bytes(self._head[end.end() :])
        self._head.clear()
        status = _STATUS_LINE.match(head)
        if status is None or status[1] == b"101":
            self.are_unreadable = True
        elif not status[1].startswith(b"1"):
            self._begin(head, status[1])
        return rest

    def _begin(self, head: bytes, status: bytes) -> None:
        method = self._methods[0]
        is_tunnel = method == b"CONNECT" and status.startswith(b"2")
        is_empty = method == b"HEAD" or status in (b"204", b"304") or is_tunnel
        try:
            self._body = Body(b"" if is_empty else head, 0 if is_empty else math.inf)
        except Unreadable:
            self.are_unreadable = True

    def _read_body(self, body: Body, data: bytes) -> bytes:
        """Read more of a body; return what is behind it."""
        try:
            size = body.take(data)
        except Unreadable:
            self.are_unreadable = True
            return b""
        if body.has_ended:
            self._body = None
            self._methods.popleft()
        return data[size:]


_STATUS_LINE = re.compile(rb"[\r\n]*HTTP/1\.[0-9] ([1-9][0-9][0-9])\b")
