"""PURE: the values of expressions: views, annotated texts, null; and every value as plain data and as text."""

import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from jinja2 import Undefined

from latehook.base.json_numbers import NumberAsWritten
from latehook.base.json_text import encode_json
from latehook.expressions.limits import ITEM_SIZE, MAX_VALUE_SIZE, SizeBudget
from latehook.expressions.octets import Octets

MAX_NULL_NAME_LENGTH = 100
"""Characters that a null keeps of the name it was looked up by. Error messages quote them."""


class View:
    """A read-only object with named members, such as `request`. A member is computed when it is first read."""

    members: frozenset[str] = frozenset()
    """The names that an expression may read."""

    def data(self) -> Mapping[str, Any]:
        """Return all members by name, for JSON."""
        return {name: getattr(self, name) for name in sorted(self.members)}


class AnnotatedText(str):
    """A text that carries more: named `parts` (what a path captures), or `all_values` of a name given repeatedly."""

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
    """The value of everything that is null or missing.

    It is false, equal to `none` and empty to iterate; each of its members is null too; `default` replaces it.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return other is None or isinstance(other, Undefined)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(None)


def null(name: str) -> Null:
    """Return the null value for `name`. It keeps the first MAX_NULL_NAME_LENGTH characters: data may be the name."""
    return _null(name[:MAX_NULL_NAME_LENGTH])


@lru_cache(maxsize=256)  # one message may read many members that are missing
def _null(name: str) -> Null:
    return Null(name=name)


def is_null(value: object) -> bool:
    return value is None or isinstance(value, Undefined)


def to_plain(value: Any) -> Any:
    """Return a value as plain data, as JSON has it: null as None, views as dicts, sequences as lists.

    Raises ValueError for a value that JSON cannot hold, LimitExceeded for one that is too large.
    """
    kind = type(value)
    if (kind is str and len(value) < MAX_VALUE_SIZE) or value is None or kind is int or kind is bool:
        return value
    return None if kind is Null else _to_plain(value, SizeBudget())


def _to_plain(value: Any, budget: SizeBudget) -> Any:
    kind = type(value)
    budget.charge(len(value) if kind is str else ITEM_SIZE)
    if kind is str or kind is int or kind is bool or value is None:
        return value
    if kind is NumberAsWritten:
        budget.charge(len(value.text))
        return value
    if kind is list:
        return [_to_plain(item, budget) for item in value]
    if isinstance(value, Undefined):
        return None
    if kind is Octets:
        budget.charge(len(value))
        return value.text()
    if isinstance(value, str):
        budget.charge(len(value))
        return str(value)
    if isinstance(value, View):
        value = value.data()
    if kind is dict or isinstance(value, Mapping):
        return {_plain_key(key, budget): _to_plain(item, budget) for key, item in value.items()}
    if isinstance(value, (int, float)):
        if math.isfinite(value):
            return value
        raise ValueError(f"{value} is not a number that JSON can hold")
    if isinstance(value, Iterable):
        return [_to_plain(item, budget) for item in value]
    raise ValueError(f"a {type(value).__name__} is not data")


def _plain_key(key: Any, budget: SizeBudget) -> str:
    text = str(key) if isinstance(key, str) else to_text(key)
    budget.charge(len(text))
    return text


def to_text(value: Any) -> str:
    """Return a value as it is written into a text: null is empty; booleans, lists and maps are JSON.

    Raises as `to_plain` does.
    """
    if type(value) is str and len(value) < MAX_VALUE_SIZE:
        return value
    value = to_plain(value)
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return encode_json(value).decode()
