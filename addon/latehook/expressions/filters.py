"""PURE: the filters of expressions: those of Jinja, with limits, and those of Latehook."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import pass_context

from latehook.base import timestamps
from latehook.base.errors import BodyError
from latehook.base.json_text import decode_json, encode_json
from latehook.expressions.costs import CONSTANT, COSTS, Cost
from latehook.expressions.evaluation import Evaluation
from latehook.expressions.formatting import format_text
from latehook.expressions.limits import ITEM_SIZE, MAX_VALUE_SIZE, SizeBudget, check_size
from latehook.expressions.octets import Octets
from latehook.expressions.patterns import compile_pattern
from latehook.expressions.values import AnnotatedText, is_null, null, to_plain, to_text


def limited(filters: Mapping[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """Return the filters by name, each with limits. A filter whose cost is not known is left out."""
    constant = {name: filters[name] for name in CONSTANT}
    return {**constant, **{name: _limited(filters[name], cost) for name, cost in COSTS.items()}, **COUNTING}


def _limited(filter_: Callable[..., Any], cost: Cost) -> Callable[..., Any]:
    """Return a filter that first counts the size of everything that it gets, and then that of its result."""
    first_argument = _FIRST_ARGUMENTS[getattr(getattr(filter_, "jinja_pass_arg", None), "name", "")]

    @pass_context
    def limited(context: Evaluation, value: Any, /, *args: Any, **kwargs: Any) -> Any:
        arguments = (*args, *kwargs.values())
        if arguments:
            context.count(context.sizes(arguments))
        value = cost.prepare(context, null("none") if value is None else value, arguments)
        if cost.result_size is not None:
            context.count(check_size(cost.result_size(value, *args, **kwargs)))
        if first_argument is None:
            result = filter_(value, *args, **kwargs)
        else:
            result = filter_(first_argument(context), value, *args, **kwargs)
        context.count_value(result)
        return result

    return limited


_FIRST_ARGUMENTS: dict[str, Callable[[Evaluation], Any] | None] = {
    "": None,
    "context": lambda context: context,
    "eval_context": lambda context: context.eval_ctx,
    "environment": lambda context: context.environment,
}
"""What a filter gets before its value, by the name of Jinja's decorator (`pass_context` …); None: nothing."""


@pass_context
def _join(context: Evaluation, value: Any, d: Any = "", attribute: Any = None) -> str:
    """Join as Jinja's filter does, but convert each item as in any text."""
    if attribute is not None:
        value = context.environment.call_filter("map", value, kwargs={"attribute": attribute}, context=context)
    budget, separator, texts = SizeBudget(), context.text(d), []
    for item in context.iterate(value):
        text = context.text(item)
        budget.charge(len(text) + len(separator))
        context.count(len(text) + len(separator))
        texts.append(text)
    return separator.join(texts)


@pass_context
def _format(context: Evaluation, template: Any, /, *args: Any, **kwargs: Any) -> str:
    if args and kwargs:
        raise ValueError("format takes values by place or by name, not both")
    return format_text(context, context.text(template), kwargs or args)


COUNTING: Mapping[str, Callable[..., Any]] = {"join": _join, "format": _format}
"""The filters that count their own cost."""


def _default(value: Any, default: Any = "", boolean: bool = False) -> Any:
    return default if is_null(value) or (boolean and not value) else value


def _null_or(convert: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter that converts every value but null, which stays null.

    So `{{ job.at.completed | iso8601 }}` is null before that stage.
    """

    def filter_(value: Any, *arguments: Any, **named: Any) -> Any:
        return None if is_null(value) else convert(value, *arguments, **named)

    return filter_


def _seconds(moment: Any) -> float:
    """Return a time in Unix seconds as a number. Texts are short, so this takes the same short time for every value."""
    if isinstance(moment, str) and len(moment) > MAX_TIME_LENGTH:
        raise ValueError(f"a text of {len(moment):,} characters is too long for a time in seconds")
    return float(moment)


MAX_TIME_LENGTH = 100
"""Characters of a text that is converted to a time."""


def _all(value: Any) -> list[Any]:
    """Return all values of a name that was given several times; any other value as a list, null as an empty one."""
    if is_null(value):
        return []
    if isinstance(value, AnnotatedText):
        return list(value.all_values)
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _first(value: Any) -> Any:
    item = next(iter(value), None)
    return null("first") if item is None else item


def _last(value: Any) -> Any:
    item = next(iter(reversed(value)), None)
    return null("last") if item is None else item


def _items(value: Any) -> list[tuple[Any, Any]]:
    """Return the keys and values of a map, as Jinja's filter does, but not one by one."""
    if is_null(value):
        return []
    if not isinstance(value, Mapping):
        raise TypeError("`items` takes a map")
    return list(value.items())


def _bytes(value: Any) -> bytes:
    return value.raw if isinstance(value, Octets) else to_text(value).encode()


def _from_json(value: Any) -> Any:
    text = to_text(value)
    try:
        return decode_json(text)
    except BodyError:
        raise
    except ValueError as error:
        raise ValueError(f"`from_json` has a text that is not JSON: {error}") from None


def _b64decode(value: Any) -> str | Octets:
    """Return what base64 encodes: a text if it is UTF-8, else bytes. White space in it is ignored."""
    try:
        raw = base64.b64decode(b"".join(_bytes(value).split()), validate=True)
    except binascii.Error:
        raise ValueError("`b64decode` has a text that is not base64") from None
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return Octets(raw)


def _hmac(value: Any, secret: Any, algorithm: str = "sha256", encoding: str = "hex") -> str:
    """Return the HMAC of a value with a secret, in hexadecimal or in base64."""
    if algorithm not in HMAC_ALGORITHMS or encoding not in ("hex", "base64"):
        known = f"{', '.join(HMAC_ALGORITHMS)}, and as encoding hex or base64"
        raise ValueError(f"`hmac` knows {known}: not {algorithm!r} in {encoding!r}")
    if not _bytes(secret):
        raise ValueError("`hmac` has an empty secret")
    digest = hmac.digest(_bytes(secret), _bytes(value), algorithm)
    return digest.hex() if encoding == "hex" else base64.b64encode(digest).decode()


HMAC_ALGORITHMS = ("sha1", "sha256", "sha384", "sha512")


def _split(value: Any, separator: Any = None, maxsplit: int = -1) -> list[str]:
    """Return the parts of a text between the separators; without a separator, its words."""
    most = MAX_VALUE_SIZE // ITEM_SIZE
    separator = None if is_null(separator) else to_text(separator)
    if separator == "":
        raise ValueError("`split` has an empty separator: `list` gives the characters of a text")
    parts = to_text(value).split(separator, most if maxsplit < 0 else min(maxsplit, most))
    check_size(len(parts) * ITEM_SIZE)
    return parts


@pass_context
def _regex_replace(context: Evaluation, text: str, pattern: Any, replacement: Any = "") -> str:
    r"""Replace every match of a regular expression; `\1` and `\g<name>` in the replacement stand for groups."""
    budget, pieces = SizeBudget(), []
    for piece in compile_pattern(to_text(pattern)).replace(text, to_text(replacement)):
        budget.charge(len(piece))
        context.count(len(piece))
        pieces.append(piece)
    return "".join(pieces)


FILTERS: dict[str, Callable[..., Any]] = {
    "default": _default,
    "d": _default,
    "tojson": lambda value: encode_json(to_plain(value)).decode(),
    "from_json": _null_or(_from_json),
    "b64encode": _null_or(lambda value: base64.b64encode(_bytes(value)).decode()),
    "b64decode": _null_or(_b64decode),
    "sha256": _null_or(lambda value: hashlib.sha256(_bytes(value)).hexdigest()),
    "hmac": _null_or(_hmac),
    "iso8601": _null_or(lambda moment: timestamps.iso8601(_seconds(moment))),
    "unix": _null_or(lambda moment: int(_seconds(moment))),
    "first": _first,
    "last": _last,
    "all": _all,
    "items": _items,
    "split": _null_or(_split),
    "regex_replace": _regex_replace,
    "strftime": _null_or(lambda moment, form: timestamps.utc_datetime(_seconds(moment)).strftime(form)),
}
"""Latehook's own filters, which come before Jinja's of the same name."""
