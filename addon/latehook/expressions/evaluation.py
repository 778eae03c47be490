"""PURE: one evaluation of one expression. Holds all that Latehook relies on inside Jinja to make it fast."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from jinja2 import Template
from jinja2.nodes import EvalContext
from jinja2.runtime import Context

from latehook.expressions.limits import CHARACTERS_PER_STEP, MAX_STEPS, LimitExceeded


class Evaluation(Context):
    """The context that Jinja hands to operators, calls and filters. It counts their steps."""

    steps = 0

    def __init__(self, template: Template, scope: Mapping[str, Any]) -> None:
        """Set the attributes that `Context.__init__` sets, without copying the scope.

        Jinja's own also prepares what only inheritance and imports between templates use, which are errors here. That
        takes a third of the time of a short expression. A test evaluates all kinds of expressions with both.
        """
        self.environment = template.environment
        self.parent = scope  # type: ignore[assignment]  # Jinja only reads it
        self.name = template.name
        self.vars = {}
        self.exported_vars = set()
        self.blocks = {}

    @cached_property
    def eval_ctx(self) -> EvalContext:  # type: ignore[override]
        return EvalContext(self.environment, self.name)

    def count_step(self, characters: int = 0) -> None:
        """Count one step, and the time that it takes to produce this many characters.

        Raises LimitExceeded after MAX_STEPS.
        """
        self.steps += 1 + characters // CHARACTERS_PER_STEP
        if self.steps > MAX_STEPS:
            raise LimitExceeded(f"it takes more than {MAX_STEPS:,} steps")
