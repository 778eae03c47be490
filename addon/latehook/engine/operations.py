"""The operations: what a tester may do while jobs are pending. Each is committed to the store before it returns."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from latehook.base.durations import parse_duration
from latehook.base.errors import OperationError, WrongState
from latehook.base.model import FINISHED, UNFINISHED, State, StoredWebhook, Webhook
from latehook.base.redaction import Redaction
from latehook.base.text import did_you_mean
from latehook.delivery.advance import LIMIT, Advance
from latehook.engine.choices import forget_jobs
from latehook.engine.engine import Engine
from latehook.engine.filters import ALL, Filter
from latehook.engine.queries import Queries
from latehook.engine.waits import Waits
from latehook.mocks.definitions import Mocks
from latehook.mocks.open_stages import fired
from latehook.store.world import AddedMocks

LONGEST_ADVANCE = 36500 * 86400.0
"""Seconds by which one advance may move the clock."""

END_OF_TIME = 253_402_300_800.0
"""The first moment after the year 9999, in Unix seconds: the last year that dates have four digits for."""

MAX_SPEED = 1_000_000
"""The highest speed of the clock."""

IdOrFilter = str | Filter
"""A webhook by its id, or the webhooks that match a filter."""


class Operations:
    """The operations on an engine, and `queries` to read from it. A reset sets the clock to `speed` and uses `seed`."""

    def __init__(self, engine: Engine, speed: float = 1.0, seed: str | None = None) -> None:
        self.queries = Queries(engine)
        self.notifier = engine.notifier
        self.waits = Waits(self.queries, engine.notifier)
        self.clock = engine.clock
        self.speed = speed
        self._engine = engine
        self._seed = seed
        self._store = engine.store
        self._commits = engine.commits
        self._state = engine.state
        self._outbox = engine.outbox
        self._ownership = engine.ownership
        self._advance = Advance(engine.store, engine.commits, engine.state, engine.outbox, engine.ownership)

    # Current values

    @property
    def mocks(self) -> Mocks:
        return self._engine.mocks

    @property
    def vars(self) -> Mapping[str, Any]:
        return self._engine.context.vars

    @property
    def holding(self) -> bool:
        """Whether all webhooks are held. Those that are fired or sent again go out all the same."""
        return self._state.holding

    @property
    def problems(self) -> list[str]:
        """What is wrong with the store, each in one line."""
        return self._engine.problems

    def due_in(self, stored: StoredWebhook) -> float:
        """Return the seconds of Latehook's clock until a webhook is due; 0 if it is."""
        return max(stored.webhook.due - self.clock.now(), 0.0)

    @property
    def redaction(self) -> Redaction:
        """The secrets of the environment and of mocks files."""
        return self._engine.context.redaction

    def redact[Plain](self, value: Plain) -> Plain:
        """Return text, or data that contains text, without the secrets of the environment and of mocks files."""
        return self._engine.context.redaction.redact(value)

    # Webhooks

    async def hold(self, which: IdOrFilter = ALL) -> list[str]:
        """Do not start the attempts at these webhooks; with ALL, at any, also of later jobs. The clock goes on.

        Return the ids of the webhooks that are held.
        """
        if which == ALL:
            await self._state.change(lambda world: replace(world, holding=True))
            return await self._each(which, UNFINISHED, lambda _: None)
        return await self._each(which, UNFINISHED, lambda stored: self._store.set_state(stored.key, State.HELD))

    async def release(self, which: IdOrFilter = ALL) -> list[str]:
        """Send webhooks that are held: when they are due, or at once if that is past. Return their ids."""
        released = []

        def release(stored: StoredWebhook) -> None:
            self._store.set_pending(stored.key, stored.webhook.due)
            released.append(stored)

        ids = []
        if which == ALL:
            ids = await self._each(which, (State.HELD,), lambda _: None)
            await self._state.change(lambda world: replace(world, holding=False))
        ids += await self._each(which, UNFINISHED if isinstance(which, str) else (State.HELD,), release, takes=True)
        for stored in released:
            self._outbox.schedule(stored.webhook.due, stored.key)
        return list(dict.fromkeys(ids))

    async def fire(self, id: str) -> None:
        """Send an unfinished webhook now, held or not, and move its job to its stage. Raises NotFound, WrongState."""
        await self._ownership.take([(await self._in_state(id, *UNFINISHED)).job.key])
        async with self._commits.changes:
            stored = await self._in_state(id, *UNFINISHED)
            if stored.webhook.state is State.DELIVERING:
                return
            now, job, decisions = self.clock.now(), stored.job, self._outbox.decisions
            moved = replace(job, stages=fired(job.stages, stored.webhook.stage, now + job.ahead))
            webhooks = await self._store.webhooks_of_jobs([job]) if job.is_open else ()
            async with self._commits.transaction():
                self._store.update_job(moved)
                known = decisions.write_dues(moved, webhooks)
                self._store.set_pending(stored.key, now, ordered=False)
        for due, key in known:
            if key != stored.key:
                self._outbox.schedule(due, key)
        if job.is_open:
            await decisions.continue_job(job.key, decide_to=stored.webhook.stage)
        self._outbox.send_now([stored.key])

    async def cancel(self, which: IdOrFilter = ALL) -> list[str]:
        """Do not send these webhooks any more. A running attempt goes on, but is not retried. Return their ids."""
        return await self._each(
            which, UNFINISHED, lambda stored: self._store.set_state(stored.key, State.CANCELED, "canceled")
        )

    async def resend(self, which: IdOrFilter = ALL) -> list[str]:
        """Send finished webhooks again: same ids and contents, next attempt numbers. Return the ids of those sent.

        Raises NotFound, StoreError, and WrongState for a webhook that is unfinished or has no URL.
        """
        if isinstance(which, str) and not _can_be_sent(webhook := (await self.queries.webhook(which)).webhook):
            raise WrongState(f"webhook {which} cannot be sent: {webhook.reason}")
        await self._outbox.results.write_now()  # else one of them would end a webhook that is sent again
        keys = []

        def make_pending(stored: StoredWebhook) -> bool:
            if not _can_be_sent(stored.webhook):
                return False
            self._store.set_pending(stored.key, self.clock.now(), ordered=False, again=True)
            keys.append(stored.key)
            return True

        ids = await self._each(which, FINISHED, make_pending, takes=True)
        self._outbox.send_now(keys)
        return ids

    # Clock, variables, mocks

    async def advance(
        self, duration: str | float, job: str | None = None, limit: float = LIMIT
    ) -> Sequence[StoredWebhook]:
        """Move the clock forward, or that of one job (by its id): everything that becomes due happens, in order.

        Retries that become due on the way happen, too. Return when all attempts have ended, or after `limit` real
        seconds: the webhooks whose attempts have not ended. Raises OperationError, NotFound, StoreError.
        """
        try:
            seconds = parse_duration(duration)
        except ValueError as error:
            raise OperationError(str(error)) from None
        if seconds > LONGEST_ADVANCE:
            raise OperationError(f"an advance of {duration!r} is too long: at most {LONGEST_ADVANCE / 86400:,.0f}d")
        found = None if job is None else await self.queries.job(job)
        now = self.clock.now() + (0.0 if found is None else found.ahead)
        if now + seconds >= END_OF_TIME:
            raise OperationError(f"an advance of {duration!r} would move the clock past the year 9999: reset it before")
        if found is None:
            return await self._advance.all_jobs(seconds, limit)
        return await self._advance.one_job(found.key, seconds, limit)

    async def set_speed(self, speed: float) -> None:
        """Run the clock at this speed: 60 for an hour in a minute. Raises OperationError."""
        if not 0 < speed <= MAX_SPEED:
            remedy = f"write a number more than 0, and at most {MAX_SPEED:,}, such as 60 for an hour a minute"
            raise OperationError(f"speed {speed:g}: {remedy}")
        await self._state.change(lambda world: replace(world, clock=self._state.clock_setting(speed)))

    async def set_vars(self, values: Mapping[str, Any]) -> None:
        """Set variables. Raises OperationError for a name that no mocks file has."""
        known = self._engine.mocks.vars
        for name in values:
            if name not in known:
                raise OperationError(
                    f"there is no variable {name!r}{did_you_mean(name, known)}: `vars` of a mocks file names them"
                )
        await self._state.change(lambda world: replace(world, vars={**world.vars, **values}))

    async def add_mocks(self, text: str, file: str | None = None, files: Mapping[str, bytes] | None = None) -> Mocks:
        """Put the mocks of a mocks file's text in front of all others, until the next reset.

        They are in the store: a later process has them too. `file` is the name of the file in errors and in the mocks'
        places. `files` are the contents of the files that the text names. Raises MocksError, StoreError.
        """
        contents = tuple(sorted((files or {}).items()))
        return await self._engine.add(AddedMocks(text, file, tuple(self._engine.mocks.vars), contents))

    # Reset

    async def reset(self, which: Filter = ALL) -> list[str]:
        """Forget the jobs that match. With ALL, go back to the state of a new process.

        That forgets all jobs, requests, holds, variables that were set and added mocks, and resets the clock and the
        random values. Return the ids of the jobs that were forgotten.
        """
        if which != ALL:
            return await self._forget_jobs(which)
        ids = list(await self._store.job_ids())
        await self._engine.reset(self.speed)
        await self.seed_random()
        return ids

    async def seed_random(self) -> None:
        """Seed the random values: alike for each empty store, and for others unlike those of their earlier jobs."""
        self._engine.random.seed(self._seed and f"{self._seed}/{await self._store.last_job_key()}")

    async def _forget_jobs(self, which: Filter) -> list[str]:
        """Forget jobs batch by batch."""
        ids: list[str] = []
        async for batch in self.queries.job_batches(which):
            keys = [details.stored.key for job in batch for details in job.webhooks]
            jobs = [job.job.key for job in batch]
            reason = "its job was forgotten"
            await forget_jobs(self._store, self._commits, self._outbox, self._ownership, jobs, keys, reason)
            ids += [job.job.id for job in batch]
        return ids

    async def _each(
        self, which: IdOrFilter, states: tuple[State, ...], act: Callable[[StoredWebhook], Any], takes: bool = False
    ) -> list[str]:
        """Call `act` with the webhook of an id, or with each that matches and is in one of `states`; commit its writes.

        If it `takes` the webhooks, this process sends them from now on, whichever process has accepted their jobs.
        Return the ids of the webhooks, except those for which `act` returns False. Raises NotFound, WrongState.
        """
        if isinstance(which, str):
            stored = await self._in_state(which, *states)
            if takes:
                await self._ownership.take([stored.job.key])
            async with self._commits.transaction():
                act(stored)
            await self._outbox.decisions.settled()
            return [stored.webhook.id]
        ids: list[str] = []
        async for batch in self.queries.webhook_batches(which.with_states(*states)):
            if takes:
                await self._ownership.take({stored.job.key for stored in batch})
            async with self._commits.transaction():
                ids += [stored.webhook.id for stored in batch if act(stored) is not False]
        await self._outbox.decisions.settled()
        return ids

    async def _in_state(self, id: str, *states: State) -> StoredWebhook:
        """Return the webhook with this id. Raises NotFound, and WrongState if it is in another state."""
        stored = await self.queries.webhook(id)
        if stored.webhook.state not in states:
            wanted = " or ".join(states)
            raise WrongState(f"webhook {id} is {stored.webhook.state}: this needs one that is {wanted}")
        return stored


def _can_be_sent(webhook: Webhook) -> bool:
    """Return whether a webhook has a URL, or gets one when its turn comes."""
    return webhook.to is not None or webhook.late
