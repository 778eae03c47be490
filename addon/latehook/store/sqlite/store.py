"""Jobs, webhooks and attempts in SQLite.

The columns `value` and `content` hold what a later process continues with, secrets included. The columns `mock`, `url`,
`reason`, `error` and `body` are for people and programs that open the file: they are redacted.
"""

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import suppress

from latehook.base.errors import StoreError
from latehook.base.model import STORED_UNFINISHED
from latehook.base.redaction import Redaction
from latehook.store.protocol import MAX_ENDED_JOBS, MEMORY, Committed
from latehook.store.sqlite.checkpoints import Checkpoints
from latehook.store.sqlite.files import StoreFiles
from latehook.store.sqlite.guarding import write_operation
from latehook.store.sqlite.opening import connect, unusable
from latehook.store.sqlite.writing import Writer

PRUNE_BATCH = 5000
"""Jobs that one call of `prune` examines at most: more would block the event loop."""

NOTHING = Committed()


class SqliteStore(Writer):
    """A store of one process: one connection, used in one thread.

    `path` is a file, which outlives the process, or MEMORY. Raises StoreError where the file cannot be opened.
    """

    remedy = "restore a copy, or name another file"
    problem: str | None = None
    cluster = None
    shared = None
    on_connected: Callable[[], Awaitable[None]] | None = None

    def __init__(self, path: str = MEMORY, redaction: Redaction | None = None) -> None:
        self.name = path
        self.redaction = redaction or Redaction()
        self._has_failed = False
        self._changed: set[int] = set()  # the keys of webhooks that were written since the last commit
        self._refused: set[int] = set()  # those whose attempt must not begin
        self._pruned_to = 0  # the key of the last job that `prune` has examined
        self._is_closed = False
        self._files = None if path == MEMORY else StoreFiles(path)
        self._checkpoints = Checkpoints(path)
        self._db, self._lock = connect(path)
        try:
            self._definitions = self._definition_hashes()
            self._last_job = dict.fromkeys(self._definitions, self._last_job_key())  # the last job of each definition
        except StoreError as error:
            self.release()
            raise unusable(path, error.__cause__ or error) from None

    # Old jobs

    @write_operation
    def prune(self, before: float, clock: float, keep: int = MAX_ENDED_JOBS) -> None:
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

    # Transactions and the file

    @property
    def at_once(self) -> "SqliteStore":
        return self

    async def commit(self) -> Committed:
        return self.commit_now()

    def commit_now(self) -> Committed:
        committed = self._commit()
        self._checkpoints.start_if_due()
        return committed

    def _commit(self) -> Committed:
        changed, self._changed = self._changed, set()
        refused, self._refused = self._refused, set()
        if self._has_failed:
            self._has_failed = False
            self._roll_back()
            raise StoreError("the store cannot write: another write of the same moment failed")
        if not self._db.in_transaction:
            return NOTHING
        try:
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise self.failure("write", error) from error
        return Committed(changed, refused)

    @property
    def is_durable(self) -> bool:
        return self.name != MEMORY

    def new_problems(self) -> list[str]:
        return [] if self._files is None else self._files.new_problems()

    async def open(self) -> None:
        """Do nothing: the file is open since the store was made."""

    async def close(self) -> None:
        await self._checkpoints.close()
        self.release()

    def release(self) -> None:
        """Commit, close the file, and release its lock. Call this only where no commit has started a checkpoint."""
        with suppress(StoreError):
            self._commit()
        self._is_closed = True
        self._db.close()
        if self._lock is not None:
            self._lock.close()
