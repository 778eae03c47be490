"""PURE: read the headers of the PROXY protocol that a client may send in front of everything else.

Source: haproxy's doc/proxy-protocol.txt, sections 2.1 (version 1, a line of text) and 2.2 (version 2, binary).
"""

import re
import struct
from dataclasses import dataclass

LONGEST_LINE = 107
"""Bytes of the longest header of version 1, with its line break."""

_LINE = re.compile(rb"PROXY (?:TCP4|TCP6|UNKNOWN)(?: [^\r\n]*)?\r?\n")
_LINE_BEGINS = (b"PROXY TCP4", b"PROXY TCP6", b"PROXY UNKNOWN")

_SIGNATURE = b"\0\r\nQUIT\n"
"""How version 2 begins, behind two empty lines."""

_VERSION_2 = 0x20
_SIZES_OF_ADDRESSES = {0x10: 12, 0x20: 36, 0x30: 216}  # IPv4, IPv6, Unix sockets; the lower half byte is TCP or UDP
_AUTHORITY = 2  # the type of the field with the host's name


@dataclass(frozen=True, slots=True)
class Front:
    """The headers in front of what a client sends: their size in bytes, and the hosts that they name.

    `is_cut_off`: the bytes behind `size` are the beginning of another header, whose rest must come.
    """

    size: int = 0
    hosts: tuple[str, ...] = ()
    is_cut_off: bool = False


def read_front(data: bytes) -> Front:
    """Return the headers in front. Empty lines before a header belong to it. Without a header, the size is 0."""
    size, hosts = 0, list[str]()
    while True:
        rest = data[size:].lstrip(b"\r\n")
        is_behind_empty_lines = len(rest) < len(data) - size
        end = _end_of_header(rest, 1 if is_behind_empty_lines else 2)
        if not end:
            return Front(size, tuple(hosts), end is None)
        if rest.startswith(_SIGNATURE):
            hosts += _authorities(rest[:end])
        size = len(data) - len(rest) + end


def _end_of_header(data: bytes, least: int) -> int | None:
    """Return the size of the header at the beginning; 0 if there is none; None if it is cut off.

    Fewer than `least` bytes may be anything.
    """
    if data.startswith(_SIGNATURE):
        return _end_of_binary(data[len(_SIGNATURE) :])
    line = _LINE.match(data)
    if line is not None:
        return line.end() if line.end() <= LONGEST_LINE else 0
    if len(data) >= least and any(start.startswith(data) for start in (_SIGNATURE, *_LINE_BEGINS)):
        return None
    is_long = len(data) > LONGEST_LINE or b"\n" in data
    return None if not is_long and data.startswith(_LINE_BEGINS) else 0


def _end_of_binary(data: bytes) -> int | None:
    """Return the size of a header of version 2, whose bytes behind the signature are given."""
    if data and data[0] & 0xF0 != _VERSION_2:
        return 0
    if len(data) < 4:
        return None
    end = 4 + int.from_bytes(data[2:4])
    return len(_SIGNATURE) + end if end <= len(data) else None


def _authorities(header: bytes) -> list[str]:
    """Return the names of the host that the fields of a header of version 2 have."""
    body = header[len(_SIGNATURE) + 4 :]
    at = _SIZES_OF_ADDRESSES.get(header[len(_SIGNATURE) + 1] & 0xF0, 0)
    found = []
    while at + 3 <= len(body):
        kind, size = struct.unpack_from(">BH", body, at)
        if kind == _AUTHORITY:
            found.append(body[at + 3 : at + 3 + size].decode("utf-8", "replace"))
        at += 3 + size
    return [name for name in found if name]
