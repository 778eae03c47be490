"""PURE: read which hosts a client names: in the first bytes of a connection, and in the head of a request."""

import functools
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from latehook.proxy import socks
from latehook.proxy.compat import ClientHello, parse_authority
from latehook.proxy.proxy_protocol import read_front

LONGEST_CACHED_AUTHORITY = 300
"""Characters of the longest host and port that are cached. A host name has at most 253 (RFC 1035 2.3.4)."""

HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What an HTTP/2 client sends first (RFC 9113 section 3.4)."""

LONGEST_METHOD = 40
"""Bytes. A longer word at the beginning of a connection is no method."""

_TLS = b"\x16\x03"
"""A TLS connection begins with these bytes: a handshake record, of any version (RFC 8446 section 5.1)."""

_SOCKS = (b"\4", b"\5")
"""A client of SOCKS4 or SOCKS5 begins with the version."""

_CLIENT_HELLO = 1
"""The type of that handshake message (RFC 8446 section 4)."""

_METHODS = (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE", b"CONNECT", b"PRI")


class Kind(Enum):
    """What the first bytes of a connection are.

    SOCKS_GREETING: what a SOCKS5 client says before its request. PARTIAL: the beginning of TLS, HTTP or SOCKS, whose
    rest must come. UNCLEAR: it may become HTTP, or may be whole already. BODY: it belongs to a request before it, and
    names no host.
    """

    TLS = auto()
    HTTP1 = auto()
    HTTP2 = auto()
    SOCKS_GREETING = auto()
    SOCKS = auto()
    OTHER = auto()
    PARTIAL = auto()
    UNCLEAR = auto()
    BODY = auto()


@dataclass(frozen=True, slots=True)
class Opening:
    """The first bytes that a client sends: what they are, and the hosts they name, as they are written.

    In front of them are `front` bytes of the PROXY protocol, which are for the server's balancer. `size` is that of a
    message of SOCKS.
    """

    kind: Kind
    hosts: tuple[str, ...] = ()
    front: int = 0
    size: int = 0

    @property
    def mitmproxy_reads(self) -> bool:
        """Whether mitmproxy's layers would read HTTP in what follows: not behind the PROXY protocol, nor SOCKS."""
        return not self.front and self.kind not in (Kind.SOCKS_GREETING, Kind.SOCKS)


_OTHER, _PARTIAL, _UNCLEAR = Opening(Kind.OTHER), Opening(Kind.PARTIAL), Opening(Kind.UNCLEAR)


def read_opening(data: bytes) -> Opening:
    """Return what the first bytes of a connection are. All of them are given, at each call."""
    front = read_front(data)
    if front.is_cut_off:
        return Opening(Kind.PARTIAL, front.hosts, front.size)
    if not front.size:
        return _read_opening(data)
    opening = _read_opening(data[front.size :])
    return Opening(opening.kind, (*front.hosts, *opening.hosts), front.size, opening.size)


def read_socks(data: bytes) -> Opening:
    """Return what follows the greeting of a SOCKS5 client: further greetings, and then its request."""
    return _read_socks(data, socks.read_behind_greeting)


def _read_opening(data: bytes) -> Opening:
    if data.startswith(_SOCKS):
        return _read_socks(data, socks.read_first)
    data = data.lstrip(b"\r\n")  # servers ignore empty lines in front of a request (RFC 9112 section 2.2)
    if data in (b"", b"\0"):  # the PROXY protocol has empty lines and a zero in front
        return _UNCLEAR
    if is_cut_off(data):
        return _PARTIAL
    if data.startswith(_TLS):
        return _read_tls(data)
    if is_http2(data):
        return Opening(Kind.HTTP2)
    return _read_http1(data)


def is_http2(data: bytes) -> bool:
    """Return whether a connection without TLS begins as HTTP/2: the client knows that the server speaks it."""
    return data.startswith(HTTP2_PREFACE)


def is_cut_off(data: bytes) -> bool:
    """Return whether the bytes are the beginning of TLS or of HTTP/2, but too few to tell them from anything else."""
    return bool(data) and any(start.startswith(data) and start != data for start in (_TLS, HTTP2_PREFACE))


def _read_socks(data: bytes, read: Callable[[bytes], socks.Message | None]) -> Opening:
    try:
        message = read(data)
    except socks.NotSocks:
        return _OTHER
    if message is None:
        return _PARTIAL
    if message.host is None:
        return Opening(Kind.SOCKS_GREETING, size=message.size)
    return Opening(Kind.SOCKS, (message.host,), size=message.size)


def _read_tls(data: bytes) -> Opening:
    try:
        message = _client_hello(data)
        name = None if message is None else ClientHello(message).sni
    except Exception:  # the parser raises various errors for what is no ClientHello
        return _OTHER
    if message is None:
        return _PARTIAL
    return Opening(Kind.TLS, (name,) if name else ())


def _client_hello(data: bytes) -> bytes | None:
    """Return the ClientHello without its header, from all records that it is spread over; None if more must come.

    Raises ValueError for records with something else.
    """
    message = bytearray()
    at = 0
    while at + 5 <= len(data):
        kind, major, _, size = struct.unpack_from(">BBBH", data, at)
        if bytes((kind, major)) != _TLS:
            raise ValueError("not a handshake")
        message += data[at + 5 : at + 5 + size]
        at += 5 + size
    if message and message[0] != _CLIENT_HELLO:
        raise ValueError("not a ClientHello")
    end = 4 + int.from_bytes(message[1:4])
    return bytes(message[4:end]) if 4 <= end <= len(message) and len(message) > 4 else None


def _read_http1(data: bytes) -> Opening:
    line, newline, _ = data.partition(b"\n")
    if newline:
        return _read_head(data, line)
    word = _WORD.match(data)
    if word is None or len(word[0]) > LONGEST_METHOD:
        return _OTHER
    method, rest = bytes(word[0]).upper(), data[word.end() :]
    if not rest:
        return _PARTIAL if any(known.startswith(method) for known in _METHODS) else _UNCLEAR
    if rest[:1] not in (b" ", b"\t"):
        return _OTHER
    target = rest.lstrip(b" \t").lower()
    is_target = any(target.startswith(start) or start.startswith(target) for start in _TARGETS) and target != b""
    return _PARTIAL if method in _METHODS or is_target else _UNCLEAR


def _read_head(data: bytes, line: bytes) -> Opening:
    """Return what a whole line begins. Some servers (Python's) take any blanks between words, and in front of them."""
    if _REQUEST_LINE.fullmatch(line) is None:
        words = line.split(maxsplit=2)  # HTTP/0.9 has no version
        host = host_in_target(words[1]) if len(words) > 1 else None
        return Opening(Kind.OTHER, (host,) if host else ())
    end = END_OF_HEAD.search(data)
    return _PARTIAL if end is None else Opening(Kind.HTTP1, tuple(hosts_in_head(data[: end.end()])))


_WORD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_REQUEST_LINE = re.compile(rb"\s*[^\0\s]+\s.*HTTP/[0-9](\.[0-9])?\s*", re.IGNORECASE)
_TARGETS = (b"/", b"*", b"http://", b"https://")
END_OF_HEAD = re.compile(rb"\n\r?\n")


def authority(text: str) -> tuple[str, int | None]:
    """Return the host and the port of a Host header, without user and password; a text that is no host as it is."""
    return _read_authority(text) if len(text) <= LONGEST_CACHED_AUTHORITY else _read_authority.__wrapped__(text)


@functools.lru_cache(maxsize=256)  # a client names the same hosts again and again, and IDNA is slow
def _read_authority(text: str) -> tuple[str, int | None]:
    return parse_authority(text.strip().rpartition("@")[2], check=False)


def hosts_in_head(head: bytes) -> list[str]:
    """Return the hosts that the beginning of a request's head names, in all Host headers and in the request line."""
    line, newline, headers = head.lstrip(b"\r\n").partition(b"\n")
    target = _ABSOLUTE.match(line)
    found = header_values(newline + headers, b"host") + ([target[1]] if target else [])
    return [b"".join(host.split()).decode("latin-1") for host in found if host.strip()]


_ABSOLUTE = re.compile(rb"\s*\S+\s+(?:[a-z][a-z0-9+.-]*://)?([^/?#\s]+)", re.IGNORECASE)


def host_in_target(target: bytes) -> str | None:
    """Return the host of a request's target, with its port, if the target is a URL."""
    found = _URL.match(target)
    return found[1].decode("latin-1") if found else None


_URL = re.compile(rb"[a-z][a-z0-9+.-]*://([^/?#\s]+)", re.IGNORECASE)


def header_values(head: bytes, name: bytes) -> list[bytes]:
    """Return the values of all headers with this name (in lower case), as they are written."""
    return _headers(name).findall(head)


@functools.cache
def _headers(name: bytes) -> re.Pattern[bytes]:
    # Some servers (Python's) take a carriage return alone for a line break.
    return re.compile(rb"[\r\n]%s[ \t]*:((?:[^\r\n]|\r?\n[ \t])*)" % re.escape(name), re.IGNORECASE)
