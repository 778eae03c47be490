"""PURE: which of its responses a mock gives, with which fault; and responses that are chosen or rendered later."""

import random
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from latehook.base.errors import ExpressionError
from latehook.base.messages import Response
from latehook.base.model import Job, Moment
from latehook.expressions.expression import Expression, render
from latehook.expressions.views import JobView
from latehook.mocks import error_responses
from latehook.mocks.context import Context, scope_of
from latehook.mocks.decisions import Decision, DelayedResponse
from latehook.mocks.definitions import Mock
from latehook.mocks.rendering import render_response
from latehook.mocks.times import seconds_of


def choose(mock: Mock, delayed: DelayedResponse, job: Job | None, moment: Moment, context: Context) -> Decision:
    """Return the decision for one of a mock's responses; `job` is its job as it is at `moment`.

    An expression that fails gives a 500. If the mock can reject, the job is then taken back: nothing has accepted it.
    """
    source = random.Random(delayed.seed + 1)  # the response itself has other random values
    moment, scope = _scope_of_delayed(mock, delayed, job, replace(moment, random=source), context)
    job_id = None if job is None else job.id
    try:
        number = first_that_holds(mock, scope)
        spec = mock.response_number(number)
        delay = 0.0 if spec.delay is None else seconds_of(spec.delay, scope, moment.random)
    except ExpressionError as error:
        response = error_responses.failure(500, str(error), delayed.request, context.redaction)
        return Decision(response, mock, job_id=job_id, rejects=mock.rejects)
    delayed = replace(delayed, number=number)
    decision = Decision(None, mock, delay=delay, job_id=job_id, delayed=delayed, chosen=number, rejects=spec.rejects)
    return with_fault(decision, mock, moment, context)


def render_delayed(mock: Mock, delayed: DelayedResponse, job: Job | None, moment: Moment, context: Context) -> Response:
    """Return a response of a mock whose delay is over at `moment`; `job` is its job as it is then.

    An expression that fails gives a 500. The job has been started nevertheless.
    """
    source = random.Random(delayed.seed)
    try:
        holds(mock, delayed, job, moment, context)  # where it fails, there is no other response
        own, scope = _scope_of_delayed(mock, delayed, job, replace(moment, random=source), context)
        return render_response(mock.response_number(delayed.number or 0), scope, own)
    except ExpressionError as error:
        return error_responses.failure(500, str(error), delayed.request, context.redaction)


def _scope_of_delayed(
    mock: Mock, delayed: DelayedResponse, job: Job | None, moment: Moment, context: Context
) -> tuple[Moment, dict[str, Any]]:
    """Return the moment by the job's clock, and what the expressions of a response see."""
    scope = scope_of(mock.constants, delayed.request, moment, context)
    if job is not None:
        moment = moment.of(job)
        scope["now"] = moment.now
        request = scope["request"] if delayed.starts else None
        webhooks = (lambda _: delayed.taken_back) if delayed.taken_back else context.webhooks
        scope["job"] = JobView(job, moment.now, request=request, webhooks=webhooks)
    return moment, scope


def first_that_holds(mock: Mock, scope: Mapping[str, Any]) -> int:
    """Return the number of the first response of a mock whose `when` holds. Raises ExpressionError."""
    holding = (number for number, choice in enumerate(mock.choices) if render(choice.when, scope))
    return next(holding, len(mock.choices))


def with_fault(decision: Decision, mock: Mock, moment: Moment, context: Context) -> Decision:
    """Return a decision with the fault of its response, if that happens.

    It is drawn last: with or without a fault, everything else that is drawn stays the same.
    """
    fault = mock.response_number(decision.chosen).fault
    if fault is None:
        return decision
    so_far = context.fault_count(mock.definition, response=decision.chosen)
    return replace(decision, fault=fault.draw(moment.random, so_far))


def holds(mock: Mock, delayed: DelayedResponse, job: Job | None, moment: Moment, context: Context) -> bool:
    """Return whether the response of a mock need not wait any more: its `until` is true. Raises ExpressionError.

    `job` is its job as it is at `moment`.
    """
    until = mock.response_number(delayed.number or 0).until
    if not isinstance(until, Expression):
        return until is None or bool(until)
    source = random.Random(0)  # what it draws is not missing in the response
    return until.is_true(_scope_of_delayed(mock, delayed, job, replace(moment, random=source), context)[1])


def varies_with_time(mock: Mock, delayed: DelayedResponse) -> bool:
    """Return whether the `until` of a response may change at any moment, although nothing of its job changes."""
    until = mock.response_number(delayed.number or 0).until
    reads = until.reads if isinstance(until, Expression) else frozenset()
    return any(name.partition(".")[0] in ("now", "real_now", "jobs") for name in reads)
