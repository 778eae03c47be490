"""Ports and addresses of this machine."""

import random
import socket

_CANDIDATES = iter(random.SystemRandom().sample(range(10_000, 32_768), 22_768))
"""Below the ports that systems give to port 0 and to outgoing connections, so that nobody else takes one meanwhile."""


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens at, a different one at each call.

    Prefer port 0 where the program reports the port that it got.
    """
    for port in _CANDIDATES:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError("no port is free")


def own_address() -> str | None:
    """Return an address of this machine that is not loopback, or None if there is none. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        address: str = probe.getsockname()[0]
    return None if address.startswith("127.") else address
