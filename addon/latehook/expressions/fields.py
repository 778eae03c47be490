"""PURE: Form fields and query parameters as expressions see them."""

import re
from collections.abc import Iterable
from typing import Any

from latehook.expressions.values import AnnotatedText

DEPTH = 32
"""Brackets in a field's name that are read: `a[b][c]` has two."""


def first_of(pairs: Iterable[tuple[str, str]]) -> dict[str, AnnotatedText]:
    """Name → its first value, which also knows all of them (the filter `all`)."""
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return {name: AnnotatedText(found[0], all_values=tuple(found)) for name, found in values.items()}


def nested(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Fields as maps: `a[b]=c` is {a: {b: c}}, `a[]=c` is {a: [c]}. A name that does not fit stays as it is."""
    form: dict[str, Any] = {}
    for name, value in first_of(pairs).items():
        path = _PATH.findall(name) if 0 < name.count("[") <= DEPTH else []
        if not path or not _place(form, [name.partition("[")[0], *path], value):
            form[name] = value
    return form


_PATH = re.compile(r"\[([^\[\]]*)\]")


def _place(form: dict[str, Any], path: list[str], value: AnnotatedText) -> bool:
    *parts, last = path
    listed = last == ""
    if listed:
        *parts, last = parts
    holder: Any = form
    for part in parts:
        holder = holder.setdefault(part, {})
        if not isinstance(holder, dict):
            return False
    if last == "" or last in holder:
        return False
    holder[last] = [AnnotatedText(one) for one in value.all_values] if listed else value
    return True
