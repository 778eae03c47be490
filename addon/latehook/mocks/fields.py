"""PURE: maps of names and values, as forms, queries and headers have them."""

from collections.abc import Mapping, Sequence
from typing import Any

from latehook.base.errors import ExpressionError, Place
from latehook.base.json_text import encode_json
from latehook.expressions.values import to_text

MAX_QUOTED_LENGTH = 80
"""Characters of a value that an error message quotes. A longer one is not quoted: redaction misses half a secret."""


def require_map(value: Any, place: Place, key: str) -> Mapping[str, Any]:
    """Return a rendered value that must be a map; null counts as an empty one. Raises ExpressionError otherwise."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ExpressionError(place, f"{key} is {quoted(value)}, which is not a map")
    return value


def quoted(value: Any) -> str:
    """Return a rendered value as an error message quotes it: as JSON, or only its length if it is long."""
    text = encode_json(value).decode()
    return text if len(text) <= MAX_QUOTED_LENGTH else f"{len(text):,} characters of JSON"


def items_of(value: Any) -> Sequence[Any]:
    """Return the items of a list, and any other value as the only item."""
    return value if isinstance(value, list) else [value]


def pairs_of(fields: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the names and texts of a query or form: null gives an empty text, a list gives its name several times."""
    return [(name, to_text(item)) for name, value in fields.items() for item in items_of(value)]
