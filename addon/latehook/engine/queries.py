"""Queries: jobs, webhooks and requests by id or by filter, as the API and the commands show them."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from time import perf_counter
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from latehook.base.errors import NotFound
from latehook.base.model import STORED_UNFINISHED, UNFINISHED, Attempt, Criteria, Job, Moment, State, StoredWebhook
from latehook.delivery.results import AttemptResult, NoAttempt
from latehook.engine.engine import Engine
from latehook.engine.filters import WEBHOOKS, Filter, Where, parse_filter
from latehook.engine.journal import JournalEntry, OtherRequest
from latehook.expressions.expression import Names
from latehook.expressions.views import JobView, RequestView, WebhookView

BATCH = 100
"""Rows that are read at once. Between two batches other tasks get their turn."""

SLICE = 0.01
"""Seconds after which other tasks get their turn, also within a batch."""


class WebhookDetails(Struct, frozen=True):
    """A webhook and its attempts, also the running one."""

    stored: StoredWebhook
    attempts: Sequence[Attempt]


class JobDetails(Struct, frozen=True):
    """A job and its webhooks, in the order of its stages."""

    job: Job
    webhooks: Sequence[WebhookDetails]


class Page[Item](Struct, frozen=True):
    """A part of a list, the newest first. `next` is the `after` of the next page, None for the last one."""

    items: list[Item]
    next: int | None


class Queries:
    """Reads from an engine. Webhooks have the state in which they are now, of which the store does not know all.

    A list is read in batches, the newest first. What changes meanwhile may or may not be seen.
    """

    def __init__(self, engine: Engine) -> None:
        self._store = engine.store
        self._state = engine.state
        self._outbox = engine.outbox
        self._context = engine.context
        self._journal = engine.journal
        self._others = engine.others

    def parse_filter(self, given: Mapping[str, Any], names: Names = WEBHOOKS) -> Filter:
        """Make a filter of what a user gave, by name. Raises FilterError."""
        return parse_filter(given, self._context.vars, self._context.secret_vars, names)

    # By id

    def job(self, id: str) -> Job:
        """Return the newest job with this id. Raises NotFound."""
        job = self._store.find_job(id)
        if job is None:
            raise NotFound(f"there is no job {id!r}")
        return job

    def webhook(self, id: str) -> StoredWebhook:
        """Return the webhook with this id. Raises NotFound."""
        key = self._store.webhook_key(id)
        stored = None if key is None else self._store.webhook(key)
        if stored is None:
            raise NotFound(f"there is no webhook {id!r}: mock.pending lists those still owed")
        return self.with_current_state(stored)

    # Lists

    def unfinished(self) -> list[StoredWebhook]:
        """Return the webhooks that are still to be delivered, in the order of their due times."""
        return [self.with_current_state(stored) for stored in self._store.webhooks(states=STORED_UNFINISHED)]

    async def webhooks(self, filter: Filter, limit: int, after: int | None = None) -> Page[WebhookDetails]:
        """Return at most `limit` webhooks behind the one with the key `after`."""
        page = await _page(self.webhook_batches(filter, after), limit, lambda stored: stored.key)
        return Page(self.webhook_details(page.items), page.next)

    async def jobs(self, filter: Filter, limit: int, after: int | None = None) -> Page[JobDetails]:
        """Return at most `limit` jobs behind the one with the key `after`."""
        return await _page(self.job_batches(filter, after), limit, lambda details: details.job.key)

    async def requests(
        self, filter: Filter, limit: int, after: int | None = None, matched: bool | None = None
    ) -> Page[JournalEntry]:
        """Return at most `limit` requests behind number `after`; only those that a mock has (not) matched."""

        criteria = filter.criteria
        entries = [
            entry
            for entry in reversed(self._journal)
            if (after is None or entry.number < after)
            and matched in (None, entry.matched)
            and criteria.mock in (None, entry.mock)
            and criteria.job in (None, entry.job)
        ]

        async def batches() -> AsyncGenerator[Sequence[JournalEntry]]:
            start = 0
            while start < len(entries):
                tried, found = _try(entries[start : start + BATCH], filter.where, self._request_scope)
                yield found
                start += tried
                await asyncio.sleep(0)

        return await _page(batches(), limit, lambda entry: entry.number)

    def others(self, limit: int, after: int | None = None) -> Page[OtherRequest]:
        """Return at most `limit` requests that left for hosts that no mock names, behind number `after`."""
        return Page(*self._others.page(limit, after))

    def webhook_batches(self, filter: Filter, before: int | None = None) -> AsyncGenerator[list[StoredWebhook]]:
        """Yield the webhooks with a lower key than `before`. No other task runs between the read and the yield."""

        def matching(read: Sequence[StoredWebhook]) -> list[StoredWebhook]:
            return [stored for stored in map(self.with_current_state, read) if self._webhook_matches(stored, filter)]

        return self._batches(self._store.matching_webhooks, self._webhook_scope, matching, filter, before)

    def job_batches(self, filter: Filter, before: int | None = None) -> AsyncGenerator[list[JobDetails]]:
        """Yield the jobs with a lower key than `before`."""

        def matching(read: Sequence[Job]) -> list[JobDetails]:
            return [details for details in self.job_details(read) if self._job_matches(details, filter)]

        return self._batches(self._store.matching_jobs, self._job_scope, matching, filter, before)

    async def _batches[Row: (StoredWebhook, Job), Item](
        self,
        find: Callable[[Criteria, int | None, int], list[Row]],
        scope: Callable[[Row], Mapping[str, Any]],
        matching: Callable[[Sequence[Row]], list[Item]],
        filter: Filter,
        before: int | None,
    ) -> AsyncGenerator[list[Item]]:
        criteria, size = self._stored_criteria(filter.criteria), BATCH
        while True:
            read = find(criteria, before, size)
            tried, found = _try(read, filter.where, scope)
            yield matching(found)
            if tried == len(read) < size:
                return
            before = read[tried - 1].key
            size = min(2 * tried, BATCH)
            await asyncio.sleep(0)

    # Details

    def with_current_state(self, stored: StoredWebhook) -> StoredWebhook:
        """Return a webhook with its current state: delivering during an attempt, held while all are held.

        A result that the store cannot write yet counts, too.
        """
        state = stored.webhook.state
        if stored.key in self._outbox.running and state in UNFINISHED:
            state = State.DELIVERING
        elif (results := self._outbox.results.unwritten.get(stored.key)) and state in UNFINISHED:
            stored = _after(stored, results[-1], self._outbox.results.problem)
            state = stored.webhook.state
        if self._state.holding and state is State.PENDING:
            state = State.HELD
        if state is stored.webhook.state:
            return stored
        return replace(stored, webhook=replace(stored.webhook, state=state))

    def webhook_details(self, webhooks: Sequence[StoredWebhook]) -> list[WebhookDetails]:
        """Return webhooks with their attempts."""
        attempts = defaultdict[int, list[Attempt]](list)
        for key, attempt in self._store.attempts(stored.key for stored in webhooks):
            attempts[key].append(attempt)
        for stored in webhooks:
            for result in self._outbox.results.unwritten.get(stored.key, ()):
                if isinstance(result, AttemptResult):
                    attempts[stored.key].append(result.attempt())
            running = self._outbox.running.get(stored.key)
            if running is not None and running.stored.attempts == len(attempts[stored.key]):
                attempts[stored.key].append(Attempt(running.number, running.started_at, clock_at=running.clock_at))
        return [WebhookDetails(stored, attempts[stored.key]) for stored in webhooks]

    def job_details(self, jobs: Sequence[Job]) -> list[JobDetails]:
        """Return jobs with their webhooks and the attempts at these."""
        stored = map(self.with_current_state, self._store.webhooks_of_jobs(job.key for job in jobs))
        webhooks = defaultdict[int, list[WebhookDetails]](list)
        for details in self.webhook_details(list(stored)):
            webhooks[details.stored.job.key].append(details)
        return [JobDetails(job, webhooks[job.key]) for job in jobs]

    # Counts

    def count_jobs(self) -> int:
        return self._store.count_jobs()

    def count_requests(self) -> tuple[int, int]:
        """Return how many requests have come, and how many of them no mock has matched."""
        return self._journal.count, self._journal.unmatched

    def count_webhooks(self) -> dict[State, int]:
        """Return how many webhooks are in each state."""
        counts = defaultdict[State, int](int, self._store.count_states())
        for state, count in self._store.count_states(self._outbox.running).items():
            if state in UNFINISHED:
                counts[state] -= count
                counts[State.DELIVERING] += count
        for key in self._outbox.results.unwritten.keys() - self._outbox.running.keys():
            if (stored := self._store.webhook(key)) is not None:
                counts[stored.webhook.state] -= 1
                counts[self.with_current_state(stored).webhook.state] += 1
        if self._state.holding:
            counts[State.HELD] += counts.pop(State.PENDING, 0)
        return {state: counts[state] for state in State}

    # Matching

    def _stored_criteria(self, criteria: Criteria) -> Criteria:
        """Return criteria with the states that the store has for these states: they match at least as many webhooks."""
        if criteria.states is None:
            return criteria
        states = set(criteria.states)
        is_unwritten = bool(self._outbox.results.unwritten)  # the store has these webhooks as unfinished
        if is_unwritten or State.DELIVERING in states or (State.HELD in states and self._state.holding):
            states |= {State.PENDING, State.HELD}
        return replace(criteria, states=tuple(states))

    def _webhook_matches(self, stored: StoredWebhook, filter: Filter) -> bool:
        states = filter.criteria.states
        return states is None or stored.webhook.state in states

    def _job_matches(self, details: JobDetails, filter: Filter) -> bool:
        criteria = filter.criteria
        if (criteria.states, criteria.event) == (None, None):
            return True
        webhooks = (each.stored.webhook for each in details.webhooks)
        return any(
            (criteria.states is None or webhook.state in criteria.states) and criteria.event in (None, webhook.event)
            for webhook in webhooks
        )

    # What `where` sees

    def _request_scope(self, entry: JournalEntry) -> Mapping[str, Any]:
        return {**_times(self._context.moment()), "request": RequestView(entry.request)}

    def _job_scope(self, job: Job) -> Mapping[str, Any]:
        moment = self._context.moment().of(job)
        view = JobView(job, moment.now)
        return {**_times(moment), "job": view, "request": view.request}

    def _webhook_scope(self, stored: StoredWebhook) -> Mapping[str, Any]:
        webhook = WebhookView(stored.webhook.id, stored.attempts, stored.webhook.event)
        return {**self._job_scope(stored.job), "webhook": webhook}


def _times(moment: Moment) -> dict[str, float]:
    return {"now": moment.now, "real_now": moment.real_now}


def _try[Row](
    rows: Sequence[Row], where: Where | None, scope: Callable[[Row], Mapping[str, Any]]
) -> tuple[int, Sequence[Row]]:
    """Try `where` with rows, for SLICE seconds. Return how many were tried, and those of them for which it is true."""
    if where is None:
        return len(rows), rows
    end = perf_counter() + SLICE
    found = []
    for tried, row in enumerate(rows, 1):
        if where(scope(row)):
            found.append(row)
        if perf_counter() > end:
            return tried, found
    return len(rows), found


def _after(stored: StoredWebhook, result: AttemptResult | NoAttempt, problem: str | None) -> StoredWebhook:
    """Return a webhook after a result that the store does not have yet, because of `problem`."""
    reason = None if problem is None else f"not in the store yet: {problem}"
    if isinstance(result, NoAttempt):
        reason = result.reason if reason is None else f"{result.reason}; {reason}"
        return replace(stored, webhook=replace(stored.webhook, state=result.state, reason=reason))
    webhook = replace(stored.webhook, state=result.state, reason=reason, due=result.due)
    return replace(stored, webhook=webhook, attempts=result.number, content=result.content)


async def _page[Item](batches: AsyncGenerator[Sequence[Item]], limit: int, number: Callable[[Item], int]) -> Page[Item]:
    """Return the first `limit` items. Read no more batches than that takes."""
    found: list[Item] = []
    async with aclosing(batches):
        async for batch in batches:
            found += batch
            if len(found) > limit:
                break
    return Page(found[:limit], number(found[limit - 1]) if len(found) > limit else None)
