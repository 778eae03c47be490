"""Jobs, webhooks and attempts in a schema of a PostgreSQL database.

The columns `value` and `content` hold what a later process continues with, secrets included. The columns `mock`, `url`,
`reason`, `error` and `body` are for people and programs that read the tables: they are redacted.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any

from latehook.base.clock import steady_time
from latehook.base.errors import StoreError
from latehook.base.redaction import Redaction
from latehook.store.address import PostgresAddress
from latehook.store.cluster import ROWS
from latehook.store.membership import LEASE
from latehook.store.postgresql.batches import Batches, Change
from latehook.store.postgresql.counters import CountersInPostgres
from latehook.store.postgresql.journal import JournalInPostgres
from latehook.store.postgresql.keys import Keys
from latehook.store.postgresql.link import Link
from latehook.store.postgresql.nodes import Nodes
from latehook.store.postgresql.reading import Reader
from latehook.store.postgresql.searching import Searches
from latehook.store.postgresql.world import WorldInPostgres
from latehook.store.postgresql.writing import Writer
from latehook.store.protocol import MAX_ENDED_JOBS, Committed
from latehook.store.shared import Shared

NOTHING = Committed()

STALE = "this process has lost its lease: it waits for an answer to its heartbeat"


class PostgresStore(Writer, Reader, Searches):
    """A store in the schema that `address` names, which several processes may share.

    `lease` is in seconds: after so long without a heartbeat, the other processes declare one dead. `real` returns real
    time in Unix seconds, `steady` seconds that pass evenly.
    """

    at_once = None
    is_durable = True
    remedy = "restore a dump, or name another schema (?schema=NAME)"

    def __init__(
        self,
        address: PostgresAddress,
        redaction: Redaction | None = None,
        lease: float | None = None,
        real: Callable[[], float] = time.time,
        steady: Callable[[], float] = steady_time,
    ) -> None:
        super().__init__()
        self.name = address.name
        self.redaction = redaction or Redaction()
        self.redaction.add(address.secrets)
        self.on_connected: Callable[[], Awaitable[None]] | None = None
        self._changes = []
        self._keys = Keys(real)
        self._definitions = set()  # those that are in the database
        self._last_jobs = {}  # the last job of each definition
        self._link = Link(address, self)
        lease = lease or float(os.environ.get("LATEHOOK_LEASE", LEASE))
        self.cluster = Nodes(self._link, lease, self._rejoined, lambda: self._batches.written(), steady)
        self._batches = Batches(self._link, lambda: self.cluster.epoch)
        self.shared = Shared(
            WorldInPostgres(self._link, lambda: self.cluster.epoch, real),
            CountersInPostgres(self._link),
            JournalInPostgres(self._link, self._keys.next),
        )
        self._sent: list[tuple[list[Change], asyncio.Future[Committed]]] = []  # since the last commit

    async def open(self) -> None:
        await self._link.open()
        try:
            await self.cluster.join()
            await self._load()
        except StoreError as error:
            raise StoreError(f"mock_store={self.name}: {error}") from None

    async def close(self) -> None:
        await self._batches.end()
        await self.cluster.leave()
        await self._link.close()

    @property
    def problem(self) -> str | None:
        return self._link.problem or (None if self.cluster.is_fresh else STALE)

    def new_problems(self) -> list[str]:
        return []

    async def commit(self) -> Committed:
        self._send()
        sent, self._sent = self._sent, []
        if not sent:
            return NOTHING
        await asyncio.wait([result for _, result in sent])
        results = [result.result() for _, result in sent]  # it raises the first error
        changes = (change for changes, _ in sent for change in changes)
        self._definitions.update(change.name for change in changes if change.what == "definition" and change.name)
        committed = results[0] if len(results) == 1 else Committed(*map(frozenset[int]().union, *results))
        if committed.changed:
            self.cluster.publish(ROWS, committed.changed)
        return committed

    def _send(self) -> None:
        """Send what was written and not sent yet."""
        if self._changes:
            changes, self._changes = self._changes, []
            self._sent.append((changes, self._batches.write(changes)))

    @property
    def _epoch(self) -> int:
        return self.cluster.epoch

    async def _fetch(self, sql: str, *values: Any, timeout: float | None = None) -> list[Any]:
        self._send()
        await self._batches.written()
        return await self._link.fetch(sql, *values, timeout=timeout)

    def prune(self, before: float, clock: float, keep: int = MAX_ENDED_JOBS) -> None:
        self._changes += [Change("last job", job, name=hash) for hash, job in self._last_jobs.items()]
        pruned_to = self._batches.pruned_to
        self._definitions.clear()  # it may delete some: those that are used again are written again
        self._changes.append(Change("prune", pruned_to, number=keep, moment=before, clock=clock))

    async def reconnected(self) -> None:
        """Go on after the connections were broken: find out what is in the database."""
        await self.cluster.join()
        await self._rejoined()

    async def _rejoined(self) -> None:
        await self._batches.settle()
        await self._load()
        if self.on_connected is not None:
            await self.on_connected()

    def declared_dead(self) -> None:
        self.cluster.excluded()

    def heard(self, text: str) -> None:
        self.cluster.hear(text)

    async def _load(self) -> None:
        """Own what nobody alive owns, and read what the next writes depend on."""
        await self.cluster.take_over()
        self._keys.number = self.cluster.number
        [(newest,)] = await self._link.fetch(
            "SELECT greatest((SELECT max(key) FROM job), (SELECT max(key) FROM webhook), 0)"
        )
        self._keys.start_after(newest)
        self._definitions = {hash for (hash,) in await self._link.fetch("SELECT hash FROM definition")}
        self._last_jobs = {hash: self._last_jobs.get(hash, newest) for hash in self._definitions}
