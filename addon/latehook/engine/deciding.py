"""Decide what requests get, and count what has a limit."""

import logging
from collections.abc import Sequence
from functools import partial

from msgspec.structs import replace

from latehook.base import logs
from latehook.base.messages import Request
from latehook.engine.context import LiveContext
from latehook.mocks import decide
from latehook.mocks.decisions import Decision
from latehook.mocks.definitions import Mock

log = logging.getLogger(logs.LOGGER)


class Decider:
    """Decides by the mocks, the jobs and the counts of a context."""

    def __init__(self, context: LiveContext) -> None:
        self._context = context

    async def decide(self, request: Request) -> Decision:
        """Return what a request gets. Nothing is counted. Raises StoreError."""
        return await self._context.decide(partial(decide.decide, self._context.mocks, request))

    async def decide_and_count(self, request: Request) -> Decision:
        """Return what a request gets, with its answer and its fault counted. Raises StoreError.

        Another process may have used up the `times` of its mock meanwhile: then it is decided again.
        """
        while True:
            decision = await self.decide(request)
            mock = decision.mock
            if mock is None or mock.times is None or await self._context.claim_answer(mock):
                return decision if mock is None or decision.fault is None else await self.with_fault(mock, decision)

    async def with_fault(self, mock: Mock, decision: Decision) -> Decision:
        """Count the fault of a decision, or take it out if it has happened as often as it may. Raises StoreError."""
        fault = mock.response_number(decision.chosen).fault if decision.fault is not None else None
        if fault is None:
            return decision
        if not await self._context.claim_fault(mock.definition, fault.count, response=decision.chosen):
            return replace(decision, fault=None)
        log.info("latehook: %s: the response's fault: %s", mock.name, decision.fault)
        return decision

    def forwards_at_once(self, requests: Sequence[Request]) -> Decision | None:
        """Return the decision to forward a request, where its head alone decides that; None where it does not.

        `requests` is the request once for each mocked host that it names: the mocks of all must say so.
        """
        decisions = [decide.forwards_at_once(self._context.mocks, request) for request in requests]
        return None if None in decisions else decisions[0]
