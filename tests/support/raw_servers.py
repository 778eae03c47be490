"""TCP servers, and receivers on bare sockets that do what no HTTP server would do."""

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Serve = Callable[[socket.socket], None]
"""Handle one connection; it is closed afterwards."""

OK = b"HTTP/1.1 200 OK\r\n"


@contextmanager
def raw_server(serve: Serve) -> Iterator[int]:
    """Run a TCP server that calls `serve` for each connection in a thread; give its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=_handle, args=(serve, connection), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _handle(serve: Serve, connection: socket.socket) -> None:
    with connection, suppress(OSError):
        serve(connection)


def sends(*pieces: bytes) -> Serve:
    """Read the request, send these bytes, close."""

    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        for piece in pieces:
            connection.sendall(piece)

    return serve


def resets(connection: socket.socket) -> None:
    """Read the request, reset the connection."""
    connection.recv(65536)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def hangs(connection: socket.socket) -> None:
    """Read until the client closes; never answer."""
    while connection.recv(65536):
        pass


def drips(head: bytes, drop: bytes) -> Serve:
    """Send `head`, then `drop` every 10 ms until the client closes."""

    def serve(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(drop)
            time.sleep(0.01)

    return serve
