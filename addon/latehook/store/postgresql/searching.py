"""Searches of the database by criteria: they find keys and sizes, so that a list reads no more than it shows."""

from collections.abc import Iterable
from typing import Any

from latehook.base.model import Criteria
from latehook.base.redaction import Redaction
from latehook.store.postgresql.rows import Rows
from latehook.store.postgresql.values import storable
from latehook.store.protocol import Match

ROW_SIZE = 1000
"""Bytes that a webhook counts for besides its own: making its values takes as long as reading so many."""

SIZE = f"(length(w.value) + coalesce(length(w.content), 0) + {ROW_SIZE})"
"""The size of a webhook."""


class Parameters:
    """The values of a query's `$1`, `$2` …"""

    def __init__(self) -> None:
        self.values: list[Any] = []

    def add(self, value: Any) -> str:
        """Add a value. Return the name that stands for it."""
        self.values.append(value)
        return f"${len(self.values)}"


class Searches(Rows):
    """Finds jobs and webhooks by criteria."""

    redaction: Redaction

    async def matching_webhooks(self, criteria: Criteria, before: int | None, limit: int) -> list[Match]:
        given = Parameters()
        conditions = _of_webhook(criteria, given) + self._of_job(criteria, "w.key", before, given)
        return await self._matches(
            f"SELECT w.key, {SIZE} + coalesce(length(j.value), 0) FROM webhook w LEFT JOIN job j ON j.key = w.job "
            f"WHERE {' AND '.join(conditions)} ORDER BY w.key DESC LIMIT {given.add(limit)}",
            given,
        )

    async def matching_jobs(self, criteria: Criteria, before: int | None, limit: int) -> list[Match]:
        given = Parameters()
        if conditions := _of_webhook(criteria, given):
            conditions = [f"EXISTS (SELECT FROM webhook w WHERE w.job = j.key AND {' AND '.join(conditions)})"]
        conditions += self._of_job(criteria, "j.key", before, given)
        return await self._matches(
            f"SELECT j.key, length(j.value) + coalesce((SELECT sum({SIZE}) FROM webhook w WHERE w.job = j.key), 0) "
            f"FROM job j WHERE {' AND '.join(conditions)} ORDER BY j.key DESC LIMIT {given.add(limit)}",
            given,
        )

    async def sizes_of_webhooks(self, keys: Iterable[int]) -> list[Match]:
        given = Parameters()
        return await self._matches(
            f"SELECT w.key, {SIZE} + coalesce(length(j.value), 0) FROM webhook w LEFT JOIN job j ON j.key = w.job "
            f"WHERE w.key = ANY({given.add(list(keys))}::bigint[]) ORDER BY w.key DESC",
            given,
        )

    async def _matches(self, sql: str, given: Parameters) -> list[Match]:
        try:
            return [Match(key, int(size)) for key, size in await self._fetch(sql, *given.values)]
        except UnicodeEncodeError:  # half of a surrogate pair, which nothing in the store has
            return []

    def _of_job(self, criteria: Criteria, key_column: str, before: int | None, given: Parameters) -> list[str]:
        """Return the conditions on the job, and that the key in `key_column` is lower than `before`."""
        mock = self.redaction.redact(criteria.mock)  # the column is redacted
        conditions = []
        for column, value in (("j.id", criteria.job), ("j.mock", mock)):
            if value is not None:
                conditions.append(f"{column} = {given.add(_searched(value))}")
        if before is not None:
            conditions.append(f"{key_column} < {given.add(before)}")
        return conditions or ["true"]


def _of_webhook(criteria: Criteria, given: Parameters) -> list[str]:
    """Return the conditions on a webhook."""
    conditions = []
    if criteria.event is not None:
        conditions.append(f"w.event = {given.add(_searched(criteria.event))}")
    if criteria.states is not None:
        conditions.append(f"w.state = ANY({given.add(list(criteria.states))}::text[])")
    return conditions


def _searched(text: str) -> str:
    """Return a text as columns have it. One with half of a surrogate pair stays so, and then nothing is found."""
    try:
        return storable(text)
    except UnicodeEncodeError:
        return text
