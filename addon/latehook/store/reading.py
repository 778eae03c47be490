"""What a store answers: jobs, webhooks and attempts, one by its key or many by criteria."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from latehook.base.model import Attempt, Criteria, Job, State, StoredWebhook
from latehook.base.redaction import Redaction
from latehook.store.values import OWED, Due, as_list, digest, read_content, read_job, read_target, read_webhook


class Reader:
    """Reads from a store, what was written to it and is not committed included."""

    _db: sqlite3.Connection
    redaction: Redaction

    def definition(self, hash: str) -> bytes | None:
        row = self._db.execute("SELECT written FROM definition WHERE hash = ?", (hash,)).fetchone()
        return None if row is None else bytes(row[0])

    def _definitions(self) -> set[str]:
        return {hash for (hash,) in self._db.execute("SELECT hash FROM definition")}

    def get(self, key: int) -> Job | None:
        return self._one("SELECT key, value FROM job WHERE key = ?", (key,))

    def find(self, id: str) -> Job | None:
        """The newest job with this id."""
        return self._one("SELECT key, value FROM job WHERE id = ? ORDER BY key DESC LIMIT 1", (id,))

    def repeated(self, mock: str, idempotency_key: str) -> Job | None:
        """The job that this mock has started for an idempotency key."""
        sql = "SELECT key, value FROM job WHERE idempotency_key = ? ORDER BY key DESC LIMIT 1"
        return self._one(sql, (digest(mock, idempotency_key),))

    def jobs(self) -> Sequence[Job]:
        """All jobs, the newest first."""
        rows = self._db.execute("SELECT key, value FROM job ORDER BY key DESC")
        return [replace(read_job(value), key=key) for key, value in rows]

    def job_ids(self) -> list[str]:
        """Of all jobs, the newest first."""
        return [id for (id,) in self._db.execute("SELECT id FROM job ORDER BY key DESC")]

    def count_jobs(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM job").fetchone()[0])

    def last_key(self) -> int:
        """The key of the newest job there has been; 0 for none."""
        return int(self._db.execute("SELECT coalesce(max(key), 0) FROM job").fetchone()[0])

    def _one(self, sql: str, values: tuple[Any, ...]) -> Job | None:
        row = self._db.execute(sql, values).fetchone()
        return None if row is None else replace(read_job(row[1]), key=row[0])

    def due(self, key: int) -> Due | None:
        """A webhook whose time may have come; None if it is not pending."""
        sql = "SELECT due, value, job, stage, ordered, attempts FROM webhook WHERE key = ? AND state = ?"
        row = self._db.execute(sql, (key, State.PENDING)).fetchone()
        if row is None:
            return None
        due, value, job, stage, ordered, attempts = row
        target = read_target(value)
        behind = self._before(job, stage) if stage > 0 and ordered and attempts == 0 else ()
        return Due(due, target.to, behind, attempts, target.definition, target.plan)

    def _before(self, job: int, stage: int) -> list[int]:
        """The webhooks of earlier stages whose first attempt is still to come, the last one first."""
        sql = "SELECT key FROM webhook WHERE job = ? AND stage < ? AND attempts = 0 AND ordered AND state = ?"
        rows = self._db.execute(f"{sql} ORDER BY key DESC", (job, stage, State.PENDING))
        return [key for (key,) in rows]

    def owed(self, key: int) -> StoredWebhook | None:
        """A pending webhook with its job; None if it is not pending."""
        owed = self.webhook(key)
        return owed if owed is not None and owed.webhook.state is State.PENDING else None

    def webhook(self, key: int) -> StoredWebhook | None:
        """Any webhook, with its job."""
        rows = self._webhooks("w.key = ?", (key,))
        return rows[0] if rows else None

    def key_of(self, id: str) -> int | None:
        """The key of the webhook with this id."""
        key: int | None = self._db.execute("SELECT max(key) FROM webhook WHERE id = ?", (id,)).fetchone()[0]
        return key

    def webhooks(self, job: int | None = None, states: Iterable[State] = tuple(State)) -> list[StoredWebhook]:
        """Webhooks in these states, of one job or of all, in the order of their times."""
        states = tuple(states)
        marks = ", ".join("?" * len(states))
        condition = f"w.state IN ({marks})" + ("" if job is None else " AND w.job = ?")
        return self._webhooks(condition, states if job is None else (*states, job))

    def pending(self) -> list[tuple[float, int]]:
        """(due, key) of every pending webhook: what the schedule needs to know, and nothing more."""
        return self._db.execute("SELECT due, key FROM webhook WHERE state = ?", (State.PENDING,)).fetchall()

    def late(self, moment: float, limit: int) -> list[int]:
        """Some of the pending webhooks that were due by then."""
        sql = "SELECT key FROM webhook WHERE state = ? AND due <= ? LIMIT ?"
        return [key for (key,) in self._db.execute(sql, (State.PENDING, moment, limit))]

    def count_owed(self) -> int:
        """How many webhooks are still to be delivered."""
        sql = "SELECT count(*) FROM webhook WHERE state IN (?, ?)"
        return int(self._db.execute(sql, OWED).fetchone()[0])

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

    def webhooks_of(self, jobs: Iterable[int]) -> list[StoredWebhook]:
        """The webhooks of these jobs, in their order."""
        return self._webhooks("w.job IN (SELECT value FROM json_each(?))", (as_list(jobs),), "w.stage, w.key")

    def attempts(self, webhooks: Iterable[int]) -> list[tuple[int, Attempt]]:
        """(key, attempt) of each attempt that has ended at these webhooks, in order."""
        sql = """
            SELECT webhook, number, started_at, ended_at, status, error, body FROM attempt
            WHERE webhook IN (SELECT value FROM json_each(?)) ORDER BY webhook, number
        """
        return [(key, Attempt(*attempt)) for key, *attempt in self._db.execute(sql, (as_list(webhooks),))]

    def count_states(self, keys: Iterable[int] | None = None) -> dict[State, int]:
        """How many webhooks are in each state, of all or of some."""
        some, values = ("", ()) if keys is None else ("WHERE key IN (SELECT value FROM json_each(?))", (as_list(keys),))
        return {
            State(state): count
            for state, count in self._db.execute(f"SELECT state, count(*) FROM webhook {some} GROUP BY state", values)
        }

    def choose(self, criteria: Criteria, before: int | None, limit: int) -> list[StoredWebhook]:
        """The newest webhooks that fit, and have a lower key than `before`."""
        conditions, values = _of_webhooks(criteria)
        self._narrow(conditions, values, criteria, "w.key", before)
        return self._webhooks(" AND ".join(conditions), (*values, limit), "w.key DESC LIMIT ?")

    def choose_jobs(self, criteria: Criteria, before: int | None, limit: int) -> list[Job]:
        """The newest jobs that fit, or have a webhook that does, and have a lower key than `before`."""
        conditions, values = _of_webhooks(criteria)
        if conditions:
            conditions = [f"EXISTS (SELECT 1 FROM webhook w WHERE w.job = j.key AND {' AND '.join(conditions)})"]
        self._narrow(conditions, values, criteria, "j.key", before)
        sql = f"SELECT j.key, j.value FROM job j WHERE {' AND '.join(conditions)} ORDER BY j.key DESC LIMIT ?"
        return [replace(read_job(value), key=key) for key, value in self._db.execute(sql, (*values, limit))]

    def _narrow(
        self, conditions: list[str], values: list[Any], criteria: Criteria, column: str, before: int | None
    ) -> None:
        """Add what the criteria say of jobs, `j`, and that the key in a column is lower than `before`."""
        mock = self.redaction.hide(criteria.mock)  # as the column has it
        for condition, value in (("j.id = ?", criteria.job), ("j.mock = ?", mock)):
            if value is not None:
                conditions.append(condition)
                values.append(value)
        conditions.append(f"{column} < ?")
        values.append(_LAST if before is None else before)

    def recall(self, name: str) -> Any:
        """What was kept under a name; None if nothing was."""
        row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else msgspec.msgpack.decode(row[0])


_LAST = 1 << 62
"""Greater than any key."""


def _of_webhooks(criteria: Criteria) -> tuple[list[str], list[Any]]:
    """What the criteria say of webhooks: conditions of SQL and their values."""
    conditions: list[str] = []
    values: list[Any] = []
    if criteria.event is not None:  # no column: it is seldom asked for
        conditions.append("event_of(w.value) = ?")
        values.append(criteria.event)
    if criteria.states is not None:
        conditions.append("w.state IN (SELECT value FROM json_each(?))")
        values.append(as_list(criteria.states))
    return conditions, values
