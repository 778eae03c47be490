"""Requests in, jobs started: each is in the store, and its webhooks in the outbox, before its response leaves."""

import asyncio
import logging
import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from latehook.base import logs
from latehook.base.clock import Clock
from latehook.base.errors import StoreError, UnkeepableError
from latehook.base.model import Job, Moment, Request
from latehook.base.notifier import Notifier
from latehook.base.redaction import texts_in
from latehook.delivery.outbox import Outbox, Revive, Sender
from latehook.engine.journal import Journal, JournalEntry
from latehook.mocks import decide, error_responses
from latehook.mocks.decide import Decision
from latehook.mocks.definitions import Mocks
from latehook.store import Store
from latehook.store.commits import Commits

log = logging.getLogger(logs.LOGGER)

TIDY_EVERY = 1000
"""Jobs between two looks at whether old ones are to be forgotten."""

KEEP = 86400.0
"""Seconds for which ended jobs are kept."""


class Engine:
    """Accepts requests, on one event loop. What a tester may do is in operations."""

    def __init__(
        self, mocks: Mocks, store: Store, sender: Sender, clock: Clock, source: random.Random, revive: Revive
    ) -> None:
        self.random = source
        self.clock = clock
        self.store = store
        self.redaction = store.redaction  # one for all that is written to be read
        self.notifier = Notifier()
        self.commits = Commits(store, self.notifier)
        self.outbox = Outbox(store, self.commits, sender, clock, self.moment, revive)
        self.outbox.world = self
        self.keep = KEEP
        self.journal = Journal()
        self._set_vars: Mapping[str, Any] = {}
        self._answered: defaultdict[str, int] = defaultdict(int)
        self._accepted = 0
        self._closing = False
        self.before_use: Callable[[Mocks], None] = lambda _: None
        """Told of mocks before they answer anything."""
        self._mocks = self.mocks = mocks
        self._added: tuple[Mocks, ...] = ()
        self.use(mocks)

    # What service asks for: its World

    @property
    def vars(self) -> Mapping[str, Any]:
        """The variables: as the files set them, or as they were set since."""
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
        return self.outbox.faulted[definition, stage]

    # Life

    def use(self, mocks: Mocks) -> None:
        """Decision requests from now on with these mocks; jobs keep what they started with."""
        self._use(mocks, self._added)

    def add(self, mocks: Mocks) -> None:
        """Put mocks in front of all others, until all is forgotten."""
        self._use(self._mocks, (mocks, *self._added))

    def _use(self, mocks: Mocks, added: tuple[Mocks, ...]) -> None:
        together = Mocks.together(*added, mocks)
        self.before_use(together)
        self._mocks, self._added, self.mocks = mocks, added, together
        self.redaction.add(together.secrets)
        self.outbox.keep_definitions({mock.definition for mock in together.all})
        self.set_vars(self._set_vars)

    def set_vars(self, values: Mapping[str, Any]) -> None:
        """Set variables; those that are not named are as the files have them."""
        self._set_vars = {name: value for name, value in values.items() if name in self.mocks.vars}
        self._vars = {**self.mocks.vars, **self._set_vars}
        self.redaction.add(texts_in([self._vars[name] for name in self.mocks.secret_vars & self._vars.keys()]))
        self.notifier.notify()

    def resume(self, speed: float) -> int:
        """Go on where the store's last process ended, at this speed. How many webhooks are owed."""
        if segments := self.store.recall("clock"):
            self.clock.segments = [(start, real_start, speed) for start, real_start, speed in segments]
        if speed != self.clock.speed:
            self.clock.run(speed)
            with self.commits.at_once():
                self.store.remember("clock", self.clock.segments)
        self.outbox.holding = bool(self.store.recall("holding"))
        self.set_vars(self.store.recall("vars") or {})
        self.outbox.schedule.fill(self.store.pending())
        return self.store.count_owed()

    async def close(self, seconds: float = 1.5) -> int:
        """AttemptResult: attempts under way get that long. How many webhooks are still owed."""
        self._closing = True
        await self.outbox.close(seconds)
        await self.commits.close()
        owed = self.store.count_owed()
        self.store.close()
        return owed

    async def forget(self) -> None:
        """What the store has just forgotten: requests, what is under way and promised, what variables were set to."""
        self._answered.clear()
        self.journal.clear()
        self._set_vars = {}
        self._use(self._mocks, ())
        await self.outbox.forget()

    # Requests

    async def accept(self, request: Request) -> Decision:
        """What a request gets. Its job is in the store, and its webhooks scheduled, before this returns."""
        if self._closing:
            return Decision(error_responses.failure(503, "shutting down", request, self.redaction))
        answer = decide.decide(self.mocks, request, self.moment(), self)
        received = self._receive(request, answer)
        if answer.mock is not None and answer.mock.times is not None:
            self._answered[answer.mock.definition] += 1
        if answer.mock is not None and answer.fault is not None:
            self.outbox.faulted[answer.mock.definition, None] += 1
            log.info("latehook: %s: the response's fault: %s", answer.mock.name, answer.fault)
        try:
            await self._write(answer)
        except UnkeepableError as error:
            where = answer.mock.place if answer.mock is not None else "a mock"
            received.status, received.job = 500, None
            return Decision(error_responses.failure(500, f"{where}: {error}", request, self.redaction), answer.mock)
        except StoreError as error:
            log.error("latehook: %s", error)
            received.status, received.job = 503, None
            return Decision(error_responses.failure(503, str(error), request, self.redaction), answer.mock)
        if answer.delay:
            await asyncio.sleep(answer.delay)
        return answer

    def forwards_at_once(self, request: Request) -> bool:
        """Whether a request's headers alone say that it is forwarded: it is not waited for."""
        answer = decide.forwards_at_once(self.mocks, request)
        if answer is not None:
            self._receive(request, answer)
        return answer is not None

    def _receive(self, request: Request, answer: Decision) -> JournalEntry:
        status = None if answer.response is None else answer.response.status
        mock = None if answer.mock is None else answer.mock.name
        self.notifier.notify()
        return self.journal.add(self.clock.real(), request, status, mock, answer.job, answer.near)

    async def _write(self, answer: Decision) -> None:
        """Write what an answer starts or changes, and schedule it. Webhooks before the response have their attempt."""
        job = answer.started or answer.changed
        if job is None or answer.mock is None:
            if self.commits.is_due:  # it may say what others in this turn have written
                await self.commits.made()
            return
        self.commits.soon()
        self.outbox.define(answer.mock)
        keys = self.store.add(job) if answer.started else self.store.change(job, answer.kept)
        await self.commits.made()
        if awaited := self.outbox.put(job, keys):
            await asyncio.wait(awaited)
        self._accepted += 1
        if self._accepted % TIDY_EVERY == 0:
            self._tidy()

    def _tidy(self) -> None:
        """Forget old jobs."""
        self.commits.soon()
        with suppress(StoreError):
            self.store.prune(self.clock.real() - self.keep, self.clock.now())

    def moment(self) -> Moment:
        now = self.clock.real()  # once: else a stage of this moment is due a little after it
        return Moment(now, self.clock.at(now), self.random, self.clock.real_at)
