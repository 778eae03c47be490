"""The world in PostgreSQL, which several processes share."""

from collections.abc import Callable, Mapping

from latehook.store.postgresql.batches import Change
from latehook.store.postgresql.link import LONG_TIMEOUT, Link
from latehook.store.shared import StoredWorld
from latehook.store.world import PARTS

CHANGE = "SELECT change_world($1::change[], $2, $3, $4, $5)"

READ = "SELECT w.revision, w.resets, m.name, m.value FROM world w LEFT JOIN meta m ON m.name = ANY ($1::text[])"


class WorldInPostgres:
    """See SharedWorld. `epoch` returns that of this process; `forget` is called when everything was deleted."""

    def __init__(self, link: Link, epoch: Callable[[], int], forget: Callable[[], None]) -> None:
        self._link = link
        self._epoch = epoch
        self.forget = forget

    async def revision(self) -> int:
        return int((await self._link.fetch("SELECT revision FROM world"))[0][0])

    async def read(self) -> StoredWorld:
        rows = await self._link.fetch(READ, PARTS)
        revision, resets, _, _ = rows[0]
        return StoredWorld(revision, resets, {name: bytes(value) for _, _, name, value in rows if name is not None})

    async def write(self, revision: int, parts: Mapping[str, bytes], holding: bool, clears: bool) -> int | None:
        changes = [Change("clear")] if clears else []
        changes += [Change("value", name=name, value=value) for name, value in parts.items()]
        row = changes, self._epoch(), revision, clears, holding
        changed: int | None = (await self._link.write(CHANGE, *row, timeout=LONG_TIMEOUT))[0][0]
        return changed
