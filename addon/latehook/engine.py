"""Every operation: accept a request, deliver what is owed. Alone knows store, schedule and delivery together."""

import asyncio
import logging
import random
from typing import Protocol
from urllib.parse import urlsplit

from latehook import service
from latehook.delivery import Delivery
from latehook.model import (
    Content,
    ExpressionError,
    Moment,
    Outcome,
    Outgoing,
    Owed,
    Request,
    State,
)
from latehook.schedule import Clock, Schedule
from latehook.service import Mock, Mocks
from latehook.store import Store, StoreError

log = logging.getLogger(__name__)

PRUNE_EVERY = 1000
"""Jobs between two looks at whether old ones are to be forgotten."""


class Sender(Protocol):
    """What carries attempts out."""

    async def send(self, outgoing: Outgoing) -> Outcome: ...
    async def close(self) -> None: ...


class Engine:
    """Accepts requests and delivers what they are owed. Lives on one event loop."""

    def __init__(self, mocks: Mocks, store: Store, sender: Sender, clock: Clock, source: random.Random) -> None:
        self.delivery = Delivery(self, sender.send)
        self._mocks = mocks
        self._store = store
        self._sender = sender
        self._clock = clock
        self._random = source
        self._schedule = Schedule(clock, self.delivery.enqueue)
        self._definitions: dict[str, Mock] = {}
        self._under_way: dict[int, tuple[Owed, Content]] = {}
        self._commit: asyncio.Future[None] | None = None
        self._accepted = 0
        self._closing = False

    @property
    def mocks(self) -> Mocks:
        return self._mocks

    def use(self, mocks: Mocks) -> None:
        """Answer requests from now on with these mocks; jobs keep what they started with."""
        self._mocks = mocks

    async def accept(self, request: Request) -> service.Answer:
        """What a request gets. Its job is in the store, and its webhooks scheduled, before this returns."""
        if self._closing:
            return service.Answer(service.failure(503, "shutting down", request))
        answer = service.answer(self._mocks, request, self._moment())
        if answer.job is None or answer.mock is None:
            return answer
        self._definitions[answer.job.definition] = answer.mock
        try:
            keys = self._store.add(answer.job)
            await self._committed()
        except StoreError as error:
            log.error("latehook: %s", error)
            return service.Answer(service.failure(503, str(error), request), mock=answer.mock)
        for key, webhook in zip(keys, answer.job.webhooks, strict=True):
            if webhook.state is State.PENDING:
                self._schedule.push(webhook.due, key)
            else:
                log.info("latehook: job %s: webhook %s: %s", answer.job.id, webhook.state, webhook.reason)
        self._accepted += 1
        if self._accepted % PRUNE_EVERY == 0:
            self._store.prune()
            self._commit_soon()
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

    def destination(self, key: int) -> str | None:
        url = self._store.url(key)
        if url is None:
            return None
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    def prepare(self, key: int) -> Outgoing | None:
        owed = self._store.owed(key)
        if owed is None:
            return None
        mock = self._definitions[owed.job.definition]
        moment = self._moment()
        try:
            content = owed.content or service.content_of(mock, owed, moment)
            outgoing = service.attempt(mock, owed, content, moment)
        except ExpressionError as error:
            self._store.fail(key, str(error))
            self._commit_soon()
            log.warning("latehook: job %s: webhook failed: %s", owed.job.id, error)
            return None
        self._under_way[key] = owed, content
        return outgoing

    async def conclude(self, key: int, outcome: Outcome) -> None:
        owed, content = self._under_way.pop(key)
        number = owed.attempts + 1
        state, wait = service.after_attempt(self._definitions[owed.job.definition], number, outcome)
        due = self._clock.now() + wait
        self._store.finish(key, number, outcome, state, due, content)
        await self._committed()
        if state is State.PENDING:
            self._schedule.push(due, key)
        _report(owed, content, number, outcome, state, wait)

    def _moment(self) -> Moment:
        return Moment(self._clock.real(), self._clock.now(), self._random)

    async def _committed(self) -> None:
        """Return when what was written counts. StoreError: none of this turn's writes does."""
        await asyncio.shield(self._commit_soon())  # shared by many: one that gives up must not cancel it

    def _commit_soon(self) -> asyncio.Future[None]:
        """One commit for all that one turn of the loop writes."""
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
        except StoreError as error:
            commit.set_exception(error)
            commit.exception()  # it is seen here: nobody may be waiting
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
