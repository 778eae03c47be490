"""Jobs, webhooks and attempts in SQLite; the only SQL. What is written counts from `commit` on.

`value` and `content` are what Latehook goes on with after a restart, secrets and all. `mock`, `url`, `reason`, `error`
and `body` are there to be read, by whoever opens the file, and hold no secrets.
"""

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any, Concatenate

import msgspec
from msgspec.structs import replace

from latehook.model import Attempt, Content, Criteria, Job, LatehookError, Outcome, Owed, State, Webhook
from latehook.redaction import Redaction

MEMORY = ":memory:"
VERSION = 1
"""Of the tables, in the file's `user_version`."""

KEEP_JOBS = 100_000
"""Ended jobs that are kept; the oldest go first."""

PRUNED_AT_ONCE = 5000
"""Jobs looked at, and forgotten if they are to be, in one go: more would hold the loop."""

CHECKPOINT_WAITS = 0.05
"""Seconds that a checkpoint waits for a reader. Our own writes wait with it."""

_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE definition (hash TEXT PRIMARY KEY, written BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE job (
    key INTEGER PRIMARY KEY, id TEXT NOT NULL, mock TEXT NOT NULL, idempotency_key TEXT,
    created_at REAL NOT NULL, ends REAL NOT NULL, value BLOB NOT NULL
);
CREATE INDEX job_id ON job (id);
CREATE INDEX job_idempotency_key ON job (idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE TABLE webhook (
    key INTEGER PRIMARY KEY, job INTEGER NOT NULL, id TEXT NOT NULL, stage INTEGER NOT NULL, ordered INTEGER NOT NULL,
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

_encoder = msgspec.msgpack.Encoder()
_job = msgspec.msgpack.Decoder(Job).decode
_webhook = msgspec.msgpack.Decoder(Webhook).decode
_content = msgspec.msgpack.Decoder(Content).decode


class _Target(msgspec.Struct, frozen=True):
    """Of a webhook only where it goes."""

    to: str


_target = msgspec.msgpack.Decoder(_Target).decode


class _Event(msgspec.Struct):
    """A webhook, as far as its event."""

    event: str | None = None


_event = msgspec.msgpack.Decoder(_Event).decode

OWED = (State.PENDING, State.HELD)
"""The states that the store has for a webhook that is still to be delivered."""


class StoreError(LatehookError):
    """The store cannot be opened, or could not write: nothing that was to be written with it counts."""


class UnkeepableError(StoreError):
    """What is to be written has no form in the store. Nothing of it was written: what others write counts."""


def _encode(value: Any) -> bytes:
    try:
        return _encoder.encode(value)
    except (ValueError, OverflowError, TypeError) as error:
        reason = f"{error}: whole numbers have at most 64 bits, texts no half of a character"
        raise UnkeepableError(f"this cannot be kept: {reason}") from error


@dataclass(frozen=True, slots=True)
class Due:
    """What is asked of a webhook whose time has come: when that was, where it goes, which it must not overtake."""

    due: float
    url: str
    behind: Sequence[int]


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
    """One connection, one thread. A key never means another job or webhook.

    With a path it is a file that one process has for itself; what it knows outlives the process.
    """

    def __init__(self, path: str = MEMORY, redaction: Redaction | None = None) -> None:
        self.path = path
        self.redaction = redaction or Redaction()
        self._spoilt = False
        self._pruned = 0  # the job up to which old ones have been looked for
        self._lock: sqlite3.Connection | None = None
        try:
            if path != MEMORY:
                self._lock = _locked(path)
            self._db = sqlite3.connect(path, isolation_level=None, cached_statements=64)
            self._open()
            self._defined = self._definitions()
            self._last_used = dict.fromkeys(self._defined, self.last_key())
        except sqlite3.Error as error:
            raise StoreError(f"mock_store={path}: {_why(error)}") from None

    def _open(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise StoreError(f"mock_store={self.path}: it is of a newer Latehook: use that one, or another file")
        if version == 0:
            if self._db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
                raise StoreError(f"mock_store={self.path}: this is another program's database: name another file")
            self._db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
        self._db.create_function("event_of", 1, lambda webhook: _event(webhook).event, deterministic=True)
        # NORMAL in WAL mode loses nothing when the process dies; checkpoints stop the loop, so they are made elsewhere.
        self._db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0;")

    # Jobs

    @_guarded
    def define(self, hash: str, written: bytes) -> None:
        """Keep a mock as it was written, for the jobs it starts."""
        if hash not in self._defined:
            self._write("INSERT INTO definition VALUES (?, ?)", (hash, written))
            self._defined.add(hash)

    def definition(self, hash: str) -> bytes | None:
        row = self._db.execute("SELECT written FROM definition WHERE hash = ?", (hash,)).fetchone()
        return None if row is None else bytes(row[0])

    def _definitions(self) -> set[str]:
        return {hash for (hash,) in self._db.execute("SELECT hash FROM definition")}

    @_guarded
    def add(self, job: Job) -> list[int]:
        """Write a job and its webhooks; the webhooks' keys."""
        sql = "INSERT INTO job (id, mock, idempotency_key, created_at, ends, value) VALUES (?, ?, ?, ?, ?, ?)"
        mock = self.redaction.hide(job.mock)
        idempotency_key = None if job.idempotency_key is None else _digest(job.mock, job.idempotency_key)
        row = (job.id, mock, idempotency_key, job.created_at, _ends(job), _encode(replace(job, webhooks=())))
        values = list(map(_encode, job.webhooks))  # before anything is written: one of them may have no form
        key = self._write(sql, row)
        return self._add_webhooks(key, job.webhooks, values)

    @_guarded
    def change(self, job: Job, kept: int) -> list[int]:
        """Write a job whose stages from number `kept` on are others: their webhooks instead of those still owed."""
        values = list(map(_encode, job.webhooks))
        self._update(job)
        sql = "UPDATE webhook SET state = ?, reason = ? WHERE job = ? AND stage >= ? AND state IN (?, ?)"
        self._write(sql, (State.CANCELED, "its stage was replaced", job.key, kept, *OWED))
        return self._add_webhooks(job.key, job.webhooks, values)

    @_guarded
    def update(self, job: Job) -> None:
        """Write a job whose stages have other times."""
        self._update(job)

    def get(self, key: int) -> Job | None:
        return self._one("SELECT key, value FROM job WHERE key = ?", (key,))

    def find(self, id: str) -> Job | None:
        """The newest job with this id."""
        return self._one("SELECT key, value FROM job WHERE id = ? ORDER BY key DESC LIMIT 1", (id,))

    def repeated(self, mock: str, idempotency_key: str) -> Job | None:
        """The job that this mock has started for an idempotency key."""
        sql = "SELECT key, value FROM job WHERE idempotency_key = ? ORDER BY key DESC LIMIT 1"
        return self._one(sql, (_digest(mock, idempotency_key),))

    def jobs(self) -> Sequence[Job]:
        """All jobs, the newest first."""
        rows = self._db.execute("SELECT key, value FROM job ORDER BY key DESC")
        return [replace(_job(value), key=key) for key, value in rows]

    def last_key(self) -> int:
        """The key of the newest job there has been; 0 for none."""
        return int(self._db.execute("SELECT coalesce(max(key), 0) FROM job").fetchone()[0])

    def _one(self, sql: str, values: tuple[Any, ...]) -> Job | None:
        row = self._db.execute(sql, values).fetchone()
        return None if row is None else replace(_job(row[1]), key=row[0])

    def _update(self, job: Job) -> None:
        row = (_encode(replace(job, webhooks=())), _ends(job), job.key)
        self._write("UPDATE job SET value = ?, ends = ? WHERE key = ?", row)

    # Webhooks

    def due(self, key: int) -> Due | None:
        """A webhook whose time may have come; None if it is not pending."""
        sql = "SELECT due, value, job, stage, ordered, attempts FROM webhook WHERE key = ? AND state = ?"
        row = self._db.execute(sql, (key, State.PENDING)).fetchone()
        if row is None:
            return None
        due, value, job, stage, ordered, attempts = row
        waits = stage > 0 and ordered and attempts == 0
        return Due(due, _target(value).to, self._before(job, stage) if waits else ())

    def _before(self, job: int, stage: int) -> list[int]:
        """The webhooks of earlier stages whose first attempt is still to come, the last one first."""
        sql = "SELECT key FROM webhook WHERE job = ? AND stage < ? AND attempts = 0 AND ordered AND state = ?"
        rows = self._db.execute(f"{sql} ORDER BY key DESC", (job, stage, State.PENDING))
        return [key for (key,) in rows]

    def owed(self, key: int) -> Owed | None:
        """A pending webhook with its job; None if it is not pending."""
        owed = self.webhook(key)
        return owed if owed is not None and owed.webhook.state is State.PENDING else None

    def webhook(self, key: int) -> Owed | None:
        """Any webhook, with its job."""
        rows = self._webhooks("w.key = ?", (key,))
        return rows[0] if rows else None

    def key_of(self, id: str) -> int | None:
        """The key of the webhook with this id."""
        key: int | None = self._db.execute("SELECT max(key) FROM webhook WHERE id = ?", (id,)).fetchone()[0]
        return key

    def choose(self, criteria: Criteria, before: int | None, limit: int) -> list[Owed]:
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
        return [replace(_job(value), key=key) for key, value in self._db.execute(sql, (*values, limit))]

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

    def webhooks_of(self, jobs: Iterable[int]) -> list[Owed]:
        """The webhooks of these jobs, in their order."""
        return self._webhooks("w.job IN (SELECT value FROM json_each(?))", (_list(jobs),), "w.stage, w.key")

    def attempts(self, webhooks: Iterable[int]) -> list[tuple[int, Attempt]]:
        """(key, attempt) of each attempt that has ended at these webhooks, in order."""
        sql = """
            SELECT webhook, number, started_at, ended_at, status, error, body FROM attempt
            WHERE webhook IN (SELECT value FROM json_each(?)) ORDER BY webhook, number
        """
        return [(key, Attempt(*attempt)) for key, *attempt in self._db.execute(sql, (_list(webhooks),))]

    def webhooks(self, job: int | None = None, states: Iterable[State] = tuple(State)) -> list[Owed]:
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

    def _webhooks(self, condition: str, values: tuple[Any, ...], order: str = "w.due, w.key") -> list[Owed]:
        sql = f"""
            SELECT w.key, w.value, w.due, w.state, w.reason, w.attempts, w.content, j.key, j.value
            FROM webhook w JOIN job j ON j.key = w.job WHERE {condition} ORDER BY {order}
        """
        return [
            Owed(
                key,
                replace(_webhook(value), due=due, state=State(state), reason=reason),
                replace(_job(job_value), key=job),
                attempts,
                None if content is None else _content(content),
            )
            for key, value, due, state, reason, attempts, content, job, job_value in self._db.execute(sql, values)
        ]

    @_guarded
    def keep(self, key: int, content: Content) -> None:
        """Write what a webhook says, before it is said for the first time."""
        self._write("UPDATE webhook SET content = ? WHERE key = ?", (_encode(content), key))

    @_guarded
    def finish(self, key: int, number: int, outcome: Outcome, state: State, due: float, content: Content) -> None:
        """Write an attempt that ended and what follows: the webhook's state, and its next time if it is pending.

        A webhook that was held or canceled meanwhile stays so, unless it was delivered after all.
        """
        encoded = _encode(content)
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

    def job_ids(self) -> list[str]:
        """Of all jobs, the newest first."""
        return [id for (id,) in self._db.execute("SELECT id FROM job ORDER BY key DESC")]

    def count_jobs(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM job").fetchone()[0])

    def count_states(self, keys: Iterable[int] | None = None) -> dict[State, int]:
        """How many webhooks are in each state, of all or of some."""
        some, values = ("", ()) if keys is None else ("WHERE key IN (SELECT value FROM json_each(?))", (_list(keys),))
        return {
            State(state): count
            for state, count in self._db.execute(f"SELECT state, count(*) FROM webhook {some} GROUP BY state", values)
        }

    def count_owed(self) -> int:
        """How many webhooks are still to be delivered."""
        sql = "SELECT count(*) FROM webhook WHERE state IN (?, ?)"
        return int(self._db.execute(sql, OWED).fetchone()[0])

    def _add_webhooks(self, job: int, webhooks: Sequence[Webhook], values: Sequence[bytes]) -> list[int]:
        for webhook in webhooks:
            self._last_used[webhook.definition] = max(job, self._last_used.get(webhook.definition, 0))
        return [self._add_webhook(job, *each) for each in zip(webhooks, values, strict=True)]

    def _add_webhook(self, job: int, webhook: Webhook, value: bytes) -> int:
        sql = """
            INSERT INTO webhook (job, id, stage, ordered, due, url, state, reason, value)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
        """
        url, reason = self.redaction.hide([webhook.to, webhook.reason])
        row = (job, webhook.id, webhook.stage, webhook.ordered, webhook.due, url, webhook.state, reason)
        return self._write(sql, (*row, value))

    # What outlives the process besides

    @_guarded
    def remember(self, name: str, value: Any) -> None:
        """Keep plain data under a name."""
        self._write("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, _encode(value)))

    def recall(self, name: str) -> Any:
        """What was kept under a name; None if nothing was."""
        row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else msgspec.msgpack.decode(row[0])

    # Life

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
        some = _list(jobs)
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


def _digest(mock: str, idempotency_key: str) -> str:
    """What a job is found by for an idempotency key, which may be anything: an API key, too."""
    return hashlib.sha256(f"{mock}\0{idempotency_key}".encode("utf-8", "surrogatepass")).hexdigest()


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
        values.append(_list(criteria.states))
    return conditions, values


def _list(values: Iterable[Any]) -> str:
    """A list of any length as one value of SQL."""
    return msgspec.json.encode(list(values)).decode()


def _ends(job: Job) -> float:
    return job.stages[-1].due if job.stages else 0.0


def _locked(path: str) -> sqlite3.Connection:
    """Have a store for oneself until the process ends. A file beside it is locked, so that others may look at it."""
    lock = sqlite3.connect(f"{path}-lock", isolation_level=None, timeout=0)
    lock.execute("BEGIN EXCLUSIVE")
    return lock


def _why(error: sqlite3.Error) -> str:
    match error.sqlite_errorcode if hasattr(error, "sqlite_errorcode") else None:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return "another process has it: end that one, or name another file"
        case sqlite3.SQLITE_NOTADB:
            return "this is no SQLite database: name another file"
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return "it cannot be opened for writing: name a file in a folder that is there and can be written to"
    return f"it cannot be used: {error}"
