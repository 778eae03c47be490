"""The world in PostgreSQL, which several processes share."""

from collections.abc import Callable, Mapping
from typing import Any

from latehook.store.postgresql.batches import Change
from latehook.store.postgresql.link import LONG_TIMEOUT, Link
from latehook.store.shared import StoredWorld
from latehook.store.world import PARTS

CHANGE = "SELECT change_world($1::change[], $2, $3, $4, $5)"

NOW = "extract(epoch FROM clock_timestamp())::double precision"

REVISION = f"SELECT revision, {NOW} FROM world"

READ = f"""
SELECT w.revision, w.resets, m.name, m.value, {NOW} FROM world w LEFT JOIN meta m ON m.name = ANY ($1::text[])
"""


class WorldInPostgres:
    """See SharedWorld. `epoch` returns that of this process, `real` this machine's time in Unix seconds."""

    def __init__(self, link: Link, epoch: Callable[[], int], real: Callable[[], float]) -> None:
        self._link = link
        self._epoch = epoch
        self._real = real
        self.offset = 0.0

    async def revision(self) -> int:
        return int((await self._fetch(REVISION))[0][0])

    async def read(self) -> StoredWorld:
        rows = await self._fetch(READ, PARTS)
        revision, resets = rows[0][:2]
        return StoredWorld(revision, resets, {name: bytes(value) for _, _, name, value, _ in rows if name is not None})

    async def _fetch(self, sql: str, *values: object) -> list[Any]:
        """Return the rows of a query, whose last column is the database's time. That may have been read at any moment
        between the question and the answer.
        """
        began = self._real()
        rows = await self._link.fetch(sql, *values)
        ended, now = self._real(), rows[0][-1]
        self.offset = now - min(max(now, began), ended)
        return rows

    async def write(self, revision: int, parts: Mapping[str, bytes], holding: bool, clears: bool) -> int | None:
        changes = [Change("clear")] if clears else []
        changes += [Change("value", name=name, value=value) for name, value in parts.items()]
        row = changes, self._epoch(), revision, clears, holding
        changed: int | None = (await self._link.write(CHANGE, *row, timeout=LONG_TIMEOUT))[0][0]
        return changed
