"""Which process owns which job, in PostgreSQL."""

from collections.abc import Callable, Collection, Iterable
from typing import Any

from latehook.base.model import UNKNOWN
from latehook.store.cluster import Taken
from latehook.store.postgresql.link import LONG_TIMEOUT, Link

COLUMNS = "SELECT job, webhook, due FROM"
ELSEWHERE = "begun <> $1 AND begun IN (SELECT epoch FROM node)"
UNDER_WAY = f"SELECT key FROM webhook WHERE key = ANY($2::bigint[]) AND {ELSEWHERE}"
UNDER_WAY_UNTIL = f"SELECT key FROM webhook WHERE state = 'pending' AND due <= $2 AND {ELSEWHERE}"
ABANDON = "UPDATE webhook SET begun = NULL WHERE key = ANY($2::bigint[]) AND begun = $1"
TAKE_TURN = """
UPDATE turn SET owner = $1 WHERE owner = $1 OR owner NOT IN (SELECT epoch FROM node) RETURNING owner
"""
END_TURN = "UPDATE turn SET owner = 0 WHERE owner = $1"


class OwnersInPostgres:
    """See JobOwners. `epoch` returns that of this process."""

    def __init__(self, link: Link, epoch: Callable[[], int]) -> None:
        self._link = link
        self._epoch = epoch

    async def take(self, jobs: Iterable[int]) -> Taken:
        taken, _ = await self._take("take($1, $2::bigint[])", list(jobs))
        return taken

    async def take_due(self, moment: float) -> Taken:
        return await self._take_all("take_due($1, $3, $2)", moment)

    async def take_over(self) -> Taken:
        """Take what nobody alive owns, and what is not done yet."""
        return await self._take_all("take_over($1, $2)")

    async def under_way(self, webhooks: Collection[int]) -> list[int]:
        return [key for (key,) in await self._link.fetch(UNDER_WAY, self._epoch(), list(webhooks))]

    async def under_way_until(self, moment: float) -> list[int]:
        return [key for (key,) in await self._link.fetch(UNDER_WAY_UNTIL, self._epoch(), moment, timeout=LONG_TIMEOUT)]

    async def abandon(self, webhooks: Collection[int]) -> None:
        await self._link.write(ABANDON, self._epoch(), list(webhooks))

    async def take_turn(self) -> bool:
        return bool(await self._link.write(TAKE_TURN, self._epoch()))

    async def end_turn(self) -> None:
        await self._link.write(END_TURN, self._epoch())

    async def _take_all(self, call: str, *values: Any) -> Taken:
        """Take jobs, in one transaction after the other, until there are no more."""
        dues, open_jobs, behind = list[tuple[float, int]](), list[int](), 0
        while True:
            taken, jobs = await self._take(call, behind, *values)
            dues += taken.dues
            open_jobs += taken.open_jobs
            if not jobs:
                return Taken(dues, open_jobs)
            behind = max(jobs)

    async def _take(self, call: str, *values: Any) -> tuple[Taken, list[int]]:
        """Take jobs in one transaction. Return their keys, too."""
        rows = await self._link.write(f"{COLUMNS} {call}", self._epoch(), *values, timeout=LONG_TIMEOUT)
        jobs = [(job, ends) for job, key, ends in rows if key is None]
        dues = [(due, key) for _, key, due in rows if key is not None]
        return Taken(dues, [job for job, ends in jobs if ends == UNKNOWN]), [job for job, _ in jobs]
