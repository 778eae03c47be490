"""PURE: what each filter costs. A filter that is in none of these tables does not exist for expressions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from latehook.expressions.evaluation import CONVERSION_FACTOR, Evaluation
from latehook.expressions.limits import ITEM_SIZE, MAX_INTEGER_BITS, LimitExceeded, check_size
from latehook.expressions.patterns import Pattern, PatternError, compile_pattern
from latehook.expressions.values import is_null, to_text

type Prepare = Callable[[Evaluation, Any, Sequence[Any]], Any]
"""A function that gets a filter's value and its arguments, counts the cost, and returns the value for the filter."""


@dataclass(frozen=True, slots=True)
class Cost:
    """How the cost of a filter is counted, before it is used: by `prepare`.

    `result_size` is a function of the filter's value and arguments where the result can be larger than the value: it
    returns the result's size in characters, and raises LimitExceeded where an argument is too large.
    """

    prepare: Prepare
    result_size: Callable[..., int] | None = None


def _data(factor: int = 1) -> Prepare:
    """Return the cost of going through a value once, which takes `factor` times as long as copying it."""

    def prepare(context: Evaluation, value: Any, arguments: Sequence[Any]) -> Any:
        context.count_value(value, factor)
        return value

    return prepare


def _text(factor: int = 1) -> Prepare:
    """Return the same for a filter that takes a text. Any other value is converted to a text first."""

    def prepare(context: Evaluation, value: Any, arguments: Sequence[Any]) -> Any:
        text = value if isinstance(value, str) else context.text(value)
        context.count(len(text) * factor)
        return text

    return prepare


def _converted(context: Evaluation, value: Any, arguments: Sequence[Any]) -> Any:
    """Prepare for a filter that converts data to JSON."""
    context.count_value(value, 1 if isinstance(value, str) else CONVERSION_FACTOR)
    return value


def _items(context: Evaluation, value: Any, arguments: Sequence[Any], least_lookups: int = 0) -> Any:
    """Prepare for a filter that goes through the items of a value one by one, perhaps later.

    It looks up at least `least_lookups` attributes in each: the attribute may be a number.
    """
    if isinstance(value, str):
        check_size(len(value) * ITEM_SIZE)
    return context.iterate(value, max(_lookups(arguments), least_lookups))


def _compared_items(context: Evaluation, value: Any, arguments: Sequence[Any]) -> Any:
    """Prepare for a filter that compares the items of a value with one another."""
    return _compared_map(context, list(_items(context, value, arguments)), arguments)


def _compared_map(context: Evaluation, value: Any, arguments: Sequence[Any]) -> Any:
    """Prepare for `dictsort`: the time grows with the size and with the logarithm of the number of items."""
    context.count(context.size(value) * 2 * len(value).bit_length())
    return value


def _lookups(arguments: Sequence[Any]) -> int:
    """Return the lookups that an argument such as `attribute='a.b,c'` means for each item."""
    return sum(text.count(".") + text.count(",") + 1 for text in arguments if isinstance(text, str))


def _stripped(context: Evaluation, value: Any, arguments: Sequence[Any]) -> Any:
    """Prepare for `trim`: each character is looked for in the characters to remove."""
    text: str = _text()(context, value, arguments)
    context.count(len(text) * sum(len(each) for each in arguments if isinstance(each, str)) // ITEM_SIZE)
    return text


def _wrapped(context: Evaluation, value: Any, arguments: Sequence[Any]) -> Any:
    """Prepare for `wordwrap`: for each line of a long word the rest of the word is copied."""
    text: str = _text(256)(context, value, arguments)
    context.count(len(text) * len(text) // 16)
    return text


def _searched(context: Evaluation, value: Any, arguments: Sequence[Any]) -> Any:
    """Prepare for `regex_replace`: the time of a search grows with the sizes of the text and of the pattern."""
    text: str = _text()(context, value, arguments)
    count_search(context, text, arguments[0] if arguments else "")
    return text


def count_search(context: Evaluation, text: str, pattern: Any) -> Pattern:
    """Return a regular expression, and count the cost of searching a text for it once. Raises PatternError."""
    if is_null(pattern):
        raise PatternError("the pattern is null")
    pattern = context.text(pattern)
    context.count(len(pattern) * 64)
    compiled = compile_pattern(pattern)
    context.count(len(text) * (16 + compiled.size // 2))
    return compiled


def _number(context: Evaluation, value: Any, arguments: Sequence[Any]) -> Any:
    """Prepare for `int`: a text in base 2 to 36 has at most as many bits as a whole number may have."""
    context.count_value(value)
    if isinstance(value, str) and len(value) > MAX_INTEGER_BITS:
        raise LimitExceeded(f"a text of {len(value):,} characters is too long for a number")
    return value


def _indent_size(value: str, width: Any = 4, first: bool = False, blank: bool = False) -> int:
    return len(value) + (len(value.splitlines()) + 1) * (len(width) if isinstance(width, str) else width)


def _replace_size(value: str, old: Any, new: Any, count: int | None = None) -> int:
    times = value.count(to_text(old)) if count is None or count < 0 else min(count, len(value) + 1)
    return len(value) + times * len(to_text(new))


def _round_size(value: Any, precision: int = 0, method: str = "common") -> int:
    if abs(precision) > 300:
        raise LimitExceeded(f"no number has {precision} digits behind the point")
    return 0


def _strftime_size(value: Any, form: str) -> int:
    if len(form) > 1000:
        raise LimitExceeded(f"a format of {len(form):,} characters is too long: at most 1,000")
    return 0


def _sum_size(value: Any, attribute: Any = None, start: Any = 0) -> int:
    if not isinstance(start, (int, float)):
        raise TypeError("sum adds numbers only")
    return 0


def _wordwrap_size(
    value: str, width: int = 79, break_long_words: bool = True, wrapstring: Any = None, break_on_hyphens: bool = True
) -> int:
    return len(value) * (len(wrapstring or "") + 16)


CONSTANT = frozenset(("default", "d", "first", "last", "length", "count", "attr", "iso8601", "unix"))
"""Filters that need the same short time for every value."""

COSTS: Mapping[str, Cost] = {
    # Numbers and times
    **dict.fromkeys(("abs", "float", "filesizeformat"), Cost(_data(8))),
    "strftime": Cost(_data(8), _strftime_size),
    "int": Cost(_number),
    "round": Cost(_data(), _round_size),
    # Texts
    **dict.fromkeys(("capitalize", "e", "escape", "forceescape", "lower", "safe", "string"), Cost(_text(4))),
    **dict.fromkeys(("truncate", "upper"), Cost(_text(4))),
    **dict.fromkeys(("striptags", "wordcount"), Cost(_text(64))),
    "title": Cost(_text(128)),
    "center": Cost(_text(), lambda value, width=80: width),
    "indent": Cost(_text(64), _indent_size),
    "replace": Cost(_text(8), _replace_size),
    "regex_replace": Cost(_searched),
    "split": Cost(_data(16)),
    "trim": Cost(_stripped),
    "wordwrap": Cost(_wrapped, _wordwrap_size),
    "urlencode": Cost(_data(128)),
    # Data and its encodings
    **dict.fromkeys(("b64encode", "b64decode", "sha256", "hmac", "tojson"), Cost(_converted)),
    **dict.fromkeys(("all", "items"), Cost(_data())),
    "from_json": Cost(_data(4)),
    # Lists
    **dict.fromkeys(("list", "map", "select", "reject"), Cost(_items)),
    **dict.fromkeys(("selectattr", "rejectattr"), Cost(partial(_items, least_lookups=1))),
    "dictsort": Cost(_compared_map),
    **dict.fromkeys(("groupby", "max", "min", "sort", "unique"), Cost(_compared_items)),
    "batch": Cost(_items, lambda value, linecount, fill_with=None: linecount * ITEM_SIZE),
    "reverse": Cost(_data()),
    "slice": Cost(_items, lambda value, slices, fill_with=None: slices * ITEM_SIZE),
    "sum": Cost(_items, _sum_size),
}
"""All other filters by name, but for those that count their own cost (`COUNTING` in filters.py)."""
