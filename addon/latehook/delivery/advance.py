"""Advance Latehook's clock: everything that becomes due on the way happens, in order."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from msgspec.structs import replace

from latehook.base.errors import StoreError
from latehook.base.model import STORED_UNFINISHED, State, StoredWebhook
from latehook.delivery.barrier import AdvanceBarrier
from latehook.delivery.outbox import Outbox
from latehook.delivery.ownership import Ownership
from latehook.store.group_commit import GroupCommit
from latehook.store.protocol import Store
from latehook.store.shared_state import SharedState

LIMIT = 10.0
"""Real seconds that an advance takes at most, unless its caller says otherwise."""

MOMENTS_PER_TURN = 8
"""Due times that an advance moves to in one turn of the event loop."""

MAX_LEFT = 1000
"""Webhooks that an advance returns at most: of those whose attempts have not ended in time."""


class Advance:
    """Advances the clock of all jobs, or that of one job. Advances run one after the other.

    The clock moves from one due time to the next. It waits for attempts that may be retried before the next due time:
    see AdvanceBarrier. An advance that has taken its limit, in real seconds, moves the clock to its target at once.
    """

    def __init__(
        self, store: Store, commits: GroupCommit, state: SharedState, outbox: Outbox, ownership: Ownership
    ) -> None:
        self._store = store
        self._commits = commits
        self._state = state
        self._clock = state.clock
        self._outbox = outbox
        self._ownership = ownership
        self._lock = asyncio.Lock()

    async def all_jobs(self, seconds: float, limit: float) -> Sequence[StoredWebhook]:
        """Advance the clock. Return the webhooks that were due and whose attempts have not ended, at most MAX_LEFT.

        Raises StoreError, before anything has happened. The store first gets the clock as it will be: if the process
        ends during the advance, its next one goes on from there.
        """
        async with self._barrier() as barrier, self._ownership.turn():
            target = self._clock.now() + seconds
            await self._state.write_clock(target, self._clock.speed)
            with suppress(TimeoutError):
                async with asyncio.timeout(limit):
                    await self._ownership.take_due(target)
                    await self._move_to(target, barrier)
                    if self._ownership.is_shared:
                        await self._end_elsewhere(target, barrier)
            self._clock.advance_to(target)
            await self._end_at(self._clock.now())
        left = barrier.keys(MAX_LEFT)
        is_done = not self._ownership.is_shared and self._outbox.is_done_until(target)
        if not self._state.holding and not is_done:
            left += await self._store.overdue(target, MAX_LEFT)
        self._outbox.recheck()
        keys = list(dict.fromkeys(left))[:MAX_LEFT]
        return [stored for key in keys if (stored := await self._store.pending_webhook(key)) is not None]

    async def _end_elsewhere(self, target: float, barrier: AdvanceBarrier) -> None:
        """Wait for the attempts of other processes. Deliver what follows from these, and what was accepted since."""
        await self._ownership.others_done(target)
        await self._ownership.take_due(target)
        await self._move_to(target, barrier)

    async def _end_at(self, moment: float) -> None:
        """Write the clock, and have all processes that share the store go on from there."""
        if self._ownership.is_shared:
            clock = self._state.clock_setting(self._clock.speed)
            await self._state.change(lambda world: replace(world, clock=clock))
            return
        with suppress(StoreError):  # the store then has the clock a little ahead
            await self._state.write_clock(moment, self._clock.speed)

    async def one_job(self, job: int, seconds: float, limit: float) -> Sequence[StoredWebhook]:
        """Advance the clock of the job with this key. Return its webhooks that are due and not delivered.

        Raises StoreError, which says how much of the advance has happened.
        """
        left = seconds
        await self._ownership.take([job])
        try:
            async with self._barrier(job) as barrier:
                with suppress(TimeoutError):
                    async with asyncio.timeout(limit):
                        while (step := await self._until_next(job)) <= left and not self._state.holding:
                            await self._move_job(job, step)
                            left -= step
                            if not await self._deliver_due(barrier) and step == 0:
                                break
                await self._move_job(job, left)
        except StoreError as error:
            raise StoreError(f"{error}; {seconds - left:g} s of {seconds:g} s are over for this job") from None
        now = self._clock.now()
        return [stored for stored in await self._store.webhooks(job, (State.PENDING,)) if stored.webhook.due <= now]

    @asynccontextmanager
    async def _barrier(self, job: int | None = None) -> AsyncIterator[AdvanceBarrier]:
        """Let no other advance run in the block. Give a barrier with what is due already, of all jobs or of one.

        During a hold an advance does not wait for attempts that have begun before: nothing may follow from them yet.
        """
        async with self._lock:
            of_job = None if job is None else {stored.key for stored in await self._store.webhooks(job)}
            # No attempt may end between the next two lines: nobody would remove it from the barrier.
            due = set[int]() if self._state.holding else self._outbox.enqueued
            with self._outbox.advance.barrier(due if of_job is None else of_job & due) as barrier:
                yield barrier

    async def _move_to(self, target: float, barrier: AdvanceBarrier) -> None:
        """Move the clock to each due time up to `target`, and wait until the attempts have ended."""
        moments = 0
        await self._outbox.foresee()
        while True:
            due = self._outbox.next_due()
            if due <= min(target, barrier.limit):
                self._clock.advance_to(due)
                self._outbox.wake_due()
                await self._outbox.decisions.settled()
                moments += 1
                if moments % MOMENTS_PER_TURN == 0:
                    await asyncio.sleep(0)
                    await self._outbox.foresee()
            elif not barrier.is_empty:
                await barrier.changed()
            else:
                return

    async def _until_next(self, job: int) -> float:
        """Return the seconds to the job's next webhook without a running attempt, or to its next late status.

        Infinity where there is none.
        """
        status = await self._outbox.decisions.until_status(job)
        for stored in await self._store.webhooks(job, (State.PENDING,)):
            if not self._outbox.is_running(stored.key):
                return min(max(stored.webhook.due - self._clock.now(), 0.0), status)
        return status

    async def _deliver_due(self, barrier: AdvanceBarrier) -> bool:
        """Start the attempts that are due and wait until they have ended. Return False where there were none."""
        self._outbox.wake_due()
        had_some = not barrier.is_empty
        while not barrier.is_empty:
            await barrier.changed()
        return had_some

    async def _move_job(self, key: int, seconds: float) -> None:
        """Advance the clock of a job. Its webhooks are due earlier by Latehook's clock, and as before by the job's."""
        async with self._commits.changes:
            job = await self._store.job(key)
            if job is None or seconds == 0:
                return
            async with self._commits.transaction():
                self._store.update_job(replace(job, ahead=job.ahead + seconds))
                self._store.bring_forward(key, seconds)
        for stored in await self._store.webhooks(key, STORED_UNFINISHED):
            self._outbox.schedule(stored.webhook.due, stored.key)
        if job.is_open:
            await self._outbox.decisions.continue_job(key)
