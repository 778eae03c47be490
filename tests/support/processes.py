"""Several engines on one PostgreSQL schema, each as if in a process of its own, with a network of its own to the server."""

import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from latehook.base.clock import Clock
from latehook.base.messages import Request
from latehook.base.redaction import Redaction
from latehook.engine.engine import Engine
from latehook.engine.operations import Operations
from latehook.mocks.decisions import Decision
from latehook.mocksfile import loading
from latehook.store.address import PostgresAddress, parse_address
from support.engine_setup import RecordingSender, load
from support.postgres import PostgresServer
from support.relay import Relay
from support.waiting import until


class Process:
    """An engine and its operations. `relay` is its way to the server."""

    def __init__(self, server: PostgresServer, schema: str, mocks: str, folder: Path, lease: float) -> None:
        from latehook.store.postgresql import PostgresStore

        self.relay = Relay(server.port)
        address = parse_address(server.url(schema, self.relay.port))
        assert isinstance(address, PostgresAddress)
        self.store: Any = PostgresStore(address, lease=lease)
        self.sender = RecordingSender(200)
        restore = lambda excerpt: loading.restore(excerpt, {}, Redaction())  # noqa: E731
        load_mocks = lambda text, file, variables, files: loading.load_text(text, file, {}, variables, files)  # noqa: E731
        self.engine = Engine(
            load(mocks, folder), self.store, self.sender, Clock(), random.Random(), restore, load_mocks
        )
        self.operations = Operations(self.engine)
        self.is_ended = False

    @property
    def sent(self) -> list[str]:
        """The bodies of all attempts that have begun, in order."""
        return [outgoing.body.decode() for _, outgoing in self.sender.sent]

    async def post(self, **document: object) -> tuple[int, dict[str, Any]]:
        """Post a job. Return the status and the body of the answer."""
        return answer(await self.request("POST", "/jobs", json.dumps({"key": None, **document}).encode()))

    async def request(self, method: str, path: str, body: bytes = b"") -> Decision:
        return await self.engine.accept(Request(method, "https", "api.slow.example", 443, path, (), body, len(body)))

    async def kill(self) -> None:
        """End it without a word to the server: it neither writes what it knows nor leaves."""
        self.relay.cut()
        await self.close(0)

    async def close(self, seconds: float = 1.5) -> None:
        if not self.is_ended:
            self.is_ended = True
            await self.engine.close(seconds)


def answer(decision: Decision) -> tuple[int, dict[str, Any]]:
    assert decision.response is not None
    return decision.response.status, json.loads(decision.response.body)


@asynccontextmanager
async def processes(
    server: PostgresServer, schema: str, mocks: str, folder: Path, number: int = 2, lease: float = 1.0
) -> AsyncIterator[Sequence[Process]]:
    """Run so many on an empty schema."""
    server.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    made = [Process(server, schema, mocks, folder, lease) for _ in range(number)]
    async with AsyncExitStack() as stack:
        for process in made:
            stack.enter_context(process.relay)
            await process.engine.resume(1.0)
            stack.push_async_callback(process.close)
        await until(lambda: all(process.store.cluster.live == number for process in made))
        yield made


def times_sent(made: Sequence[Process]) -> Counter[str]:
    """Return how often each body was sent."""
    return Counter(body for process in made for body in process.sent)
