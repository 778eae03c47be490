"""One commit for everything that one turn of the event loop writes: to a file, it costs as much for many as for one."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from latehook.base.notifier import Notifier
from latehook.store import Store

LOG_GROWTH = 8 * 1024 * 1024
"""Bytes by which the write-ahead log grows until a checkpoint copies it into the store's file."""


class GroupCommit:
    """Commits a store's writes at the end of each turn of the loop, and starts the store's checkpoints."""

    def __init__(self, store: Store, notifier: Notifier) -> None:
        self._store = store
        self._notifier = notifier
        self._scheduled: asyncio.Future[None] | None = None
        self._turn_end: asyncio.Handle
        self._log_limit = LOG_GROWTH
        self._checkpoint: asyncio.Future[None] | None = None
        self._thread = ThreadPoolExecutor(1, "latehook: checkpoint")  # the loop's own may all be busy with DNS lookups

    @property
    def is_scheduled(self) -> bool:
        """Whether something was written in this turn that is not committed yet."""
        return self._scheduled is not None

    def schedule(self) -> asyncio.Future[None]:
        """Commit at the end of this turn. Call this before the first write: a write that fails is then rolled back too.

        Return a future that ends with the commit, or has its StoreError.
        """
        if self._scheduled is None:
            loop = asyncio.get_running_loop()
            self._scheduled = loop.create_future()
            self._turn_end = loop.call_soon(self._commit)
        return self._scheduled

    async def committed(self) -> None:
        """Return when this turn's writes are committed. Raises StoreError: none of them counts."""
        scheduled = self.schedule()
        if self._store.is_durable:
            await asyncio.shield(scheduled)  # many tasks wait for it: a task that is canceled must not cancel it
        else:  # in memory a commit costs next to nothing: do not wait
            self._turn_end.cancel()
            self._commit()
            scheduled.result()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit at the end of the block, not of the turn: no other task runs between the commit and what follows it.

        Raises StoreError: nothing that was written in this turn counts.
        """
        scheduled = self.schedule()
        yield
        self._commit()
        scheduled.result()

    async def close(self) -> None:
        """Wait for a running checkpoint, and end its thread."""
        if self._checkpoint is not None:
            await asyncio.wait([self._checkpoint])
        self._thread.shutdown()

    def _commit(self) -> None:
        scheduled, self._scheduled = self._scheduled, None
        if scheduled is None:  # a transaction of this turn has committed already
            return
        try:
            self._store.commit()
        except Exception as error:  # of any kind: else the tasks that wait for this commit would wait for ever
            scheduled.set_exception(error)
            scheduled.exception()  # mark it as retrieved: perhaps no task waits
        else:
            scheduled.set_result(None)
            self._notifier.notify(self._store.take_changed())
            self._start_checkpoint()

    def _start_checkpoint(self) -> None:
        if self._checkpoint is None and self._store.log_size() > self._log_limit:
            self._checkpoint = asyncio.get_running_loop().run_in_executor(self._thread, self._store.checkpoint)
            self._checkpoint.add_done_callback(self._on_checkpoint)

    def _on_checkpoint(self, _: asyncio.Future[None]) -> None:
        """Let the log grow again before the next one: while another program reads the file, the log cannot shrink."""
        self._checkpoint = None
        self._log_limit = self._store.log_size() + LOG_GROWTH
