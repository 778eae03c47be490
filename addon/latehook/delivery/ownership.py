"""Which jobs this process owns where several share a store: it sends their webhooks, and decides what is open."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any

from latehook.base.errors import StoreError, StoreUnreachable
from latehook.base.model import UNFINISHED
from latehook.delivery.outbox import Outbox
from latehook.delivery.progress import Progress
from latehook.store.cluster import ROWS, JobOwners, Taken
from latehook.store.group_commit import GroupCommit
from latehook.store.protocol import Store

BREAK_OFF = "break off"
"""The kind of notices with the keys of webhooks that are not to be sent: attempts at them are broken off."""

END_AGAIN = 0.5
"""Seconds until this process tries again to end its turn, while the store cannot be reached."""

LOOK_AGAIN = 0.05
"""Seconds between two looks at what other processes do."""


class Ownership:
    """Takes jobs from other processes, and goes on with them. Where no other process can be, it does nothing."""

    def __init__(self, store: Store, commits: GroupCommit, progress: Progress, outbox: Outbox) -> None:
        self._store = store
        self._progress = progress
        self._outbox = outbox
        self._has_turn = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._cluster = cluster = store.cluster
        if cluster is not None:
            cluster.subscribe(ROWS, commits.on_change_elsewhere)
            cluster.subscribe(BREAK_OFF, self._on_break_off)

    @property
    def is_shared(self) -> bool:
        """Whether other processes can own jobs."""
        return self._cluster is not None

    async def take(self, jobs: Iterable[int]) -> None:
        """Own the jobs with these keys from now on. Raises StoreError."""
        if self._cluster is not None:
            await self.go_on(await self._cluster.owners.take(jobs))

    async def take_due(self, moment: float) -> None:
        """Own all jobs in which something can be due by `moment`, in seconds of Latehook's clock. Raises StoreError."""
        if self._cluster is not None:
            await self.go_on(await self._cluster.owners.take_due(moment))

    async def others_done(self, moment: float) -> None:
        """Return when no other process makes an attempt at what was due by `moment`. Raises StoreError."""
        if self._cluster is not None:
            owners = self._cluster.owners
            await _until_none(lambda: owners.under_way_until(moment))

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Do what is in the block while no other process does such a thing. Raises StoreError."""
        if self._cluster is None:
            yield
            return
        self._has_turn = True  # already: the end of an earlier turn, which is tried again, would end this one
        try:
            await _until(self._cluster.owners.take_turn)  # if that fails, nobody knows whether it has the turn
            yield
        finally:
            self._has_turn = False
            self._run(self._end_turn(self._cluster.owners))

    async def _end_turn(self, owners: JobOwners) -> None:
        """Let other processes have the turn, as soon as the store can be reached."""
        with suppress(StoreError):  # this process ends, and its turn with it
            while not self._has_turn:
                try:
                    await owners.end_turn()
                    return
                except StoreUnreachable:
                    await asyncio.sleep(END_AGAIN)

    async def break_off(self, webhooks: Collection[int]) -> None:
        """Return when no other process makes an attempt at these webhooks, which are canceled in the store.

        After the time in which a process is declared dead, return all the same. Raises StoreError.
        """
        if self._cluster is None or self._cluster.live == 1:
            return
        self._cluster.publish(BREAK_OFF, webhooks)
        owners = self._cluster.owners
        with suppress(TimeoutError):
            async with asyncio.timeout(self._cluster.lease):
                await _until_none(lambda: owners.under_way(webhooks))

    async def go_on(self, taken: Taken) -> None:
        """Go on with jobs that this process has taken."""
        for due, key in taken.dues:
            self._outbox.schedule(due, key)
        for job in taken.open_jobs:
            await self._outbox.decisions.continue_job(job)

    def _on_break_off(self, webhooks: Collection[int] | None) -> None:
        running = self._progress.running
        found = [key for key in (running if webhooks is None else webhooks) if key in running]
        if found:
            self._run(self._break_off(found))

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, name="latehook: ownership")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _break_off(self, webhooks: Collection[int]) -> None:
        """Break off the attempts at those of these webhooks that are not to be sent any more."""
        with suppress(StoreError):  # whoever waits for it goes on after a while
            stored = {stored.key: stored.webhook.state for stored in await self._store.webhooks_by_key(webhooks)}
            canceled = [key for key in webhooks if stored.get(key) not in UNFINISHED]
            await self._outbox.forget(canceled)
            if self._cluster is not None and canceled:
                await self._cluster.owners.abandon(canceled)


async def _until(look: Callable[[], Awaitable[bool]]) -> None:
    """Return when `look` returns True."""
    while True:
        if await look():
            return
        await asyncio.sleep(LOOK_AGAIN)


async def _until_none(look: Callable[[], Awaitable[Collection[int]]]) -> None:
    """Return when `look` returns nothing."""
    while await look():  # noqa: ASYNC110 (other processes do not set our events)
        await asyncio.sleep(LOOK_AGAIN)
