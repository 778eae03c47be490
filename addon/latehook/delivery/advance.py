"""The clock brought forward: all that becomes due on the way happens, in order."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from msgspec.structs import replace

from latehook.base.errors import StoreError
from latehook.base.model import Job, State, StoredWebhook
from latehook.delivery.barrier import Advance
from latehook.engine.engine import Engine
from latehook.store import OWED

LIMIT = 10.0
"""Real seconds that an advance takes at most. What has not happened by then, it says."""

MOMENTS_A_TURN = 8
"""Due moments to which an advance goes in one turn of the loop."""

LEFT_TOLD = 1000
"""Webhooks that an advance names at most of those that have not happened."""


class Advancing:
    """Advances, one after the other. Each gives what has not happened when its limit, in real seconds, is over."""

    def __init__(self, engine: Engine) -> None:
        self._clock = engine.clock
        self._store = engine.store
        self._commits = engine.commits
        self._outbox = engine.outbox
        self._one_at_a_time = asyncio.Lock()

    async def all(self, seconds: float, limit: float) -> Sequence[StoredWebhook]:
        """Take the clock itself on; at most `LEFT_TOLD` of what has not happened.

        Before anything happens the store has the clock as it will be: what is cut is made up for by the restart.
        """
        async with self._advance() as advance:
            target = self._clock.now() + seconds
            with self._commits.at_once():
                self._store.remember("clock", self._clock.changed(target, self._clock.speed))
            with suppress(TimeoutError):
                async with asyncio.timeout(limit):
                    await self._happen(advance, target)
        self._clock.jump(target)
        with suppress(StoreError), self._commits.at_once():  # if it cannot: what it has is only a little ahead
            self._store.remember("clock", self._clock.segments)
        left = advance.left(LEFT_TOLD)
        if not self._outbox.holding and not self._outbox.is_idle(target):
            left += self._store.late(target, LEFT_TOLD)
        self._outbox.schedule.look()
        some = list(dict.fromkeys(left))[:LEFT_TOLD]
        return [owed for key in some if (owed := self._store.owed(key)) is not None]

    async def one(self, key: int, seconds: float, limit: float) -> Sequence[StoredWebhook]:
        """Bring a job's own times nearer, from one of its webhooks to the next. StoreError says how far it came."""
        left = seconds
        try:
            async with self._advance() as advance:
                with suppress(TimeoutError):
                    async with asyncio.timeout(limit):
                        while (step := self._to_next(key)) <= left and not self._outbox.holding:
                            self._shift(key, step)
                            left -= step
                            if not await self._ring(advance):
                                break
                self._shift(key, left)
        except StoreError as error:
            raise StoreError(f"{error}; {seconds - left:g} s of {seconds:g} s are over for this job") from None
        now = self._clock.now()
        return [owed for owed in self._store.webhooks(key, (State.PENDING,)) if owed.webhook.due <= now]

    @asynccontextmanager
    async def _advance(self) -> AsyncIterator[Advance]:
        async with self._one_at_a_time:
            self._outbox.advance = advance = Advance()
            try:
                yield advance
            finally:
                self._outbox.advance = None

    async def _happen(self, advance: Advance, target: float) -> None:
        """From one due moment to the next, as far as what is under way lets it."""
        schedule = self._outbox.schedule
        moments = 0
        while True:
            due = schedule.next_due()
            if due <= min(target, advance.horizon):
                self._clock.jump(due)
                schedule.ring()
                moments += 1
                if moments % MOMENTS_A_TURN == 0:
                    await asyncio.sleep(0)
            elif not advance.is_over:
                await advance.change()
            else:
                return

    def _to_next(self, job: int) -> float:
        """Seconds to the job's next webhook that is not under way; infinity where there is none."""
        for owed in self._store.webhooks(job, (State.PENDING,)):
            if owed.key not in self._outbox.under_way:
                return max(owed.webhook.due - self._clock.now(), 0.0)
        return float("inf")

    async def _ring(self, advance: Advance) -> bool:
        """Have what is due happen; False where nothing was."""
        self._outbox.schedule.ring()
        happened = not advance.is_over
        while not advance.is_over:
            await advance.change()
        return happened

    def _shift(self, key: int, seconds: float) -> None:
        """All times of a job that are to come, nearer by so much."""
        job = self._store.get(key)
        if job is None or seconds == 0:
            return
        now = self._clock.now()

        def nearer(due: float) -> float:
            return max(due - seconds, now) if due > now else due

        owed = self._store.webhooks(key, OWED)
        with self._commits.at_once():
            self._store.update(_with_dues(job, nearer))
            for webhook in owed:
                self._store.shift(webhook.key, nearer(webhook.webhook.due))
        for webhook in owed:
            self._outbox.schedule.push(nearer(webhook.webhook.due), webhook.key)


def _with_dues(job: Job, nearer: Callable[[float], float]) -> Job:
    return replace(job, stages=tuple(replace(stage, due=nearer(stage.due)) for stage in job.stages))
