"""The load generator, a process of its own: POSTs through the proxy on raw keep-alive connections.

    load.py PORT URL BODY ID CONNECTIONS steady SECONDS        each sends its next request when it has its answer
    load.py PORT URL BODY ID CONNECTIONS burst COUNT           so many requests, as fast as the connections take them
    load.py PORT URL BODY ID CONNECTIONS paced SECONDS RATE    so many a second, whether or not others are answered

It prints one JSON list: [identifier, sent, answered] of each request, in Unix seconds. The identifier is what the
answer's member ID says; null where the answer was none of ours.
"""

import asyncio
import gc
import json
import sys
import time
from collections import deque
from urllib.parse import urlsplit

LIMIT = 60.0
"""Seconds after which what has no answer is given up."""

Result = tuple[str | None, float, float]


class Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request under way."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._received = b""
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def send(self) -> None:
        self._sent = time.time()
        self._transport.write(self._load.request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end or len(body) < _length(head):
            return
        self._received = b""
        self._load.answered(self, _identifier(head, body, self._load.member), self._sent)

    def connection_lost(self, error: Exception | None) -> None:
        if self._sent and not self._load.over.is_set():
            self._load.lost(self._sent)


class Load:
    """Requests, all alike, over a fixed number of connections."""

    def __init__(self, request: bytes, id: str) -> None:
        self.request = request
        self.member = f'"{id}":"'.encode()
        self.results: list[Result] = []
        self.over = asyncio.Event()
        self._idle: deque[Connection] = deque()
        self._to_send = 0
        self._expected = 0

    async def connect(self, port: int, connections: int) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(connections):
            _, connection = await loop.create_connection(lambda: Connection(self), "127.0.0.1", port)
            self._idle.append(connection)

    async def steady(self, seconds: float) -> None:
        self._add(sys.maxsize)
        await asyncio.sleep(seconds)

    async def burst(self, count: int) -> None:
        self._expected = count
        self._add(count)
        await self._answers()

    async def paced(self, seconds: float, rate: int) -> None:
        self._expected = round(seconds * rate)
        started = time.monotonic()
        for number in range(self._expected):
            await asyncio.sleep(started + number / rate - time.monotonic())
            self._add(1)
        await self._answers()

    def answered(self, connection: Connection, identifier: str | None, sent: float) -> None:
        self._end(identifier, sent)
        self._idle.append(connection)
        self._send()

    def lost(self, sent: float) -> None:
        self._end(None, sent)

    def _add(self, count: int) -> None:
        self._to_send += count
        self._send()

    def _send(self) -> None:
        while self._to_send and self._idle:
            self._to_send -= 1
            self._idle.popleft().send()

    def _end(self, identifier: str | None, sent: float) -> None:
        self.results.append((identifier, sent, time.time()))
        if len(self.results) == self._expected:
            self.over.set()

    async def _answers(self) -> None:
        try:
            await asyncio.wait_for(self.over.wait(), LIMIT)
        except TimeoutError:
            missing = self._expected - len(self.results)
            self.results += [(None, 0.0, 0.0)] * missing


def _length(head: bytes) -> int:
    return int(head.lower().partition(b"content-length:")[2].partition(b"\r")[0] or 0)


def _identifier(head: bytes, body: bytes, member: bytes) -> str | None:
    if b" 20" not in head[:16]:
        return None
    return body.partition(member)[2].partition(b'"')[0].decode() or None


def _request(url: str, body: str) -> bytes:
    content = body.encode()
    head = (
        f"POST {url} HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nUser-Agent: bench\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


async def main(port: str, url: str, body: str, id: str, connections: str, kind: str, *numbers: str) -> None:
    load = Load(_request(url, body), id)
    await load.connect(int(port), int(connections))
    gc.disable()
    await getattr(load, kind)(*map(int, numbers))
    load.over.set()
    json.dump(load.results, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
