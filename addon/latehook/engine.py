"""Every operation: accept a request, deliver what is owed. Alone knows store, schedule and delivery together."""

import asyncio
import logging
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import urlsplit

from latehook import messages, service
from latehook.delivery import Delivery
from latehook.messages import WebhookPlan
from latehook.model import Content, ExpressionError, Job, Moment, Outcome, Outgoing, Owed, Request, State
from latehook.retries import after_attempt
from latehook.schedule import Clock, Schedule
from latehook.service import Answer, Mock, Mocks
from latehook.store import Store, StoreError

log = logging.getLogger(__name__)

PRUNE_EVERY = 1000
"""Jobs between two looks at whether old ones are to be forgotten."""


UNWRITTEN_AGAIN = 5.0
"""Seconds until an attempt is made again whose end could not be written."""


class Sender(Protocol):
    """What carries attempts out."""

    async def send(self, outgoing: Outgoing) -> Outcome: ...
    async def close(self) -> None: ...


class Engine:
    """Accepts requests and delivers what they are owed. Lives on one event loop."""

    def __init__(self, mocks: Mocks, store: Store, sender: Sender, clock: Clock, source: random.Random) -> None:
        self.delivery = Delivery(self, sender.send)
        self.random = source
        self.clock = clock
        self._store = store
        self._sender = sender
        self._schedule = Schedule(clock, self.delivery.enqueue)
        self._definitions: dict[str, Mock] = {}
        self._answered: defaultdict[str, int] = defaultdict(int)
        self._faulted: defaultdict[tuple[str, int | None], int] = defaultdict(int)
        self._under_way: dict[int, tuple[Owed, Content]] = {}
        self._behind: defaultdict[int, list[int]] = defaultdict(list)
        self._first_attempts: dict[int, asyncio.Future[None]] = {}
        self._commit: asyncio.Future[None] | None = None
        self._accepted = 0
        self._closing = False
        self.use(mocks)

    # What service asks for: its World

    @property
    def vars(self) -> Mapping[str, Any]:
        return self._vars

    def jobs(self) -> Sequence[Job]:
        return self._store.jobs()

    def find(self, id: str) -> Job | None:
        return self._store.find(id)

    def repeated(self, mock: str, key: str) -> Job | None:
        return self._store.repeated(mock, key)

    def answered(self, definition: str) -> int:
        return self._answered[definition]

    def faulted(self, definition: str, stage: int | None = None) -> int:
        return self._faulted[definition, stage]

    # Operations

    def use(self, mocks: Mocks) -> None:
        """Answer requests from now on with these mocks; jobs keep what they started with."""
        self.mocks = mocks
        self._vars = dict(mocks.vars)

    async def accept(self, request: Request) -> Answer:
        """What a request gets. Its job is in the store, and its webhooks scheduled, before this returns."""
        if self._closing:
            return Answer(service.failure(503, "shutting down", request))
        answer = service.answer(self.mocks, request, self._moment(), self)
        if answer.mock is not None and answer.mock.times is not None:
            self._answered[answer.mock.definition] += 1
        if answer.mock is not None and answer.fault is not None:
            self._faulted[answer.mock.definition, None] += 1
            log.info("latehook: %s: the response's fault: %s", answer.mock.name, answer.fault)
        try:
            await self._write(answer)
        except StoreError as error:
            log.error("latehook: %s", error)
            return Answer(service.failure(503, str(error), request), answer.mock)
        if answer.delay:
            await asyncio.sleep(answer.delay)
        return answer

    async def close(self, seconds: float = 1.5) -> int:
        """End: attempts under way get that long. How many webhooks are still owed."""
        self._closing = True
        self._schedule.stop()
        await self.delivery.drain(seconds)
        await self._sender.close()
        self._store.commit()
        owed = self._store.count_owed()
        self._store.close()
        return owed

    async def _write(self, answer: Answer) -> None:
        """Write what an answer starts or changes, and schedule it. Webhooks before the response have their attempt."""
        job = answer.started or answer.changed
        if job is None or answer.mock is None:
            if self._commit is not None:  # it may say what others in this turn have written
                await self._committed()
            return
        self._definitions[answer.mock.definition] = answer.mock
        keys = self._store.add(job) if answer.started else self._store.change(job, answer.kept)
        await self._committed()
        before = self._schedule_webhooks(job, keys)
        if before:
            await asyncio.wait(before)
        self._accepted += 1
        if self._accepted % PRUNE_EVERY == 0:
            self._store.prune()
            self._commit_soon()

    def _schedule_webhooks(self, job: Job, keys: Sequence[int]) -> list[asyncio.Future[None]]:
        """Put them on the schedule; the first attempts for which the response waits."""
        before = []
        for key, webhook in zip(keys, job.webhooks, strict=True):
            if webhook.state is not State.PENDING:
                log.info("latehook: job %s: webhook %s: %s", job.id, webhook.state, webhook.reason)
            elif webhook.before_response:
                before.append(self._first_attempts.setdefault(key, asyncio.get_running_loop().create_future()))
                self.delivery.enqueue([key])
            else:
                self._schedule.push(webhook.due, key)
        return before

    # What delivery asks for: its Deliveries

    def destination(self, key: int) -> str | None:
        due = self._store.due(key)
        if due is None:
            self._end_first_attempt(key)
            return None
        if due.behind is not None:
            self._behind[due.behind].append(key)
            return None
        parts = urlsplit(due.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    def prepare(self, key: int) -> Outgoing | None:
        owed = self._store.owed(key)
        if owed is None:
            self._end_first_attempt(key)
            return None
        mock, plan = self._plan(owed)
        try:
            content, outgoing = messages.prepare(plan, mock.constants, owed, self._moment(), self)
        except ExpressionError as error:
            self._store.fail(key, str(error))
            self._commit_soon()
            log.warning("latehook: job %s: webhook failed: %s", owed.job.id, error)
            self._end_first_attempt(key)
            return None
        self._under_way[key] = owed, content
        if outgoing.fault is not None:
            self._faulted[owed.webhook.definition, owed.webhook.plan] += 1
            log.info("latehook: job %s: the webhook's fault: %s", owed.job.id, outgoing.fault)
        return outgoing

    async def conclude(self, key: int, outcome: Outcome) -> None:
        owed, content = self._under_way.pop(key)
        number = owed.attempts + 1
        state, wait = after_attempt(self._plan(owed)[1].retry, number, outcome)
        due = self.clock.now() + wait
        try:
            self._store.finish(key, number, outcome, state, due, content)
            await self._committed()
        except StoreError as error:  # it counts as not made: it is owed as before
            log.error("latehook: job %s: an attempt could not be written: %s", owed.job.id, error)
            self._schedule.push(self.clock.now() + UNWRITTEN_AGAIN, key)
            return
        if state is State.PENDING:
            self._schedule.push(due, key)
        _report(owed, content, number, outcome, state, wait)
        self._end_first_attempt(key)

    def _plan(self, owed: Owed) -> tuple[Mock, WebhookPlan]:
        mock = self._definitions[owed.webhook.definition]
        plan = mock.stages[owed.webhook.plan].webhook
        assert plan is not None
        return mock, plan

    def _end_first_attempt(self, key: int) -> None:
        """Let go what waited for a webhook's first attempt: later webhooks of its job, a response."""
        if behind := self._behind.pop(key, None):
            self.delivery.enqueue(behind)
        if (waiting := self._first_attempts.pop(key, None)) is not None and not waiting.done():
            waiting.set_result(None)

    def _moment(self) -> Moment:
        return Moment(self.clock.real(), self.clock.now(), self.random, self.clock.real_at)

    # One commit for all that one turn of the loop writes

    async def _committed(self) -> None:
        """Return when what was written counts. StoreError: none of this turn's writes does."""
        await asyncio.shield(self._commit_soon())  # shared by many: one that gives up must not cancel it

    def _commit_soon(self) -> asyncio.Future[None]:
        if self._commit is None:
            loop = asyncio.get_running_loop()
            self._commit = loop.create_future()
            loop.call_soon(self._commit_turn)
        return self._commit

    def _commit_turn(self) -> None:
        commit, self._commit = self._commit, None
        assert commit is not None
        try:
            self._store.commit()
        except Exception as error:  # whatever it is: nobody may wait for this commit for ever
            commit.set_exception(error)
            commit.exception()  # it is seen here, where nobody waits
        else:
            commit.set_result(None)


def _report(owed: Owed, content: Content, number: int, outcome: Outcome, state: State, wait: float) -> None:
    """One log line for each outcome."""
    parts = urlsplit(content.url)
    url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    result = outcome.error or f"{outcome.status}"
    if state is State.DELIVERED:
        log.info("latehook: job %s: webhook delivered, attempt %d: %s: %s", owed.job.id, number, url, result)
        return
    then = "given up" if state is State.FAILED else f"next attempt in {wait:g} s"
    log.warning(
        "latehook: job %s: webhook not delivered, attempt %d: %s: %s; %s", owed.job.id, number, url, result, then
    )
