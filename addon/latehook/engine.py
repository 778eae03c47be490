"""Accepts requests and delivers what they are owed. Alone knows store, schedule and delivery together."""

import asyncio
import logging
import random
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from latehook import messages, refusals, service
from latehook.advance import Advance
from latehook.delivery import Delivery
from latehook.messages import WebhookPlan
from latehook.model import (
    Content,
    Job,
    LatehookError,
    Moment,
    Outcome,
    Outgoing,
    Owed,
    Request,
    Response,
    State,
    Webhook,
)
from latehook.retries import after_attempt
from latehook.schedule import Clock, Schedule
from latehook.service import Answer, Mock, Mocks
from latehook.store import MEMORY, Due, Store, StoreError

log = logging.getLogger(__name__)

TIDY_EVERY = 1000
"""Jobs between two looks at whether old ones are to be forgotten."""

KEEP = 86400.0
"""Seconds for which ended jobs are kept."""

UNMATCHED_KEPT = 1000
"""Requests that no mock took, of which the last are kept."""

WRITTEN_AGAIN = 5.0
"""Seconds between two tries to write how attempts ended, while the store cannot write."""

Revive = Callable[[bytes], Mock]
"""A mock as it was written, compiled again. MocksError, where the environment has changed."""


class Sender(Protocol):
    """What carries attempts out."""

    async def send(self, outgoing: Outgoing) -> Outcome: ...
    async def close(self) -> None: ...


class End(Struct, frozen=True):
    """How an attempt ended, and what follows."""

    number: int
    outcome: Outcome
    state: State
    due: float
    content: Content


class Unmatched(Struct, frozen=True):
    """A request that no mock took. `at` is Unix seconds."""

    at: float
    request: Request
    response: Response


class Engine:
    """Accepts requests and delivers what they are owed, on one event loop. What a tester may do is in operations."""

    def __init__(
        self, mocks: Mocks, store: Store, sender: Sender, clock: Clock, source: random.Random, revive: Revive
    ) -> None:
        self.delivery = Delivery(self, sender.send)
        self.random = source
        self.clock = clock
        self.store = store
        self.schedule = Schedule(clock, self.enqueue)
        self.keep = KEEP
        self.holding = False
        self.fired: set[int] = set()
        self.under_way: dict[int, tuple[Owed, Content]] = {}
        self.advance: Advance | None = None
        self.unmatched: deque[Unmatched] = deque(maxlen=UNMATCHED_KEPT)
        self._sender = sender
        self._revive = revive
        self._set_vars: Mapping[str, Any] = {}
        self._definitions: dict[str, Mock] = {}
        self._answered: defaultdict[str, int] = defaultdict(int)
        self._held_back: list[int] = []
        self._faulted: defaultdict[tuple[str, int | None], int] = defaultdict(int)
        self._behind: defaultdict[int, list[int]] = defaultdict(list)
        self._first_attempts: dict[int, asyncio.Future[None]] = {}
        self._unwritten: dict[int, End] = {}
        self._commit: asyncio.Future[None] | None = None
        self._accepted = 0
        self._closing = False
        self.use(mocks)

    # What service asks for: its World

    @property
    def vars(self) -> Mapping[str, Any]:
        """The dials: as the files set them, or as they were set since."""
        return self._vars

    def jobs(self) -> Sequence[Job]:
        return self.store.jobs()

    def find(self, id: str) -> Job | None:
        return self.store.find(id)

    def repeated(self, mock: str, key: str) -> Job | None:
        return self.store.repeated(mock, key)

    def answered(self, definition: str) -> int:
        return self._answered[definition]

    def faulted(self, definition: str, stage: int | None = None) -> int:
        return self._faulted[definition, stage]

    # Life

    def use(self, mocks: Mocks) -> None:
        """Answer requests from now on with these mocks; jobs keep what they started with."""
        self.mocks = mocks
        self.set_vars(self._set_vars)

    def set_vars(self, values: Mapping[str, Any]) -> None:
        """Set dials; those that are not named are as the files have them."""
        self._set_vars = {name: value for name, value in values.items() if name in self.mocks.vars}
        self._vars = {**self.mocks.vars, **self._set_vars}

    def resume(self, speed: float) -> int:
        """Go on where the store's last process ended, at this speed. How many webhooks are owed."""
        if segments := self.store.recall("clock"):
            self.clock.segments = [(start, real_start, speed) for start, real_start, speed in segments]
        if speed != self.clock.speed:
            self.clock.run(speed)
            self.store.remember("clock", self.clock.segments)
            self.store.commit()
        self.holding = bool(self.store.recall("holding"))
        self.set_vars(self.store.recall("vars") or {})
        self.schedule.fill(self.store.pending())
        return self.store.count_owed()

    async def close(self, seconds: float = 1.5) -> int:
        """End: attempts under way get that long. How many webhooks are still owed."""
        self._closing = True
        self.schedule.stop()
        await self.delivery.drain(seconds)
        await self._sender.close()
        with suppress(StoreError):
            self.store.commit()
        owed = self.store.count_owed()
        self.store.close()
        return owed

    async def forget(self) -> None:
        """What is under way ends, what was promised is forgotten, nothing is held."""
        await self.delivery.abort()
        for key in list(self._first_attempts):
            self._let_go(key)
        for mapping in (self.under_way, self._answered, self._faulted, self._behind, self._unwritten):
            mapping.clear()
        for collection in (self._held_back, self.unmatched, self.fired):
            collection.clear()
        self.schedule.clear()
        self.holding = False
        self.set_vars({})
        self.store.clear()
        self._definitions.clear()
        await self.committed()

    # Requests

    async def accept(self, request: Request) -> Answer:
        """What a request gets. Its job is in the store, and its webhooks scheduled, before this returns."""
        if self._closing:
            return Answer(refusals.failure(503, "shutting down", request))
        answer = service.answer(self.mocks, request, self._moment(), self)
        if answer.mock is None and answer.response is not None:
            self.unmatched.append(Unmatched(self.clock.real(), request, answer.response))
        if answer.mock is not None and answer.mock.times is not None:
            self._answered[answer.mock.definition] += 1
        if answer.mock is not None and answer.fault is not None:
            self._faulted[answer.mock.definition, None] += 1
            log.info("latehook: %s: the response's fault: %s", answer.mock.name, answer.fault)
        try:
            await self._write(answer)
        except StoreError as error:
            log.error("latehook: %s", error)
            return Answer(refusals.failure(503, str(error), request), answer.mock)
        if answer.delay:
            await asyncio.sleep(answer.delay)
        return answer

    async def _write(self, answer: Answer) -> None:
        """Write what an answer starts or changes, and schedule it. Webhooks before the response have their attempt."""
        job = answer.started or answer.changed
        if job is None or answer.mock is None:
            if self._commit is not None:  # it may say what others in this turn have written
                await self.committed()
            return
        self._definitions[answer.mock.definition] = answer.mock
        self._commit_soon()  # first: a write that fails must be taken back in this turn
        self.store.define(answer.mock.definition, answer.mock.written)
        keys = self.store.add(job) if answer.started else self.store.change(job, answer.kept)
        await self.committed()
        before = self._schedule_webhooks(job, keys)
        if before:
            await asyncio.wait(before)
        self._accepted += 1
        if self._accepted % TIDY_EVERY == 0:
            self._tidy()

    def _schedule_webhooks(self, job: Job, keys: Sequence[int]) -> list[asyncio.Future[None]]:
        """Put them on the schedule; the first attempts for which the response waits."""
        before = []
        for key, webhook in zip(keys, job.webhooks, strict=True):
            if webhook.state is not State.PENDING:
                _report_unsent(job, webhook)
            elif webhook.before_response and not self.holding:
                before.append(self._first_attempts.setdefault(key, asyncio.get_running_loop().create_future()))
                self.enqueue([key])
            else:
                self.schedule.push(webhook.due, key)
        return before

    def _tidy(self) -> None:
        """Forget old jobs, and bring the store's log into its file: in a thread, as whoever does it has to wait."""
        with suppress(StoreError):
            self.store.prune(self.clock.real() - self.keep, self.clock.now())
        self._commit_soon()
        if self.store.path != MEMORY:
            asyncio.get_running_loop().run_in_executor(None, self.store.checkpoint)

    # What delivery asks for: its Deliveries

    def enqueue(self, keys: Sequence[int]) -> None:
        """These webhooks are due."""
        if self.advance is not None:
            self.advance.awaits(keys, self.clock.now())
        self.delivery.enqueue(keys)

    def destination(self, key: int) -> str | None:
        due = self.store.due(key)
        if due is None:
            self._let_go(key)
            return None
        if not self._is_its_turn(key, due):
            self._leave(key)
            return None
        parts = urlsplit(due.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    def prepare(self, key: int) -> Outgoing | None:
        owed = self.store.owed(key)
        if owed is None:
            self._let_go(key)
            return None
        if not self._is_due(key, owed.webhook.due):
            self._leave(key)
            return None
        if (unwritten := self._unwritten.get(key)) is not None:
            owed = replace(owed, attempts=unwritten.number, content=unwritten.content)
        try:
            mock, plan = self._plan(owed)
            content, outgoing = messages.prepare(plan, mock.constants, owed, self._moment(), self)
        except LatehookError as error:
            self._fail(owed, str(error))
            return None
        except Exception as error:  # one of its own too: what is neither sent nor failed would be waited for for ever
            log.exception("latehook: a webhook could not be made")
            self._fail(owed, f"{type(error).__name__}: {error}")
            return None
        self.under_way[key] = owed, content
        if self.advance is not None:
            self.advance.under_way(key, (*plan.retry.waits[owed.attempts :], float("inf"))[0])
        if outgoing.fault is not None:
            self._faulted[owed.webhook.definition, owed.webhook.plan] += 1
            log.info("latehook: job %s: the webhook's fault: %s", owed.job.id, outgoing.fault)
        return outgoing

    async def conclude(self, key: int, outcome: Outcome) -> None:
        owed, content = self.under_way[key]
        number = owed.attempts + 1
        state, wait = after_attempt(self._plan(owed)[1].retry, number, outcome)
        started = None if self.advance is None else self.advance.started(key)
        due = (self.clock.now() if started is None else started) + wait
        await self._write_end(key, End(number, outcome, state, due, content))
        self.under_way.pop(key, None)
        self.fired.discard(key)
        if state is State.PENDING:
            self.schedule.push(due, key)
        _report(owed, content, number, outcome, state, wait)
        self._let_go(key)

    def let_all_go(self) -> None:
        """Nothing is held back any more."""
        held, self._held_back = self._held_back, []
        self.enqueue(held)

    def _is_its_turn(self, key: int, due: Due) -> bool:
        if not self._is_due(key, due.due):
            return False
        if self.holding and key not in self.fired:
            self._held_back.append(key)
            return False
        if due.behind is not None:
            self._behind[due.behind].append(key)
            return False
        return True

    def _is_due(self, key: int, due: float) -> bool:
        """Not if it is under way, has another time by now, or has ended and only the store could not be told."""
        if key in self.under_way or (key in self._unwritten and self._unwritten[key].state is not State.PENDING):
            return False
        if due > self.clock.now():
            self.schedule.push(due, key)
            return False
        return True

    def _leave(self, key: int) -> None:
        """It is not sent now."""
        if self.advance is not None and key not in self.under_way:
            self.advance.ended(key)

    def _let_go(self, key: int) -> None:
        """A first attempt has ended, or there is none: let go what waited for it, a later webhook or a response."""
        if behind := self._behind.pop(key, None):
            self.enqueue(behind)
        if (waiting := self._first_attempts.pop(key, None)) is not None and not waiting.done():
            waiting.set_result(None)
        self._leave(key)

    def _fail(self, owed: Owed, reason: str) -> None:
        with suppress(StoreError):
            self.store.set_state(owed.key, State.FAILED, reason)
        self._commit_soon()
        log.warning("latehook: job %s: webhook failed: %s", owed.job.id, reason)
        self._let_go(owed.key)

    def _plan(self, owed: Owed) -> tuple[Mock, WebhookPlan]:
        """The mock that describes a webhook, as it was when its job started. MocksError, if it cannot be any more."""
        hash = owed.webhook.definition
        if hash not in self._definitions:
            self._definitions[hash] = self._revive(self.store.definition(hash) or b"")
        plan = self._definitions[hash].stages[owed.webhook.plan].webhook
        assert plan is not None
        return self._definitions[hash], plan

    def _moment(self) -> Moment:
        now = self.clock.real()  # once: else a stage of this moment is due a little after it
        return Moment(now, self.clock.at(now), self.random, self.clock.real_at)

    # What the store could not be told

    async def _write_end(self, key: int, end: End) -> None:
        """Write how an attempt ended. While the store cannot write it is kept in mind: nothing is sent twice for it."""
        try:
            self._finish(key, end)
            await self.committed()
        except StoreError as error:
            log.error("latehook: the end of an attempt cannot be written: %s", error)
            self._unwritten[key] = end
            if len(self._unwritten) == 1:
                asyncio.get_running_loop().call_later(WRITTEN_AGAIN, self._write_again)
        else:
            self._unwritten.pop(key, None)

    def _write_again(self) -> None:
        ends, self._unwritten = self._unwritten, {}
        try:
            for key, end in ends.items():
                self._finish(key, end)
            self.store.commit()
        except StoreError:
            self._unwritten = {**ends, **self._unwritten}
            if not self._closing:
                asyncio.get_running_loop().call_later(WRITTEN_AGAIN, self._write_again)

    def _finish(self, key: int, end: End) -> None:
        self.store.finish(key, end.number, end.outcome, end.state, end.due, end.content)

    # One commit for all that one turn of the loop writes

    async def committed(self) -> None:
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
            self.store.commit()
        except Exception as error:  # whatever it is: nobody may wait for this commit for ever
            commit.set_exception(error)
            commit.exception()  # it is seen here, where nobody waits
        else:
            commit.set_result(None)


def _report_unsent(job: Job, webhook: Webhook) -> None:
    level = logging.WARNING if webhook.state is State.FAILED else logging.INFO
    if webhook.state is State.SKIPPED and webhook.to is not None:
        level = logging.DEBUG  # a `when` that is false is as it was meant, and a line takes a third of a request's time
    log.log(level, "latehook: job %s: webhook %s: %s", job.id, webhook.state, webhook.reason)


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
