"""Whether a socket is ready, without waiting for it."""

import select
import socket
import sys
from asyncio.trsock import TransportSocket

if sys.platform == "win32":  # it has no poll; its select takes sockets of any number

    def is_readable(sock: socket.socket | TransportSocket) -> bool:
        """Return whether data has come on a connection, or its end."""
        return bool(select.select([sock], [], [], 0)[0])

    def is_connecting(sock: socket.socket) -> bool:
        """Return whether a connection is not made yet, and has not failed either."""
        return not any(select.select([], [sock], [sock], 0))

else:

    def is_readable(sock: socket.socket | TransportSocket) -> bool:
        """Return whether data has come on a connection, or its end."""
        return _has_event(sock, select.POLLIN)

    def is_connecting(sock: socket.socket) -> bool:
        """Return whether a connection is not made yet, and has not failed either."""
        return not _has_event(sock, select.POLLOUT)

    def _has_event(sock: socket.socket | TransportSocket, event: int) -> bool:
        poll = select.poll()
        poll.register(sock, event)
        return bool(poll.poll(0))
