"""PURE: one evaluation of one expression. Holds all that Latehook relies on inside Jinja to make it fast."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

from jinja2 import Environment, pass_context
from jinja2.nodes import EvalContext
from jinja2.runtime import Context
from jinja2.utils import missing

from latehook.base.processor_time import ProcessorTimeLimit
from latehook.expressions.limits import MAX_SECONDS, MAX_STEPS, STEP, LimitExceeded, size_of
from latehook.expressions.values import null, to_plain, to_text

CONVERSION_FACTOR = 4
"""How many times longer than copying data it takes to convert it to JSON."""

UNTIMED = 8 * STEP
"""What an evaluation may spend before it looks at the processor time: that takes as long as several steps."""


class Evaluation(Context):
    """The context that Jinja hands to operators, calls, filters and tests. It counts what they cost.

    No operation is interrupted: an exception at any moment could leave a cache or the store half changed. So each
    operation counts the size of everything that it works on before it starts, and that size is limited; between two
    operations the processor time is looked at, but for the first ones. It is the one clock that an evaluation reads.
    """

    max_steps = MAX_STEPS
    finished = 0
    """How many of several expressions have been evaluated."""

    name = None
    _spent = 0
    _time: ProcessorTimeLimit | None = None

    def __init__(self, environment: Environment, scope: Mapping[str, Any]) -> None:
        """Set the attributes that `Context.__init__` sets, without copying the scope.

        Jinja's own also prepares what only inheritance and imports between templates use, which are errors here. That
        takes a third of the time of a short expression. A test evaluates all kinds of expressions with both.
        """
        self.environment = environment
        self.parent = scope  # type: ignore[assignment]  # Jinja only reads it

    @cached_property
    def vars(self) -> dict[str, Any]:  # type: ignore[override]
        return {}

    @cached_property
    def exported_vars(self) -> set[str]:  # type: ignore[override]
        return set()

    @cached_property
    def eval_ctx(self) -> EvalContext:  # type: ignore[override]
        return EvalContext(self.environment, self.name)

    def resolve_or_missing(self, key: str) -> Any:
        """Return the value of a name. Only the scope has names: a template asks for those that it does not set."""
        return self.parent.get(key, missing)

    @property
    def steps(self) -> float:
        """The steps that were counted."""
        return self._spent / STEP

    def count(self, size: int = 0) -> None:
        """Count one step that works on `size` characters. Raises LimitExceeded if it is one too many."""
        self._spent += STEP + size if size > 0 else STEP
        if self._spent > UNTIMED:
            self._check_limits()

    def count_value(self, value: Any, factor: int = 1) -> None:
        """Count one step that goes through a value, which takes `factor` times as long as copying it."""
        self.count(self.size(value) * factor)

    @pass_context
    def finish(self, value: Any) -> Any:
        """Return the value of one of several expressions as plain data, and begin the next one.

        Each may take as many steps, and as much time, as one alone. Raises as `to_plain` does.
        """
        plain = to_plain(value)
        self.finished += 1
        if self._spent:
            self._spent = 0
            self._time = None
        return plain

    def size(self, value: Any) -> int:
        """Return the size of a value in characters, no further than the evaluation can pay."""
        return size_of(value, self.max_steps * STEP)

    def sizes(self, values: Iterable[Any]) -> int:
        """Return the size of several values together."""
        return sum(map(self.size, values))

    def iterate(self, values: Any, lookups: int = 0) -> Iterator[Any]:
        """Yield the items of a value, with null for None, and count half a step for each and for each lookup in it."""
        cost = STEP // 2 * (1 + lookups)
        for item in () if values is None else values:
            self._spent += cost
            if self._spent > UNTIMED:
                self._check_limits()
            yield null("none") if item is None else item

    def text(self, value: Any) -> str:
        """Return the text of a value, and count the size of one that has to be converted."""
        if not isinstance(value, str):
            self.count_value(value, CONVERSION_FACTOR)
        return to_text(value)

    def _check_limits(self) -> None:
        if self._spent > self.max_steps * STEP:
            raise LimitExceeded(f"it takes more than {self.max_steps:,} steps")
        if self._time is None:
            self._time = ProcessorTimeLimit(MAX_SECONDS)
        elif self._time.is_over():
            raise LimitExceeded(f"it takes more than {MAX_SECONDS:g} s of processor time")


class ShortEvaluation(Evaluation):
    """An evaluation that may take fewer steps: for expressions that many values are tried with in turn."""

    max_steps = MAX_STEPS // 25
