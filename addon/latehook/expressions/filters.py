"""PURE: the filters of expressions: Jinja's, bounded, and ours."""

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import pass_context

from latehook.base import timestamps
from latehook.base.json_text import decode_json, encode_json
from latehook.expressions.limits import ITEM_SIZE, LimitExceeded, SizeBudget, check_size, size_of
from latehook.expressions.values import AnnotatedText, is_null, to_plain, to_text


def bounded(filters: Mapping[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """The filters, each counting its use."""
    made = {name: filter_ if name in _CHEAP else _bounded(name, filter_) for name, filter_ in filters.items()}
    return {**made, "join": _join, "format": _format}


@pass_context
def _join(context: Any, value: Any, d: Any = "", attribute: Any = None) -> str:
    """Jinja's, but what is joined is written as in any text."""
    if attribute is not None:
        value = context.environment.call_filter("map", value, kwargs={"attribute": attribute}, context=context)
    budget, joint, texts = SizeBudget(), to_text(d), []
    for item in value:
        text = to_text(item)
        budget.charge(len(text) + len(joint))
        context.count_step(len(text) + len(joint))
        texts.append(text)
    return joint.join(texts)


@pass_context
def _format(context: Any, form: Any, /, *args: Any, **kwargs: Any) -> str:
    if args and kwargs:
        raise ValueError("format takes values by place or by name, not both")
    context.count_step()
    return formatted(to_text(form), kwargs or args)


_SPECIFIER = re.compile(r"%(?:\([^)]*\))?[#0 +-]*(\*|\d*)(?:\.(\*|\d*))?")


def formatted(form: str, values: Any) -> str:
    """`form % values`, where no value becomes longer than it may."""
    if isinstance(values, Mapping):
        values = {name: _shown(value) for name, value in values.items()}
        longest = max((len(str(value)) for value in values.values()), default=0)
    else:
        values = tuple(map(_shown, values if isinstance(values, tuple) else (values,)))
        longest = max((len(str(value)) for value in values), default=0)
    size = len(form)
    for width, precision in _SPECIFIER.findall(form):
        if "*" in (width, precision):
            raise ValueError("a width of * is not known before")
        size += check_size(longest + int(width or 0) + int(precision or 0))
    check_size(size)
    made: str = str(form) % values
    return made


def _shown(value: Any) -> Any:
    return value if type(value) in (int, float, bool) else to_text(value)


def _bounded(name: str, filter_: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that counts its use, and is not used where it would make too much."""
    grows = _GROWS.get(name)
    first = _FIRST[getattr(getattr(filter_, "jinja_pass_arg", None), "name", "")]
    of_text = name in _OF_TEXT
    times = 2 if name in _SORTING else 1

    @pass_context
    def bounded(context: Any, value: Any, /, *args: Any, **kwargs: Any) -> Any:
        if of_text and not isinstance(value, str):
            value = to_text(value)
        if grows is not None:
            context.count_step(check_size(grows(value, *args, **kwargs)))
        made = filter_(value, *args, **kwargs) if first is None else filter_(first(context), value, *args, **kwargs)
        context.count_step(times * (size_of(value) + size_of(made)))
        return made

    return bounded


_FIRST: dict[str, Callable[[Any], Any] | None] = {
    "": None,
    "context": lambda context: context,
    "eval_context": lambda context: context.eval_ctx,
    "environment": lambda context: context.environment,
}
"""What a filter is given before its value."""


def _indented(value: str, width: Any = 4, first: bool = False, blank: bool = False) -> int:
    return len(value) + (len(value.splitlines()) + 1) * (len(width) if isinstance(width, str) else width)


def _replaced(value: str, old: Any, new: Any, count: int | None = None) -> int:
    times = value.count(str(old)) if count is None or count < 0 else min(count, len(value) + 1)
    return len(value) + times * len(to_text(new))


def _rounded(value: Any, precision: int = 0, method: str = "common") -> int:
    if abs(precision) > 300:
        raise LimitExceeded(f"no number has {precision} digits behind the point")
    return 0


def _summed(value: Any, attribute: Any = None, start: Any = 0) -> int:
    if not isinstance(start, (int, float)):
        raise TypeError("sum adds numbers only")
    return 0


def _wrapped(
    value: str, width: int = 79, break_long_words: bool = True, wrapstring: Any = None, break_on_hyphens: bool = True
) -> int:
    return len(value) * (len(wrapstring or "") + 16)


_GROWS: dict[str, Callable[..., int]] = {
    "batch": lambda value, linecount, fill_with=None: linecount * ITEM_SIZE,
    "center": lambda value, width=80: width,
    "indent": _indented,
    "replace": _replaced,
    "round": _rounded,
    "slice": lambda value, slices, fill_with=None: slices * ITEM_SIZE,
    "sum": _summed,
    "urlencode": lambda value: len(to_text(value)),
    "wordwrap": _wrapped,
}
"""Filters that can make more than they are given: how much, in characters."""

_OF_TEXT = frozenset(
    (
        *("capitalize", "center", "e", "escape", "forceescape", "indent", "lower", "replace", "safe", "string"),
        *("striptags", "title", "trim", "truncate", "upper", "wordcount", "wordwrap"),
    )
)
"""Filters of texts. What is none is written as in any text."""

_SORTING = frozenset(("sort", "dictsort", "groupby"))
"""Filters that make a key of each item and compare these: a step of `sort` took 2.6 times as long as one of `max`."""

_CHEAP = frozenset(["default", "d", "all", "first", "last", "length", "count", "attr", "items", "unix", "iso8601"])


def _default(value: Any, default: Any = "", boolean: bool = False) -> Any:
    return default if is_null(value) or (boolean and not value) else value


def _or_null(convert: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that leaves null as it is: `{{ job.at.completed | iso8601 }}` of a stage to come is null."""

    def filter_(value: Any, *arguments: Any) -> Any:
        return None if is_null(value) else convert(value, *arguments)

    return filter_


def _every(value: Any) -> list[Any]:
    """All values of a name that came several times; of anything else a list of it, of null an empty one."""
    if is_null(value):
        return []
    if isinstance(value, AnnotatedText):
        return list(value.all_values)
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _bytes(value: Any) -> bytes:
    return to_text(value).encode()


OURS: dict[str, Callable[..., Any]] = {
    "default": _default,
    "d": _default,
    "tojson": lambda value: encode_json(to_plain(value)).decode(),
    "from_json": _or_null(lambda value: decode_json(to_text(value))),
    "b64encode": _or_null(lambda value: base64.b64encode(_bytes(value)).decode()),
    "b64decode": _or_null(lambda value: base64.b64decode(_bytes(value)).decode()),
    "sha256": _or_null(lambda value: hashlib.sha256(_bytes(value)).hexdigest()),
    "iso8601": _or_null(lambda moment: timestamps.iso8601(float(moment))),
    "unix": _or_null(lambda moment: int(float(moment))),
    "all": _every,
    "strftime": _or_null(lambda moment, form: timestamps.utc_datetime(float(moment)).strftime(form)),
}
