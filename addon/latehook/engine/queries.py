"""Queries: jobs, webhooks and requests by id or by filter, as the API and the commands show them."""

from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from itertools import batched
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from latehook.base.errors import NotFound
from latehook.base.model import STORED_UNFINISHED, UNFINISHED, Attempt, Criteria, Job, State, StoredWebhook
from latehook.base.turns import Turns
from latehook.delivery.results import AttemptResult
from latehook.engine.engine import Engine
from latehook.engine.filters import WEBHOOKS, Filter, Where, parse_filter
from latehook.engine.journal import JournalEntry, OtherRequest
from latehook.engine.pages import FOUND_AT_ONCE, ROWS_PER_TURN, Page, in_turns, page_of
from latehook.engine.scopes import Scopes
from latehook.expressions.expression import Names
from latehook.store.protocol import Match


class WebhookDetails(Struct, frozen=True):
    """A webhook and its attempts, also the running one."""

    stored: StoredWebhook
    attempts: Sequence[Attempt]


class JobDetails(Struct, frozen=True):
    """A job and its webhooks, in the order of its stages."""

    job: Job
    webhooks: Sequence[WebhookDetails]


class Queries:
    """Reads from an engine. Webhooks have the state in which they are now, of which the store does not know all.

    A list is read in batches, the newest first, each in one of the `turns`: other tasks run in between. What changes
    meanwhile may or may not be seen. `convert` makes what is kept of each item, in the same turn.
    """

    def __init__(self, engine: Engine) -> None:
        self.turns = Turns()
        self._store = engine.store
        self._state = engine.state
        self._progress = engine.progress
        self._context = engine.context
        self._journal = engine.journal
        self._scopes = Scopes(engine.context)

    def parse_filter(self, given: Mapping[str, Any], names: Names = WEBHOOKS) -> Filter:
        """Make a filter of what a user gave, by name. Raises FilterError."""
        return parse_filter(given, self._context.vars, self._context.secret_vars, names)

    # By id

    async def job(self, id: str, number: int | None = None) -> Job:
        """Return the newest job with this id, or the one with this number (its key). Raises NotFound."""
        job = await (self._store.find_job(id) if number is None else self._store.job(number))
        if job is None or job.id != id:
            raise NotFound(f"there is no job {id!r}" + ("" if number is None else f" with the number {number}"))
        return job

    async def webhook(self, id: str) -> StoredWebhook:
        """Return the webhook with this id. Raises NotFound."""
        key = await self._store.webhook_key(id)
        stored = None if key is None else await self._store.webhook(key)
        if stored is None:
            raise NotFound(f"there is no webhook {id!r}: mock.pending lists those still owed")
        return self.with_current_state(stored)

    # Lists

    async def unfinished(self) -> list[StoredWebhook]:
        """Return the webhooks that are still to be delivered, in the order of their due times."""
        return [self.with_current_state(stored) for stored in await self._store.webhooks(states=STORED_UNFINISHED)]

    async def webhooks[Result](
        self, filter: Filter, limit: int, convert: Callable[[WebhookDetails], Result], after: int | None = None
    ) -> Page[Result]:
        """Return at most `limit` webhooks behind the one with the key `after`."""

        async def of(stored: StoredWebhook) -> Result:
            return convert((await self.webhook_details([stored]))[0])

        return await page_of(self.webhook_batches(filter, after), limit, of, lambda stored: stored.key)

    async def jobs[Result](
        self, filter: Filter, limit: int, convert: Callable[[JobDetails], Result], after: int | None = None
    ) -> Page[Result]:
        """Return at most `limit` jobs behind the one with the key `after`."""

        async def of(details: JobDetails) -> Result:
            return convert(details)

        return await page_of(self.job_batches(filter, after), limit, of, lambda details: details.job.key)

    async def requests[Result](
        self,
        filter: Filter,
        limit: int,
        convert: Callable[[JournalEntry], Result],
        after: int | None = None,
        matched: bool | None = None,
        valid: bool | None = None,
    ) -> Page[Result]:
        """Return at most `limit` requests behind number `after`.

        Only those that a mock has (not) matched, and that do (not) fit the OpenAPI document of their mock.
        """

        criteria = filter.criteria
        entries = [
            entry
            for entry in await self._journal.newest(after)
            if matched in (None, entry.matched)
            and valid in (None, not entry.problems)
            and criteria.mock in (None, entry.mock)
            and criteria.job in (None, entry.job)
        ]

        async def batches() -> AsyncGenerator[list[JournalEntry]]:
            start = 0
            while start < len(entries):
                await self.turns.next()
                tried, found = self._try(entries[start : start + ROWS_PER_TURN], filter.where, self._scopes.of_request)
                yield found
                start += tried

        async def of(entry: JournalEntry) -> Result:
            return convert(entry)

        return await page_of(batches(), limit, of, lambda entry: entry.number)

    async def others(self, limit: int, after: int | None = None) -> Page[OtherRequest]:
        """Return at most `limit` requests that left for hosts that no mock names, behind number `after`."""
        entries = await self._journal.newest_others(after)
        return Page(list(entries[:limit]), entries[limit - 1].number if len(entries) > limit else None)

    async def webhook_batches(self, filter: Filter, before: int | None = None) -> AsyncGenerator[list[StoredWebhook]]:
        """Yield the webhooks with a lower key than `before`. Where reads are at once, no task runs before the yield."""
        async for keys in self._found(self._store.matching_webhooks, filter, before):
            while keys:
                read = [stored for stored in await self._webhooks_by_key(keys) if self._webhook_matches(stored, filter)]
                tried, found = self._try(read, filter.where, self._scopes.of_webhook)
                yield found
                keys = [] if tried == len(read) else [key for key in keys if key < read[tried - 1].key]
                if keys:
                    await self.turns.next()

    async def job_batches(self, filter: Filter, before: int | None = None) -> AsyncGenerator[list[JobDetails]]:
        """Yield the jobs with a lower key than `before`. Where reads are at once, no task runs before the yield."""
        async for keys in self._found(self._store.matching_jobs, filter, before):
            while keys:
                read = await self._store.jobs_by_key(keys)
                tried, found = self._try(read, filter.where, self._scopes.of_job)
                yield [details for details in await self.job_details(found) if self._job_matches(details, filter)]
                keys = [] if tried == len(read) else [key for key in keys if key < read[tried - 1].key]
                if keys:
                    await self.turns.next()

    async def batches_of(self, keys: Collection[int]) -> AsyncGenerator[list[StoredWebhook]]:
        """Yield the webhooks with these keys, those that are still there, the newest first."""
        for some in batched(sorted(keys, reverse=True), FOUND_AT_ONCE):
            for batch in in_turns(await self._store.sizes_of_webhooks(some)):
                await self.turns.next()
                yield await self._webhooks_by_key(batch)

    def use_current_variables(self, filter: Filter) -> None:
        """Have a filter's `where` read the variables as they are now."""
        if filter.where is not None:
            filter.where.set_variables(self._context.vars, self._context.secret_vars)

    async def _found(
        self,
        find: Callable[[Criteria, int | None, int], Awaitable[Sequence[Match]]],
        filter: Filter,
        before: int | None,
    ) -> AsyncGenerator[list[int]]:
        """Yield the keys of what is found, so many as are to be read in this turn."""
        criteria = self._stored_criteria(filter.criteria)
        while True:
            await self.turns.next()
            found = await find(criteria, before, FOUND_AT_ONCE)
            for number, keys in enumerate(in_turns(found)):
                if number > 0:
                    await self.turns.next()
                yield keys
            if len(found) < FOUND_AT_ONCE:
                return
            before = found[-1].key

    async def _webhooks_by_key(self, keys: Iterable[int]) -> list[StoredWebhook]:
        return [self.with_current_state(stored) for stored in await self._store.webhooks_by_key(keys)]

    # Details

    def with_current_state(self, stored: StoredWebhook) -> StoredWebhook:
        """Return a webhook with its current state."""
        return self._progress.current(stored)

    async def webhook_details(self, webhooks: Sequence[StoredWebhook]) -> list[WebhookDetails]:
        """Return webhooks with their attempts."""
        attempts = defaultdict[int, list[Attempt]](list)
        for key, attempt in await self._store.attempts(stored.key for stored in webhooks):
            attempts[key].append(attempt)
        for stored in webhooks:
            for result in self._progress.results.unwritten.get(stored.key, ()):
                if isinstance(result, AttemptResult):
                    attempts[stored.key].append(result.attempt())
            running = self._progress.running.get(stored.key)
            if running is not None and running.stored.attempts == len(attempts[stored.key]):
                attempts[stored.key].append(Attempt(running.number, running.started_at, clock_at=running.clock_at))
        return [WebhookDetails(stored, attempts[stored.key]) for stored in webhooks]

    async def job_details(self, jobs: Sequence[Job]) -> list[JobDetails]:
        """Return jobs with their webhooks and the attempts at these."""
        stored = map(self.with_current_state, await self._store.webhooks_of_jobs(jobs))
        webhooks = defaultdict[int, list[WebhookDetails]](list)
        for details in await self.webhook_details(list(stored)):
            webhooks[details.stored.job.key].append(details)
        return [JobDetails(job, webhooks[job.key]) for job in jobs]

    # Counts

    async def count_jobs(self) -> int:
        return await self._store.count_jobs()

    async def count_requests(self) -> tuple[int, int]:
        """Return how many requests have come, and how many of them no mock has matched."""
        return await self._journal.counts()

    async def count_webhooks(self) -> dict[State, int]:
        """Return how many webhooks are in each state."""
        counts = defaultdict[State, int](int, await self._store.count_states())
        for state, count in (await self._store.count_states(self._progress.running)).items():
            if state in UNFINISHED:
                counts[state] -= count
                counts[State.DELIVERING] += count
        for key in self._progress.results.unwritten.keys() - self._progress.running.keys():
            if (stored := await self._store.webhook(key)) is not None:
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
        is_unwritten = bool(self._progress.results.unwritten)  # the store has these webhooks as unfinished
        if is_unwritten or State.DELIVERING in states or (State.HELD in states and self._state.holding):
            states |= {State.PENDING, State.HELD}
        return replace(criteria, states=tuple(states))

    def webhook_matches(self, stored: StoredWebhook, filter: Filter) -> bool:
        """Return whether a webhook matches, in the state that it has here."""
        if not self._webhook_matches(stored, filter):
            return False
        return filter.where is None or filter.where(self._scopes.of_webhook(stored))

    def _webhook_matches(self, stored: StoredWebhook, filter: Filter) -> bool:
        """Return whether a webhook matches a filter's criteria."""
        criteria, job = filter.criteria, stored.job
        if criteria.states is not None and stored.webhook.state not in criteria.states:
            return False
        if criteria.job not in (None, job.id) or criteria.event not in (None, stored.webhook.event):
            return False
        return criteria.mock in (None, job.mock) or criteria.mock == self._context.redaction.redact(job.mock)

    def _job_matches(self, details: JobDetails, filter: Filter) -> bool:
        criteria = filter.criteria
        if (criteria.states, criteria.event) == (None, None):
            return True
        webhooks = (each.stored.webhook for each in details.webhooks)
        return any(
            (criteria.states is None or webhook.state in criteria.states) and criteria.event in (None, webhook.event)
            for webhook in webhooks
        )

    def _try[Row](
        self, rows: Sequence[Row], where: Where | None, scope: Callable[[Row], Mapping[str, Any]]
    ) -> tuple[int, list[Row]]:
        """Try `where` with rows until the turn is over. Return how many were tried, and those for which it is true."""
        if where is None:
            return len(rows), list(rows)
        found = []
        for tried, row in enumerate(rows, 1):
            if where(scope(row)):
                found.append(row)
            if self.turns.is_over():
                return tried, found
        return len(rows), found
