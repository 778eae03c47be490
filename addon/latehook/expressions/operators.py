"""PURE: operators and tests with limits: what they work on is counted, and the size of results checked."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jinja2 import pass_context

from latehook.expressions.costs import count_search
from latehook.expressions.evaluation import Evaluation
from latehook.expressions.formatting import format_text
from latehook.expressions.limits import ITEM_SIZE, check_bits, check_size
from latehook.expressions.octets import Octets
from latehook.expressions.values import is_null, null, to_text

SEARCH_FACTOR = 8
"""How many times longer than copying a text it takes to search in it."""


def check_operands(context: Evaluation, operator: str, left: Any, right: Any) -> None:
    """Count the cost of `left operator right`. Raises LimitExceeded, before it is computed, if it is too large."""
    if isinstance(left, (int, float)) and isinstance(right, (int, float)):
        if isinstance(left, int) and isinstance(right, int):
            _check_integers(operator, left, right)
        context.count()
    elif operator == "*":
        context.count(_repeated_size(context, left, right))
    else:
        context.count(check_size(context.size(left) + context.size(right)))


def _check_integers(operator: str, left: int, right: int) -> None:
    if operator == "**":
        check_bits(left.bit_length() * right, "a power")
    elif operator == "*":
        check_bits(left.bit_length() + right.bit_length(), "a product")
    elif operator in ("+", "-"):
        check_bits(max(left.bit_length(), right.bit_length()) + 1, "a sum")


def _repeated_size(context: Evaluation, left: Any, right: Any) -> int:
    for repeated, times in ((left, right), (right, left)):
        if isinstance(times, int) and isinstance(repeated, (str, list, tuple)):
            return check_size(max(context.size(repeated), 1) * max(times, 0))
    return 0


def modulo(context: Evaluation, left: Any, right: Any) -> Any:
    """Return `left % right`: a remainder, or a formatted text."""
    if isinstance(left, str):
        return format_text(context, left, right)
    check_operands(context, "%", left, right)
    return left % right


INTERCEPTED = frozenset(("+", "-", "*", "/", "//", "**", "%"))
"""All operators that compute a value from two others. Those that compare are counted by `compared`."""


# What the compiler puts around parts of an expression


@pass_context
def compared(context: Evaluation, value: Any, is_searched: bool = False) -> Any:
    """Return an operand of a comparison, and count its size."""
    context.count_value(value, SEARCH_FACTOR if is_searched else 1)
    return () if is_searched and value is None else value


@pass_context
def searched(context: Evaluation, value: Any) -> Any:
    """Return what a constant is searched in, and count its size. The items of a list count alike, whatever they are."""
    if type(value) is not list:
        return compared(context, value, is_searched=True)
    context.count(len(value) * ITEM_SIZE * SEARCH_FACTOR)
    return value


@pass_context
def built(context: Evaluation, value: Any) -> Any:
    """Return a list, a map or a text that an expression has put together, and check its size.

    So no value is larger than the limit, however often it contains another one.
    """
    context.count(check_size(context.size(value)))
    return value


@pass_context
def sliced(context: Evaluation, value: Any, start: Any, stop: Any, step: Any) -> Any:
    """Return `value[start:stop:step]`."""
    part = slice(*(None if is_null(at) else at for at in (start, stop, step)))
    if isinstance(value, (str, list, tuple)):
        context.count(len(range(*part.indices(len(value)))) * (1 if isinstance(value, str) else ITEM_SIZE))
    return context.environment.getitem(value, part)


@pass_context
def joined(context: Evaluation, pieces: list[Any]) -> str:
    """Return the texts of several values as one."""
    texts = [piece if type(piece) is str else context.text(piece) for piece in pieces]
    context.count(check_size(sum(map(len, texts))))
    return "".join(texts)


@pass_context
def loop_items(context: Evaluation, items: Any, characters: int = 0) -> Iterator[Any]:
    """Yield the items of a loop and count a step for each; `characters` are those of the loop's fixed text."""
    for item in () if items is None else items:
        context.count(characters)
        yield null("none") if item is None else item


@pass_context
def written(context: Evaluation, value: Any) -> str:
    """Return what an expression writes into a text."""
    text = context.text(value)
    context.count(len(text))
    return text


INTERNAL: Mapping[str, Callable[..., Any]] = {
    "a comparison": compared,
    "a search for a constant": searched,
    "a literal": built,
    "a slice": sliced,
    "a concatenation": joined,
    "a loop": loop_items,
    "a value": Evaluation.finish,
}
"""Filters that only the compiler uses. Their names have a blank: no expression can name them except as a text."""


# Tests

CONSTANT_TESTS = frozenset(
    (
        *("defined", "undefined", "none", "boolean", "false", "true", "integer", "float", "number"),
        *("string", "mapping", "sequence", "iterable", "callable", "sameas", "escaped"),
    )
)
"""Tests that need the same short time for every value: they look at its type."""

COUNTED_TESTS: Mapping[str, int] = {
    **dict.fromkeys(("filter", "test", "lower", "upper", "odd", "even", "divisibleby"), 1),
    **dict.fromkeys(("==", "eq", "equalto", "!=", "ne", ">", "gt", "greaterthan", ">=", "ge"), 1),
    **dict.fromkeys(("<", "lt", "lessthan", "<=", "le"), 1),
    "in": SEARCH_FACTOR,
}
"""Tests that go through their values → how many times longer than copying these that takes."""

_NUMBER_TESTS = frozenset(("odd", "even", "divisibleby"))
_TEXT_TESTS = frozenset(("lower", "upper"))


@pass_context
def _contains(context: Evaluation, value: Any, item: Any) -> bool:
    """Return whether a text has this text in it, a list this item, or a map this key."""
    context.count(context.sizes((value, item)) * SEARCH_FACTOR)
    if is_null(value):
        return False
    if isinstance(value, (list, tuple)):
        return (None if is_null(item) else item) in value
    if isinstance(value, Mapping):
        return not is_null(item) and to_text(item) in value
    if isinstance(value, (str, Octets)):
        return not is_null(item) and to_text(item) in to_text(value)
    raise TypeError(f"`contains` is a test of texts, lists and maps, not of {to_text(value)[:100]}")


@pass_context
def _matching(context: Evaluation, value: Any, pattern: Any) -> bool:
    """Return whether a regular expression matches some part of a text."""
    text = context.text(value)
    return count_search(context, text, pattern).is_found_in(text) and not is_null(value)


COUNTING_TESTS: Mapping[str, Callable[..., bool]] = {"contains": _contains, "matching": _matching}
"""Tests of Latehook's own, which count their cost themselves."""


def limited_tests(tests: Mapping[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """Return the tests by name, each counting its cost. A test whose cost is not known here is left out."""
    own = {"none": is_null, "undefined": is_null, "defined": lambda value: not is_null(value)}
    constant = {name: test for name, test in {**tests, **own}.items() if name in CONSTANT_TESTS}
    counted = {name: _counted(name, tests[name], factor) for name, factor in COUNTED_TESTS.items()}
    return {**constant, **counted, **COUNTING_TESTS}


def _counted(name: str, test: Callable[..., Any], factor: int) -> Callable[..., Any]:
    takes_environment = getattr(test, "jinja_pass_arg", None) is not None

    @pass_context
    def counted(context: Evaluation, value: Any, /, *args: Any) -> Any:
        context.count(context.sizes((value, *args)) * factor)
        if name in _NUMBER_TESTS and not all(isinstance(number, (int, float)) for number in (value, *args)):
            raise TypeError(f"`{name}` is a test of numbers")
        if name in _TEXT_TESTS:
            value = to_text(value)
        if name == "in" and is_null(args[0]):
            return False
        return test(context.environment, value, *args) if takes_environment else test(value, *args)

    return counted
