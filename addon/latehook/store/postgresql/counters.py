"""Counts that all processes share."""

from latehook.store.postgresql.link import Link

COUNT = """
INSERT INTO counter AS c VALUES ($1, 1) ON CONFLICT (name) DO UPDATE SET number = c.number + 1 WHERE c.number < $2
RETURNING number
"""


class CountersInPostgres:
    """See SharedCounters."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def count(self, name: str, limit: int) -> int | None:
        rows = await self._link.write(COUNT, name, limit)
        return int(rows[0][0]) if rows else None
