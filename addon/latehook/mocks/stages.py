"""PURE: the stages of a job: when each is reached, its status, and how often its webhook is sent."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from latehook.base.errors import ExpressionError
from latehook.base.messages import Request
from latehook.base.model import UNKNOWN, LateStatus, Moment, OpenStage, Stage
from latehook.expressions.expression import Expression
from latehook.expressions.values import to_text
from latehook.mocks.definitions import EndOf, Mock, RepeatSpec
from latehook.mocks.fields import quoted, require_name
from latehook.mocks.times import Time, seconds_of

MAX_REPETITIONS = 1000
"""How often one stage may send its webhook."""


class PlannedStage(NamedTuple):
    """A stage of a job. `mock_stage` is the index of the stage of the mock that describes it.

    A stage with `repeat` is several stages of its job, one for each time that it sends its webhook: so these have an
    order, and those that are not reached can be replaced. `repetition` counts them from 0, and is None without
    `repeat`. A stage that is to be repeated 0 times sends nothing.
    """

    stage: Stage
    mock_stage: int
    repetition: int | None = None
    sends: bool = True


def plan_stages(
    mock: Mock, scope: Mapping[str, Any], moment: Moment, request: Request | None = None
) -> Sequence[PlannedStage]:
    """Return the stages of the mock, in order. A stage is not due before an earlier one.

    `moment` is by the job's clock. `request` is the one that the mock answers, if it is not the job's own. Raises
    ExpressionError.
    """
    if mock.has_plain_stages:
        return _plain_stages(mock, scope, moment)
    plan = _Plan(scope, moment)
    repeated: RepeatSpec | None = None  # how the stage before is repeated, if that ends when the next one is reached
    for at, spec in enumerate(mock.stages):
        begin = _begin(spec.after, scope, moment)
        if repeated is not None:
            plan.repeat(at - 1, repeated, until=max(begin.earliest, plan.after))
        plan.begin(begin)
        late = LateStatus(mock.definition, at, request) if spec.is_status_late else None
        status = None if late is not None else status_at(mock, at, scope)
        repeated = None
        if spec.repeat is None:
            plan.add(at, status, late=late)
            continue
        times = _times(spec.repeat, scope)
        plan.add(at, status, 0, sends=times != 0, late=late)
        if times is None:
            repeated = spec.repeat
        else:
            plan.repeat(at, spec.repeat, times)
    return plan.stages


def _plain_stages(mock: Mock, scope: Mapping[str, Any], moment: Moment) -> Sequence[PlannedStage]:
    """Return the stages of a mock that repeats none and knows all times and statuses, as most mocks do."""
    planned = []
    after = 0.0
    for at, spec in enumerate(mock.stages):
        if spec.after is not None:
            assert not isinstance(spec.after, EndOf), "this time is not known: see Mock.has_plain_stages"
            after = max(after, seconds_of(spec.after, scope, moment.random))
        status = status_at(mock, at, scope)
        planned.append(PlannedStage(Stage(moment.now + after, status), at))
    return planned


def status_at(mock: Mock, at: int, scope: Mapping[str, Any]) -> str | None:
    """Return the status of the mock's stage with this index. Raises ExpressionError."""
    status = mock.stages[at].status
    if not isinstance(status, Expression):
        known: str | None = status
        return known
    value = status(scope)
    return None if value is None else require_name(value, mock.place, f"stages[{at}].status")


class _Begin(NamedTuple):
    """When a stage is reached: not before `earliest`, in seconds after the request.

    If it `waits_for` the end of the webhooks with this event, `plus` seconds later.
    """

    earliest: float = 0.0
    waits_for: str | None = None
    plus: float = 0.0


def _begin(after: Time | EndOf | None, scope: Mapping[str, Any], moment: Moment) -> _Begin:
    if after is None:
        return _Begin()
    if isinstance(after, EndOf):
        return _Begin(waits_for=after.event, plus=seconds_of(after.plus, scope, moment.random))
    return _Begin(seconds_of(after, scope, moment.random))


class _Plan:
    """The stages so far. `after` is when the last one is reached, in seconds after the request, or UNKNOWN."""

    def __init__(self, scope: Mapping[str, Any], moment: Moment) -> None:
        self.stages: list[PlannedStage] = []
        self.after = 0.0
        self._begin = _Begin()
        self._wait = 0.0  # between the last stage and the next, if that repeats it
        self._scope = scope
        self._moment = moment

    def begin(self, begin: _Begin) -> None:
        """Have the next stage be reached then, but not before the last one."""
        self.after = UNKNOWN if begin.waits_for is not None else max(begin.earliest, self.after)
        self._begin, self._wait = begin, 0.0

    def add(
        self,
        mock_stage: int,
        status: str | None,
        repetition: int | None = None,
        sends: bool = True,
        late: LateStatus | None = None,
    ) -> None:
        """Add a stage that is reached at `after`."""
        now, (earliest, waits_for, plus) = self._moment.now, self._begin
        stage = Stage(now + self.after, status)
        if late is not None or self.after == UNKNOWN:
            open = OpenStage(now + self.after, now + earliest, waits_for, plus, self._wait, late)
            stage = Stage(UNKNOWN, status, open)
        self.stages.append(PlannedStage(stage, mock_stage, repetition, sends))

    def repeat(self, mock_stage: int, spec: RepeatSpec, times: int | None = None, until: float = math.inf) -> None:
        """Repeat the last stage: `times` times in all, or before `until`, in seconds after the request."""
        for number in range(1, MAX_REPETITIONS + 1 if times is None else times):
            wait = seconds_of(spec.every, self._scope, self._moment.random)
            if wait == 0 and isinstance(spec.every, Expression):
                raise ExpressionError(spec.every.place, "the time between two webhooks is 0 s: it must be more")
            after = self.after + wait
            # what is said to be at the same time may differ in the last digits
            if until != UNKNOWN and round(after - until, 6) >= 0:
                return
            if number == MAX_REPETITIONS:
                problem = f"{MAX_REPETITIONS:,} webhooks are not enough until the next stage, and no more are possible"
                raise ExpressionError(spec.place, problem)
            self.after, self._begin, self._wait = after, _Begin(), wait
            self.add(mock_stage, None, number)


def _times(spec: RepeatSpec, scope: Mapping[str, Any]) -> int | None:
    """Return how often a stage sends its webhook; None: until the next stage. Raises ExpressionError."""
    if not isinstance(spec.times, Expression):
        times: int | None = spec.times
        return times
    value = spec.times(scope)
    text = to_text(value)
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) <= MAX_REPETITIONS):
        problem = (
            f"{quoted(value)} is not a number of webhooks: it must be a whole number from 0 to {MAX_REPETITIONS:,}"
        )
        raise ExpressionError(spec.times.place, problem)
    return int(text)
