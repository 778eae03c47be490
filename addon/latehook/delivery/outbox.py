"""Webhooks on their way out: whose turn it is, what the next attempt is, and what follows from it."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence, Set
from functools import lru_cache
from typing import Protocol
from urllib.parse import urlsplit

from msgspec.structs import replace

from latehook.base import logs
from latehook.base.clock import Clock
from latehook.base.errors import LatehookError
from latehook.base.model import Content, Job, Moment, Outcome, Outgoing, State, StoredWebhook, Webhook, Wire
from latehook.delivery.attempts import Show, UnderWay
from latehook.delivery.barrier import Advance
from latehook.delivery.dispatcher import Dispatcher
from latehook.delivery.results import AttemptResult, NoAttempt, PendingResults
from latehook.delivery.schedule import Schedule
from latehook.mocks import rendering
from latehook.mocks.context import Context
from latehook.mocks.definitions import Mock, WebhookPlan
from latehook.store import Due, Store
from latehook.store.commits import Commits
from latehook.webhooks import retries

log = logging.getLogger(logs.LOGGER)

OLD_DEFINITIONS = 100
"""Definitions kept compiled that are in no mocks file any more. The store has them all."""

FORESEEN = 8
"""Webhooks due in one moment whose retries are looked up before their attempts: an advance goes on past so few of them
at once. For many that would take too long.
"""

Revive = Callable[[bytes], Mock]
"""A mock as it was written, compiled again. MocksError, where the environment has changed."""


class Sender(Protocol):
    """What carries attempts out. `get_ready` tells it that there will be some, before each job's."""

    def get_ready(self) -> object: ...
    async def send(self, outgoing: Outgoing) -> Outcome: ...
    async def close(self) -> None: ...


class Outbox:
    """All webhooks that are owed. `holding`: nothing starts but what was `fired`; `advance` is the one under way.

    `show` is there where somebody looks at attempts.
    """

    def __init__(
        self, store: Store, commits: Commits, sender: Sender, clock: Clock, moment: Callable[[], Moment], revive: Revive
    ) -> None:
        self.delivery = Dispatcher(self, sender.send)
        self.schedule = Schedule(clock, self.enqueue)
        self.holding = False
        self.fired: set[int] = set()
        self.under_way: dict[int, UnderWay] = {}
        self.advance: Advance | None = None
        self.show: Show | None = None
        self.faulted: defaultdict[tuple[str, int | None], int] = defaultdict(int)
        self.world: Context
        self._store = store
        self._notifier = commits.notifier
        self._ledger = PendingResults(store, commits)
        self._sender = sender
        self._clock = clock
        self._moment = moment
        self._revive = revive
        self._definitions: dict[str, Mock] = {}
        self._held_back: list[int] = []
        self._behind: defaultdict[int, list[int]] = defaultdict(list)
        self._first_attempts: dict[int, asyncio.Future[None]] = {}

    def define(self, mock: Mock) -> None:
        """Keep a mock for the webhooks it owes, whatever becomes of its file."""
        self._definitions[mock.definition] = mock
        self._store.define(mock.definition, mock.written)

    def keep_definitions(self, current: Set[str]) -> None:
        """Keep these, and of others no more than the last."""
        old = [hash for hash in self._definitions if hash not in current]
        for hash in old[:-OLD_DEFINITIONS]:
            del self._definitions[hash]

    def put(self, job: Job, keys: Sequence[int]) -> list[asyncio.Future[None]]:
        """A job's webhooks, written under these keys: on the schedule. The first attempts that its response awaits."""
        self._sender.get_ready()
        awaited = []
        for key, webhook in zip(keys, job.webhooks, strict=True):
            if webhook.state is not State.PENDING:
                _report_unsent(job, webhook)
            elif webhook.before_response and not self.holding:
                awaited.append(self._first_attempts.setdefault(key, asyncio.get_running_loop().create_future()))
                self.enqueue([key])
            else:
                self.schedule.push(webhook.due, key)
        return awaited

    def is_idle(self, moment: float) -> bool:
        """Whether nothing was due by then that has not been seen to."""
        return self.schedule.next_due() > moment and self.delivery.is_idle and not (self._held_back or self._behind)

    def let_all_go(self) -> None:
        """Nothing is held back any more."""
        held, self._held_back = self._held_back, []
        self.enqueue(held)

    async def close(self, seconds: float) -> None:
        """Nothing starts any more; attempts under way get that long."""
        self.schedule.stop()
        await self.delivery.drain(seconds)
        self._ledger.close()
        await self._sender.close()

    async def forget(self) -> None:
        """What is under way ends, what was promised is forgotten, nothing is held."""
        for key in list(self._first_attempts):
            self._let_go(key)
        for mapping in (self.under_way, self.faulted, self._behind, self._definitions):
            mapping.clear()
        self._ledger.forget()
        for collection in (self._held_back, self.fired):
            collection.clear()
        self.schedule.clear()
        self.holding = False
        await self.delivery.abort()

    async def forget_some(self, keys: Collection[int]) -> None:
        """The same of these webhooks, which the store has as canceled."""
        await self.delivery.break_off(keys)
        self._ledger.forget(keys)
        for key in keys:
            self.under_way.pop(key, None)
            self.fired.discard(key)
            self._let_go(key)
        self._held_back = [key for key in self._held_back if key not in keys]

    # What delivery asks for: its DispatcherOwner

    def enqueue(self, keys: Sequence[int]) -> None:
        """These webhooks are due."""
        if self.advance is not None:
            self.advance.awaits(keys, self._clock.now())
            for key in keys if len(keys) <= FORESEEN else ():
                self.advance.expects(key, self._least_wait(key))
        self.delivery.enqueue(keys)

    def destination(self, key: int) -> str | None:
        due = self._store.due(key)
        if due is None:
            self._let_go(key)
            return None
        if not self._is_its_turn(key, due):
            self._leave(key)
            return None
        return _destination_of(due.url)

    async def prepare(self, key: int) -> Outgoing | None:
        owed = self._store.owed(key)
        if owed is None:
            self._let_go(key)
            return None
        if not self._is_due(key, owed.webhook.due):
            self._leave(key)
            return None
        if isinstance(unwritten := self._ledger.last(key), AttemptResult):
            owed = replace(owed, attempts=unwritten.number, content=unwritten.content)
        try:
            mock, plan = self._plan(owed.webhook.definition, owed.webhook.plan)
            content, outgoing = rendering.prepare(plan, mock.constants, owed, self._moment(), self.world)
        except LatehookError as error:
            await self._fail(owed, str(error))
            return None
        except Exception as error:  # one of its own too: what is neither sent nor failed would be waited for for ever
            log.exception("latehook: a webhook could not be made")
            await self._fail(owed, f"{type(error).__name__}: {error}")
            return None
        if self.show is not None:
            outgoing = replace(outgoing, wire=Wire())
        self.under_way[key] = UnderWay(owed, content, plan.retry, self._clock.real(), outgoing)
        self._notifier.notify()
        if self.advance is not None:
            self.advance.expects(key, retries.least_wait(plan.retry, owed.attempts + 1))
        if outgoing.fault is not None:
            self.faulted[owed.webhook.definition, owed.webhook.plan] += 1
            log.info("latehook: job %s: the webhook's fault: %s", owed.job.id, outgoing.fault)
        if owed.content is None and self._store.lasts:
            await self._ledger.keep(key, content)
        return outgoing

    async def conclude(self, key: int, outcome: Outcome) -> None:
        under_way = self.under_way[key]
        owed, content, schedule = under_way.owed, under_way.content, under_way.retry
        number = under_way.number
        state, wait = retries.after_attempt(schedule, number, outcome)
        became_due = None if self.advance is None else self.advance.started(key)
        waits_from = self._clock.now() if became_due is None else became_due
        due = waits_from + wait if state is State.PENDING else owed.webhook.due
        await self._ledger.write(key, AttemptResult(number, outcome, state, due, content))
        self.under_way.pop(key, None)
        self.fired.discard(key)
        if state is State.PENDING:
            self.schedule.push(due, key)
        self._notifier.notify()
        _report(owed, content, number, outcome, state, wait)
        self._let_go(key)
        if self.show is not None and under_way.outgoing.wire is not None:
            self.show(under_way, outcome)

    def _is_its_turn(self, key: int, due: Due) -> bool:
        if not self._is_due(key, due.due):
            return False
        if self.holding and key not in self.fired:
            self._held_back.append(key)
            return False
        for before in due.behind:
            if before not in self._ledger:  # else only the store does not know that it has had its first attempt
                self._behind[before].append(key)
                return False
        return True

    def _is_due(self, key: int, due: float) -> bool:
        """Not if it is under way, has another time by now, or has ended and only the store could not be told."""
        unwritten = self._ledger.last(key)
        if key in self.under_way or (unwritten is not None and unwritten.state is not State.PENDING):
            return False
        if due > self._clock.now():
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

    async def _fail(self, owed: StoredWebhook, reason: str) -> None:
        await self._ledger.write(owed.key, NoAttempt(reason))
        log.warning("latehook: job %s: webhook failed: %s", owed.job.id, reason)
        self._let_go(owed.key)

    def _least_wait(self, key: int) -> float:
        """Seconds after which a webhook that has become due can be due again, as far as is known."""
        due = self._store.due(key)
        if due is None or key in self._ledger:
            return 0.0
        try:
            return retries.least_wait(self._plan(due.definition, due.plan)[1].retry, due.attempts + 1)
        except LatehookError:  # it is told when the attempt is made
            return 0.0

    def _plan(self, hash: str, number: int) -> tuple[Mock, WebhookPlan]:
        """The mock that describes a webhook, as it was when its job started. MocksError, if it cannot be any more."""
        if hash not in self._definitions:
            self._definitions[hash] = self._revive(self._store.definition(hash) or b"")
        plan = self._definitions[hash].stages[number].webhook
        assert plan is not None
        return self._definitions[hash], plan


@lru_cache(maxsize=1024)  # a system has few URLs for webhooks, what a query adds to them comes later
def _destination_of(url: str) -> str:
    parts = urlsplit(_without_user(url))
    return f"{parts.scheme}://{parts.netloc}"


def _without_user(url: str) -> str:
    if "@" not in url:
        return url
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _report_unsent(job: Job, webhook: Webhook) -> None:
    level = logging.WARNING if webhook.state is State.FAILED else logging.INFO
    if webhook.state is State.SKIPPED and webhook.to is not None:
        level = logging.DEBUG  # a `when` that is false is as it was meant, and a line takes a third of a request's time
    log.log(level, "latehook: job %s: webhook %s: %s", job.id, webhook.state, webhook.reason)


def _report(owed: StoredWebhook, content: Content, number: int, outcome: Outcome, state: State, wait: float) -> None:
    """One log line for each outcome."""
    url = _without_user(content.url)
    result = outcome.error or f"{outcome.status}"
    if state is State.DELIVERED:
        log.info("latehook: job %s: webhook delivered, attempt %d: %s: %s", owed.job.id, number, url, result)
        return
    then = "given up" if state is State.FAILED else f"next attempt in {wait:g} s"
    log.warning(
        "latehook: job %s: webhook not delivered, attempt %d: %s: %s; %s", owed.job.id, number, url, result, then
    )
