"""Jobs, webhooks and attempts in SQLite: the only package with SQL. A write counts once `commit` has returned.

The columns `value` and `content` hold what a later process continues with, secrets included. The columns `mock`, `url`,
`reason`, `error` and `body` are for people and programs that open the file: they are redacted.
"""

import logging
import os
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from typing import Any

from msgspec.structs import replace

from latehook.base import logs
from latehook.base.errors import StoreError, UnstorableError
from latehook.base.model import STORED_UNFINISHED, Content, Job, Outcome, State, Webhook
from latehook.base.redaction import Redaction
from latehook.store.guarding import write_operation
from latehook.store.opening import MEMORY, connect, unusable
from latehook.store.reading import Reader
from latehook.store.values import Due, Match, as_list, digest, encode

__all__ = ["MEMORY", "Due", "Match", "Store", "StoreError", "UnstorableError"]

log = logging.getLogger(logs.LOGGER)

MAX_ENDED_JOBS = 100_000
"""Ended jobs that are kept. The oldest are deleted first."""

PRUNE_BATCH = 5000
"""Jobs that one call of `prune` examines at most: more would block the event loop."""

CHECKPOINT_TIMEOUT = 0.05
"""Seconds that a checkpoint waits for readers of the file. Our own writes wait as long."""


class Store(Reader):
    """A store of one process: one connection, used in one thread. A key is never given to another job or webhook.

    `path` is a file, which outlives the process, or MEMORY. Raises StoreError where the file cannot be opened.
    """

    def __init__(self, path: str = MEMORY, redaction: Redaction | None = None) -> None:
        self.path = path
        self.redaction = redaction or Redaction()
        self._has_failed = False
        self._changed: set[int] = set()  # the keys of webhooks that were written since the last commit
        self._pruned_to = 0  # the key of the last job that `prune` has examined
        self._is_closed = False
        self._db, self._lock = connect(path)
        try:
            self._definitions = self._definition_hashes()
            self._last_job = dict.fromkeys(self._definitions, self.last_job_key())  # the last job of each definition
        except StoreError as error:
            self.close()
            raise unusable(path, error.__cause__ or error) from None

    # Jobs

    @write_operation
    def add_job(self, job: Job) -> list[int]:
        """Write a job and its webhooks. Return the webhooks' keys, in their order."""
        sql = "INSERT INTO job (id, mock, idempotency_key, created_at, ends, value) VALUES (?, ?, ?, ?, ?, ?)"
        mock = self.redaction.redact(job.mock)
        idempotency_key = None if job.idempotency_key is None else digest(job.mock, job.idempotency_key)
        row = (job.id, mock, idempotency_key, job.received_at, _end_of(job), encode(replace(job, webhooks=())))
        values = list(map(encode, job.webhooks))  # before the first write: one of them may raise UnstorableError
        key = self._write(sql, row)
        return self._add_webhooks(key, job.webhooks, values)

    @write_operation
    def replace_stages(self, job: Job, kept_stages: int) -> list[int]:
        """Write a job with new stages behind the first `kept_stages`, and their webhooks. Return the webhooks' keys.

        Unfinished webhooks of the stages that were there before are canceled.
        """
        values = list(map(encode, job.webhooks))
        self._update_job(job)
        sql = "UPDATE webhook SET state = ?, reason = ? WHERE job = ? AND stage >= ? AND state IN (?, ?)"
        self._write(sql, (State.CANCELED, "its stage was replaced", job.key, kept_stages, *STORED_UNFINISHED))
        self._changed.update(key for (key,) in self._db.execute("SELECT key FROM webhook WHERE job = ?", (job.key,)))
        return self._add_webhooks(job.key, job.webhooks, values)

    @write_operation
    def update_job(self, job: Job) -> None:
        """Write a job whose stages or clock have other times."""
        self._update_job(job)

    def _update_job(self, job: Job) -> None:
        row = (encode(replace(job, webhooks=())), _end_of(job), job.key)
        self._write("UPDATE job SET value = ?, ends = ? WHERE key = ?", row)

    def _add_webhooks(self, job: int, webhooks: Sequence[Webhook], values: Sequence[bytes]) -> list[int]:
        for definition in {webhook.definition for webhook in webhooks}:
            self._last_job[definition] = max(job, self._last_job.get(definition, 0))
        sql = """
            INSERT INTO webhook (job, id, stage, ordered, due, url, state, reason, value)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
        """
        redacted = self.redaction.redact([[webhook.to, webhook.reason] for webhook in webhooks])
        keys = [
            self._write(sql, (job, one.id, one.stage, one.ordered, one.due, url, one.state, reason, value))
            for one, (url, reason), value in zip(webhooks, redacted, values, strict=True)
        ]
        self._changed.update(keys)
        return keys

    @write_operation
    def delete_jobs(self, jobs: Iterable[int]) -> None:
        """Delete the jobs with these keys, their webhooks and attempts."""
        keys = as_list(jobs)
        of_webhooks = "SELECT key FROM webhook WHERE job IN (SELECT value FROM json_each(?))"
        self._write(f"DELETE FROM attempt WHERE webhook IN ({of_webhooks})", (keys,))
        self._write("DELETE FROM webhook WHERE job IN (SELECT value FROM json_each(?))", (keys,))
        self._write("DELETE FROM job WHERE key IN (SELECT value FROM json_each(?))", (keys,))

    # Webhooks and attempts

    @write_operation
    def set_content(self, key: int, content: Content) -> None:
        """Write what a webhook says, before its first attempt."""
        self._write("UPDATE webhook SET content = ? WHERE key = ?", (encode(content), key))

    @write_operation
    def add_attempt(
        self, key: int, number: int, outcome: Outcome, state: State, due: float, content: Content, clock_at: float
    ) -> None:
        """Write an attempt that has ended, the webhook's state after it, and when the webhook is due again.

        `clock_at` is when the attempt started by the job's clock. A webhook that was held or canceled during the
        attempt stays so, unless the attempt has delivered it.
        """
        encoded = encode(content)
        sql = "INSERT OR REPLACE INTO attempt VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        redacted = self.redaction.redact([outcome.error, outcome.body])
        row = (key, number, outcome.started_at, outcome.ended_at, outcome.status, *redacted, clock_at)
        self._write(sql, row)
        sql = """
            UPDATE webhook SET due = ?, attempts = ?, content = ?,
            reason = CASE WHEN state = ? OR ? THEN ? ELSE reason END,
            state = CASE WHEN state = ? OR ? THEN ? ELSE state END WHERE key = ?
        """
        reason = self.redaction.redact(outcome.error or f"status {outcome.status}") if state is State.FAILED else None
        delivered = state is State.DELIVERED
        pending = State.PENDING
        self._update_webhook(sql, (due, number, encoded, pending, delivered, reason, pending, delivered, state), key)

    @write_operation
    def set_state(self, key: int, state: State, reason: str | None = None) -> None:
        """Write a webhook's state and the reason for it."""
        row = (state, self.redaction.redact(reason))
        self._update_webhook("UPDATE webhook SET state = ?, reason = ? WHERE key = ?", row, key)

    def give_up(self, key: int, reason: str) -> None:
        """Write that the webhook with this key has failed, because its row is damaged. Another read does it otherwise.

        The next commit is for this write too.
        """
        log.error("latehook: webhook number %d of the store failed: %s", key, reason)
        with suppress(StoreError):
            self.set_state(key, State.FAILED, reason)

    @write_operation
    def set_pending(self, key: int, due: float, ordered: bool = True) -> None:
        """Make a webhook pending and due at `due`. Unless `ordered`, it waits for no earlier webhook of its job."""
        sql = "UPDATE webhook SET state = ?, reason = NULL, due = ?, ordered = ordered AND ? WHERE key = ?"
        self._update_webhook(sql, (State.PENDING, due, ordered), key)

    @write_operation
    def bring_forward(self, job: int, seconds: float) -> None:
        """Write that all webhooks of a job (by its key) are, or were, due earlier by so many seconds."""
        self._write("UPDATE webhook SET due = due - ? WHERE job = ?", (seconds, job))

    # Definitions and single values

    @write_operation
    def add_definition(self, hash: str, written: bytes) -> None:
        """Write a mock as its file has it, for the jobs that it starts."""
        if hash not in self._definitions:
            self._write("INSERT INTO definition VALUES (?, ?)", (hash, written))
            self._definitions.add(hash)

    @write_operation
    def set_value(self, name: str, value: Any) -> None:
        """Write plain data under a name."""
        self._write("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, encode(value)))

    @write_operation
    def clear(self) -> None:
        """Delete everything."""
        for table in ("meta", "definition", "attempt", "webhook", "job"):
            self._write(f"DELETE FROM {table}", ())
        self._definitions.clear()

    # Old jobs

    @write_operation
    def prune(self, before: float, clock: float, keep: int = MAX_ENDED_JOBS) -> None:
        """Delete ended jobs that came before `before` (Unix seconds of real time), or are not among the newest `keep`.

        A job has ended when its last stage is past (`clock` is the time of Latehook's clock) and no webhook of it is
        unfinished. One call examines PRUNE_BATCH jobs, and the next call continues behind them: so no call takes long,
        even if a million old jobs have not ended.
        """
        sql = """
            SELECT key, key <= (SELECT max(key) - ? FROM job) OR created_at < ? AS old, ends <= ? AND NOT EXISTS (
                SELECT 1 FROM webhook w WHERE w.job = job.key AND w.state IN (?, ?)
            ) FROM job WHERE key > ? ORDER BY key LIMIT ?
        """
        values = (keep, before, clock, *STORED_UNFINISHED, self._pruned_to, PRUNE_BATCH)
        rows = self._db.execute(sql, values).fetchall()
        has_more = len(rows) == PRUNE_BATCH and rows[-1][1]
        self._pruned_to = rows[-1][0] if has_more else 0
        keys = [(key,) for key, old, ended in rows if old and ended]
        if not keys:
            return
        self._begin()
        self._db.executemany("DELETE FROM attempt WHERE webhook IN (SELECT key FROM webhook WHERE job = ?)", keys)
        self._db.executemany("DELETE FROM webhook WHERE job = ?", keys)
        self._db.executemany("DELETE FROM job WHERE key = ?", keys)
        self._prune_definitions()

    def _prune_definitions(self) -> None:
        """Delete the definitions whose last job is older than every job that is left."""
        (oldest,) = self._db.execute("SELECT coalesce(min(key), 1e18) FROM job").fetchone()
        self._last_job = {hash: job for hash, job in self._last_job.items() if job >= oldest}
        unused = self._definitions - self._last_job.keys()
        self._db.executemany("DELETE FROM definition WHERE hash = ?", [(hash,) for hash in unused])
        self._definitions -= unused

    # Transactions

    def commit(self) -> None:
        """Commit everything that was written since the last commit. Raises StoreError: all of it is rolled back."""
        if self._has_failed:
            self._has_failed = False
            self._roll_back()
            raise StoreError("the store cannot write: another write of the same moment failed")
        if not self._db.in_transaction:
            return
        try:
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise self.failure("write", error) from error

    def take_changed(self) -> set[int]:
        """Return the keys of the webhooks that were written since the last call."""
        changed, self._changed = self._changed, set()
        return changed

    def fail_transaction(self) -> None:
        """Make the next commit roll back and raise StoreError."""
        self._has_failed = True

    def _roll_back(self) -> None:
        if self._db.in_transaction:  # SQLite may have rolled back by itself
            self._db.execute("ROLLBACK")
        self._definitions = self._definition_hashes()

    def _write(self, sql: str, values: tuple[Any, ...]) -> int:
        """Execute a statement inside the transaction. Return the key of the row that it has inserted."""
        self._begin()
        return self._db.execute(sql, values).lastrowid or 0

    def _update_webhook(self, sql: str, values: tuple[Any, ...], key: int) -> None:
        """Execute a statement on the webhook with this key, which is its last parameter."""
        self._write(sql, (*values, key))
        self._changed.add(key)

    def _begin(self) -> None:
        if not self._db.in_transaction:
            self._db.execute("BEGIN")

    def failure(self, verb: str, error: Exception) -> StoreError:
        if self._is_closed:
            return StoreError("Latehook is ending, and answers no more")
        return super().failure(verb, error)

    # The file

    @property
    def is_durable(self) -> bool:
        """Whether the store outlives the process."""
        return self.path != MEMORY

    def log_size(self) -> int:
        """Return the size of the write-ahead log in bytes: of what is committed and not yet in the file itself."""
        try:
            return os.stat(f"{self.path}-wal").st_size if self.is_durable else 0
        except OSError:
            return 0

    def checkpoint(self) -> None:
        """Copy the write-ahead log into the file. It takes long: call this in another thread.

        The first step copies nearly all of it while the store is written to. The second one stops the writes for as
        long as it copies the rest: only then can the log start again from its beginning.
        """
        with suppress(sqlite3.Error), closing(sqlite3.connect(self.path, timeout=CHECKPOINT_TIMEOUT)) as other:
            other.execute("PRAGMA wal_checkpoint(PASSIVE)")
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Commit, close the file, and release its lock."""
        with suppress(StoreError):
            self.commit()
        self._is_closed = True
        self._db.close()
        if self._lock is not None:
            self._lock.close()


def _end_of(job: Job) -> float:
    """Return when a job's last stage is due, in seconds of Latehook's clock."""
    return job.stages[-1].due - job.ahead if job.stages else 0.0
