"""Searches of the database by criteria: they find keys and sizes, so that a list reads no more than it shows."""

from collections.abc import Iterable
from typing import Any

from latehook.base.model import Criteria
from latehook.store.protocol import Match
from latehook.store.sqlite.lists import as_list
from latehook.store.sqlite.rows import Rows

_ABOVE_ANY_KEY = 1 << 62

_ROW_SIZE = 1000
"""Bytes that a webhook counts for besides its own: making its values takes as long as reading so many."""

_SIZE = f"(length(w.value) + coalesce(length(w.content), 0) + {_ROW_SIZE})"
"""The size of a webhook. SQLite reads no value to tell its length."""


class Searches(Rows):
    """Finds jobs and webhooks by criteria."""

    async def matching_webhooks(self, criteria: Criteria, before: int | None, limit: int) -> list[Match]:
        conditions, values = _webhook_conditions(criteria)
        self._add_job_conditions(conditions, values, criteria, "w.key", before)
        sql = f"""
            SELECT w.key, {_SIZE} + coalesce(length(j.value), 0) FROM webhook w LEFT JOIN job j ON j.key = w.job
            WHERE {" AND ".join(conditions)} ORDER BY w.key DESC LIMIT ?
        """
        return [Match(*row) for row in self._rows(sql, (*values, limit))]

    async def matching_jobs(self, criteria: Criteria, before: int | None, limit: int) -> list[Match]:
        conditions, values = _webhook_conditions(criteria)
        if conditions:
            conditions = [f"EXISTS (SELECT 1 FROM webhook w WHERE w.job = j.key AND {' AND '.join(conditions)})"]
        self._add_job_conditions(conditions, values, criteria, "j.key", before)
        sql = f"""
            SELECT j.key, length(j.value) + coalesce((SELECT sum({_SIZE}) FROM webhook w WHERE w.job = j.key), 0)
            FROM job j WHERE {" AND ".join(conditions)} ORDER BY j.key DESC LIMIT ?
        """
        return [Match(*row) for row in self._rows(sql, (*values, limit))]

    def _add_job_conditions(
        self, conditions: list[str], values: list[Any], criteria: Criteria, key_column: str, before: int | None
    ) -> None:
        """Add the conditions on the job, and that the key in `key_column` is lower than `before`."""
        mock = self.redaction.redact(criteria.mock)  # the column is redacted
        for condition, value in (("j.id = ?", criteria.job), ("j.mock = ?", mock)):
            if value is not None:
                conditions.append(condition)
                values.append(value)
        conditions.append(f"{key_column} < ?")
        values.append(_ABOVE_ANY_KEY if before is None else before)

    async def sizes_of_webhooks(self, keys: Iterable[int]) -> list[Match]:
        sql = f"""
            SELECT w.key, {_SIZE} + coalesce(length(j.value), 0) FROM webhook w LEFT JOIN job j ON j.key = w.job
            WHERE w.key IN (SELECT value FROM json_each(?)) ORDER BY w.key DESC
        """
        return [Match(*row) for row in self._rows(sql, (as_list(keys),))]


def _webhook_conditions(criteria: Criteria) -> tuple[list[str], list[Any]]:
    """Return the SQL conditions on a webhook, and their values."""
    conditions: list[str] = []
    values: list[Any] = []
    if criteria.event is not None:  # not a column of its own: this filter is used seldom
        conditions.append("event_of(w.value) = ?")
        values.append(criteria.event)
    if criteria.states is not None:
        conditions.append("w.state IN (SELECT value FROM json_each(?))")
        values.append(as_list(criteria.states))
    return conditions, values
