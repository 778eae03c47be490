"""PURE: compiled expressions, and compiled values that contain them."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from latehook.base.errors import ExpressionError, Place
from latehook.expressions.octets import Octets
from latehook.expressions.runtime_errors import in_plain_words
from latehook.expressions.values import to_plain

Names = Mapping[str, Any]
"""The names that an expression may use: name → its members, as Names again, or None where any member is allowed."""

type Evaluate = Callable[[Mapping[str, Any]], Any]
"""A function that takes a scope (name → value) and returns an expression's value, not yet as plain data."""

type Render = Callable[[Mapping[str, Any]], Any]
"""A function that takes a scope and returns what `render` does for one compiled value."""


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

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def __call__(self, scope: Mapping[str, Any], keep_bytes: bool = False) -> Any:
        """Return the value as plain data: of its own type where the text is one expression, else a text.

        With `keep_bytes`, a value that is bytes stays bytes. Raises ExpressionError with the expression's place.
        """
        try:
            value = self._evaluate(scope)
            return value.raw if keep_bytes and isinstance(value, Octets) else to_plain(value)
        except Exception as error:  # Jinja's filters raise all kinds of errors for data that they do not expect
            raise self.failure(error) from None

    def is_true(self, scope: Mapping[str, Any]) -> bool:
        """Return whether the value is true, as a condition takes it. Raises ExpressionError with the place."""
        try:
            value = self._evaluate(scope)
            return bool(to_plain(value) if isinstance(value, Iterator) else value)
        except Exception as error:
            raise self.failure(error) from None

    def failure(self, error: Exception) -> ExpressionError:
        """Return the error, with the expression's place, for one that its evaluation has raised."""
        return ExpressionError(self.place, f"the expression failed: {in_plain_words(error)}")


def render(value: Any, scope: Mapping[str, Any]) -> Any:
    """Return a compiled value with the value of each expression in its place. Raises ExpressionError."""
    kind = type(value)
    if kind is Expression:
        return value(scope)
    if kind is dict:
        return {key: render(item, scope) for key, item in value.items()}
    if kind is list:
        return [render(item, scope) for item in value]
    return value


def expressions_in(value: Any) -> Iterator[Expression]:
    """Yield the expressions in a compiled value, in order."""
    if isinstance(value, Expression):
        yield value
    elif isinstance(value, (dict, list, tuple)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from expressions_in(item)


def reads_of(value: Any) -> frozenset[str]:
    """Return the dotted names that the expressions in a compiled value read."""
    return frozenset().union(*(expression.reads for expression in expressions_in(value)))


def as_written(value: Any) -> str:
    """Return a compiled value as the mocks file has it: the text of an expression, else the value's own text."""
    return value.text if isinstance(value, Expression) else str(value)
