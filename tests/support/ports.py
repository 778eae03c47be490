"""Ports and addresses of this machine."""

import socket

_GIVEN: set[int] = set()


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens at, a different one at each call.

    Prefer port 0 where the program can report the port that it got: another process may take a free port first.
    """
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port not in _GIVEN:  # the system may offer the same port twice
            _GIVEN.add(port)
            return port


def own_address() -> str | None:
    """Return an address of this machine that is not loopback, or None if there is none. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        address: str = probe.getsockname()[0]
    return None if address.startswith("127.") else address
