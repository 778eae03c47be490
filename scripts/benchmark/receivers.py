"""Receivers of webhooks, which run in this process."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl, urlsplit


class Receiver:
    """Receives webhooks, and answers each after `delay` seconds.

    `arrived` and `created_at` have, by job identifier, when its first webhook arrived and when the job was created.
    """

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.arrived: dict[str, float] = {}
        self.created_at: dict[str, float] = {}
        self.url = ""

    async def wait(self, count: int, limit: float) -> None:
        """Return when webhooks of `count` jobs have arrived, or after `limit` seconds."""
        end = time.monotonic() + limit
        while len(self.arrived) < count and time.monotonic() < end:
            await asyncio.sleep(0.05)

    def clear(self) -> None:
        """Forget all webhooks."""
        self.arrived.clear()
        self.created_at.clear()


@asynccontextmanager
async def receiver(delay: float = 0.0) -> AsyncIterator[Receiver]:
    """Run a receiver that answers each webhook after `delay` seconds."""
    received = Receiver(delay)
    loop = asyncio.get_running_loop()
    async with await loop.create_server(lambda: _Connection(received), "127.0.0.1", 0, backlog=1024) as server:
        received.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/webhook"
        yield received


@asynccontextmanager
async def hanging_receiver() -> AsyncIterator[str]:
    """Run a receiver that accepts connections and never answers; yield its URL."""
    loop = asyncio.get_running_loop()
    async with await loop.create_server(asyncio.Protocol, "127.0.0.1", 0, backlog=1024) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


class _Connection(asyncio.Protocol):
    """A connection from the proxy. It brings GETs without a body, one at a time."""

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
        if self._receiver.delay:
            asyncio.get_running_loop().call_later(self._receiver.delay, self._respond)
        else:
            self._respond()

    def _respond(self) -> None:
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
