"""One commit for everything that one turn of the event loop writes: it costs as much for many writes as for one."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from functools import partial

from latehook.base.notifier import Notifier
from latehook.store.protocol import Committed, Store


class GroupCommit:
    """Commits a store's writes at the end of each turn of the loop."""

    def __init__(self, store: Store, notifier: Notifier) -> None:
        self._store = store
        self._at_once = store.at_once
        self._notifier = notifier
        self._scheduled: asyncio.Future[Committed] | None = None
        self._turn_end: asyncio.Handle
        self.changes = asyncio.Lock()
        """Held by those who read a job and write it back, until reads see what they wrote.

        Where reads have to be waited for, that is after the commit, and another change could come between.
        """
        self._running: set[asyncio.Task[Committed]] = set()
        self._observers: list[Callable[[Collection[int] | None], None]] = []

    def observe(self, observer: Callable[[Collection[int] | None], None]) -> None:
        """Call `observer` after each commit, with the keys of the webhooks that were written; None: any may be."""
        self._observers.append(observer)

    def on_change_elsewhere(self, webhooks: Collection[int] | None) -> None:
        """Act on webhooks that another process has written; None: any may be."""
        self._notifier.wake(webhooks)
        for observer in self._observers:
            observer(webhooks)

    @property
    def is_scheduled(self) -> bool:
        """Whether something was written in this turn that is not committed yet."""
        return self._scheduled is not None

    def schedule(self) -> asyncio.Future[Committed]:
        """Commit at the end of this turn. Call this before the first write: a write that fails is then rolled back too.

        Return a future that ends with the commit, or has its StoreError.
        """
        if self._scheduled is None:
            loop = asyncio.get_running_loop()
            self._scheduled = loop.create_future()
            self._turn_end = loop.call_soon(self._commit)
        return self._scheduled

    async def committed(self) -> Committed:
        """Return when this turn's writes are committed. Raises StoreError: none of them counts."""
        scheduled = self.schedule()
        if not self._store.is_durable:  # in memory a commit costs next to nothing: do not wait
            self._turn_end.cancel()
            self._commit()
            if scheduled.done():
                return scheduled.result()
        return await asyncio.shield(scheduled)  # many tasks wait for it: one that is canceled must not cancel it

    async def readable(self) -> None:
        """Where reads have to be waited for, return when they see this turn's writes. Raises StoreError."""
        if self._at_once is None:
            await self.committed()

    @asynccontextmanager
    async def change(self) -> AsyncIterator[None]:
        """Read a job and write it back in the block, without another change in between. Commit as `schedule` does.

        Raises StoreError.
        """
        async with self.changes:
            yield
            if self._at_once is None and self.is_scheduled:
                await self.committed()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """Commit at the end of the block, not of the turn. Where the store is at once, no other task runs before that.

        Raises StoreError: nothing that was written in this turn counts.
        """
        scheduled = self.schedule()
        yield
        self._commit()
        await asyncio.shield(scheduled)

    def _commit(self) -> None:
        scheduled, self._scheduled = self._scheduled, None
        if scheduled is None:  # a transaction of this turn has committed already
            return
        if self._at_once is not None:  # a task would cost more than this commit
            try:
                self._end(scheduled, self._at_once.commit_now())
            except Exception as error:
                self._fail(scheduled, error)
            return
        # eager: what is written from now on belongs to the next commit
        task = asyncio.Task(self._store.commit(), loop=asyncio.get_running_loop(), eager_start=True)
        if task.done():
            self._on_end(scheduled, task)
        else:
            self._running.add(task)
            task.add_done_callback(partial(self._on_end, scheduled))

    def _on_end(self, scheduled: asyncio.Future[Committed], task: asyncio.Task[Committed]) -> None:
        self._running.discard(task)
        error = task.exception()
        if error is not None:
            self._fail(scheduled, error)
        else:
            self._end(scheduled, task.result())

    def _fail(self, scheduled: asyncio.Future[Committed], error: BaseException) -> None:
        """End a commit with an error of any kind: else the tasks that wait for this commit would wait for ever."""
        scheduled.set_exception(error)
        scheduled.exception()  # mark it as retrieved: perhaps no task waits

    def _end(self, scheduled: asyncio.Future[Committed], committed: Committed) -> None:
        scheduled.set_result(committed)
        self._notifier.notify(committed.changed)
        for observer in self._observers:
            observer(committed.changed)
