"""What a tester may do while jobs are pending: every face calls these. Each is committed before it returns."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from latehook import mocksfile
from latehook.base.durations import seconds as read_duration
from latehook.base.errors import NotFound, OperationError, WrongState
from latehook.base.model import Job, State, StoredWebhook
from latehook.base.text import did_you_mean
from latehook.delivery.advance import LIMIT, Advancing
from latehook.engine.engine import Engine
from latehook.engine.filters import ALL, Selection
from latehook.engine.queries import OWED, History, Queries
from latehook.mocks.definitions import Mocks
from latehook.store import OWED as STORED_OWED

FURTHEST = 36500 * 86400.0
"""Seconds that an advance takes the clock on at most."""

FASTEST = 1_000_000
"""The highest speed of the clock."""

WAITED_FOR = 1000
"""Webhooks that one wait is told of at most."""

LOOK_AGAIN = 0.01
"""Seconds between two looks of a wait: under load something changes all the time."""

ENDED = (State.DELIVERED, State.FAILED, State.CANCELED, State.SKIPPED)

Which = str | Selection
"""A webhook by its id, or those selected."""


class Operations:
    """The operations on an engine. `speed` and `seed` are what a reset goes back to."""

    def __init__(
        self, engine: Engine, speed: float = 1.0, seed: str | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        self._env = env or {}
        self.lists = Queries(engine, self._env)
        self.notifier = engine.notifier
        self.clock = self._clock = engine.clock
        self._engine = engine
        self._store = engine.store
        self._commits = engine.commits
        self.speed = speed
        self._seed = seed
        self._advancing = Advancing(engine)

    @property
    def mocks(self) -> Mocks:
        return self._engine.mocks

    @property
    def vars(self) -> Mapping[str, Any]:
        return self._engine.vars

    @property
    def holding(self) -> bool:
        """Whether nothing starts at all."""
        return self._engine.outbox.holding

    def pending(self) -> list[StoredWebhook]:
        """The webhooks still owed, in the order of their times. Held ones are marked so, also where all are held."""
        owed = self._store.webhooks(states=STORED_OWED)
        return [self.lists.as_seen(webhook) for webhook in owed]

    def hide[Plain](self, value: Plain) -> Plain:
        """Text, or data with texts in it, as it may be shown: without the secrets of environment and mocks files."""
        return self._engine.redaction.hide(value)

    def to_go(self, owed: StoredWebhook) -> float:
        """Seconds of Latehook's clock until a webhook is due."""
        return max(owed.webhook.due - self._clock.now(), 0.0)

    def webhook(self, id: str) -> StoredWebhook:
        """The webhook with this id. NotFound if there is none."""
        key = self._store.key_of(id)
        owed = None if key is None else self._store.webhook(key)
        if owed is None:
            raise NotFound(f"there is no webhook {id!r}: mock.pending lists those still owed")
        return self.lists.as_seen(owed)

    def job(self, id: str) -> Job:
        """The newest job with this id. NotFound if there is none."""
        job = self._store.find(id)
        if job is None:
            raise NotFound(f"there is no job {id!r}")
        return job

    async def wait(self, selection: Selection, count: int, limit: float) -> list[History]:
        """Wait until so many webhooks are as selected, for `limit` real seconds; those that are then, oldest first."""
        loop = asyncio.get_running_loop()
        end = loop.time() + limit
        while True:
            revision = self._engine.notifier.revision
            page = await self.lists.webhooks(selection, WAITED_FOR)
            if len(page.items) >= count or not await self._engine.notifier.after(revision, end - loop.time()):
                return page.items[::-1]
            await asyncio.sleep(LOOK_AGAIN)

    async def hold(self, which: Which = ALL) -> list[str]:
        """Nothing starts: of one webhook, of some, or of any. Clock and statuses go on. The ids of those held."""
        if which == ALL:
            with self._commits.at_once():
                self._store.remember("holding", True)
            self._engine.outbox.holding = True
            return await self._each(which, OWED, lambda _: None)
        return await self._each(which, OWED, lambda owed: self._store.set_state(owed.key, State.HELD))

    async def release(self, which: Which = ALL) -> list[str]:
        """What was held goes out: at its time, or at once where that has passed. The ids of those released."""
        released = []

        def release(owed: StoredWebhook) -> None:
            self._store.set_due(owed.key, owed.webhook.due)
            released.append(owed)

        ids = await self._each(which, OWED if isinstance(which, str) else (State.HELD,), release)
        if which == ALL:
            with self._commits.at_once():
                self._store.remember("holding", False)
            self._engine.outbox.holding = False
        for owed in released:
            self._engine.outbox.schedule.push(owed.webhook.due, owed.key)
        if which == ALL:
            self._engine.outbox.let_all_go()
        return ids

    async def fire(self, id: str) -> None:
        """Send a webhook now, held or not, and move its job to its stage."""
        owed = self._in_state(id, *OWED)
        if owed.webhook.state is State.DELIVERING:
            return
        now = self._clock.now()
        stages = tuple(
            replace(stage, due=min(stage.due, now)) if at <= owed.webhook.stage else stage
            for at, stage in enumerate(owed.job.stages)
        )
        with self._commits.at_once():
            self._store.update(replace(owed.job, stages=stages))
            self._store.set_due(owed.key, now, ordered=False)
        self._send_now([owed.key])

    async def cancel(self, which: Which = ALL) -> list[str]:
        """Not sent any more: one webhook, some, or all that are owed. An attempt under way ends. Their ids."""
        return await self._each(which, OWED, lambda owed: self._store.set_state(owed.key, State.CANCELED, "canceled"))

    async def resend(self, which: Which = ALL) -> list[str]:
        """Send ended webhooks again: the same ids and contents, the next attempt numbers. The ids of those sent."""
        if isinstance(which, str) and self.webhook(which).webhook.to is None:
            raise WrongState(f"webhook {which} cannot be sent: {self.webhook(which).webhook.reason}")
        sent = []

        def send(owed: StoredWebhook) -> bool:
            if owed.webhook.to is None:
                return False
            self._store.set_due(owed.key, self._clock.now(), ordered=False)
            sent.append(owed.key)
            return True

        ids = await self._each(which, ENDED, send)
        self._send_now(sent)
        return ids

    async def set_speed(self, speed: float) -> None:
        """How fast the clock runs from now on."""
        if not 0 < speed <= FASTEST:
            remedy = f"write a number more than 0, and at most {FASTEST:,}, such as 60 for an hour a minute"
            raise OperationError(f"speed {speed:g}: {remedy}")
        changed = self._clock.changed(self._clock.now(), speed)
        with self._commits.at_once():
            self._store.remember("clock", changed)
        self._clock.segments = changed
        self._engine.outbox.schedule.look()

    async def set_vars(self, values: Mapping[str, Any]) -> None:
        """Set variables. OperationError for one that no mocks file has."""
        known = self._engine.mocks.vars
        for name in values:
            if name not in known:
                raise OperationError(
                    f"there is no variable {name!r}{did_you_mean(name, known)}: `vars` of a mocks file names them"
                )
        changed = {**self._engine.vars, **values}
        with self._commits.at_once():
            self._store.remember("vars", changed)
        self._engine.set_vars(changed)

    async def add_mocks(self, text: str, file: str | None = None) -> Mocks:
        """Put the mocks of a mocks file's text in front of all others, until the next reset. MocksError."""
        posted = await asyncio.to_thread(mocksfile.load_text, text, file, self._env, self._engine.mocks.vars)
        self._engine.add(posted)
        return posted

    async def reset(self, which: Selection = ALL) -> list[str]:
        """As if it had just started: no jobs, no requests, no holds; mocks, variables, clock and chance as at the start.

        Of a selection only its jobs are forgotten. The ids of the jobs that there are no more.
        """
        if which != ALL:
            return await self._forget_jobs(which)
        ids = self._store.job_ids()
        with self._commits.at_once():
            self._store.clear()
        self._clock.reset(self.speed)
        self.seed_chance()
        await self._engine.forget()
        self.notifier.notify()
        return ids

    def seed_chance(self) -> None:
        """Have chance begin as the seed says. What a store's earlier jobs have drawn comes not again."""
        self._engine.random.seed(self._seed and f"{self._seed}/{self._store.last_key()}")

    async def advance(
        self, duration: str | float, job: str | None = None, limit: float = LIMIT
    ) -> Sequence[StoredWebhook]:
        """All that becomes due in this time happens, in order, retries that fall inside too. For all jobs, or for one.

        Returns when it has happened; after `limit` real seconds with what has not, or the first of it.
        """
        try:
            seconds = read_duration(duration)
        except ValueError as error:
            raise OperationError(str(error)) from None
        if seconds > FURTHEST:
            raise OperationError(f"an advance of {duration!r} is too long: at most {FURTHEST / 86400:,.0f}d")
        if job is None:
            return await self._advancing.all(seconds, limit)
        return await self._advancing.one(self.job(job).key, seconds, limit)

    # Of all of them

    async def _forget_jobs(self, which: Selection) -> list[str]:
        """Each slice: nothing of it starts any more, what is under way is broken off, then it is forgotten."""
        ids: list[str] = []
        async for some in self.lists.job_slices(which):
            webhooks = [history.owed for each in some for history in each.webhooks]
            with self._commits.at_once():
                for owed in webhooks:
                    self._store.set_state(owed.key, State.CANCELED, "its job was forgotten")
            await self._engine.outbox.forget_some({owed.key for owed in webhooks})
            with self._commits.at_once():
                self._store.forget(each.job.key for each in some)
            ids += [each.job.id for each in some]
        return ids

    async def _each(self, which: Which, states: tuple[State, ...], act: Callable[[StoredWebhook], Any]) -> list[str]:
        """Do something to the webhook of an id, or to each of those selected that is in one of these states.

        What `act` writes is committed. The ids of the webhooks, without those for which it says False.
        """
        if isinstance(which, str):
            owed = self._in_state(which, *states)
            with self._commits.at_once():
                act(owed)
            return [owed.webhook.id]
        ids: list[str] = []
        async for some in self.lists.slices(which.within(*states)):
            with self._commits.at_once():
                ids += [owed.webhook.id for owed in some if act(owed) is not False]
        return ids

    def _in_state(self, id: str, *states: State) -> StoredWebhook:
        owed = self.webhook(id)
        if owed.webhook.state not in states:
            wanted = " or ".join(states)
            raise WrongState(f"webhook {id} is {owed.webhook.state}: this needs one that is {wanted}")
        return owed

    def _send_now(self, keys: list[int]) -> None:
        self._engine.outbox.fired.update(keys)
        self._engine.outbox.enqueue(keys)
