"""An engine on an event loop with virtual time: a real store, a clock that follows the loop, and a sender that records."""

import asyncio
import json
import random
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from latehook.base.clock import Clock
from latehook.base.errors import StoreError
from latehook.base.messages import Outcome, Outgoing, Request
from latehook.base.model import Job
from latehook.base.redaction import Redaction
from latehook.engine.engine import Engine
from latehook.engine.operations import Operations
from latehook.mocks.decisions import Decision
from latehook.mocks.definitions import Mock, Mocks
from latehook.mocksfile import loading
from latehook.store import MEMORY, Committed, Store
from latehook.store.address import PostgresAddress, parse_address
from latehook.store.sqlite import SqliteStore
from support import postgres, virtual_time
from support.postgres import PostgresServer
from support.virtual_time import SettableClock, loop_time

LONG_LEASE = 1e6
"""Seconds for which a store is sure that no other process uses it."""

Result = int | str | Outcome
"""How an attempt ends: a status, an error, or the whole outcome."""


class RecordingSender:
    """Sends nothing. It records each attempt, and gives each one of `results`; the last one again and again."""

    def __init__(self, *results: Result) -> None:
        self.results = list(results) or [200]
        self.sent: list[tuple[float, Outgoing]] = []
        """The attempts with the loop's time at which each started, in seconds."""
        self.takes = 0.0
        """Seconds that an attempt takes."""
        self.retry_after: str | None = None

    def preload(self) -> None:
        pass

    async def send(self, outgoing: Outgoing, observer: object = None) -> Outcome:
        loop = asyncio.get_running_loop()
        self.sent.append((round(loop.time(), 3), outgoing))
        result = self.results.pop(0) if len(self.results) > 1 else self.results[0]
        await asyncio.sleep(self.takes)
        if isinstance(result, Outcome):
            return result
        if isinstance(result, int):
            return Outcome(loop.time(), loop.time(), result, retry_after=self.retry_after)
        return Outcome(loop.time(), loop.time(), None, result)

    async def close(self) -> None:
        pass

    @property
    def times(self) -> list[float]:
        return [at for at, _ in self.sent]


class ObservedStore(SqliteStore):
    """A real store that counts commits and prunings, and whose disk may be full."""

    def __init__(self, path: str = MEMORY) -> None:
        super().__init__(path)
        self.commits = 0
        self.prunes = 0
        self.reads = 0
        """How often a job was read by its key."""
        self.full = False

    async def job(self, key: int) -> Job | None:
        self.reads += 1
        return await super().job(key)

    def prune(self, *keep: float) -> None:
        self.prunes += 1
        super().prune(*keep)

    def commit_now(self) -> Committed:
        self.commits += 1
        if self.full:
            self.fail_transaction()
            with suppress(StoreError):
                super().commit_now()  # it rolls back
            raise StoreError("the store cannot write: disk full")
        return super().commit_now()


class EngineSetup:
    """An engine with these mocks, and its operations. `document` is what `post` sends, unless a test changes it."""

    def __init__(
        self,
        mocks: Mocks,
        *results: Result,
        path: str = MEMORY,
        server: PostgresServer | None = None,
        document: Mapping[str, Any],
    ) -> None:
        self.sender = RecordingSender(*results)
        self.store: Any = ObservedStore(path) if server is None else _in_postgres(server)
        self.machine_clock = SettableClock()
        self.clock = Clock(self.machine_clock, loop_time)
        self.engine = Engine(mocks, self.store, self.sender, self.clock, random.Random(1), restore, load_mocks)
        self.operations = Operations(self.engine)
        self._document = document

    async def post(self, **document: Any) -> Decision:
        """Post a JSON document to /jobs."""
        return await self.request("POST", "/jobs", json.dumps({**self._document, **document}).encode())

    async def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: tuple[tuple[bytes, bytes], ...] = (),
        left: asyncio.Event | None = None,
    ) -> Decision:
        """Send a request; `left` is set when its client disconnects."""
        request = Request(method, "https", "api.slow.example", 443, path, headers, body, len(body))
        return await self.engine.accept(request, left)


Scenario = Callable[[EngineSetup], Coroutine[Any, Any, None]]


def run_scenario(
    scenario: Scenario,
    mocks: str,
    folder: Path,
    *results: Result,
    path: str = MEMORY,
    server: PostgresServer | None = None,
    document: Mapping[str, Any],
) -> EngineSetup:
    """Run a test's scenario with the mocks of a text, until it ends. The sender gives `results`.

    The store is in memory or in a file; with a `server`, in an empty schema of it.
    """
    setup = EngineSetup(load(mocks, folder), *results, path=path, server=server, document=document)
    if server is None:
        virtual_time.run(scenario(setup))
    else:
        virtual_time.run(_with_open_store(setup, scenario(setup)), is_waiting=postgres.is_waiting)
    return setup


def _in_postgres(server: PostgresServer) -> Store:
    from latehook.store.postgresql import PostgresStore

    address = parse_address(server.url("scenario"))
    assert isinstance(address, PostgresAddress)
    return PostgresStore(address, lease=LONG_LEASE)  # virtual time needs no heartbeats


async def _with_open_store(setup: EngineSetup, scenario: Coroutine[Any, Any, None]) -> None:
    store, state = setup.store, setup.engine.state
    with postgres.counted():
        await store.open()
        store.clear()
        await store.commit()
        await state.load(1.0)
        try:
            await scenario
        finally:
            await state.close()
            await store.close()


def load(mocks: str, folder: Path) -> Mocks:
    """Write a text to mocks.yaml in this folder, and load that."""
    file = folder / "mocks.yaml"
    file.write_text(mocks)
    return loading.load([file], {})


def restore(excerpt: bytes) -> Mock:
    """Compile the mock of an excerpt, without environment variables."""
    return loading.restore(excerpt, {}, Redaction())


def load_mocks(text: str, file: str | None, variables: Mapping[str, Any], files: Mapping[str, bytes]) -> Mocks:
    """Compile mocks that are added, without environment variables."""
    return loading.load_text(text, file, {}, variables, files)
