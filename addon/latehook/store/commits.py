"""One commit for all that one turn of the loop writes: in a file, it costs as much for many as for one."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from latehook.base.notifier import Notifier
from latehook.store import Store

LOG_GROWS = 8 * 1024 * 1024
"""Bytes by which the store's log grows until it is brought into the file."""


class Commits:
    """Commits a store's writes at the end of the turn in which they were made, and sees to the store's log."""

    def __init__(self, store: Store, notifier: Notifier) -> None:
        self.notifier = notifier
        self._store = store
        self._next: asyncio.Future[None] | None = None
        self._turn: asyncio.Handle
        self._log_limit = LOG_GROWS
        self._checkpoint: asyncio.Future[None] | None = None
        self._thread = ThreadPoolExecutor(1, "latehook: checkpoint")  # its own: in the loop's others wait for names

    @property
    def is_due(self) -> bool:
        """Whether something written is still to be committed."""
        return self._next is not None

    def soon(self) -> asyncio.Future[None]:
        """Have this turn end with a commit. Call it before the first write: if it fails, that is taken back too."""
        if self._next is None:
            loop = asyncio.get_running_loop()
            self._next = loop.create_future()
            self._turn = loop.call_soon(self._make)
        return self._next

    async def made(self) -> None:
        """Return when what was written counts. StoreError: none of this turn's writes does."""
        made = self.soon()
        if self._store.lasts:
            await asyncio.shield(made)  # shared by many: one that gives up must not cancel it
        else:  # there it costs next to nothing, and nobody has to wait
            self._turn.cancel()
            self._make()
            made.result()

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Commit what is written in this block without waiting for the turn's end. StoreError: none of it counts.

        So nothing comes between the commit and what is done after it.
        """
        made = self.soon()
        yield
        self._make()
        made.result()

    async def close(self) -> None:
        """Return when nothing is under way any more."""
        if self._checkpoint is not None:
            await asyncio.wait([self._checkpoint])
        self._thread.shutdown()

    def _make(self) -> None:
        made, self._next = self._next, None
        if made is None:  # it was made at once
            return
        try:
            self._store.commit()
        except Exception as error:  # whatever it is: nobody may wait for this commit for ever
            made.set_exception(error)
            made.exception()  # it is seen here, where nobody waits
        else:
            made.set_result(None)
            self.notifier.notify()
            self._look_at_log()

    def _look_at_log(self) -> None:
        if self._checkpoint is None and self._store.log_size() > self._log_limit:
            self._checkpoint = asyncio.get_running_loop().run_in_executor(self._thread, self._store.checkpoint)
            self._checkpoint.add_done_callback(self._checkpointed)

    def _checkpointed(self, _: asyncio.Future[None]) -> None:
        """Whoever reads the store for long keeps its log from ending: that is not tried again at every commit."""
        self._checkpoint = None
        self._log_limit = self._store.log_size() + LOG_GROWS
