"""PURE: read what a client says to a SOCKS proxy: for which host it asks.

Sources: https://www.openssh.org/txt/socks4.protocol and socks4a.protocol; RFC 1928 (SOCKS5), RFC 1929 (its user and
password).
"""

import struct
from collections.abc import Generator
from dataclasses import dataclass
from ipaddress import ip_address

from latehook.base.hostnames import host_in_url

LONGEST_TEXT = 255
"""Bytes of a user or a name in SOCKS4, which tells no length of them."""

_COMMANDS_4, _COMMANDS_5 = (1, 2), (1, 2, 3)
_IPV4, _NAME, _IPV6 = 1, 3, 4
_SIZES = {_IPV4: 4, _IPV6: 16}


class NotSocks(Exception):
    """The bytes are something else."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message: its size in bytes, and the host that it asks for, with its port. A greeting asks for none yet."""

    size: int
    host: str | None


def read_first(data: bytes) -> Message | None:
    """Return the first message of a client; None if more must come. Raises NotSocks."""
    return _read(_first(), data)


def read_behind_greeting(data: bytes) -> Message | None:
    """Return the next message of a SOCKS5 client; None if more must come. Raises NotSocks."""
    return _read(_behind_greeting(), data)


_Reading = Generator[int, bytes, str | None]
"""Yields how many bytes it needs next, and gets them. Returns the host. Raises NotSocks."""


def _read(reading: _Reading, data: bytes) -> Message | None:
    at, size = 0, next(reading)
    while at + size <= len(data):
        needed = data[at : at + size]
        at += size
        try:
            size = reading.send(needed)
        except StopIteration as end:
            return Message(at, end.value)
    return None


def _first() -> _Reading:
    version = yield 1
    if version == b"\4":
        return (yield from _request_4())
    methods = yield 1
    if version != b"\5" or methods == b"\0":
        raise NotSocks
    yield methods[0]
    return None


def _request_4() -> _Reading:
    if (yield 1)[0] not in _COMMANDS_4:
        raise NotSocks
    port, address = struct.unpack(">H4s", (yield 6))
    yield from _text()
    is_4a = address[:3] == bytes(3) and address[3] != 0
    return _with_port((yield from _text()) if is_4a else str(ip_address(address)), port)


def _text() -> Generator[int, bytes, str]:
    text = b""
    while (byte := (yield 1)) != b"\0":
        text += byte
        if len(text) > LONGEST_TEXT:
            raise NotSocks
    return text.decode("utf-8", "replace")


def _behind_greeting() -> _Reading:
    version = yield 1
    if version == b"\1":  # user and password
        yield (yield 1)[0]
        yield (yield 1)[0]
        return None
    if version != b"\5" or (yield 1)[0] not in _COMMANDS_5 or (yield 1) != b"\0":
        raise NotSocks
    host = yield from _host((yield 1)[0])
    return _with_port(host, int.from_bytes((yield 2)))


def _host(kind: int) -> Generator[int, bytes, str]:
    if kind == _NAME:
        return (yield (yield 1)[0]).decode("utf-8", "replace")
    if kind not in _SIZES:
        raise NotSocks
    return str(ip_address((yield _SIZES[kind])))


def _with_port(host: str, port: int) -> str:
    return f"{host_in_url(host)}:{port}"
