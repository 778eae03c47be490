"""The request journal that all processes share."""

from collections.abc import Callable, Sequence

from latehook.store.postgresql.link import Link
from latehook.store.shared import JournalRow

WRITE = "SELECT write_received($1::received[])"

READ = """
SELECT value FROM received WHERE other = $1 AND number < coalesce($2, 9223372036854775807)
ORDER BY number DESC LIMIT $3
"""

COUNTS = """
SELECT count(r.number) + w.requests, count(r.number) FILTER (WHERE r.unmatched) + w.unmatched_requests
FROM world w LEFT JOIN received r ON NOT r.other GROUP BY w.requests, w.unmatched_requests
"""


class JournalInPostgres:
    """See SharedJournal."""

    def __init__(self, link: Link, next_number: Callable[[], int]) -> None:
        self.next_number = next_number
        self._link = link

    async def write(self, rows: Sequence[JournalRow]) -> None:
        await self._link.write(WRITE, rows)

    async def read(self, other: bool, before: int | None, limit: int) -> Sequence[bytes]:
        return [bytes(value) for (value,) in await self._link.fetch(READ, other, before, limit)]

    async def drop_before(self, number: int) -> None:
        await self._link.write("DELETE FROM received WHERE number < $1", number)

    async def counts(self) -> tuple[int, int]:
        [(requests, unmatched)] = await self._link.fetch(COUNTS)
        return requests, unmatched
