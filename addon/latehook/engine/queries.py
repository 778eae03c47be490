"""Jobs, webhooks and requests by selection: what every face lists, waits for and acts on."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from itertools import batched
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from latehook.base.model import Attempt, Criteria, Job, State, StoredWebhook
from latehook.engine.engine import Engine
from latehook.engine.filters import WEBHOOKS, Selection, select
from latehook.engine.journal import JournalEntry
from latehook.expressions.expression import Names
from latehook.expressions.views import JobView, RequestView, WebhookView

SLICE = 100
"""Rows that are read at once; then the loop goes on for a moment."""

OWED = (State.PENDING, State.HELD, State.DELIVERING)
"""The states of a webhook that is still to be delivered."""


class History(Struct, frozen=True):
    """A webhook and its attempts, the one under way too."""

    owed: StoredWebhook
    attempts: Sequence[Attempt]


class JobHistory(Struct, frozen=True):
    """A job and its webhooks, in the order of its stages."""

    job: Job
    webhooks: Sequence[History]


class Page[Item](Struct, frozen=True):
    """Some of a list, the newest first. `next` is what to go on after, None where this is the end."""

    items: list[Item]
    next: int | None


async def _first[Item](slices: AsyncGenerator[list[Item]], limit: int, number: Callable[[Item], int]) -> Page[Item]:
    """The first of them up to a limit. No slice is read behind the one that exceeds it."""
    found: list[Item] = []
    async with aclosing(slices):
        async for some in slices:
            found += some
            if len(found) > limit:
                break
    return Page(found[:limit], number(found[limit - 1]) if len(found) > limit else None)


class Queries:
    """What there is in an engine, as it is seen: held where all are held, delivering while an attempt is under way."""

    def __init__(self, engine: Engine, env: Mapping[str, str]) -> None:
        self._engine = engine
        self._store = engine.store
        self._outbox = engine.outbox
        self._env = env

    def select(self, given: Mapping[str, Any], names: Names = WEBHOOKS) -> Selection:
        """A selection by filters as they are given. SelectionError says what is wrong with one."""
        return select(given, self._engine.vars, self._env, names)

    # Queries

    async def webhooks(self, selection: Selection, limit: int, after: int | None = None) -> Page[History]:
        page = await _first(self.slices(selection, after), limit, lambda owed: owed.key)
        return Page(self.histories(page.items), page.next)

    async def jobs(self, selection: Selection, limit: int, after: int | None = None) -> Page[JobHistory]:
        return await _first(self.job_slices(selection, after), limit, lambda history: history.job.key)

    async def requests(
        self, selection: Selection, limit: int, after: int | None = None, matched: bool | None = None
    ) -> Page[JournalEntry]:
        def fits(received: JournalEntry) -> bool:
            return (
                (after is None or received.number < after)
                and matched in (None, received.matched)
                and self._takes_request(received, selection)
            )

        async def slices() -> AsyncGenerator[list[JournalEntry]]:
            for some in batched(reversed(self._engine.journal), SLICE):
                yield list(filter(fits, some))
                await asyncio.sleep(0)

        return await _first(slices(), limit, lambda received: received.number)

    def slices(self, selection: Selection, before: int | None = None) -> AsyncGenerator[list[StoredWebhook]]:
        """The webhooks, the newest first, in slices: within one nothing has changed since it was read."""

        def fitting(read: Sequence[StoredWebhook]) -> list[StoredWebhook]:
            return [owed for owed in map(self.as_seen, read) if self._takes(owed, selection)]

        return self._slices(self._store.choose, fitting, selection, before)

    def job_slices(self, selection: Selection, before: int | None = None) -> AsyncGenerator[list[JobHistory]]:
        """The jobs, the newest first, in slices."""

        def fitting(read: Sequence[Job]) -> list[JobHistory]:
            return [job for job in self.job_histories(read) if self._takes_job(job, selection)]

        return self._slices(self._store.choose_jobs, fitting, selection, before)

    async def _slices[Row: (StoredWebhook, Job), Item](
        self,
        choose: Callable[[Criteria, int | None, int], list[Row]],
        fitting: Callable[[Sequence[Row]], list[Item]],
        selection: Selection,
        before: int | None,
    ) -> AsyncGenerator[list[Item]]:
        criteria = self._stored(selection.criteria)
        while True:
            read = choose(criteria, before, SLICE)
            yield fitting(read)
            if len(read) < SLICE:
                return
            before = read[-1].key
            await asyncio.sleep(0)

    # One

    def as_seen(self, owed: StoredWebhook) -> StoredWebhook:
        """The webhook with the state that it is in just now: the store does not know all of it."""
        state = owed.webhook.state
        if owed.key in self._outbox.under_way and state in OWED:
            state = State.DELIVERING
        elif self._outbox.holding and state is State.PENDING:
            state = State.HELD
        return owed if state is owed.webhook.state else replace(owed, webhook=replace(owed.webhook, state=state))

    def histories(self, webhooks: Sequence[StoredWebhook]) -> list[History]:
        attempts = defaultdict[int, list[Attempt]](list)
        for key, attempt in self._store.attempts(owed.key for owed in webhooks):
            attempts[key].append(attempt)
        for owed in webhooks:
            under_way = self._outbox.under_way.get(owed.key)
            if under_way is not None and under_way.owed.attempts == len(attempts[owed.key]):
                attempts[owed.key].append(Attempt(under_way.owed.attempts + 1, under_way.since))
        return [History(owed, attempts[owed.key]) for owed in webhooks]

    def job_histories(self, jobs: Sequence[Job]) -> list[JobHistory]:
        owed = map(self.as_seen, self._store.webhooks_of(job.key for job in jobs))
        webhooks = defaultdict[int, list[History]](list)
        for history in self.histories(list(owed)):
            webhooks[history.owed.job.key].append(history)
        return [JobHistory(job, webhooks[job.key]) for job in jobs]

    # How many

    def count_jobs(self) -> int:
        return self._store.count_jobs()

    def count_requests(self) -> tuple[int, int]:
        """How many have come, and how many of them no mock took."""
        return self._engine.journal.count, self._engine.journal.unmatched

    def counts(self) -> dict[State, int]:
        """How many webhooks there are in each state."""
        counts = defaultdict[State, int](int, self._store.count_states())
        for state, count in self._store.count_states(self._outbox.under_way).items():
            if state in OWED:
                counts[state] -= count
                counts[State.DELIVERING] += count
        if self._outbox.holding:
            counts[State.HELD] += counts.pop(State.PENDING, 0)
        return {state: counts[state] for state in State}

    # What fits

    def _stored(self, criteria: Criteria) -> Criteria:
        """The criteria by the states that the store knows: it finds all that may fit."""
        if criteria.states is None:
            return criteria
        seen = set(criteria.states)
        if State.DELIVERING in seen or (State.HELD in seen and self._outbox.holding):
            seen |= {State.PENDING, State.HELD}
        return replace(criteria, states=tuple(seen))

    def _takes(self, owed: StoredWebhook, selection: Selection) -> bool:
        states = selection.criteria.states
        if states is not None and owed.webhook.state not in states:
            return False
        if selection.where is None:
            return True
        webhook = WebhookView(owed.webhook.id, owed.attempts, owed.webhook.event)
        return selection.where({**self._scope(owed.job), "webhook": webhook})

    def _takes_job(self, history: JobHistory, selection: Selection) -> bool:
        criteria = selection.criteria
        if (criteria.states, criteria.event) != (None, None):
            webhooks = (history.owed.webhook for history in history.webhooks)
            if not any(
                (criteria.states is None or webhook.state in criteria.states)
                and criteria.event in (None, webhook.event)
                for webhook in webhooks
            ):
                return False
        return selection.where is None or selection.where(self._scope(history.job))

    def _takes_request(self, received: JournalEntry, selection: Selection) -> bool:
        criteria = selection.criteria
        if criteria.mock not in (None, received.mock) or criteria.job not in (None, received.job):
            return False
        if selection.where is None:
            return True
        return selection.where({**self._common(), "request": RequestView(received.request)})

    def _scope(self, job: Job) -> dict[str, Any]:
        view = JobView(job, self._engine.moment())
        return {**self._common(), "job": view, "request": view.request}

    def _common(self) -> dict[str, Any]:
        return {"vars": self._engine.vars, "now": self._engine.clock.real()}
