"""PURE: the heads of answers, written as the standard asks where a receiver writes them otherwise.

Servers that are written by hand leave things out that common clients do not need. h11 takes a head as RFC 9112 has it,
and some deviations. `HeadReader` removes others, so that the status counts: what curl and Python's clients take.
"""

import re

LONGEST_HEAD = 64 * 1024
"""Bytes of the status line and the headers of an answer. More of them without an end are an error."""

_END = re.compile(rb"\n\r?\n")
_STATUS_LINE = re.compile(rb"(HTTP)/(1\.[0-9])[ \t]+([1-9][0-9]{2})(?:[ \t]+([^\r\n]*?))?[ \t\r]*", re.IGNORECASE)
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_NAME = re.compile(_TOKEN)
_USUAL = re.compile(
    rb"HTTP/1\.[01] [1-9][0-9]{2} [^\0\r\n]*\r\n"
    rb"(?:(?i:content-length: *[0-9]+|transfer-encoding: *chunked)\r\n"
    rb"|(?!(?i:content-length|transfer-encoding))" + _TOKEN + rb":[^\0\r\n]*\r\n)*\r\n"
)
"""A head that needs no change."""

_CONTROL = re.compile(rb"[\0\r\n]")


class HeadReader:
    """Holds what comes of one answer until its head is whole. What is behind the head passes unchanged."""

    def __init__(self) -> None:
        self._held = b""
        self._has_passed = False

    def read(self, data: bytes) -> bytes:
        """Return what the next bytes complete; b"" if more must come. No bytes mean the end of the connection.

        A head may end there, behind any whole line: `echo HTTP/1.1 200 OK` is an answer.
        """
        if self._has_passed:
            return data
        self._held += data
        if not data and self._held.endswith(b"\n"):
            self._held += b"\r\n"
        passed = b""
        while not self._has_passed and (end := _END.search(self._held)) is not None:
            head, self._held = self._held[: end.end()], self._held[end.end() :]
            passed += head if _USUAL.fullmatch(head) else _rewritten(head)
            self._has_passed = not _is_interim(head)
        if self._has_passed or len(self._held) > LONGEST_HEAD or not b"HTTP/".startswith(self._held[:5].upper()):
            passed, self._held, self._has_passed = passed + self._held, b"", True
        return passed


def _is_interim(head: bytes) -> bool:
    """Return whether another head follows: that of a status such as 103."""
    status = _STATUS_LINE.match(head)
    return status is not None and status[3].startswith(b"1") and status[3] != b"101"


def _rewritten(head: bytes) -> bytes:
    """Return a head with one line for each header that can be read; as it is if its first line is no status line."""
    first, *lines = _unfolded(head).split(b"\n")
    status = _STATUS_LINE.fullmatch(first)
    if status is None:
        return head
    version = b"1.0" if status[2] == b"1.0" else b"1.1"
    line = b"HTTP/%s %s %s" % (version, status[3], _CONTROL.sub(b" ", status[4] or b""))
    headers = [header for header in map(_header, lines) if header is not None]
    return b"\r\n".join((line, *headers, b"", b""))


def _unfolded(head: bytes) -> bytes:
    """Return a head without line breaks inside of a header's value."""
    return re.sub(rb"\r?\n[ \t]+(?=[^\r\n])", b" ", head) if re.search(rb"\n[ \t]", head) else head


def _header(line: bytes) -> bytes | None:
    """Return a header's line; None for a line that is no header, or one that says nothing about the body."""
    name, colon, value = line.partition(b":")
    name, value = name.strip(), _CONTROL.sub(b" ", value).strip()
    if not colon or _NAME.fullmatch(name) is None:
        return None
    if name.lower() == b"content-length" and b"," not in value:
        value = value.removeprefix(b"+")
        return name + b": " + value if value.isdigit() else None
    if name.lower() == b"transfer-encoding":
        return b"transfer-encoding: chunked" if b"chunked" in value.lower() else None
    return name + b": " + value
