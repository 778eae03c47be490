"""Jobs, webhooks and attempts in SQLite; the only SQL. What is written counts from `commit` on.

`value` and `content` are what Latehook goes on with after a restart, secrets and all. `mock`, `url`, `reason`, `error`
and `body` are there to be read, by whoever opens the file, and hold no secrets.
"""

import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from typing import Any, Concatenate

from msgspec.structs import replace

from latehook.base.errors import StoreError, UnkeepableError
from latehook.base.model import Content, Job, Outcome, State, Webhook
from latehook.base.redaction import Redaction
from latehook.store.opening import MEMORY, connected, unusable
from latehook.store.reading import Reader
from latehook.store.values import OWED, Due, as_list, digest, encode

__all__ = ["MEMORY", "OWED", "Due", "Store", "StoreError", "UnkeepableError"]

KEEP_JOBS = 100_000
"""Ended jobs that are kept; the oldest go first."""

PRUNED_AT_ONCE = 5000
"""Jobs looked at, and forgotten if they are to be, in one go: more would hold the loop."""

CHECKPOINT_WAITS = 0.05
"""Seconds that a checkpoint waits for a reader. Our own writes wait with it."""


def _guarded[**P, R](write: "Callable[Concatenate[Store, P], R]") -> "Callable[Concatenate[Store, P], R]":
    """A write that fails may be half there, and SQLite may have taken back all of the turn: no commit may hide it."""

    def guarded(store: "Store", /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return write(store, *args, **kwargs)
        except (sqlite3.Error, ValueError, OverflowError) as error:
            store.spoil()
            raise StoreError(f"the store cannot write: {error}") from error

    return guarded


class Store(Reader):
    """One connection, one thread. A key never means another job or webhook.

    With a path it is a file that one process has for itself; what it knows outlives the process.
    """

    def __init__(self, path: str = MEMORY, redaction: Redaction | None = None) -> None:
        self.path = path
        self.redaction = redaction or Redaction()
        self._spoilt = False
        self._pruned = 0  # the job up to which old ones have been looked for
        try:
            self._db, self._lock = connected(path)
            self._defined = self._definitions()
            self._last_used = dict.fromkeys(self._defined, self.last_key())
        except sqlite3.Error as error:
            raise unusable(path, error) from None

    @_guarded
    def define(self, hash: str, written: bytes) -> None:
        """Keep a mock as it was written, for the jobs it starts."""
        if hash not in self._defined:
            self._write("INSERT INTO definition VALUES (?, ?)", (hash, written))
            self._defined.add(hash)

    @_guarded
    def add(self, job: Job) -> list[int]:
        """Write a job and its webhooks; the webhooks' keys."""
        sql = "INSERT INTO job (id, mock, idempotency_key, created_at, ends, value) VALUES (?, ?, ?, ?, ?, ?)"
        mock = self.redaction.hide(job.mock)
        idempotency_key = None if job.idempotency_key is None else digest(job.mock, job.idempotency_key)
        row = (job.id, mock, idempotency_key, job.created_at, _ends(job), encode(replace(job, webhooks=())))
        values = list(map(encode, job.webhooks))  # before anything is written: one of them may have no form
        key = self._write(sql, row)
        return self._add_webhooks(key, job.webhooks, values)

    @_guarded
    def change(self, job: Job, kept: int) -> list[int]:
        """Write a job whose stages from number `kept` on are others: their webhooks instead of those still owed."""
        values = list(map(encode, job.webhooks))
        self._update(job)
        sql = "UPDATE webhook SET state = ?, reason = ? WHERE job = ? AND stage >= ? AND state IN (?, ?)"
        self._write(sql, (State.CANCELED, "its stage was replaced", job.key, kept, *OWED))
        return self._add_webhooks(job.key, job.webhooks, values)

    @_guarded
    def update(self, job: Job) -> None:
        """Write a job whose stages have other times."""
        self._update(job)

    def _update(self, job: Job) -> None:
        row = (encode(replace(job, webhooks=())), _ends(job), job.key)
        self._write("UPDATE job SET value = ?, ends = ? WHERE key = ?", row)

    @_guarded
    def keep(self, key: int, content: Content) -> None:
        """Write what a webhook says, before it is said for the first time."""
        self._write("UPDATE webhook SET content = ? WHERE key = ?", (encode(content), key))

    @_guarded
    def finish(self, key: int, number: int, outcome: Outcome, state: State, due: float, content: Content) -> None:
        """Write an attempt that ended and what follows: the webhook's state, and its next time if it is pending.

        A webhook that was held or canceled meanwhile stays so, unless it was delivered after all.
        """
        encoded = encode(content)
        sql = "INSERT OR REPLACE INTO attempt VALUES (?, ?, ?, ?, ?, ?, ?)"
        shown = self.redaction.hide([outcome.error, outcome.body])
        row = (key, number, outcome.started_at, outcome.ended_at, outcome.status, *shown)
        self._write(sql, row)
        sql = """
            UPDATE webhook SET due = ?, attempts = ?, content = ?,
            reason = CASE WHEN state = ? OR ? THEN ? ELSE reason END,
            state = CASE WHEN state = ? OR ? THEN ? ELSE state END WHERE key = ?
        """
        reason = self.redaction.hide(outcome.error or f"status {outcome.status}") if state is State.FAILED else None
        delivered = state is State.DELIVERED
        pending = State.PENDING
        self._write(sql, (due, number, encoded, pending, delivered, reason, pending, delivered, state, key))

    @_guarded
    def set_state(self, key: int, state: State, reason: str | None = None) -> None:
        """Write that a webhook can never be sent, is held, or canceled, and why."""
        self._write("UPDATE webhook SET state = ?, reason = ? WHERE key = ?", (state, self.redaction.hide(reason), key))

    @_guarded
    def set_due(self, key: int, due: float, ordered: bool = True) -> None:
        """Make a webhook pending at a time; `ordered` only where it was."""
        sql = "UPDATE webhook SET state = ?, reason = NULL, due = ?, ordered = ordered AND ? WHERE key = ?"
        self._write(sql, (State.PENDING, due, ordered, key))

    @_guarded
    def shift(self, key: int, due: float) -> None:
        """Give a webhook another time."""
        self._write("UPDATE webhook SET due = ? WHERE key = ?", (due, key))

    def _add_webhooks(self, job: int, webhooks: Sequence[Webhook], values: Sequence[bytes]) -> list[int]:
        for definition in {webhook.definition for webhook in webhooks}:
            self._last_used[definition] = max(job, self._last_used.get(definition, 0))
        sql = """
            INSERT INTO webhook (job, id, stage, ordered, due, url, state, reason, value)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
        """
        shown = self.redaction.hide([[webhook.to, webhook.reason] for webhook in webhooks])
        return [
            self._write(sql, (job, one.id, one.stage, one.ordered, one.due, url, one.state, reason, value))
            for one, (url, reason), value in zip(webhooks, shown, values, strict=True)
        ]

    @_guarded
    def remember(self, name: str, value: Any) -> None:
        """Keep plain data under a name."""
        self._write("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, encode(value)))

    @_guarded
    def clear(self) -> None:
        """Forget everything."""
        for table in ("meta", "definition", "attempt", "webhook", "job"):
            self._write(f"DELETE FROM {table}", ())
        self._defined.clear()

    @_guarded
    def prune(self, before: float, clock: float, keep: int = KEEP_JOBS) -> None:
        """Forget ended jobs created before `before` (Unix seconds), or beyond `keep`, with all that belongs to them.

        A job has ended when its last stage is behind (`clock` is Latehook's) and nothing of it is owed. One call looks
        at some, the next one goes on from there: it takes no longer where a million old jobs have not ended.
        """
        sql = """
            SELECT key, key <= (SELECT max(key) - ? FROM job) OR created_at < ? AS old, ends <= ? AND NOT EXISTS (
                SELECT 1 FROM webhook w WHERE w.job = job.key AND w.state IN (?, ?)
            ) FROM job WHERE key > ? ORDER BY key LIMIT ?
        """
        values = (keep, before, clock, *OWED, self._pruned, PRUNED_AT_ONCE)
        rows = self._db.execute(sql, values).fetchall()
        goes_on = len(rows) == PRUNED_AT_ONCE and rows[-1][1]
        self._pruned = rows[-1][0] if goes_on else 0
        keys = [(key,) for key, old, ended in rows if old and ended]
        if not keys:
            return
        self._begin()
        self._db.executemany("DELETE FROM attempt WHERE webhook IN (SELECT key FROM webhook WHERE job = ?)", keys)
        self._db.executemany("DELETE FROM webhook WHERE job = ?", keys)
        self._db.executemany("DELETE FROM job WHERE key = ?", keys)
        self._prune_definitions()

    def _prune_definitions(self) -> None:
        """Forget those that were last used by a job older than all that are kept."""
        (oldest,) = self._db.execute("SELECT coalesce(min(key), 1e18) FROM job").fetchone()
        self._last_used = {hash: job for hash, job in self._last_used.items() if job >= oldest}
        unused = self._defined - self._last_used.keys()
        self._db.executemany("DELETE FROM definition WHERE hash = ?", [(hash,) for hash in unused])
        self._defined -= unused

    @_guarded
    def forget(self, jobs: Iterable[int]) -> None:
        """Forget these jobs, with all that belongs to them."""
        some = as_list(jobs)
        of_webhooks = "SELECT key FROM webhook WHERE job IN (SELECT value FROM json_each(?))"
        self._write(f"DELETE FROM attempt WHERE webhook IN ({of_webhooks})", (some,))
        self._write("DELETE FROM webhook WHERE job IN (SELECT value FROM json_each(?))", (some,))
        self._write("DELETE FROM job WHERE key IN (SELECT value FROM json_each(?))", (some,))

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

    @property
    def lasts(self) -> bool:
        """Whether what is written outlives the process."""
        return self.path != MEMORY

    def log_size(self) -> int:
        """Bytes of what has been committed and is not in the file yet."""
        try:
            return os.stat(f"{self.path}-wal").st_size if self.lasts else 0
        except OSError:
            return 0

    def checkpoint(self) -> None:
        """Bring the log into the file. Safe in another thread, and best made there.

        Nearly all of it while others go on writing. For the little that they have written meanwhile they have to wait:
        only then can the log begin anew.
        """
        with suppress(sqlite3.Error), closing(sqlite3.connect(self.path, timeout=CHECKPOINT_WAITS)) as other:
            other.execute("PRAGMA wal_checkpoint(PASSIVE)")
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def spoil(self) -> None:
        """None of what was written since the last commit is to count."""
        self._spoilt = True

    def _roll_back(self) -> None:
        if self._db.in_transaction:  # SQLite may have done it by itself
            self._db.execute("ROLLBACK")
        self._defined = self._definitions()

    def close(self) -> None:
        with suppress(StoreError):
            self.commit()
        self._db.close()
        if self._lock is not None:
            self._lock.close()

    def _write(self, sql: str, values: tuple[Any, ...]) -> int:
        self._begin()
        return self._db.execute(sql, values).lastrowid or 0

    def _begin(self) -> None:
        if not self._db.in_transaction:
            self._db.execute("BEGIN")


def _ends(job: Job) -> float:
    return job.stages[-1].due if job.stages else 0.0
