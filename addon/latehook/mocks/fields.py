"""PURE: maps of names and values, as forms, queries and headers have them."""

from collections.abc import Mapping, Sequence
from typing import Any

from latehook.base.errors import ExpressionError, Place
from latehook.base.json_text import encode_json
from latehook.expressions.values import to_text

MAX_NAME_LENGTH = 1000
"""Characters of a name: a job's id, its idempotency key, a status, an event."""

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


def require_name(value: Any, place: Place, key: str) -> str:
    """Return a rendered value as a name. A name is stored, compared and shown. Raises ExpressionError if it is long."""
    name = to_text(value)
    if problem := name_problem(name):
        raise ExpressionError(place, f"{key} {problem}: {name}")
    return name


def name_problem(name: str) -> str | None:
    """Return why a text cannot be a name, as words that follow what it names; None if it can."""
    if len(name) <= MAX_NAME_LENGTH:
        return None
    return f"has {len(name):,} characters, and may have {MAX_NAME_LENGTH:,}"


def items_of(value: Any) -> Sequence[Any]:
    """Return the items of a list, and any other value as the only item."""
    return value if isinstance(value, list) else [value]


def pairs_of(fields: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the names and texts of a query or form: null gives an empty text, a list gives its name several times."""
    return [(name, to_text(item)) for name, value in fields.items() for item in items_of(value)]
