"""Jobs, webhooks and attempts in SQLite; the only SQL. What is written counts from `commit` on."""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Concatenate

import msgspec
from msgspec.structs import replace

from latehook.model import Content, Job, LatehookError, Outcome, Owed, State, Webhook

KEEP_JOBS = 100_000
"""Ended jobs that are kept; the oldest go first."""

_SCHEMA = """
CREATE TABLE job (
    key INTEGER PRIMARY KEY, id TEXT NOT NULL, mock TEXT NOT NULL, idempotency_key TEXT, value BLOB NOT NULL
);
CREATE INDEX job_id ON job (id);
CREATE INDEX job_idempotency_key ON job (mock, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE TABLE webhook (
    key INTEGER PRIMARY KEY, job INTEGER NOT NULL, stage INTEGER NOT NULL, ordered INTEGER NOT NULL,
    due REAL NOT NULL, url TEXT, state TEXT NOT NULL, reason TEXT,
    attempts INTEGER NOT NULL DEFAULT 0, value BLOB NOT NULL, content BLOB
);
CREATE INDEX webhook_of_job ON webhook (job);
CREATE TABLE attempt (
    webhook INTEGER NOT NULL, number INTEGER NOT NULL, started_at REAL NOT NULL, ended_at REAL NOT NULL,
    status INTEGER, error TEXT, body BLOB NOT NULL,
    PRIMARY KEY (webhook, number)
) WITHOUT ROWID;
"""

_encode = msgspec.msgpack.Encoder().encode
_job = msgspec.msgpack.Decoder(Job).decode
_webhook = msgspec.msgpack.Decoder(Webhook).decode
_content = msgspec.msgpack.Decoder(Content).decode


class StoreError(LatehookError):
    """The store could not write: nothing that was to be written with it counts."""


@dataclass(frozen=True, slots=True)
class Due:
    """What is asked of a webhook when its time has come: where it goes, and which it must not overtake."""

    url: str
    behind: int | None


def _guarded[**P, R](write: "Callable[Concatenate[Store, P], R]") -> "Callable[Concatenate[Store, P], R]":
    """A write that fails may be half there, and SQLite may have taken back all of the turn: no commit may hide it."""

    def guarded(store: "Store", /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return write(store, *args, **kwargs)
        except (sqlite3.Error, ValueError, OverflowError) as error:
            store.spoil()
            raise StoreError(f"the store cannot write: {error}") from error

    return guarded


class Store:
    """One connection, one thread. A key never means another job or webhook."""

    def __init__(self, path: str = ":memory:") -> None:
        self._db = sqlite3.connect(path, isolation_level=None, cached_statements=64)
        self._db.executescript(_SCHEMA)
        self._spoilt = False

    # Jobs

    @_guarded
    def add(self, job: Job) -> list[int]:
        """Write a job and its webhooks; the webhooks' keys."""
        sql = "INSERT INTO job (id, mock, idempotency_key, value) VALUES (?, ?, ?, ?)"
        key = self._write(sql, (job.id, job.mock, job.idempotency_key, _encode(replace(job, webhooks=()))))
        return [self._add_webhook(key, webhook) for webhook in job.webhooks]

    @_guarded
    def change(self, job: Job, kept: int) -> list[int]:
        """Write a job whose stages from number `kept` on are others: their webhooks instead of those still owed."""
        self._write("UPDATE job SET value = ? WHERE key = ?", (_encode(replace(job, webhooks=())), job.key))
        sql = "UPDATE webhook SET state = ?, reason = ? WHERE job = ? AND stage >= ? AND state IN (?, ?)"
        reason = "its stage was replaced"
        self._write(sql, (State.CANCELED, reason, job.key, kept, State.PENDING, State.HELD))
        return [self._add_webhook(job.key, webhook) for webhook in job.webhooks]

    def find(self, id: str) -> Job | None:
        """The newest job with this id."""
        return self._one("SELECT key, value FROM job WHERE id = ? ORDER BY key DESC LIMIT 1", (id,))

    def repeated(self, mock: str, idempotency_key: str) -> Job | None:
        """The job that this mock has started for an idempotency key."""
        sql = "SELECT key, value FROM job WHERE mock = ? AND idempotency_key = ? ORDER BY key DESC LIMIT 1"
        return self._one(sql, (mock, idempotency_key))

    def jobs(self) -> Sequence[Job]:
        """All jobs, the newest first."""
        rows = self._db.execute("SELECT key, value FROM job ORDER BY key DESC")
        return [replace(_job(value), key=key) for key, value in rows]

    def _one(self, sql: str, values: tuple[Any, ...]) -> Job | None:
        row = self._db.execute(sql, values).fetchone()
        return None if row is None else replace(_job(row[1]), key=row[0])

    # Webhooks

    def due(self, key: int) -> Due | None:
        """A webhook whose time has come; None if it is no longer pending."""
        sql = "SELECT url, job, stage, ordered, attempts FROM webhook WHERE key = ? AND state = ?"
        row = self._db.execute(sql, (key, State.PENDING)).fetchone()
        if row is None:
            return None
        url, job, stage, ordered, attempts = row
        waits = stage > 0 and ordered and attempts == 0
        return Due(url, self._before(job, stage) if waits else None)

    def _before(self, job: int, stage: int) -> int | None:
        """The last webhook of an earlier stage whose first attempt is still to come."""
        sql = "SELECT max(key) FROM webhook WHERE job = ? AND stage < ? AND attempts = 0 AND ordered AND state = ?"
        key: int | None = self._db.execute(sql, (job, stage, State.PENDING)).fetchone()[0]
        return key

    def owed(self, key: int) -> Owed | None:
        """A pending webhook with its job; None if it is no longer pending."""
        sql = """
            SELECT w.value, w.due, w.attempts, w.content, j.key, j.value
            FROM webhook w JOIN job j ON j.key = w.job WHERE w.key = ? AND w.state = ?
        """
        row = self._db.execute(sql, (key, State.PENDING)).fetchone()
        if row is None:
            return None
        value, due, attempts, content, job, job_value = row
        return Owed(
            key,
            replace(_webhook(value), due=due),
            replace(_job(job_value), key=job),
            attempts,
            None if content is None else _content(content),
        )

    @_guarded
    def finish(self, key: int, number: int, outcome: Outcome, state: State, due: float, content: Content) -> None:
        """Write an attempt that ended and what follows: the webhook's state, and its next time if it is pending.

        A webhook that was canceled meanwhile stays so, unless it was delivered after all.
        """
        sql = "INSERT OR REPLACE INTO attempt VALUES (?, ?, ?, ?, ?, ?, ?)"
        row = (key, number, outcome.started_at, outcome.ended_at, outcome.status, outcome.error, outcome.body)
        self._write(sql, row)
        sql = """
            UPDATE webhook SET due = ?, attempts = ?, content = ?,
            reason = CASE WHEN state = ? OR ? THEN ? ELSE reason END,
            state = CASE WHEN state = ? OR ? THEN ? ELSE state END WHERE key = ?
        """
        reason = (outcome.error or f"status {outcome.status}") if state is State.FAILED else None
        delivered = state is State.DELIVERED
        pending = State.PENDING
        self._write(sql, (due, number, _encode(content), pending, delivered, reason, pending, delivered, state, key))

    @_guarded
    def fail(self, key: int, reason: str) -> None:
        """Write that a webhook can never be sent, and why."""
        self._write("UPDATE webhook SET state = ?, reason = ? WHERE key = ?", (State.FAILED, reason, key))

    def count_owed(self) -> int:
        """How many webhooks are still to be delivered."""
        sql = "SELECT count(*) FROM webhook WHERE state IN (?, ?)"
        return int(self._db.execute(sql, (State.PENDING, State.HELD)).fetchone()[0])

    def _add_webhook(self, job: int, webhook: Webhook) -> int:
        sql = """
            INSERT INTO webhook (job, stage, ordered, due, url, state, reason, value) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
        """
        row = (job, webhook.stage, webhook.ordered, webhook.due, webhook.to, webhook.state, webhook.reason)
        return self._write(sql, (*row, _encode(webhook)))

    # Life

    @_guarded
    def prune(self, keep: int = KEEP_JOBS) -> None:
        """Forget the oldest ended jobs beyond `keep`, with all that belongs to them."""
        ended = """
            SELECT key FROM job WHERE key <= (SELECT max(key) - ? FROM job)
            AND NOT EXISTS (SELECT 1 FROM webhook w WHERE w.job = job.key AND w.state IN (?, ?))
        """
        ended = f"WITH ended AS ({ended}) "
        bound = (keep, State.PENDING, State.HELD)
        webhooks = "SELECT key FROM webhook WHERE job IN ended"
        for table, condition in (
            ("attempt", f"webhook IN ({webhooks})"),
            ("webhook", "job IN ended"),
            ("job", "key IN ended"),
        ):
            self._write(f"{ended} DELETE FROM {table} WHERE {condition}", bound)

    def commit(self) -> None:
        """Make all that was written since the last commit count, or none of it: StoreError."""
        if self._spoilt:
            self._spoilt = False
            self._roll_back()
            raise StoreError("the store cannot write: another write of the same moment failed")
        if not self._db.in_transaction:
            return
        try:
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise StoreError(f"the store cannot write: {error}") from error

    def spoil(self) -> None:
        """None of what was written since the last commit is to count."""
        self._spoilt = True

    def _roll_back(self) -> None:
        if self._db.in_transaction:  # SQLite may have done it by itself
            self._db.execute("ROLLBACK")

    def close(self) -> None:
        try:
            self.commit()
        finally:
            self._db.close()

    def _write(self, sql: str, values: tuple[Any, ...]) -> int:
        if not self._db.in_transaction:
            self._db.execute("BEGIN")
        return self._db.execute(sql, values).lastrowid or 0
