"""PURE: the values of expressions: views, the one null; and any of them as plain data, and as text."""

import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from jinja2 import Undefined

from latehook.base.json_text import encode_json
from latehook.expressions.limits import ITEM_SIZE, MAX_VALUE_SIZE, SizeBudget

MAX_NULL_NAME_LENGTH = 100
"""Characters of a name that its null knows."""


class View:
    """Something with members that an expression may name, such as `request`. A member is computed when it is read."""

    members: frozenset[str] = frozenset()

    def data(self) -> Mapping[str, Any]:
        """The view as a map, for JSON."""
        return {name: getattr(self, name) for name in sorted(self.members)}


class AnnotatedText(str):
    """A text that knows more: parts with names (a path's captures), or every value of a name that came repeatedly."""

    __slots__ = ("all_values", "parts")
    parts: Mapping[str, str]
    all_values: tuple[str, ...]

    def __new__(
        cls, text: str, parts: Mapping[str, str] | None = None, all_values: tuple[str, ...] = ()
    ) -> "AnnotatedText":
        self = super().__new__(cls, text)
        self.parts = parts or {}
        self.all_values = all_values or (text,)
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


def null(name: str) -> Null:
    """The null of a name. Of one that data has made, an error says the beginning."""
    return _null(name[:MAX_NULL_NAME_LENGTH])


@lru_cache(maxsize=256)  # one message may ask for many members that are not there
def _null(name: str) -> Null:
    return Null(name=name)


def is_null(value: object) -> bool:
    return value is None or isinstance(value, Undefined)


def to_plain(value: Any) -> Any:
    """What an expression gives, as plain data: the one null as None, views as maps, sequences as lists.

    ValueError for what is no data, and for what is too large.
    """
    kind = type(value)
    if value is None or kind is int or kind is bool or (kind is str and len(value) < MAX_VALUE_SIZE):
        return value
    return None if kind is Null else _to_plain(value, SizeBudget())


def _to_plain(value: Any, budget: SizeBudget) -> Any:
    kind = type(value)
    budget.charge(len(value) if kind is str else ITEM_SIZE)
    if kind is str or kind is int or kind is bool or value is None:
        return value
    if kind is list:
        return [_to_plain(item, budget) for item in value]
    if isinstance(value, Undefined):
        return None
    if isinstance(value, str):
        budget.charge(len(value))
        return str(value)
    if isinstance(value, View):
        value = value.data()
    if kind is dict or isinstance(value, Mapping):
        return {_key(key, budget): _to_plain(item, budget) for key, item in value.items()}
    if isinstance(value, (int, float)):
        if math.isfinite(value):
            return value
        raise ValueError(f"{value} is not a number that JSON can hold")
    if isinstance(value, Iterable):
        return [_to_plain(item, budget) for item in value]
    raise ValueError(f"a {type(value).__name__} is not data")


def _key(key: Any, budget: SizeBudget) -> str:
    text = str(key) if isinstance(key, str) else to_text(key)
    budget.charge(len(text))
    return text


def to_text(value: Any) -> str:
    """A value as it stands in text: null is nothing, booleans, lists and maps are JSON."""
    if type(value) is str and len(value) < MAX_VALUE_SIZE:
        return value
    value = to_plain(value)
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return encode_json(value).decode()
