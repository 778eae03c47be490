"""PURE: form fields and query parameters as expressions see them."""

import re
from collections.abc import Iterable
from typing import Any

from latehook.expressions.values import AnnotatedText

MAX_BRACKETS = 32
"""Brackets in a field's name that are read: `a[b][c]` has two."""


def first_values(pairs: Iterable[tuple[str, str]]) -> dict[str, AnnotatedText]:
    """Return each name with its first value, which carries all values of the name (for the filter `all`)."""
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return {name: AnnotatedText(found[0], all_values=tuple(found)) for name, found in values.items()}


def nested(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return fields as nested maps: `a[b]=c` as {a: {b: c}}, `a[]=c` as {a: [c]}.

    A name that cannot be nested, or has more than MAX_BRACKETS, stays as it is.
    """
    form: dict[str, Any] = {}
    for name, value in first_values(pairs).items():
        path = _BRACKETS.findall(name) if 0 < name.count("[") <= MAX_BRACKETS else []
        if not path or not _insert(form, [name.partition("[")[0], *path], value):
            form[name] = value
    return form


_BRACKETS = re.compile(r"\[([^\[\]]*)\]")


def _insert(form: dict[str, Any], path: list[str], value: AnnotatedText) -> bool:
    """Insert a value at a path of keys. Return False where another field is in the way."""
    *parts, last = path
    is_list = last == ""
    if is_list:
        *parts, last = parts
    holder: Any = form
    for part in parts:
        holder = holder.setdefault(part, {})
        if not isinstance(holder, dict):
            return False
    if last == "" or last in holder:
        return False
    holder[last] = [AnnotatedText(one) for one in value.all_values] if is_list else value
    return True
