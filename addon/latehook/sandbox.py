"""PURE: Jinja as Latehook has it: sandboxed and bounded, with one null, data that has no methods, and more filters."""

import base64
import hashlib
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from jinja2 import Undefined, nodes, pass_context
from jinja2.runtime import LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from latehook import timestamps
from latehook.bodies import encode_json, read_json
from latehook.limits import ITEM, LARGEST, SIZES, Evaluation, Room, TooMuch, fit, size_of


class View:
    """Something with members that an expression may name, such as `request`. A member is computed when it is read."""

    members: frozenset[str] = frozenset()

    def data(self) -> Mapping[str, Any]:
        """The view as a map, for JSON."""
        return {name: getattr(self, name) for name in sorted(self.members)}


class TextView(str):
    """A text that knows more: parts with names (a path's captures), or every value of a name that came repeatedly."""

    __slots__ = ("every", "parts")
    parts: Mapping[str, str]
    every: tuple[str, ...]

    def __new__(cls, text: str, parts: Mapping[str, str] | None = None, every: tuple[str, ...] = ()) -> "TextView":
        self = super().__new__(cls, text)
        self.parts = parts or {}
        self.every = every or (text,)
        return self


class Null(Undefined):
    """The one null: falsy, chainable, empty to iterate, equal to none, taken by `default`."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return other is None or isinstance(other, Undefined)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(None)


@lru_cache(maxsize=256)  # one message may ask for many members that are not there
def _null(name: str) -> Null:
    return Null(name=name)


def is_null(value: object) -> bool:
    return value is None or isinstance(value, Undefined)


_JINJA_OWN = (LoopContext, Namespace)


class Sandbox(ImmutableSandboxedEnvironment):
    """`.x` on data is the key x and never a method; what is null or missing is the one null."""

    context_class = Evaluation
    intercepted_binops = frozenset({*SIZES, "%"})

    def __init__(self) -> None:
        super().__init__(undefined=Null, finalize=_written, keep_trailing_newline=True, cache_size=0)
        self.globals = {"range": self.globals["range"], "namespace": Namespace}
        for name in ("random", "pprint", "urlize", "xmlattr"):  # not reproducible; of no use in a message
            del self.filters[name]
        self.filters.update(_FILTERS)
        for name in self.filters.keys() - _CHEAP:
            self.filters[name] = _bounded(name, self.filters[name])
        self.filters.update(_COUNTING)
        self.tests.update({"none": is_null, "undefined": is_null, "defined": lambda value: not is_null(value)})

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Asked some fifty times for one message, so what is asked the most comes first."""
        if type(obj) is dict:
            value = obj.get(attribute)
        elif isinstance(obj, View):
            value = getattr(obj, attribute) if attribute in obj.members else None
        elif isinstance(obj, _JINJA_OWN):
            return super().getattr(obj, attribute)
        elif isinstance(obj, TextView):
            value = obj.parts.get(attribute)
        else:
            value = obj.get(attribute) if isinstance(obj, Mapping) else None
        if value is None:
            return _null(attribute)
        return value if type(value) is not list else self._or_null(value, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(argument, str) and not isinstance(obj, _JINJA_OWN):
            return self.getattr(obj, argument)
        if isinstance(obj, Sequence) and isinstance(argument, (int, slice)):
            try:
                return self._or_null(obj[argument], argument)
            except IndexError:
                return self._or_null(None, argument)
        return self._or_null(obj.get(argument) if isinstance(obj, Mapping) else None, argument)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "%":
            context.step()
            return _formatted(left, right) if isinstance(left, str) else left % right
        context.step(SIZES[operator](left, right))
        return self.binop_table[operator](left, right)

    def call(self, context: Any, called: Any, /, *args: Any, **kwargs: Any) -> Any:
        context.step()
        if isinstance(called, LoopContext) and args:  # `loop(children)` of a recursive loop
            args = (_turns(context, args[0]), *args[1:])
        if kwargs or isinstance(called, Macro):  # what Jinja hands over besides, in loops and to macros
            return context.call(called, *args, **kwargs)
        return called(*args)  # Jinja looks for marks on what it calls, which nothing else here bears

    def _or_null(self, value: Any, name: Any) -> Any:
        if value is None:
            return _null(str(name))
        if type(value) is list and None in value:
            return [self._or_null(item, name) for item in value]
        return value


def plain(value: Any) -> Any:
    """What an expression gives, as plain data: the one null as None, views as maps, sequences as lists.

    ValueError for what is no data, and for what is too large.
    """
    kind = type(value)
    if value is None or kind is int or kind is bool or (kind is str and len(value) < LARGEST):
        return value
    return None if kind is Null else _plain(value, Room())


def _plain(value: Any, room: Room) -> Any:
    kind = type(value)
    room.take(len(value) if kind is str else ITEM)
    if kind is str or kind is int or kind is bool or value is None:
        return value
    if kind is list:
        return [_plain(item, room) for item in value]
    if isinstance(value, Undefined):
        return None
    if isinstance(value, str):
        room.take(len(value))
        return str(value)
    if isinstance(value, View):
        value = value.data()
    if kind is dict or isinstance(value, Mapping):
        return {_key(key, room): _plain(item, room) for key, item in value.items()}
    if isinstance(value, (int, float)):
        if math.isfinite(value):
            return value
        raise ValueError(f"{value} is not a number that JSON can hold")
    if isinstance(value, Iterable):
        return [_plain(item, room) for item in value]
    raise ValueError(f"a {type(value).__name__} is not data")


def _key(key: Any, room: Room) -> str:
    text = str(key) if isinstance(key, str) else to_text(key)
    room.take(len(text))
    return text


def to_text(value: Any) -> str:
    """A value as it stands in text: null is nothing, booleans, lists and maps are JSON."""
    if type(value) is str and len(value) < LARGEST:
        return value
    value = plain(value)
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return encode_json(value).decode()


@pass_context
def _written(context: Any, value: Any) -> str:
    """What an expression writes into a text."""
    text = value if type(value) is str else to_text(value)
    context.step(len(text))
    return text


def bound(tree: nodes.Template) -> None:
    """Have counted what Jinja does by itself: the turns of loops, and what `~` puts together."""
    for loop in list(tree.find_all(nodes.For)):
        cost = sum(len(text.data) for body in (loop.body, loop.else_) for node in body for text in _texts(node))
        loop.iter = _filter("_turns", loop.iter, cost)
    for holder in [tree, *tree.find_all(nodes.Node)]:
        for field, value in list(holder.iter_fields()):
            if isinstance(value, nodes.Concat):
                setattr(holder, field, joined(value.nodes))
            elif isinstance(value, list):
                value[:] = [joined(item.nodes) if isinstance(item, nodes.Concat) else item for item in value]


def _texts(node: nodes.Node) -> Iterable[nodes.TemplateData]:
    return [node] if isinstance(node, nodes.TemplateData) else node.find_all(nodes.TemplateData)


def joined(pieces: list[nodes.Expr]) -> nodes.Filter:
    """The expression whose value is the text of these together, as bounded as any."""
    return _filter("_joined", nodes.List(pieces, lineno=1))


def _filter(name: str, node: Any, *args: Any) -> nodes.Filter:
    constants = [nodes.Const(argument, lineno=node.lineno) for argument in args]
    return nodes.Filter(node, name, constants, [], None, None, lineno=node.lineno)


@pass_context
def _turns(context: Any, items: Any, cost: int = 0) -> Iterable[Any]:
    """What a loop goes through, each turn counted; `cost` are the characters it writes besides."""
    for item in items:
        context.step(cost)
        yield item


@pass_context
def _joined(context: Any, pieces: list[Any]) -> str:
    """The text of these together."""
    texts = list(map(to_text, pieces))
    context.step(fit(sum(map(len, texts))))
    return "".join(texts)


@pass_context
def _join(context: Any, value: Any, d: Any = "", attribute: Any = None) -> str:
    """Jinja's, but what is joined is written as in any text."""
    if attribute is not None:
        value = context.environment.call_filter("map", value, kwargs={"attribute": attribute}, context=context)
    room, joint, texts = Room(), to_text(d), []
    for item in value:
        text = to_text(item)
        room.take(len(text) + len(joint))
        context.step(len(text) + len(joint))
        texts.append(text)
    return joint.join(texts)


@pass_context
def _format(context: Any, form: Any, /, *args: Any, **kwargs: Any) -> str:
    if args and kwargs:
        raise ValueError("format takes values by place or by name, not both")
    context.step()
    return _formatted(to_text(form), kwargs or args)


_SPECIFIER = re.compile(r"%(?:\([^)]*\))?[#0 +-]*(\*|\d*)(?:\.(\*|\d*))?")


def _formatted(form: str, values: Any) -> str:
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
        size += fit(longest + int(width or 0) + int(precision or 0))
    fit(size)
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
            context.step(fit(grows(value, *args, **kwargs)))
        made = filter_(value, *args, **kwargs) if first is None else filter_(first(context), value, *args, **kwargs)
        context.step(times * (size_of(value) + size_of(made)))
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
        raise TooMuch(f"no number has {precision} digits behind the point")
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
    "batch": lambda value, linecount, fill_with=None: linecount * ITEM,
    "center": lambda value, width=80: width,
    "indent": _indented,
    "replace": _replaced,
    "round": _rounded,
    "slice": lambda value, slices, fill_with=None: slices * ITEM,
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

_COUNTING = {"_turns": _turns, "_joined": _joined, "join": _join, "format": _format}
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
    if isinstance(value, TextView):
        return list(value.every)
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _bytes(value: Any) -> bytes:
    return to_text(value).encode()


_FILTERS: dict[str, Callable[..., Any]] = {
    "default": _default,
    "d": _default,
    "tojson": lambda value: encode_json(plain(value)).decode(),
    "from_json": _or_null(lambda value: read_json(to_text(value))),
    "b64encode": _or_null(lambda value: base64.b64encode(_bytes(value)).decode()),
    "b64decode": _or_null(lambda value: base64.b64decode(_bytes(value)).decode()),
    "sha256": _or_null(lambda value: hashlib.sha256(_bytes(value)).hexdigest()),
    "iso8601": _or_null(lambda moment: timestamps.iso8601(float(moment))),
    "unix": _or_null(lambda moment: int(float(moment))),
    "all": _every,
    "strftime": _or_null(lambda moment, form: timestamps.utc(float(moment)).strftime(form)),
}
