"""The database of a store: opened, made where there is none, and locked."""

import sqlite3

from latehook.base.errors import StoreError
from latehook.store.values import read_event

MEMORY = ":memory:"

VERSION = 1
"""Of the tables, in the file's `user_version`."""

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


def connected(path: str) -> tuple[sqlite3.Connection, sqlite3.Connection | None]:
    """A connection to a store, and, where that is a file, what keeps others from it while it is open."""
    lock = None if path == MEMORY else _locked(path)
    db = sqlite3.connect(path, isolation_level=None, cached_statements=64)
    _prepare(db, path)
    return db, lock


def unusable(path: str, error: sqlite3.Error) -> StoreError:
    """Why a store cannot be opened, in words."""
    return StoreError(f"mock_store={path}: {_why(error)}")


def _prepare(db: sqlite3.Connection, path: str) -> None:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise StoreError(f"mock_store={path}: it is of a newer Latehook: use that one, or another file")
    if version == 0:
        if db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            raise StoreError(f"mock_store={path}: this is another program's database: name another file")
        db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
    db.create_function("event_of", 1, lambda webhook: read_event(webhook).event, deterministic=True)
    # NORMAL in WAL mode loses nothing when the process dies; checkpoints stop the loop, so they are made elsewhere.
    db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0;")


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
