"""Jobs, webhooks and attempts in SQLite; the only SQL. What is written counts from `commit` on."""

import sqlite3

import msgspec

from latehook.model import Content, Job, LatehookError, Outcome, Owed, Request, State, Webhook

KEEP_JOBS = 100_000
"""Ended jobs that are kept; the oldest go first."""

_SCHEMA = """
CREATE TABLE job (
    key INTEGER PRIMARY KEY, id TEXT NOT NULL, definition TEXT NOT NULL, created_at REAL NOT NULL, request BLOB NOT NULL
);
CREATE TABLE webhook (
    key INTEGER PRIMARY KEY, job INTEGER NOT NULL, id TEXT NOT NULL, due REAL NOT NULL, url TEXT, state TEXT NOT NULL,
    reason TEXT, attempts INTEGER NOT NULL DEFAULT 0, content BLOB
);
CREATE INDEX webhook_of_job ON webhook (job);
CREATE TABLE attempt (
    webhook INTEGER NOT NULL, number INTEGER NOT NULL, started_at REAL NOT NULL, ended_at REAL NOT NULL,
    status INTEGER, error TEXT, body BLOB NOT NULL,
    PRIMARY KEY (webhook, number)
) WITHOUT ROWID;
"""

_encode = msgspec.msgpack.Encoder().encode
_request = msgspec.msgpack.Decoder(Request).decode
_content = msgspec.msgpack.Decoder(Content).decode


class StoreError(LatehookError):
    """The store could not write: nothing that was to be written with it counts."""


class Store:
    """One connection, one thread. A job's webhooks have neighbouring keys; a key never means another webhook."""

    def __init__(self, path: str = ":memory:") -> None:
        self._db = sqlite3.connect(path, isolation_level=None, cached_statements=64)
        self._db.executescript(_SCHEMA)

    def add(self, job: Job) -> list[int]:
        """Write a job and its webhooks; the webhooks' keys."""
        self._begin()
        try:
            row = (job.id, job.definition, job.created_at, _encode(job.request))
            key = self._db.execute(
                "INSERT INTO job (id, definition, created_at, request) VALUES (?, ?, ?, ?)", row
            ).lastrowid
            return [self._add_webhook(key, webhook) for webhook in job.webhooks]
        except sqlite3.Error as error:
            raise StoreError(f"the store cannot write: {error}") from error

    def _add_webhook(self, job: int | None, webhook: Webhook) -> int:
        row = (job, webhook.id, webhook.due, webhook.to, webhook.state, webhook.reason)
        sql = "INSERT INTO webhook (job, id, due, url, state, reason) VALUES (?, ?, ?, ?, ?, ?)"
        key = self._db.execute(sql, row).lastrowid
        assert key is not None
        return key

    def url(self, key: int) -> str | None:
        """Where a webhook goes; None if it is no longer pending."""
        sql = "SELECT url FROM webhook WHERE key = ? AND state = ?"
        row = self._db.execute(sql, (key, State.PENDING)).fetchone()
        return None if row is None else str(row[0])

    def owed(self, key: int) -> Owed | None:
        """A pending webhook with its job; None if it is no longer pending."""
        sql = """
            SELECT w.id, w.due, w.url, w.attempts, w.content, j.id, j.definition, j.created_at, j.request
            FROM webhook w JOIN job j ON j.key = w.job WHERE w.key = ? AND w.state = ?
        """
        row = self._db.execute(sql, (key, State.PENDING)).fetchone()
        if row is None:
            return None
        id, due, url, attempts, content, job_id, definition, created_at, request = row
        webhook = Webhook(id, due, url)
        job = Job(job_id, definition, created_at, _request(request), (webhook,))
        return Owed(key, webhook, job, attempts, None if content is None else _content(content))

    def finish(self, key: int, number: int, outcome: Outcome, state: State, due: float, content: Content) -> None:
        """Write an attempt that ended and what follows: the webhook's state, and its next time if it is pending."""
        self._begin()
        sql = "INSERT OR REPLACE INTO attempt VALUES (?, ?, ?, ?, ?, ?, ?)"
        row = (key, number, outcome.started_at, outcome.ended_at, outcome.status, outcome.error, outcome.body)
        reason = outcome.error if state is State.FAILED else None
        try:
            self._db.execute(sql, row)
            sql = "UPDATE webhook SET state = ?, due = ?, attempts = ?, reason = ?, content = ? WHERE key = ?"
            self._db.execute(sql, (state, due, number, reason, _encode(content), key))
        except sqlite3.Error as error:
            raise StoreError(f"the store cannot write: {error}") from error

    def fail(self, key: int, reason: str) -> None:
        """Write that a webhook can never be sent, and why."""
        self._begin()
        sql = "UPDATE webhook SET state = ?, reason = ? WHERE key = ?"
        self._db.execute(sql, (State.FAILED, reason, key))

    def count_owed(self) -> int:
        """How many webhooks are still to be delivered."""
        sql = "SELECT count(*) FROM webhook WHERE state IN (?, ?)"
        return int(self._db.execute(sql, (State.PENDING, State.HELD)).fetchone()[0])

    def prune(self, keep: int = KEEP_JOBS) -> None:
        """Forget the oldest ended jobs beyond `keep`, with all that belongs to them."""
        self._begin()
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
            self._db.execute(f"{ended} DELETE FROM {table} WHERE {condition}", bound)

    def commit(self) -> None:
        """Make all that was written since the last commit count, or none of it: StoreError."""
        if not self._db.in_transaction:
            return
        try:
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._db.execute("ROLLBACK")
            raise StoreError(f"the store cannot write: {error}") from error

    def close(self) -> None:
        self.commit()
        self._db.close()

    def _begin(self) -> None:
        if not self._db.in_transaction:
            self._db.execute("BEGIN")
