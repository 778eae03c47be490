"""Rows of the database, read into values."""

import sqlite3
from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from latehook.base.errors import StoreError
from latehook.base.model import FINISHED, Job, State, StoredWebhook
from latehook.base.redaction import Redaction
from latehook.store.damage import DAMAGED, damage, damaged_job, damaged_webhook, require
from latehook.store.sqlite.lists import as_list
from latehook.store.values import read_content, read_job, read_webhook


class Rows:
    """Reads rows, also damaged ones. Raises StoreError where a read fails."""

    _db: sqlite3.Connection
    redaction: Redaction

    def _rows(self, sql: str, values: tuple[Any, ...] = ()) -> list[Any]:
        try:
            return self._db.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise self.failure("read", error) from error
        except UnicodeEncodeError:  # half of a surrogate pair, which nothing in the store has
            return []

    def failure(self, verb: str, error: Exception) -> StoreError:
        """Return the error that says why the store cannot `verb`."""
        return StoreError(f"the store cannot {verb}: {' '.join(str(error).split())}")

    def give_up(self, key: int, reason: str) -> None:
        """Write that the webhook with this key has failed, because its row is damaged."""
        raise NotImplementedError

    def _job(self, sql: str, values: tuple[Any, ...]) -> Job | None:
        rows = self._rows(sql, values)
        return self._read_job(*rows[0]) if rows else None

    def _read_job(self, key: int, value: bytes | None) -> Job:
        try:
            return replace(read_job(require(value, bytes)), key=key)
        except DAMAGED:
            rows = self._rows("SELECT id, mock, created_at FROM job WHERE key = ?", (key,))
            return damaged_job(key, *(rows[0] if rows else ("", "", 0.0)))

    def _some_jobs(self, keys: Iterable[int]) -> list[Job]:
        """Return the jobs with these keys, the newest first. Those that are not there any more are left out."""
        sql = "SELECT key, value FROM job WHERE key IN (SELECT value FROM json_each(?)) ORDER BY key DESC"
        return [self._read_job(key, value) for key, value in self._rows(sql, (as_list(keys),))]

    def _webhooks(self, condition: str, values: tuple[Any, ...], order: str = "w.due, w.key") -> list[StoredWebhook]:
        sql = f"""
            SELECT w.key, w.value, w.due, w.state, w.reason, w.attempts, w.content, w.job, j.value
            FROM webhook w LEFT JOIN job j ON j.key = w.job WHERE {condition} ORDER BY {order}
        """
        return [self._read_webhook(*row) for row in self._rows(sql, values)]

    def _read_webhook(
        self,
        key: int,
        value: bytes,
        due: float,
        state: str,
        reason: str | None,
        attempts: int,
        content: bytes | None,
        job: int,
        job_value: bytes | Job | None,
    ) -> StoredWebhook:
        """Return a webhook from its columns. `job_value` is its job's value or its job, None where that row is gone."""
        try:
            return StoredWebhook(
                key,
                replace(read_webhook(value), due=require(due, float), state=State(state), reason=reason),
                job_value if isinstance(job_value, Job) else replace(read_job(require(job_value, bytes)), key=job),
                require(attempts, int),
                None if content is None else read_content(content),
            )
        except DAMAGED as error:
            if state not in FINISHED:
                state, reason = State.FAILED, damage(error)
                self.give_up(key, reason)
            [columns] = self._rows("SELECT id, stage, url FROM webhook WHERE key = ?", (key,))
            webhook = damaged_webhook(columns, due, State(state), reason)
            return StoredWebhook(
                key, webhook, job_value if isinstance(job_value, Job) else self._read_job(job, job_value)
            )

    def _webhooks_with_jobs(self, condition: str, keys: Iterable[int], jobs: dict[int, Job]) -> list[StoredWebhook]:
        """Return webhooks by their keys, or by their jobs' keys. Each job that is not in `jobs` is read once."""
        sql = f"""
            SELECT w.key, w.value, w.due, w.state, w.reason, w.attempts, w.content, w.job
            FROM webhook w WHERE {condition}
        """
        rows = list(self._rows(sql, (as_list(keys),)))
        jobs = jobs or {job.key: job for job in self._some_jobs({row[-1] for row in rows})}
        return [self._read_webhook(*[*row, jobs.get(row[-1])]) for row in rows]
