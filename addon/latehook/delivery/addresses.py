"""The addresses of receivers: looked up, kept for a moment, and connected to."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv6Address, ip_address
from typing import Any, NamedTuple

from latehook.delivery.attempts import ConnectObserver
from latehook.delivery.readiness import is_connecting

LOOKUP_KEPT = 10.0
"""Seconds for which the addresses of a host are kept."""

NEXT_AFTER = 0.25
"""Seconds until the next address is tried beside one that has not answered (RFC 8305 section 8 recommends 250 ms)."""

STALLED_AFTER = 0.004
"""Seconds after which a connection that is not made counts as stalled. The system of a receiver on the same machine or
in the same network takes one at once, whatever its program does, unless too many wait already.
"""


class Address(NamedTuple):
    """An address of a host. `host` is its text, `sockaddr` is what `socket.connect` takes."""

    family: int
    host: str
    sockaddr: tuple[Any, ...]


Lookup = Callable[[str, int], Awaitable[Sequence[Address]]]
"""Takes a host and a port, and returns the addresses in the order in which they should be tried. Raises OSError."""


async def system_lookup(host: str, port: int) -> Sequence[Address]:
    """Return the address that `host` is, or ask the system's resolver, in a thread."""
    if (literal := _literal(host, port)) is not None:
        return [literal]
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:  # a label of more than 63 characters
        raise OSError(f"the name {host} is not known") from None
    except socket.gaierror as error:
        raise OSError(_no_address(host, error)) from None
    return [Address(family, str(sockaddr[0]), sockaddr) for family, _, _, _, sockaddr in found]


def _literal(host: str, port: int) -> Address | None:
    """Return a host that is an address without a scope; None for any other."""
    try:
        is_ipv6 = isinstance(ip_address(host), IPv6Address)
    except ValueError:
        return None
    if not is_ipv6:
        return Address(socket.AF_INET, host, (host, port))
    return None if "%" in host else Address(socket.AF_INET6, host, (host, port, 0, 0))


def _no_address(host: str, error: socket.gaierror) -> str:
    if error.errno == socket.EAI_AGAIN:
        return f"the name {host} cannot be looked up now: {error.strerror}"
    return f"the name {host} is not known"


class Addresses:
    """Looks hosts up. Requests that ask for the same host at the same time share one look-up."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._lookups: dict[tuple[str, int], asyncio.Task[Sequence[Address]]] = {}

    async def of(self, host: str, port: int) -> Sequence[Address]:
        """Return the addresses of a host. Raises OSError with a text for people where there are none."""
        known = self._lookups.get((host, port))
        if known is None:
            loop = asyncio.get_running_loop()
            known = self._lookups[host, port] = loop.create_task(self._look_up(host, port), name=f"look up {host}")
            loop.call_later(LOOKUP_KEPT, self._lookups.pop, (host, port), None)
        return await asyncio.shield(known)  # a request that is canceled must not cancel it for the others

    async def _look_up(self, host: str, port: int) -> Sequence[Address]:
        try:
            return await self._lookup(host, port)
        except BaseException:
            self._lookups.pop((host, port), None)
            raise


async def connect(addresses: Sequence[Address], observer: ConnectObserver | None = None) -> socket.socket:
    """Return a socket that is connected to one of the addresses, the first that answers.

    The next address is tried when one has failed, or has not answered after `NEXT_AFTER` seconds. Raises the OSError
    of the address that failed first where none can be connected to.
    """
    waiting = list(addresses)
    running: set[asyncio.Task[socket.socket]] = set()
    errors: list[BaseException] = []
    try:
        while waiting or running:
            if waiting:
                running.add(asyncio.get_running_loop().create_task(_connect(waiting.pop(0), observer)))
            done, running = await asyncio.wait(
                running, timeout=NEXT_AFTER if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            errors += [error for attempt in done if (error := attempt.exception()) is not None]
            connected = [attempt.result() for attempt in done if attempt.exception() is None]
            for other in connected[1:]:
                other.close()
            if connected:
                return connected[0]
        raise errors[0]
    finally:
        for attempt in running:
            attempt.cancel()


async def _connect(address: Address, observer: ConnectObserver | None) -> socket.socket:
    loop = asyncio.get_running_loop()
    connecting = socket.socket(address.family, socket.SOCK_STREAM)
    timer = None if observer is None else loop.call_later(STALLED_AFTER, _check_stalled, connecting, observer)
    try:
        connecting.setblocking(False)
        await loop.sock_connect(connecting, address.sockaddr)
    except BaseException:
        connecting.close()
        raise
    finally:
        if timer is not None:
            timer.cancel()
    if observer is not None:
        observer.connected()
    return connecting


def _check_stalled(connecting: socket.socket, observer: ConnectObserver) -> None:
    if is_connecting(connecting):  # else it is made, and the loop was busy
        observer.stalled()
