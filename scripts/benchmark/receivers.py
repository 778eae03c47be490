"""The receivers of the webhooks, in this process."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl, urlsplit


class Receiver:
    """Receives webhooks and answers each after some seconds. By identifier: when the first one arrived, and when its
    job was created."""

    def __init__(self, takes: float) -> None:
        self.takes = takes
        self.arrived: dict[str, float] = {}
        self.created_at: dict[str, float] = {}
        self.url = ""

    async def wait(self, count: int, limit: float) -> None:
        """Return when so many have arrived, or the seconds are over."""
        end = time.monotonic() + limit
        while len(self.arrived) < count and time.monotonic() < end:
            await asyncio.sleep(0.05)

    def forget(self) -> None:
        self.arrived.clear()
        self.created_at.clear()


@asynccontextmanager
async def receiver(takes: float = 0.0) -> AsyncIterator[Receiver]:
    received = Receiver(takes)
    loop = asyncio.get_running_loop()
    async with await loop.create_server(lambda: _Connection(received), "127.0.0.1", 0, backlog=1024) as server:
        received.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/webhook"
        yield received


@asynccontextmanager
async def hanging_receiver() -> AsyncIterator[str]:
    """The URL of one that takes connections and never answers."""
    loop = asyncio.get_running_loop()
    async with await loop.create_server(asyncio.Protocol, "127.0.0.1", 0, backlog=1024) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


class _Connection(asyncio.Protocol):
    """One of the proxy's connections: GETs without a body, one after the other."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._received.endswith(b"\r\n\r\n"):
            return
        now = time.time()
        target = self._received.split(b" ", 2)[1].decode()
        query = dict(parse_qsl(urlsplit(target).query))
        self._receiver.arrived.setdefault(query["identifier"], now)
        self._receiver.created_at[query["identifier"]] = float(query["created_at"])
        self._received = b""
        if self._receiver.takes:
            asyncio.get_running_loop().call_later(self._receiver.takes, self._answer)
        else:
            self._answer()

    def _answer(self) -> None:
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
