"""The queries of a store: jobs, webhooks and attempts, by key or by criteria."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec.structs import replace

from latehook.base.model import STORED_UNFINISHED, Attempt, Criteria, Job, State, StoredWebhook
from latehook.base.redaction import Redaction
from latehook.store.values import Due, as_list, digest, read_content, read_job, read_target, read_value, read_webhook


class Reader:
    """Reads from a store. It also sees writes that are not committed yet."""

    _db: sqlite3.Connection
    redaction: Redaction

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
        rows = self._db.execute("SELECT key, value FROM job ORDER BY key DESC")
        return [replace(read_job(value), key=key) for key, value in rows]

    def job_ids(self) -> list[str]:
        """Return the ids of all jobs, the newest first."""
        return [id for (id,) in self._db.execute("SELECT id FROM job ORDER BY key DESC")]

    def count_jobs(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM job").fetchone()[0])

    def last_job_key(self) -> int:
        """Return the key of the newest job; 0 where there is none."""
        return int(self._db.execute("SELECT coalesce(max(key), 0) FROM job").fetchone()[0])

    def _job(self, sql: str, values: tuple[Any, ...]) -> Job | None:
        row = self._db.execute(sql, values).fetchone()
        return None if row is None else replace(read_job(row[1]), key=row[0])

    # Webhooks and attempts

    def due(self, key: int) -> Due | None:
        """Return a webhook's due time and URL, and what it must wait for; None if it is not pending."""
        sql = "SELECT due, value, job, stage, ordered, attempts FROM webhook WHERE key = ? AND state = ?"
        row = self._db.execute(sql, (key, State.PENDING)).fetchone()
        if row is None:
            return None
        due, value, job, stage, ordered, attempts = row
        after = self._unattempted_before(job, stage) if stage > 0 and ordered and attempts == 0 else ()
        return Due(due, read_target(value).to, after)

    def _unattempted_before(self, job: int, stage: int) -> list[int]:
        """Return the webhooks of earlier stages whose first attempt is still to come, the last one first."""
        sql = "SELECT key FROM webhook WHERE job = ? AND stage < ? AND attempts = 0 AND ordered AND state = ?"
        rows = self._db.execute(f"{sql} ORDER BY key DESC", (job, stage, State.PENDING))
        return [key for (key,) in rows]

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
        key: int | None = self._db.execute("SELECT max(key) FROM webhook WHERE id = ?", (id,)).fetchone()[0]
        return key

    def webhooks(self, job: int | None = None, states: Iterable[State] = tuple(State)) -> list[StoredWebhook]:
        """Return the webhooks in these states, of one job (by its key) or of all, in the order of their due times."""
        states = tuple(states)
        marks = ", ".join("?" * len(states))
        condition = f"w.state IN ({marks})" + ("" if job is None else " AND w.job = ?")
        return self._webhooks(condition, states if job is None else (*states, job))

    def webhooks_of_jobs(self, jobs: Iterable[int]) -> list[StoredWebhook]:
        """Return the webhooks of the jobs with these keys, by stage."""
        return self._webhooks("w.job IN (SELECT value FROM json_each(?))", (as_list(jobs),), "w.stage, w.key")

    def pending_dues(self) -> list[tuple[float, int]]:
        """Return (due, key) of every pending webhook."""
        return self._db.execute("SELECT due, key FROM webhook WHERE state = ?", (State.PENDING,)).fetchall()

    def overdue(self, moment: float, limit: int) -> list[int]:
        """Return the keys of at most `limit` pending webhooks that were due by `moment`, in seconds of the clock."""
        sql = "SELECT key FROM webhook WHERE state = ? AND due <= ? LIMIT ?"
        return [key for (key,) in self._db.execute(sql, (State.PENDING, moment, limit))]

    def attempts(self, webhooks: Iterable[int]) -> list[tuple[int, Attempt]]:
        """Return (webhook's key, attempt) of every ended attempt at these webhooks, in order."""
        sql = """
            SELECT webhook, number, started_at, ended_at, status, error, body, coalesce(clock_at, started_at)
            FROM attempt WHERE webhook IN (SELECT value FROM json_each(?)) ORDER BY webhook, number
        """
        return [(key, Attempt(*attempt)) for key, *attempt in self._db.execute(sql, (as_list(webhooks),))]

    def count_unfinished(self) -> int:
        """Return how many webhooks are still to be delivered."""
        sql = "SELECT count(*) FROM webhook WHERE state IN (?, ?)"
        return int(self._db.execute(sql, STORED_UNFINISHED).fetchone()[0])

    def count_states(self, keys: Iterable[int] | None = None) -> dict[State, int]:
        """Return how many webhooks are in each state: of those with these keys, or of all."""
        where, values = (
            ("", ()) if keys is None else ("WHERE key IN (SELECT value FROM json_each(?))", (as_list(keys),))
        )
        return {
            State(state): count
            for state, count in self._db.execute(f"SELECT state, count(*) FROM webhook {where} GROUP BY state", values)
        }

    def _webhooks(self, condition: str, values: tuple[Any, ...], order: str = "w.due, w.key") -> list[StoredWebhook]:
        sql = f"""
            SELECT w.key, w.value, w.due, w.state, w.reason, w.attempts, w.content, j.key, j.value
            FROM webhook w JOIN job j ON j.key = w.job WHERE {condition} ORDER BY {order}
        """
        return [
            StoredWebhook(
                key,
                replace(read_webhook(value), due=due, state=State(state), reason=reason),
                replace(read_job(job_value), key=job),
                attempts,
                None if content is None else read_content(content),
            )
            for key, value, due, state, reason, attempts, content, job, job_value in self._db.execute(sql, values)
        ]

    # By criteria

    def matching_webhooks(self, criteria: Criteria, before: int | None, limit: int) -> list[StoredWebhook]:
        """Return the newest webhooks that match, with a key lower than `before`."""
        conditions, values = _webhook_conditions(criteria)
        self._add_job_conditions(conditions, values, criteria, "w.key", before)
        return self._webhooks(" AND ".join(conditions), (*values, limit), "w.key DESC LIMIT ?")

    def matching_jobs(self, criteria: Criteria, before: int | None, limit: int) -> list[Job]:
        """Return the newest jobs that match or have a webhook that matches, with a key lower than `before`."""
        conditions, values = _webhook_conditions(criteria)
        if conditions:
            conditions = [f"EXISTS (SELECT 1 FROM webhook w WHERE w.job = j.key AND {' AND '.join(conditions)})"]
        self._add_job_conditions(conditions, values, criteria, "j.key", before)
        sql = f"SELECT j.key, j.value FROM job j WHERE {' AND '.join(conditions)} ORDER BY j.key DESC LIMIT ?"
        return [replace(read_job(value), key=key) for key, value in self._db.execute(sql, (*values, limit))]

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
        row = self._db.execute("SELECT written FROM definition WHERE hash = ?", (hash,)).fetchone()
        return None if row is None else bytes(row[0])

    def _definition_hashes(self) -> set[str]:
        return {hash for (hash,) in self._db.execute("SELECT hash FROM definition")}

    def get_value(self, name: str) -> Any:
        """Return the value that `set_value` has written under a name; None where there is none."""
        row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else read_value(row[0])


_ABOVE_ANY_KEY = 1 << 62


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
