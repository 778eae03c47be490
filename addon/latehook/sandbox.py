"""PURE: Jinja as Latehook has it: sandboxed, with one null, data that has no methods, and filters for messages."""

import base64
import datetime
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from jinja2 import Undefined
from jinja2.runtime import LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from latehook.bodies import encode_json


class View:
    """Something with members that an expression may name, such as `request`. A member is computed when it is read."""

    members: frozenset[str] = frozenset()

    def plain(self) -> Any:
        """The view as plain data, for JSON."""
        return {name: plain(getattr(self, name)) for name in sorted(self.members)}


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


def is_null(value: object) -> bool:
    return value is None or isinstance(value, Undefined)


_JINJA_OWN = (LoopContext, Namespace)


class Sandbox(ImmutableSandboxedEnvironment):
    """`.x` on data is the key x and never a method; what is null or missing is the one null."""

    def __init__(self) -> None:
        super().__init__(undefined=Null, finalize=to_text, keep_trailing_newline=True, cache_size=0)
        self.globals = {"range": self.globals["range"], "namespace": Namespace}
        for name in ("random", "pprint"):  # not reproducible; of no use in a message
            del self.filters[name]
        self.filters.update(_FILTERS)
        self.tests.update({"none": is_null, "undefined": is_null, "defined": lambda value: not is_null(value)})

    def getattr(self, obj: Any, attribute: str) -> Any:
        if type(obj) is not dict and isinstance(obj, _JINJA_OWN):
            return super().getattr(obj, attribute)
        return self._member(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(argument, str):
            return self._member(obj, argument)
        if isinstance(obj, Sequence) and isinstance(argument, (int, slice)):
            try:
                return self._or_null(obj[argument], argument)
            except IndexError:
                return self._or_null(None, argument)
        return self._or_null(obj.get(argument) if isinstance(obj, Mapping) else None, argument)

    def _member(self, obj: Any, name: str) -> Any:
        if isinstance(obj, View):
            return self._or_null(getattr(obj, name) if name in obj.members else None, name)
        if isinstance(obj, TextView):
            return self._or_null(obj.parts.get(name), name)
        is_map = type(obj) is dict or isinstance(obj, Mapping)  # the second takes long, and most data is out of JSON
        return self._or_null(obj.get(name) if is_map else None, name)

    def _or_null(self, value: Any, name: Any) -> Any:
        if value is None:
            return self.undefined(name=str(name))
        if type(value) is list and None in value:
            return [self._or_null(item, name) for item in value]
        return value


def plain(value: Any) -> Any:
    """What an expression gives, as plain data: the one null as None, views as maps, sequences as lists."""
    if value is None or type(value) in (str, int, bool):
        return value
    if isinstance(value, Undefined):
        return None
    if isinstance(value, str):
        return str(value)
    if isinstance(value, View):
        return value.plain()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (int, float)):
        if math.isfinite(value):
            return value
        raise ValueError(f"{value} is not a number that JSON can hold")
    if isinstance(value, Iterable):
        return [plain(item) for item in value]
    raise ValueError(f"a {type(value).__name__} is not data")


def to_text(value: Any) -> str:
    """A value as it stands in text: null is nothing, booleans, lists and maps are JSON."""
    value = plain(value)
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return encode_json(value).decode()


def _default(value: Any, default: Any = "", boolean: bool = False) -> Any:
    return default if is_null(value) or (boolean and not value) else value


def _utc(moment: Any) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(float(moment), datetime.UTC)


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
    "from_json": _or_null(json.loads),
    "b64encode": _or_null(lambda value: base64.b64encode(_bytes(value)).decode()),
    "b64decode": _or_null(lambda value: base64.b64decode(_bytes(value)).decode()),
    "sha256": _or_null(lambda value: hashlib.sha256(_bytes(value)).hexdigest()),
    "iso8601": _or_null(lambda moment: _utc(moment).isoformat(timespec="milliseconds").replace("+00:00", "Z")),
    "unix": _or_null(lambda moment: int(float(moment))),
    "all": _every,
    "strftime": _or_null(lambda moment, form: _utc(moment).strftime(form)),
}
