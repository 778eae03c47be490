"""Accept requests: a job is written, and its webhooks are scheduled, before its response is sent."""

import asyncio
import logging

from msgspec.structs import replace

from latehook.base import logs
from latehook.base.errors import StoreError, UnstorableError
from latehook.base.messages import Request
from latehook.base.redaction import Redaction
from latehook.engine.choices import Choices
from latehook.engine.deciding import Decider
from latehook.engine.delayed_responses import DelayedResponses
from latehook.engine.journal import JournalEntry
from latehook.engine.long_polls import LongPolls, TooManyLongPolls
from latehook.engine.recording import Recorder
from latehook.engine.standing import Standing
from latehook.engine.starting import JobStarter
from latehook.mocks import error_responses
from latehook.mocks.decisions import Decision
from latehook.mocks.definitions import Mock

log = logging.getLogger(logs.LOGGER)


class Acceptor:
    """Accepts requests until it is closed: with a decision, an entry of the journal, and perhaps a job for each."""

    def __init__(
        self,
        standing: Standing,
        decider: Decider,
        recorder: Recorder,
        starter: JobStarter,
        choices: Choices,
        long_polls: LongPolls,
        delayed: DelayedResponses,
        redaction: Redaction,
    ) -> None:
        self.is_closed = False
        self._standing = standing
        self._decider = decider
        self._recorder = recorder
        self._starter = starter
        self._choices = choices
        self._long_polls = long_polls
        self._delayed = delayed
        self._redaction = redaction

    def close(self) -> None:
        """Answer all further requests with an error response."""
        self.is_closed = True

    async def accept(self, request: Request, left: asyncio.Event | None = None) -> Decision:
        """Decide what a request gets. Return when its job is in the store and its webhooks are scheduled.

        Also wait for attempts that must come before the response, and for the response's delay, until `left` is set:
        the client has disconnected. A request that cannot be answered, or a store that cannot write, gives a decision
        with an error response.
        """
        if self.is_closed:
            return self._failure(503, "shutting down", request)
        if (problem := self._standing.problem) is not None:
            return self._failure(503, problem, request)
        try:
            decision = await self._decider.decide_and_count(request)
        except StoreError as error:
            log.error("latehook: %s", error)
            decision = self._failure(503, str(error), request)
        entry = self._recorder.record(request, decision)
        mock = decision.mock
        if self._recorder.is_shared:
            await self._recorder.settle(decision)
        try:
            return await self._carry_out(request, decision, entry, left)
        except UnstorableError as error:
            place = mock.place if mock is not None else "a mock"
            status, reason = 500, f"{place}: {error}"
        except StoreError as error:
            log.error("latehook: %s", error)
            status, reason = 503, str(error)
        except TooManyLongPolls as error:
            status, reason = 503, str(error)
        entry.set_failed(status)
        self._recorder.changed(entry)
        return self._failure(status, reason, request, mock)

    def _failure(self, status: int, reason: str, request: Request, mock: Mock | None = None) -> Decision:
        """Return the decision for a request that cannot be answered as its mock says."""
        return Decision(error_responses.failure(status, reason, request, self._redaction), mock)

    async def _carry_out(
        self, request: Request, decision: Decision, entry: JournalEntry, left: asyncio.Event | None
    ) -> Decision:
        """Start the decision's job, and return the decision with the response that the request gets in the end.

        Raises StoreError, UnstorableError, TooManyLongPolls.
        """
        started, decision = await self._start(request, decision, entry)
        mock = decision.mock
        decision = await self._choose(decision, started, entry)
        if decision.delay:
            await self._long_polls.delay(decision, started, left)
        if mock is None or decision.delayed is None:
            return decision
        response = await self._delayed.render(mock, decision.delayed, started)
        entry.status = response.status
        self._recorder.changed(entry)
        return replace(decision, response=response, delayed=None)

    async def _start(self, request: Request, decision: Decision, entry: JournalEntry) -> tuple[int, Decision]:
        """Start the decision's job. Return its key, or 0 for none, and the decision that counts.

        A request with the same idempotency key may have been faster: then it is decided again, as soon as the response
        of that one is chosen. Raises StoreError, UnstorableError.
        """
        while True:
            started = await self._starter.start(decision)
            is_known = decision.delayed is None or not await self._choices.are_made_elsewhere(decision)
            if started is not None and is_known:
                return started, decision
            decision = await self._decider.decide(request)
            entry.job = decision.job_id
            self._recorder.changed(entry)

    async def _choose(self, decision: Decision, started: int, entry: JournalEntry) -> Decision:
        """Return the decision for one response, if that was not chosen at the request. Raises StoreError."""
        mock = decision.mock
        if mock is None or decision.delayed is None or decision.delayed.number is not None:
            return decision
        decision = await self._decider.with_fault(mock, await self._choices.choose(mock, decision, started))
        entry.job = decision.job_id
        if decision.response is not None:
            entry.status = decision.response.status
        self._recorder.changed(entry)
        return decision
