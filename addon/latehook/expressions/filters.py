"""PURE: the filters of expressions: those of Jinja, with limits, and those of Latehook."""

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import pass_context

from latehook.base import timestamps
from latehook.base.json_numbers import NumberAsWritten
from latehook.base.json_text import decode_json, encode_json
from latehook.expressions.limits import ITEM_SIZE, LimitExceeded, SizeBudget, check_size, size_of
from latehook.expressions.values import AnnotatedText, is_null, to_plain, to_text


def limited(filters: Mapping[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """Return the filters by name, each counting its steps and checking the size of its result."""
    counting = {name: filter_ if name in _CHEAP else _limited(name, filter_) for name, filter_ in filters.items()}
    return {**counting, "join": _join, "format": _format}


@pass_context
def _join(context: Any, value: Any, d: Any = "", attribute: Any = None) -> str:
    """Join as Jinja's filter does, but convert each item as in any text."""
    if attribute is not None:
        value = context.environment.call_filter("map", value, kwargs={"attribute": attribute}, context=context)
    budget, separator, texts = SizeBudget(), to_text(d), []
    for item in value:
        text = to_text(item)
        budget.charge(len(text) + len(separator))
        context.count_step(len(text) + len(separator))
        texts.append(text)
    return separator.join(texts)


@pass_context
def _format(context: Any, template: Any, /, *args: Any, **kwargs: Any) -> str:
    if args and kwargs:
        raise ValueError("format takes values by place or by name, not both")
    context.count_step()
    return format_text(to_text(template), kwargs or args)


_SPECIFIER = re.compile(r"%(?:\([^)]*\))?[#0 +-]*(\*|\d*)(?:\.(\*|\d*))?")


def format_text(template: str, values: Any) -> str:
    """Return `template % values`. Raises LimitExceeded, before formatting, where the result could be too large."""
    if isinstance(values, Mapping):
        values = {name: _format_argument(value) for name, value in values.items()}
        longest = max((len(str(value)) for value in values.values()), default=0)
    else:
        values = tuple(map(_format_argument, values if isinstance(values, tuple) else (values,)))
        longest = max((len(str(value)) for value in values), default=0)
    size = len(template)
    for width, precision in _SPECIFIER.findall(template):
        if "*" in (width, precision):
            raise ValueError("a width of * cannot be checked: write the number")
        size += check_size(longest + int(width or 0) + int(precision or 0))
    check_size(size)
    formatted: str = str(template) % values
    return formatted


def _format_argument(value: Any) -> Any:
    return value if type(value) in (int, float, bool, NumberAsWritten) else to_text(value)


def _limited(name: str, filter_: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter that checks the size of its result first where it can grow, and counts its steps."""
    result_size = _RESULT_SIZES.get(name)
    first_argument = _FIRST_ARGUMENTS[getattr(getattr(filter_, "jinja_pass_arg", None), "name", "")]
    takes_text = name in _TEXT_FILTERS
    factor = 2 if name in _SORTING_FILTERS else 1

    @pass_context
    def limited(context: Any, value: Any, /, *args: Any, **kwargs: Any) -> Any:
        if takes_text and not isinstance(value, str):
            value = to_text(value)
        if result_size is not None:
            context.count_step(check_size(result_size(value, *args, **kwargs)))
        if first_argument is None:
            result = filter_(value, *args, **kwargs)
        else:
            result = filter_(first_argument(context), value, *args, **kwargs)
        context.count_step(factor * (size_of(value) + size_of(result)))
        return result

    return limited


_FIRST_ARGUMENTS: dict[str, Callable[[Any], Any] | None] = {
    "": None,
    "context": lambda context: context,
    "eval_context": lambda context: context.eval_ctx,
    "environment": lambda context: context.environment,
}
"""What a filter gets before its value, by the name of Jinja's decorator (`pass_context` …); None: nothing."""


def _indent_size(value: str, width: Any = 4, first: bool = False, blank: bool = False) -> int:
    return len(value) + (len(value.splitlines()) + 1) * (len(width) if isinstance(width, str) else width)


def _replace_size(value: str, old: Any, new: Any, count: int | None = None) -> int:
    times = value.count(str(old)) if count is None or count < 0 else min(count, len(value) + 1)
    return len(value) + times * len(to_text(new))


def _round_size(value: Any, precision: int = 0, method: str = "common") -> int:
    if abs(precision) > 300:
        raise LimitExceeded(f"no number has {precision} digits behind the point")
    return 0


def _sum_size(value: Any, attribute: Any = None, start: Any = 0) -> int:
    if not isinstance(start, (int, float)):
        raise TypeError("sum adds numbers only")
    return 0


def _wordwrap_size(
    value: str, width: int = 79, break_long_words: bool = True, wrapstring: Any = None, break_on_hyphens: bool = True
) -> int:
    return len(value) * (len(wrapstring or "") + 16)


_RESULT_SIZES: dict[str, Callable[..., int]] = {
    "batch": lambda value, linecount, fill_with=None: linecount * ITEM_SIZE,
    "center": lambda value, width=80: width,
    "indent": _indent_size,
    "replace": _replace_size,
    "round": _round_size,
    "slice": lambda value, slices, fill_with=None: slices * ITEM_SIZE,
    "sum": _sum_size,
    "urlencode": lambda value: len(to_text(value)),
    "wordwrap": _wordwrap_size,
}
"""The filters whose result can be larger than their value → a function of their arguments: the size in characters."""

_TEXT_FILTERS = frozenset(
    (
        *("capitalize", "center", "e", "escape", "forceescape", "indent", "lower", "replace", "safe", "string"),
        *("striptags", "title", "trim", "truncate", "upper", "wordcount", "wordwrap"),
    )
)
"""Filters that take a text. Any other value is converted to a text first."""

_SORTING_FILTERS = frozenset(("sort", "dictsort", "groupby"))
"""Filters that compute and compare a key for each item. A step of `sort` took 2.6 times as long as one of `max`."""

_CHEAP = frozenset(["default", "d", "all", "first", "last", "length", "count", "attr", "items", "unix", "iso8601"])
"""Filters whose steps are not counted: they need the same short time for every value."""


def _default(value: Any, default: Any = "", boolean: bool = False) -> Any:
    return default if is_null(value) or (boolean and not value) else value


def _null_or(convert: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter that converts every value but null, which stays null.

    So `{{ job.at.completed | iso8601 }}` is null before that stage.
    """

    def filter_(value: Any, *arguments: Any) -> Any:
        return None if is_null(value) else convert(value, *arguments)

    return filter_


def _all(value: Any) -> list[Any]:
    """Return all values of a name that was given several times; any other value as a list, null as an empty one."""
    if is_null(value):
        return []
    if isinstance(value, AnnotatedText):
        return list(value.all_values)
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _bytes(value: Any) -> bytes:
    return to_text(value).encode()


FILTERS: dict[str, Callable[..., Any]] = {
    "default": _default,
    "d": _default,
    "tojson": lambda value: encode_json(to_plain(value)).decode(),
    "from_json": _null_or(lambda value: decode_json(to_text(value))),
    "b64encode": _null_or(lambda value: base64.b64encode(_bytes(value)).decode()),
    "b64decode": _null_or(lambda value: base64.b64decode(_bytes(value)).decode()),
    "sha256": _null_or(lambda value: hashlib.sha256(_bytes(value)).hexdigest()),
    "iso8601": _null_or(lambda moment: timestamps.iso8601(float(moment))),
    "unix": _null_or(lambda moment: int(float(moment))),
    "all": _all,
    "strftime": _null_or(lambda moment, form: timestamps.utc_datetime(float(moment)).strftime(form)),
}
"""Latehook's own filters, which come before Jinja's of the same name."""
