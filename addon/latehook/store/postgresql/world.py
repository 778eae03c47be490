"""The world in PostgreSQL, which several processes share."""

from collections.abc import Callable, Mapping
from typing import Any

from latehook.base.errors import StoreError
from latehook.store.damage import DAMAGED
from latehook.store.postgresql.batches import Change
from latehook.store.postgresql.link import LONG_TIMEOUT, Link
from latehook.store.values import encode, read_value
from latehook.store.world import ADDED, CLOCK, HOLDING, VARS, StoredWorld

TABLES = """
CREATE TABLE world (revision bigint NOT NULL, resets bigint NOT NULL, holding boolean NOT NULL);
INSERT INTO world VALUES (0, 0, false);
"""

# Whoever calls it has the world lock alone until its commit: nothing is written meanwhile by the old world. Later
# writes see the new one: `write` takes the lock before it reads.
FUNCTIONS = """
CREATE OR REPLACE FUNCTION change_world(
    changes change[], me bigint, expected bigint, clears boolean, holds boolean, OUT changed bigint
) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM be_alive(me, true);
    UPDATE world w SET revision = w.revision + 1, holding = coalesce(holds, w.holding AND NOT clears),
        resets = w.resets + clears::integer
    WHERE w.revision = expected RETURNING w.revision INTO changed;
    IF FOUND THEN
        PERFORM write(changes, me);
    END IF;
END $$;
"""

CHANGE = "SELECT change_world($1::change[], $2, $3, $4, $5)"

READ = """
SELECT w.revision, w.resets, m.name, m.value FROM world w LEFT JOIN meta m ON m.name = ANY ($1::text[])
"""


class WorldInPostgres:
    """See SharedWorld. `epoch` returns that of this process."""

    def __init__(self, link: Link, epoch: Callable[[], int]) -> None:
        self._link = link
        self._epoch = epoch

    async def revision(self) -> int:
        return int((await self._link.fetch("SELECT revision FROM world"))[0][0])

    async def read(self) -> StoredWorld:
        rows = await self._link.fetch(READ, [CLOCK, HOLDING, VARS, ADDED])
        revision, resets = rows[0][:2]
        try:
            values = {name: read_value(value) for _, _, name, value in rows if name is not None}
        except DAMAGED as error:
            raise StoreError(f"the store cannot read: the world is damaged: {error}") from error
        return StoredWorld(revision, resets, values)

    async def write(self, revision: int, values: Mapping[str, Any], clears: bool = False) -> int | None:
        changes = [Change("clear")] if clears else []
        changes += [Change("value", name=name, value=encode(value)) for name, value in values.items()]
        row = changes, self._epoch(), revision, clears, values.get(HOLDING)
        [(changed,)] = await self._link.write(CHANGE, *row, timeout=LONG_TIMEOUT)
        return None if changed is None else int(changed)
