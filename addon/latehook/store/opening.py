"""Open a store's database: create its tables where there are none, and lock its file."""

import os
import sqlite3
from contextlib import suppress

from latehook.base.errors import StoreError
from latehook.store.values import read_event

MEMORY = ":memory:"
"""The path of a store in memory, which ends with the process."""

VERSION = 2
"""The version of the tables, in the file's `user_version`."""

# job.created_at is real time; attempt.clock_at is time of the job's clock, and missing where version 1 has written it
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
    status INTEGER, error TEXT, body BLOB NOT NULL, clock_at REAL,
    PRIMARY KEY (webhook, number)
) WITHOUT ROWID;
"""

_FROM_VERSION_1 = "ALTER TABLE attempt ADD COLUMN clock_at REAL;"


def connect(path: str) -> tuple[sqlite3.Connection, sqlite3.Connection | None]:
    """Open a store. Return its connection, and for a file the connection that holds its lock.

    Raises StoreError for a database that is not a store of this version, and sqlite3.Error.
    """
    if path != MEMORY:
        _make_private(path)
    lock = None if path == MEMORY else _lock(path)
    db = sqlite3.connect(path, isolation_level=None, cached_statements=64)
    _prepare(db, path)
    return db, lock


def opening_error(path: str, error: sqlite3.Error) -> StoreError:
    """Return the error that says why a store cannot be opened, and the remedy."""
    return StoreError(f"mock_store={path}: {_reason(error)}")


def _prepare(db: sqlite3.Connection, path: str) -> None:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise StoreError(f"mock_store={path}: it is of a newer Latehook: use that one, or another file")
    if version == 0 and db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        raise StoreError(f"mock_store={path}: this is another program's database: name another file")
    if version < VERSION:
        change = _FROM_VERSION_1 if version == 1 else _SCHEMA
        db.executescript(f"BEGIN; {change} PRAGMA user_version = {VERSION}; COMMIT;")
    db.create_function("event_of", 1, lambda webhook: read_event(webhook).event, deterministic=True)
    # In WAL mode, NORMAL loses nothing when the process dies. Automatic checkpoints are off: they would stop the loop.
    db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0;")


def _lock(path: str) -> sqlite3.Connection:
    """Keep other processes from using a store until this one ends.

    The lock is on a file beside it, so that other programs can still read the store itself.
    """
    _make_private(f"{path}-lock")
    lock = sqlite3.connect(f"{path}-lock", isolation_level=None, timeout=0)
    lock.execute("BEGIN EXCLUSIVE")
    return lock


def _make_private(path: str) -> None:
    """Let only its owner read and write a file: it holds secrets. SQLite gives the files beside it the same mode.

    A file that cannot be created or changed is left to SQLite, whose error says why.
    """
    with suppress(OSError):
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        os.chmod(path, 0o600)


def _reason(error: sqlite3.Error) -> str:
    match error.sqlite_errorcode if hasattr(error, "sqlite_errorcode") else None:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return "another process has it: end that one, or name another file"
        case sqlite3.SQLITE_NOTADB:
            return "this is no SQLite database: name another file"
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return "it cannot be opened for writing: name a file in a folder that is there and can be written to"
    return f"it cannot be used: {error}"
