"""PURE: the stages of a job: when each is reached, its status, and how often its webhook is sent."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from latehook.base.errors import ExpressionError
from latehook.base.model import Moment, Stage
from latehook.expressions.expression import Expression, render
from latehook.expressions.values import to_text
from latehook.mocks.definitions import Mock, RepeatSpec
from latehook.mocks.fields import quoted, require_name
from latehook.mocks.times import seconds_of

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


def plan_stages(mock: Mock, scope: Mapping[str, Any], moment: Moment) -> Sequence[PlannedStage]:
    """Return the stages of the mock, in order. A stage is not due before an earlier one.

    `moment` is by the job's clock. Raises ExpressionError.
    """
    plan = _Plan(scope, moment)
    repeated: RepeatSpec | None = None  # how the stage before is repeated, if that ends when the next one is reached
    for at, spec in enumerate(mock.stages):
        after = 0.0 if spec.after is None else seconds_of(spec.after, scope, moment.random)
        after = max(after, plan.after)
        if repeated is not None:
            plan.repeat(at - 1, repeated, until=after)
        plan.after = after
        status = render(spec.status, scope)
        status = None if status is None else require_name(status, mock.place, f"stages[{at}].status")
        repeated = None
        if spec.repeat is None:
            plan.add(at, status)
            continue
        times = _times(spec.repeat, scope)
        plan.add(at, status, 0, sends=times != 0)
        if times is None:
            repeated = spec.repeat
        else:
            plan.repeat(at, spec.repeat, times)
    return plan.stages


class _Plan:
    """The stages so far. `after` is when the last one is reached, in seconds after the request."""

    def __init__(self, scope: Mapping[str, Any], moment: Moment) -> None:
        self.stages: list[PlannedStage] = []
        self.after = 0.0
        self._scope = scope
        self._moment = moment

    def add(self, mock_stage: int, status: str | None, repetition: int | None = None, sends: bool = True) -> None:
        """Add a stage that is reached at `after`."""
        stage = Stage(self._moment.now + self.after, status)
        self.stages.append(PlannedStage(stage, mock_stage, repetition, sends))

    def repeat(self, mock_stage: int, spec: RepeatSpec, times: int | None = None, until: float = math.inf) -> None:
        """Repeat the last stage: `times` times in all, or before `until`, in seconds after the request."""
        for number in range(1, MAX_REPETITIONS + 1 if times is None else times):
            wait = seconds_of(spec.every, self._scope, self._moment.random)
            if wait == 0 and isinstance(spec.every, Expression):
                raise ExpressionError(spec.every.place, "the time between two webhooks is 0 s: it must be more")
            after = self.after + wait
            if round(after - until, 6) >= 0:  # what is said to be at the same time may differ in the last digits
                return
            if number == MAX_REPETITIONS:
                problem = f"{MAX_REPETITIONS:,} webhooks are not enough until the next stage, and no more are possible"
                raise ExpressionError(spec.place, problem)
            self.after = after
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
