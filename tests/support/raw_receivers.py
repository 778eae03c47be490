"""Receivers on raw sockets, for `support.process.raw_server`: what no HTTP server would do."""

import socket
import struct
import time
from collections.abc import Callable

Serve = Callable[[socket.socket], None]

OK = b"HTTP/1.1 200 OK\r\n"


def sends(*pieces: bytes) -> Serve:
    """Reads the request, sends this and closes."""

    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        for piece in pieces:
            connection.sendall(piece)

    return serve


def resets(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def hangs(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def drips(head: bytes, drop: bytes) -> Serve:
    """Sends the drop again and again, without end."""

    def serve(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(drop)
            time.sleep(0.01)

    return serve
