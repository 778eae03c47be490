"""Checkpoints: they copy SQLite's write-ahead log into the file, in a thread."""

import asyncio
import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress

from latehook.store.protocol import MEMORY

LOG_GROWTH = 8 * 1024 * 1024
"""Bytes by which the write-ahead log grows until the next checkpoint."""

TIMEOUT = 0.05
"""Seconds that a checkpoint waits for readers of the file. Our own writes wait as long."""


def log_size(path: str) -> int:
    """Return the size of a store's write-ahead log in bytes: what is committed and not yet in the file itself."""
    try:
        return os.stat(f"{path}-wal").st_size
    except OSError:
        return 0


def checkpoint(path: str) -> None:
    """Copy the write-ahead log into the store's file. It takes long: call this in another thread.

    The first step copies nearly all of it while the store is written to. The second one stops the writes for as long as
    it copies the rest: only then can the log start again from its beginning.
    """
    with suppress(sqlite3.Error), closing(sqlite3.connect(path, timeout=TIMEOUT)) as other:
        other.execute("PRAGMA wal_checkpoint(PASSIVE)")
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")


class Checkpoints:
    """Starts a checkpoint whenever the log of a file has grown enough. A store in memory has no log."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._limit = LOG_GROWTH
        self._running: asyncio.Future[None] | None = None
        self._thread: ThreadPoolExecutor | None = None
        if path != MEMORY:  # a thread of its own: the loop's may all be busy with DNS lookups
            self._thread = ThreadPoolExecutor(1, "latehook: checkpoint")

    def start_if_due(self) -> None:
        """Start a checkpoint if none is running and the log is long enough. Call this after each commit."""
        if self._thread is not None and self._running is None and log_size(self._path) > self._limit:
            self._running = asyncio.get_running_loop().run_in_executor(self._thread, checkpoint, self._path)
            self._running.add_done_callback(self._on_end)

    def _on_end(self, _: asyncio.Future[None]) -> None:
        """Let the log grow again before the next one: while another program reads the file, the log cannot shrink."""
        self._running = None
        self._limit = log_size(self._path) + LOG_GROWTH

    async def close(self) -> None:
        """Wait for a running checkpoint, and end its thread."""
        if self._running is not None:
            await asyncio.wait([self._running])
        if self._thread is not None:
            self._thread.shutdown()
