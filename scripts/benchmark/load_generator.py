"""Load generator, a process of its own: send POSTs through the proxy on raw connections, and print their times.

    load_generator.py PORT TRANSPORT URL BODY ID CONNECTIONS KIND NUMBERS

TRANSPORT is `plain`, or `tls` for TLS in a CONNECT. KIND and NUMBERS are one of:

    steady SECONDS      each connection sends its next request when it has the response to the last
    fresh SECONDS       the same, but each request on a new connection
    burst COUNT         so many requests, as fast as the connections take them
    paced SECONDS RATE  so many requests a second, no matter how many responses have come

First, each connection sends a DELETE that no mock matches; when all have a response, one line is printed. At the end,
one line of JSON is printed: the list of [identifier, sent, answered] of each request, with times in Unix seconds. The
identifier is the member ID of the response; it is null if the status was not 20x, or no response came.
"""

import asyncio
import gc
import json
import ssl
import sys
import time
from collections import deque
from urllib.parse import urlsplit

LIMIT = 60.0
"""Seconds after which a missing response counts as none."""

Result = tuple[str | None, float, float]


class Connection(asyncio.Protocol):
    """One connection with at most one request under way."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._received = b""
        self._sent = 0.0
        self._first: asyncio.Future[None] | None = None
        self.transport: asyncio.Transport
        self.tunnel: asyncio.StreamWriter | None = None  # a reference: without one asyncio closes the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    async def warm_up(self) -> None:
        """Send one request and wait for its response: the first one on a connection costs a proxy more."""
        self._first = asyncio.get_running_loop().create_future()
        self.transport.write(self._load.first)
        await self._first
        self._first = None

    def send(self) -> None:
        self._sent = time.time()
        self.transport.write(self._load.request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end or len(body) < _length(head):
            return
        self._received = b""
        if self._first is not None:
            self._first.set_result(None)
            return
        self._load.answered(self, _identifier(head, body, self._load.member), self._sent)

    def connection_lost(self, error: Exception | None) -> None:
        if self._first is not None:
            self._first.set_exception(error or EOFError("the connection ended before its first response"))
        if self._sent and not self._load.over.is_set():
            self._load.lost(self._sent)


class Load:
    """Sends equal requests over a fixed number of connections."""

    def __init__(self, port: int, transport: str, url: str, body: str, id: str) -> None:
        self._port = port
        self._transport = transport
        self._url = urlsplit(url)
        self.request = _request("POST", transport, url, body)
        self.first = _request("DELETE", transport, url, body)
        self.member = f'"{id}":"'.encode()
        self.results: list[Result] = []
        self.over = asyncio.Event()
        self._tls = ssl.create_default_context()
        self._tls.check_hostname, self._tls.verify_mode = False, ssl.CERT_NONE
        self._idle: deque[Connection] = deque()
        self._renewed = False
        self._renewing: set[asyncio.Task[None]] = set()
        self._to_send = 0
        self._expected = 0

    async def connect(self, connections: int) -> None:
        for _ in range(connections):
            connection = await self._open()
            await connection.warm_up()
            self._idle.append(connection)

    async def steady(self, seconds: float) -> None:
        self._add(sys.maxsize)
        await asyncio.sleep(seconds)

    async def fresh(self, seconds: float) -> None:
        self._renewed = True
        await self.steady(seconds)

    async def burst(self, count: float) -> None:
        self._expected = int(count)
        self._add(self._expected)
        await self._wait_for_responses()

    async def paced(self, seconds: float, rate: float) -> None:
        self._expected = round(seconds * rate)
        started = time.monotonic()
        for number in range(self._expected):
            await asyncio.sleep(started + number / rate - time.monotonic())
            self._add(1)
        await self._wait_for_responses()

    def answered(self, connection: Connection, identifier: str | None, sent: float) -> None:
        self._end(identifier, sent)
        if self._renewed:
            task = asyncio.get_running_loop().create_task(self._renew(connection))
            self._renewing.add(task)
            task.add_done_callback(self._renewing.discard)
            return
        self._idle.append(connection)
        self._send()

    def lost(self, sent: float) -> None:
        self._end(None, sent)

    async def _open(self) -> Connection:
        loop = asyncio.get_running_loop()
        if self._transport == "plain":
            _, connection = await loop.create_connection(lambda: Connection(self), "127.0.0.1", self._port)
            return connection
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(f"CONNECT {self._url.netloc}:443 HTTP/1.1\r\nHost: {self._url.netloc}:443\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        connection = Connection(self)
        host = self._url.hostname
        transport = await loop.start_tls(writer.transport, connection, self._tls, server_hostname=host)
        assert transport is not None
        connection.connection_made(transport)
        connection.tunnel = writer
        return connection

    async def _renew(self, connection: Connection) -> None:
        connection.transport.set_protocol(asyncio.Protocol())  # the end of this connection is not a lost request
        connection.transport.abort()
        self._idle.append(await self._open())
        self._send()

    def _add(self, count: int) -> None:
        self._to_send += count
        self._send()

    def _send(self) -> None:
        while self._to_send and self._idle and not self.over.is_set():
            self._to_send -= 1
            self._idle.popleft().send()

    def _end(self, identifier: str | None, sent: float) -> None:
        self.results.append((identifier, sent, time.time()))
        if len(self.results) == self._expected:
            self.over.set()

    async def _wait_for_responses(self) -> None:
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


def _request(method: str, transport: str, url: str, body: str) -> bytes:
    parts = urlsplit(url)
    content = body.encode()
    target = url if transport == "plain" else f"{parts.path}?{parts.query}"
    head = (
        f"{method} {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nUser-Agent: bench\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


async def main(
    port: str, transport: str, url: str, body: str, id: str, connections: str, kind: str, *numbers: str
) -> None:
    load = Load(int(port), transport, url, body, id)
    await load.connect(int(connections))
    gc.disable()
    print("connected", flush=True)
    await getattr(load, kind)(*map(float, numbers))
    load.over.set()
    json.dump(load.results, sys.stdout)
    sys.stdout.write("\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
