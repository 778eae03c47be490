"""PURE: compiled values with expressions in them, rendered in one call of Jinja."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from jinja2 import nodes

from latehook.base.errors import ExpressionError
from latehook.base.json_numbers import NumberAsWritten
from latehook.expressions.expression import Expression, expressions_in, render
from latehook.expressions.metering import finished
from latehook.expressions.sandbox import Sandbox
from latehook.expressions.templates import Run, parse, value_function, value_of

MAX_VALUES = 100
"""Values in one compiled value for which a function is generated. Each takes up to half a millisecond to generate."""


class Renderer:
    """Renders a compiled value with expressions in it, as `render` does.

    All expressions in it are evaluated in one call: each call of Jinja takes as long as a short expression itself. The
    function for that is generated when it is first needed, because few values of a large mocks file may be.
    """

    __slots__ = ("_expressions", "_run", "_sandbox", "_value")

    def __init__(self, sandbox: Sandbox, value: Any) -> None:
        self._sandbox = sandbox
        self._value = value
        self._expressions = tuple(expressions_in(value))
        self._run: Run | None = None

    def render(self, scope: Mapping[str, Any]) -> Any:
        """Return the value. Raises ExpressionError with the place of the expression that fails."""
        if self._run is None:
            self._run = self._generate()
        evaluation = self._sandbox.evaluation(self._sandbox, scope)
        try:
            return self._run(evaluation)
        except ExpressionError:
            raise
        except Exception as error:
            raise self._expressions[evaluation.finished].failure(error) from None

    def _generate(self) -> Run:
        with suppress(_NoExpressionError, SyntaxError, RecursionError, MemoryError):  # Python limits how literals nest
            if _size(self._value) <= MAX_VALUES:
                return value_function(self._sandbox, self._as_node(self._value))
        return lambda evaluation: render(self._value, evaluation.parent)

    def _as_node(self, value: Any) -> nodes.Expr:
        """Return the expression that gives a compiled value. Raises _NoExpressionError for what none can give."""
        kind = type(value)
        if kind is dict:
            return nodes.Dict([nodes.Pair(nodes.Const(name), self._as_node(item)) for name, item in value.items()])
        if kind is list:
            return nodes.List([self._as_node(item) for item in value])
        if kind is Expression and (expression := value_of(parse(self._sandbox, value.text))) is not None:
            return finished(expression)
        if value is None or kind in (str, int, bool, float, NumberAsWritten):
            return nodes.Const(value)
        raise _NoExpressionError


def _size(value: Any) -> int:
    """Return how many values a compiled value has in it, itself included."""
    items = value.values() if type(value) is dict else value if type(value) is list else ()
    return 1 + sum(map(_size, items))


class _NoExpressionError(Exception):
    """A compiled value has something in it that no expression can give: a loop, or a file."""
