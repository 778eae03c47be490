"""PURE: compiled expressions, alone and bundled, evaluated in a scope."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from latehook.base.errors import ExpressionError, Place
from latehook.expressions.values import to_plain

Names = Mapping[str, Any]
"""The names an expression may use: name → the members it has, as Names, or None where any will do."""

type Evaluate = Callable[[Mapping[str, Any]], Any]
"""Gives the value in a scope, not yet as plain data."""


class Expression:
    """A text of a mocks file with `{{ }}` in it, compiled. Called with a scope it gives its value."""

    __slots__ = ("_evaluate", "place", "roots", "text")

    def __init__(self, text: str, evaluate: Evaluate, place: Place, roots: frozenset[str]) -> None:
        self.text = text
        self._evaluate = evaluate
        self.place = place
        self.roots = roots
        """The dotted names it reads, such as `request.json`."""

    def __call__(self, scope: Mapping[str, Any]) -> Any:
        """The value: of its own type where the text is one expression, else text. ExpressionError has the place."""
        try:
            return to_plain(self._evaluate(scope))
        except RecursionError:
            raise ExpressionError(self.place, "the expression failed: its data is nested too deeply") from None
        except Exception as error:  # whatever Jinja's filters raise on data they were not made for
            raise ExpressionError(self.place, f"the expression failed: {error or type(error).__name__}") from None


@dataclass(frozen=True, slots=True)
class Hole:
    """Where in the shape of a bundle the value of an expression goes, by its number."""

    at: int


class Bundle:
    """A map or list with several expressions in it, evaluated as one: each call of Jinja has its price.

    `shape` is the map or list with a Hole for each value of the list that `evaluate` gives; `tree` has each expression
    for itself: it says which one failed, and in which place.
    """

    __slots__ = ("_evaluate", "_shape", "tree")

    def __init__(self, tree: Any, shape: Any, evaluate: Evaluate) -> None:
        self.tree = tree
        self._shape = shape
        self._evaluate = evaluate

    def __call__(self, scope: Mapping[str, Any]) -> Any:
        """The map or list as plain data. ExpressionError has the place."""
        try:
            return _filled(self._shape, list(map(to_plain, self._evaluate(scope))), scope)
        except Exception:  # slower, and with the place
            return render(self.tree, scope)


def _filled(shape: Any, values: list[Any], scope: Mapping[str, Any]) -> Any:
    kind = type(shape)
    if kind is Hole:
        return values[shape.at]
    if kind is dict:
        return {key: _filled(item, values, scope) for key, item in shape.items()}
    if kind is list:
        return [_filled(item, values, scope) for item in shape]
    return shape(scope) if kind is Expression else shape


def render(value: Any, scope: Mapping[str, Any]) -> Any:
    """A compiled value, and all in it, as plain data. What can be called is an Expression, or several as a Bundle."""
    if callable(value):
        return value(scope)
    if isinstance(value, dict):
        return {key: render(item, scope) for key, item in value.items()}
    if isinstance(value, list):
        return [render(item, scope) for item in value]
    return value


def roots_of(value: Any) -> frozenset[str]:
    """The dotted names that a compiled value reads."""
    if isinstance(value, Bundle):
        value = value.tree
    if isinstance(value, Expression):
        return value.roots
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return frozenset().union(*map(roots_of, value))
    return frozenset()
