"""The queries of a store: jobs, webhooks and attempts, by key or by criteria."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from latehook.base.errors import StoreError
from latehook.base.model import FINISHED, STORED_UNFINISHED, Attempt, Criteria, Job, State, StoredWebhook
from latehook.base.redaction import Redaction
from latehook.store.damage import DAMAGED, damage, damaged_job, damaged_webhook, require
from latehook.store.values import (
    Due,
    Match,
    as_list,
    digest,
    read_content,
    read_job,
    read_target,
    read_value,
    read_webhook,
)


class Reader:
    """Reads from a store. It also sees writes that are not committed yet. Raises StoreError where a read fails.

    A row can be damaged: its value cannot be decoded. A webhook with such a row, or whose job has one, has failed, with
    the reason. A job with such a row has the status `failed`, and what is left of it.
    """

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

    # Jobs

    def job(self, key: int) -> Job | None:
        return self._job("SELECT key, value FROM job WHERE key = ?", (key,))

    def find_job(self, id: str) -> Job | None:
        """Return the newest job with this id."""
        return self._job("SELECT key, value FROM job WHERE id = ? ORDER BY key DESC LIMIT 1", (id,))

    def job_for_idempotency_key(self, mock: str, idempotency_key: str) -> Job | None:
        """Return the job that this mock has started for an idempotency key."""
        sql = "SELECT key, value FROM job WHERE idempotency_key = ? ORDER BY key DESC LIMIT 1"
        return self._job(sql, (digest(mock, idempotency_key),))

    def jobs(self) -> Sequence[Job]:
        """Return all jobs, the newest first."""
        return [self._read_job(key, value) for key, value in self._rows("SELECT key, value FROM job ORDER BY key DESC")]

    def job_ids(self) -> list[str]:
        """Return the ids of all jobs, the newest first."""
        return [id for (id,) in self._rows("SELECT id FROM job ORDER BY key DESC")]

    def count_jobs(self) -> int:
        return int(self._rows("SELECT count(*) FROM job")[0][0])

    def last_job_key(self) -> int:
        """Return the key of the newest job; 0 where there is none."""
        return int(self._rows("SELECT coalesce(max(key), 0) FROM job")[0][0])

    def _job(self, sql: str, values: tuple[Any, ...]) -> Job | None:
        rows = self._rows(sql, values)
        return self._read_job(*rows[0]) if rows else None

    def _read_job(self, key: int, value: bytes | None) -> Job:
        try:
            return replace(read_job(require(value, bytes)), key=key)
        except DAMAGED:
            rows = self._rows("SELECT id, mock, created_at FROM job WHERE key = ?", (key,))
            return damaged_job(key, *(rows[0] if rows else ("", "", 0.0)))

    # Webhooks and attempts

    def due(self, key: int) -> Due | None:
        """Return a webhook's due time and URL, and what it must wait for; None if it is not pending."""
        sql = "SELECT due, value, job, stage, ordered, attempts FROM webhook WHERE key = ? AND state = ?"
        rows = self._rows(sql, (key, State.PENDING))
        if not rows:
            return None
        due, value, job, stage, ordered, attempts = rows[0]
        try:
            url = read_target(value).to
            after = self._unattempted_before(job, stage) if stage > 0 and ordered and attempts == 0 else ()
        except DAMAGED as error:
            self.give_up(key, damage(error))
            return None
        return Due(due, url, after)

    def _unattempted_before(self, job: int, stage: int) -> list[int]:
        """Return the webhooks of earlier stages whose first attempt is still to come, the last one first."""
        sql = "SELECT key FROM webhook WHERE job = ? AND stage < ? AND attempts = 0 AND ordered AND state = ?"
        return [key for (key,) in self._rows(f"{sql} ORDER BY key DESC", (job, stage, State.PENDING))]

    def pending_webhook(self, key: int) -> StoredWebhook | None:
        """Return a webhook with its job; None if it is not pending."""
        stored = self.webhook(key)
        return stored if stored is not None and stored.webhook.state is State.PENDING else None

    def webhook(self, key: int) -> StoredWebhook | None:
        """Return a webhook with its job, in any state."""
        rows = self._webhooks("w.key = ?", (key,))
        return rows[0] if rows else None

    def webhook_key(self, id: str) -> int | None:
        """Return the key of the newest webhook with this id."""
        key: int | None = self._rows("SELECT max(key) FROM webhook WHERE id = ?", (id,))[0][0]
        return key

    def webhooks(self, job: int | None = None, states: Iterable[State] = tuple(State)) -> list[StoredWebhook]:
        """Return the webhooks in these states, of one job (by its key) or of all, in the order of their due times."""
        states = tuple(states)
        marks = ", ".join("?" * len(states))
        condition = f"w.state IN ({marks})" + ("" if job is None else " AND w.job = ?")
        return self._webhooks(condition, states if job is None else (*states, job))

    def webhooks_of_jobs(self, jobs: Sequence[Job]) -> list[StoredWebhook]:
        """Return the webhooks of these jobs, by stage."""
        condition = "w.job IN (SELECT value FROM json_each(?)) ORDER BY w.stage, w.key"
        return self._webhooks_with_jobs(condition, [job.key for job in jobs], {job.key: job for job in jobs})

    def webhooks_by_key(self, keys: Iterable[int]) -> list[StoredWebhook]:
        """Return the webhooks with these keys, the newest first. Those that are not there any more are left out."""
        return self._webhooks_with_jobs("w.key IN (SELECT value FROM json_each(?)) ORDER BY w.key DESC", keys, {})

    def sizes_of_webhooks(self, keys: Iterable[int]) -> list[Match]:
        """Return the sizes of the webhooks with these keys, the newest first."""
        sql = f"""
            SELECT w.key, {_SIZE} + coalesce(length(j.value), 0) FROM webhook w LEFT JOIN job j ON j.key = w.job
            WHERE w.key IN (SELECT value FROM json_each(?)) ORDER BY w.key DESC
        """
        return [Match(*row) for row in self._rows(sql, (as_list(keys),))]

    def jobs_by_key(self, keys: Iterable[int]) -> list[Job]:
        """Return the jobs with these keys, the newest first. Those that are not there any more are left out."""
        sql = "SELECT key, value FROM job WHERE key IN (SELECT value FROM json_each(?)) ORDER BY key DESC"
        return [self._read_job(key, value) for key, value in self._rows(sql, (as_list(keys),))]

    def _webhooks_with_jobs(self, condition: str, keys: Iterable[int], jobs: dict[int, Job]) -> list[StoredWebhook]:
        """Return webhooks by their keys, or by their jobs' keys. Each job that is not in `jobs` is read once."""
        sql = f"""
            SELECT w.key, w.value, w.due, w.state, w.reason, w.attempts, w.content, w.job
            FROM webhook w WHERE {condition}
        """
        rows = list(self._rows(sql, (as_list(keys),)))
        jobs = jobs or {job.key: job for job in self.jobs_by_key({row[-1] for row in rows})}
        return [self._read_webhook(*[*row, jobs.get(row[-1])]) for row in rows]

    def pending_dues(self) -> list[tuple[float, int]]:
        """Return (due, key) of every pending webhook."""
        sql = "SELECT key, due FROM webhook WHERE state = ? AND typeof(due) != 'real'"
        for key, due in self._rows(sql, (State.PENDING,)):
            self.give_up(key, damage(TypeError(f"it is due at {due!r}")))
        return self._rows("SELECT due, key FROM webhook WHERE state = ?", (State.PENDING,))

    def overdue(self, moment: float, limit: int) -> list[int]:
        """Return the keys of at most `limit` pending webhooks that were due by `moment`, in seconds of the clock."""
        sql = "SELECT key FROM webhook WHERE state = ? AND due <= ? LIMIT ?"
        return [key for (key,) in self._rows(sql, (State.PENDING, moment, limit))]

    def attempts(self, webhooks: Iterable[int]) -> list[tuple[int, Attempt]]:
        """Return (webhook's key, attempt) of every ended attempt at these webhooks, in order."""
        sql = """
            SELECT webhook, number, started_at, ended_at, status, error, body, coalesce(clock_at, started_at)
            FROM attempt WHERE webhook IN (SELECT value FROM json_each(?)) ORDER BY webhook, number
        """
        return [(key, Attempt(*attempt)) for key, *attempt in self._rows(sql, (as_list(webhooks),))]

    def count_unfinished(self) -> int:
        """Return how many webhooks are still to be delivered."""
        sql = "SELECT count(*) FROM webhook WHERE state IN (?, ?)"
        return int(self._rows(sql, STORED_UNFINISHED)[0][0])

    def count_states(self, keys: Iterable[int] | None = None) -> dict[State, int]:
        """Return how many webhooks are in each state: of those with these keys, or of all."""
        where, values = (
            ("", ()) if keys is None else ("WHERE key IN (SELECT value FROM json_each(?))", (as_list(keys),))
        )
        counts = defaultdict[State, int](int)
        for state, count in self._rows(f"SELECT state, count(*) FROM webhook {where} GROUP BY state", values):
            counts[State(state) if state in State else State.FAILED] += count
        return counts

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

    # By criteria

    def matching_webhooks(self, criteria: Criteria, before: int | None, limit: int) -> list[Match]:
        """Return the newest webhooks that match, with a key lower than `before`."""
        conditions, values = _webhook_conditions(criteria)
        self._add_job_conditions(conditions, values, criteria, "w.key", before)
        sql = f"""
            SELECT w.key, {_SIZE} + coalesce(length(j.value), 0) FROM webhook w LEFT JOIN job j ON j.key = w.job
            WHERE {" AND ".join(conditions)} ORDER BY w.key DESC LIMIT ?
        """
        return [Match(*row) for row in self._rows(sql, (*values, limit))]

    def matching_jobs(self, criteria: Criteria, before: int | None, limit: int) -> list[Match]:
        """Return the newest jobs that match or have a webhook that matches, with a key lower than `before`.

        The sizes include the jobs' webhooks.
        """
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

    # Definitions and single values

    def definition(self, hash: str) -> bytes | None:
        """Return a mock as it was written."""
        rows = self._rows("SELECT written FROM definition WHERE hash = ?", (hash,))
        return bytes(rows[0][0]) if rows else None

    def _definition_hashes(self) -> set[str]:
        return {hash for (hash,) in self._rows("SELECT hash FROM definition")}

    def get_value[Value](self, name: str, kind: type[Value]) -> Value | None:
        """Return the value of this type that `set_value` has written under a name; None where there is none."""
        rows = self._rows("SELECT value FROM meta WHERE name = ?", (name,))
        try:
            return msgspec.convert(read_value(rows[0][0]), kind) if rows else None
        except DAMAGED as error:
            raise self.failure("read", ValueError(f"its {name} is damaged: {error}")) from error


_ABOVE_ANY_KEY = 1 << 62

_ROW_SIZE = 1000
"""Bytes that a webhook counts for besides its own: making its values takes as long as reading so many."""

_SIZE = f"(length(w.value) + coalesce(length(w.content), 0) + {_ROW_SIZE})"
"""The size of a webhook. SQLite reads no value to tell its length."""


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
