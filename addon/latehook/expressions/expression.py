"""PURE: compiled expressions, and compiled values that contain them."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from latehook.base.errors import ExpressionError, Place
from latehook.expressions.octets import Octets
from latehook.expressions.values import to_plain

Names = Mapping[str, Any]
"""The names that an expression may use: name → its members, as Names again, or None where any member is allowed."""

type Evaluate = Callable[[Mapping[str, Any]], Any]
"""A function that takes a scope (name → value) and returns an expression's value, not yet as plain data."""


class Expression:
    """A text of a mocks file with `{{ }}` in it, compiled. Call it with a scope to get its value.

    `reads` are the dotted names that it reads, such as `request.json`; of a longer name the first three parts.
    """

    __slots__ = ("_evaluate", "place", "reads", "text")

    def __init__(self, text: str, evaluate: Evaluate, place: Place, reads: frozenset[str]) -> None:
        self.text = text
        self.place = place
        self.reads = reads
        self._evaluate = evaluate

    def __call__(self, scope: Mapping[str, Any], keep_bytes: bool = False) -> Any:
        """Return the value as plain data: of its own type where the text is one expression, else a text.

        With `keep_bytes`, a value that is bytes stays bytes. Raises ExpressionError with the expression's place.
        """
        try:
            value = self._evaluate(scope)
            return value.raw if keep_bytes and isinstance(value, Octets) else to_plain(value)
        except Exception as error:  # Jinja's filters raise all kinds of errors for data that they do not expect
            raise self._failure(error) from None

    def is_true(self, scope: Mapping[str, Any]) -> bool:
        """Return whether the value is true, as a condition takes it. Raises ExpressionError with the place."""
        try:
            value = self._evaluate(scope)
            return bool(to_plain(value) if isinstance(value, Iterator) else value)
        except Exception as error:
            raise self._failure(error) from None

    def _failure(self, error: Exception) -> ExpressionError:
        reason = "its data is nested too deeply" if isinstance(error, RecursionError) else error or type(error).__name__
        return ExpressionError(self.place, f"the expression failed: {reason}")


def render(value: Any, scope: Mapping[str, Any]) -> Any:
    """Return a compiled value with the value of each expression in its place. Raises ExpressionError."""
    if isinstance(value, Expression):
        return value(scope)
    if isinstance(value, dict):
        return {key: render(item, scope) for key, item in value.items()}
    if isinstance(value, list):
        return [render(item, scope) for item in value]
    return value


def reads_of(value: Any) -> frozenset[str]:
    """Return the dotted names that the expressions in a compiled value read."""
    if isinstance(value, Expression):
        return value.reads
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return frozenset().union(*map(reads_of, value))
    return frozenset()


def as_written(value: Any) -> str:
    """Return a compiled value as the mocks file has it: the text of an expression, else the value's own text."""
    return value.text if isinstance(value, Expression) else str(value)
