"""A TCP relay between Latehook and a server: a test cuts the network there."""

import socket
import struct
import threading
from contextlib import suppress

from support.limits import LIMIT

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: closing sends a RST."""


class Relay:
    """Passes connections on to a port of this machine, in threads of its own, until the end of the block."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._is_cut = self._is_frozen = self._drops_answers = False
        self.dropped = 0
        """Bytes that were not passed on while it was frozen."""
        self._sockets: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Reset all connections, and every new one."""
        self._is_cut = True
        self._reset()

    def freeze(self) -> None:
        """Pass nothing on any more, as a network does that drops all packets. Connections stay open."""
        self._is_frozen = True

    def drop_answers(self) -> None:
        """Pass on what the client sends, and nothing of what the server answers. Connections stay open."""
        self._drops_answers = True

    def mend(self) -> None:
        """Pass new connections on again. Those that were silent stay so."""
        self._is_cut = self._is_frozen = self._drops_answers = False

    def __enter__(self) -> "Relay":
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self._reset()

    def _reset(self) -> None:
        for one in list(self._sockets):
            with suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                one.shutdown(socket.SHUT_RDWR)
                one.close()
        self._sockets.clear()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self._is_cut:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    client.close()
                    continue
                try:
                    server = socket.create_connection(("127.0.0.1", self._target), LIMIT)
                except OSError:
                    client.close()
                    continue
                server.settimeout(None)
                self._sockets |= {client, server}
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=self._pass, args=(source, sink, sink is client), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        frozen = False
        with suppress(OSError):
            while data := source.recv(65536):
                frozen = frozen or self._is_frozen or (answers and self._drops_answers)
                if frozen:
                    self.dropped += len(data)
                else:
                    sink.sendall(data)
        if not frozen:
            for one in (source, sink):
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
