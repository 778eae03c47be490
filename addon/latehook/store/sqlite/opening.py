"""Open a store's database: create its tables where there are none, and lock its file."""

import sqlite3
from contextlib import ExitStack, closing

from latehook.base.errors import StoreError
from latehook.store.protocol import MEMORY
from latehook.store.sqlite.locking import IN_USE, FileLock
from latehook.store.values import event_of

PRIMARY_CODE = 0xFF
"""The bits of SQLite's error codes that say the kind of an error. The others say which one of it."""

VERSION = 5
"""The version of the tables, in the file's `user_version`."""

# job.created_at is real time; job.ends is infinite (9e999) while one of its stages is open;
# attempt.clock_at is time of the job's clock, and missing where version 1 has written it;
# attempt.redirects is JSON, and missing where an attempt has followed none; attempt.content_type is that of the answer
SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE definition (hash TEXT PRIMARY KEY, written BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE job (
    key INTEGER PRIMARY KEY, id TEXT NOT NULL, mock TEXT NOT NULL, idempotency_key TEXT,
    created_at REAL NOT NULL, ends REAL NOT NULL, value BLOB NOT NULL
);
CREATE INDEX job_id ON job (id);
CREATE INDEX job_open ON job (key) WHERE ends = 9e999;
CREATE INDEX job_idempotency_key ON job (idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE TABLE webhook (
    key INTEGER PRIMARY KEY, job INTEGER NOT NULL, id TEXT NOT NULL, stage INTEGER NOT NULL, ordered INTEGER NOT NULL,
    due REAL NOT NULL, url TEXT, state TEXT NOT NULL, reason TEXT,
    attempts INTEGER NOT NULL DEFAULT 0, value BLOB NOT NULL, content BLOB
);
CREATE INDEX webhook_of_job ON webhook (job);
CREATE TABLE attempt (
    webhook INTEGER NOT NULL, number INTEGER NOT NULL, started_at REAL NOT NULL, ended_at REAL NOT NULL,
    status INTEGER, error TEXT, body BLOB NOT NULL, clock_at REAL, redirects TEXT,
    content_type TEXT,
    PRIMARY KEY (webhook, number)
) WITHOUT ROWID;
"""

_CHANGES = (
    "ALTER TABLE attempt ADD COLUMN clock_at REAL;",
    "ALTER TABLE attempt ADD COLUMN redirects TEXT;",
    "CREATE INDEX IF NOT EXISTS job_open ON job (key) WHERE ends = 9e999;",
    "ALTER TABLE attempt ADD COLUMN content_type TEXT;",
)
"""What makes the tables of version 2 of those of version 1, and so on."""


def connect(path: str) -> tuple[sqlite3.Connection, FileLock | None]:
    """Open a store. Return its connection, and for a file its lock. Raises StoreError where it cannot be used."""
    with ExitStack() as stack:
        try:
            lock = None if path == MEMORY else stack.enter_context(closing(FileLock(path)))
            db = stack.enter_context(closing(sqlite3.connect(path, isolation_level=None, cached_statements=64)))
            _prepare(db, path)
        except (sqlite3.Error, ValueError, OverflowError) as error:
            raise unusable(path, error) from None
        stack.pop_all()  # they stay open
    return db, lock


def unusable(path: str, error: BaseException) -> StoreError:
    """Return the error that says why a store cannot be used, and the remedy."""
    return StoreError(f"mock_store={path}: {_reason(error)}")


def _one_line(error: BaseException) -> str:
    """Return SQLite's message in one line: it may quote a whole statement."""
    return " ".join(str(error).split())


def _prepare(db: sqlite3.Connection, path: str) -> None:
    db.text_factory = lambda text: text.decode(errors="replace")  # damaged text must not hide the rows beside it
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise StoreError(f"mock_store={path}: it is of a newer Latehook: use that one, or another file")
    if version < 1 and db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        raise StoreError(f"mock_store={path}: this is another program's database: name another file")
    if version < VERSION:
        changes = " ".join(_CHANGES[version - 1 :] if version else (SCHEMA,))
        db.executescript(f"BEGIN; {changes} PRAGMA user_version = {VERSION}; COMMIT;")
    db.create_function("event_of", 1, event_of, deterministic=True)
    # In WAL mode, NORMAL loses nothing when the process dies. Automatic checkpoints are off: they would stop the loop.
    db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0;")
    db.execute(f"PRAGMA user_version = {VERSION}")  # a write: a file that cannot be written ends the start


def _reason(error: BaseException) -> str:
    match getattr(error, "sqlite_errorcode", 0) & PRIMARY_CODE:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return IN_USE
        case sqlite3.SQLITE_NOTADB:
            return "this is no SQLite database: name another file"
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return "it cannot be opened for writing: name a file in a folder that is there and can be written to"
        case sqlite3.SQLITE_FULL:
            return "the disk is full: make room, or name a file elsewhere"
        case sqlite3.SQLITE_CORRUPT:
            return f"it is damaged ({_one_line(error)}): restore a copy, or name another file"
    return f"it cannot be used: {error}"
