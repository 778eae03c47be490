"""What a tester may do while jobs are pending: every face calls these. Each is committed before it returns."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from msgspec.structs import replace

from latehook.advance import Advance
from latehook.durations import seconds as read_duration
from latehook.engine import Engine
from latehook.expressions import nearest
from latehook.model import Job, LatehookError, Owed, State
from latehook.store import StoreError

ADVANCE_LIMIT = 10.0
"""Real seconds that an advance takes at most. What has not happened by then, it says."""

_OWED = (State.PENDING, State.HELD)


class OperationError(LatehookError):
    """An operation that cannot be done: what is wrong, the value, the remedy."""


class Operations:
    """The operations on an engine. `speed` and `seed` are what a reset goes back to."""

    def __init__(self, engine: Engine, speed: float = 1.0, seed: str | None = None) -> None:
        self._engine = engine
        self._store = engine.store
        self._commits = engine.commits
        self._clock = engine.clock
        self.speed = speed
        self._seed = seed
        self._advancing = asyncio.Lock()

    def pending(self) -> list[Owed]:
        """The webhooks still owed, in the order of their times. Held ones are marked so, also where all are held."""
        owed = self._store.webhooks(states=_OWED)
        return [self._as_seen(webhook) for webhook in owed]

    def hide[Plain](self, value: Plain) -> Plain:
        """Text, or data with texts in it, as it may be shown: without the secrets of environment and mocks files."""
        return self._engine.redaction.hide(value)

    def to_go(self, owed: Owed) -> float:
        """Seconds of Latehook's clock until a webhook is due."""
        return max(owed.webhook.due - self._clock.now(), 0.0)

    def webhook(self, id: str) -> Owed:
        """The webhook with this id. OperationError if there is none."""
        key = self._store.key_of(id)
        owed = None if key is None else self._store.webhook(key)
        if owed is None:
            raise OperationError(f"there is no webhook {id!r}: mock.pending lists those still owed")
        return owed

    async def hold(self, id: str | None = None) -> None:
        """Nothing starts: of one webhook, or of any. Clock and statuses go on."""
        if id is not None:
            owed = self._in_state(id, State.PENDING, State.HELD)
            with self._commits.at_once():
                self._store.set_state(owed.key, State.HELD)
            return
        with self._commits.at_once():
            self._store.remember("holding", True)
        self._engine.outbox.holding = True

    async def release(self, id: str | None = None) -> None:
        """What was held goes out: at its time, or at once where that has passed."""
        held = self._store.webhooks(states=(State.HELD,)) if id is None else [self._in_state(id, *_OWED)]
        with self._commits.at_once():
            for owed in held:
                self._store.set_due(owed.key, owed.webhook.due)
            if id is None:
                self._store.remember("holding", False)
        for owed in held:
            self._engine.outbox.schedule.push(owed.webhook.due, owed.key)
        if id is None:
            self._engine.outbox.holding = False
            self._engine.outbox.let_all_go()

    async def fire(self, id: str) -> None:
        """Send a webhook now, held or not, and move its job to its stage."""
        owed = self._in_state(id, State.PENDING, State.HELD)
        if owed.key in self._engine.outbox.under_way:
            return
        now = self._clock.now()
        stages = tuple(
            replace(stage, due=min(stage.due, now)) if at <= owed.webhook.stage else stage
            for at, stage in enumerate(owed.job.stages)
        )
        with self._commits.at_once():
            self._store.update(replace(owed.job, stages=stages))
            self._store.set_due(owed.key, now, ordered=False)
        self._send_now(owed.key)

    async def cancel(self, id: str | None = None) -> None:
        """Webhooks that are not sent any more: one, or all that are owed. An attempt under way ends."""
        canceled = self._store.webhooks(states=_OWED) if id is None else [self._in_state(id, *_OWED)]
        with self._commits.at_once():
            for owed in canceled:
                self._store.set_state(owed.key, State.CANCELED, "canceled")

    async def resend(self, id: str) -> None:
        """Send an ended webhook again: the same id and content, the next attempt number."""
        owed = self._in_state(id, State.DELIVERED, State.FAILED, State.CANCELED, State.SKIPPED)
        if owed.webhook.to is None:
            raise OperationError(f"webhook {id} cannot be sent: {owed.webhook.reason}")
        with self._commits.at_once():
            self._store.set_due(owed.key, self._clock.now(), ordered=False)
        self._send_now(owed.key)

    async def set_speed(self, speed: float) -> None:
        """How fast the clock runs from now on."""
        if not 0 < speed < float("inf"):
            raise OperationError(f"speed {speed:g}: write a number more than 0, such as 60 for an hour a minute")
        changed = self._clock.changed(self._clock.now(), speed)
        with self._commits.at_once():
            self._store.remember("clock", changed)
        self._clock.segments = changed
        self._engine.outbox.schedule.look()

    async def set_vars(self, values: Mapping[str, Any]) -> None:
        """Set dials. OperationError for one that no mocks file has."""
        known = self._engine.mocks.vars
        for name in values:
            if name not in known:
                raise OperationError(
                    f"there is no dial {name!r}{nearest(name, known)}: `vars` of a mocks file names them"
                )
        changed = {**self._engine.vars, **values}
        with self._commits.at_once():
            self._store.remember("vars", changed)
        self._engine.set_vars(changed)

    async def reset(self) -> None:
        """As if it had just started: no jobs, no requests, no holds; dials, clock and chance as at the start."""
        with self._commits.at_once():
            self._store.clear()
        self._clock.reset(self.speed)
        self.seed_chance()
        await self._engine.forget()

    def seed_chance(self) -> None:
        """Have chance begin as the seed says. What a store's earlier jobs have drawn comes not again."""
        self._engine.random.seed(self._seed and f"{self._seed}/{self._store.last_key()}")

    async def advance(
        self, duration: str | float, job: str | None = None, limit: float = ADVANCE_LIMIT
    ) -> Sequence[Owed]:
        """All that becomes due in this time happens, in order, retries that fall inside too. For all jobs, or for one.

        Returns when it has happened; after `limit` real seconds with what has not.
        """
        try:
            seconds = read_duration(duration)
        except ValueError as error:
            raise OperationError(str(error)) from None
        async with self._advancing:
            if job is None:
                return await self._advance_all(self._clock.now() + seconds, limit)
            found = self._store.find(job)
            if found is None:
                raise OperationError(f"there is no job {job!r}")
            return await self._advance_one(found.key, seconds, limit)

    # Advances

    async def _advance_all(self, target: float, limit: float) -> Sequence[Owed]:
        """Before anything happens the store has the clock as it will be: what is cut is made up for by the restart."""
        with self._commits.at_once():
            self._store.remember("clock", self._clock.changed(target, self._clock.speed))
        self._engine.outbox.advance = advance = Advance()
        try:
            async with asyncio.timeout(limit):
                await self._happen(advance, target)
        except TimeoutError:
            pass
        finally:
            self._engine.outbox.advance = None
        left = advance.left
        self._clock.jump(target)
        with suppress(StoreError), self._commits.at_once():  # if it cannot: what it has is only a little ahead
            self._store.remember("clock", self._clock.segments)
        self._engine.outbox.schedule.look()
        late = [key for due, key in self._store.pending() if due <= target and not self._engine.outbox.holding]
        return [owed for key in dict.fromkeys((*left, *late)) if (owed := self._store.owed(key)) is not None]

    async def _happen(self, advance: Advance, target: float) -> None:
        """From one due moment to the next, as far as what is under way lets it."""
        schedule = self._engine.outbox.schedule
        while True:
            due = schedule.next_due()
            if due <= min(target, advance.horizon):
                self._clock.jump(due)
                schedule.ring()
                await asyncio.sleep(0)
            elif advance.left:
                await advance.change()
            else:
                return

    async def _advance_one(self, key: int, seconds: float, limit: float) -> Sequence[Owed]:
        """Bring a job's own times nearer, from one of its webhooks to the next."""
        self._engine.outbox.advance = advance = Advance()
        left = seconds
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(limit):
                    while (step := self._to_next(key)) <= left and not self._engine.outbox.holding:
                        self._shift(key, step)
                        left -= step
                        if not await self._ring(advance):
                            break
            self._shift(key, left)
        except StoreError as error:
            raise OperationError(f"{error}; {seconds - left:g} s of {seconds:g} s are over for this job") from None
        finally:
            self._engine.outbox.advance = None
        now = self._clock.now()
        return [owed for owed in self._store.webhooks(key, (State.PENDING,)) if owed.webhook.due <= now]

    def _to_next(self, job: int) -> float:
        """Seconds to the job's next webhook that is not under way; infinity where there is none."""
        for owed in self._store.webhooks(job, (State.PENDING,)):
            if owed.key not in self._engine.outbox.under_way:
                return max(owed.webhook.due - self._clock.now(), 0.0)
        return float("inf")

    async def _ring(self, advance: Advance) -> bool:
        """Have what is due happen; False where nothing was."""
        self._engine.outbox.schedule.ring()
        happened = bool(advance.left)
        while advance.left:
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

        owed = self._store.webhooks(key, _OWED)
        with self._commits.at_once():
            self._store.update(_with_dues(job, nearer))
            for webhook in owed:
                self._store.shift(webhook.key, nearer(webhook.webhook.due))
        for webhook in owed:
            self._engine.outbox.schedule.push(nearer(webhook.webhook.due), webhook.key)

    # Of all of them

    def _in_state(self, id: str, *states: State) -> Owed:
        owed = self._as_seen(self.webhook(id))
        if owed.webhook.state not in states:
            wanted = " or ".join(states)
            raise OperationError(f"webhook {id} is {owed.webhook.state}: this needs one that is {wanted}")
        return owed

    def _as_seen(self, owed: Owed) -> Owed:
        if (
            self._engine.outbox.holding
            and owed.webhook.state is State.PENDING
            and owed.key not in self._engine.outbox.under_way
        ):
            return replace(owed, webhook=replace(owed.webhook, state=State.HELD))
        return owed

    def _send_now(self, key: int) -> None:
        self._engine.outbox.fired.add(key)
        self._engine.outbox.enqueue([key])


def _with_dues(job: Job, nearer: Any) -> Job:
    return replace(job, stages=tuple(replace(stage, due=nearer(stage.due)) for stage in job.stages))
