"""PURE: example values from the examples and schemas of an OpenAPI document. Cyclic and deep schemas are bounded."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from latehook.base.json_text import read_json
from latehook.openapi.document import Document, as_list, as_map
from latehook.openapi.patterns import text_like

KeyPath = tuple[str | int, ...]
"""The names and indexes that lead to a value in a body."""

MAX_DEPTH = 12
"""Levels of lists and maps of a value that a schema describes."""
OPTIONAL_DEPTH = 5
"""Levels in which optional members are written."""
MAX_SCHEMAS = 1_500
"""Schemas that one value is made from. Behind it, only required members are written, and few of them."""
MAX_EXAMPLE_DEPTH = 50
MAX_EXAMPLE_VALUES = 20_000

_BRANCHES = ("oneOf", "anyOf")
_OWN = ("example", "examples", "default", "const", "enum")
_FORMATS: Mapping[str, str] = {
    "date-time": "2030-01-01T00:00:00Z",
    "date": "2030-01-01",
    "time": "00:00:00Z",
    "duration": "PT1M",
    "email": "user@example.com",
    "hostname": "slow.example",
    "uri": "https://slow.example/",
    "url": "https://slow.example/",
    "uri-reference": "/",
    "ipv4": "192.0.2.1",
    "ip": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uuid": "00000000-0000-4000-8000-000000000001",
    "byte": "",
    "binary": "",
}


class _Missing:
    """Stands for a value that cannot be made: its schema contains itself."""


_MISSING = _Missing()


@dataclass
class Sample:
    """A value, and the schemas of the values in it by their paths, as far as they are known."""

    value: Any = None
    schemas: dict[KeyPath, dict[str, Any]] = field(default_factory=dict)

    def schema(self, path: KeyPath) -> dict[str, Any]:
        return self.schemas.get(path, {})


def sample_of_media(document: Document, media: Mapping[str, Any]) -> Sample:
    """Return the example of a media type: a written one, otherwise one that its schema describes."""
    maker = _Maker(document)
    schema = media.get("schema", media.get("itemSchema"))
    written = _written(document, media)
    if isinstance(written, str) and not _is_text(maker.flat(schema, frozenset())[0]):
        written = _parsed(written)
    value = maker.value(schema, (), frozenset(), True) if written is _MISSING else maker.example(written, schema, ())
    return Sample(None if value is _MISSING else value, maker.schemas)


def sample_of_parameter(document: Document, parameter: Mapping[str, Any]) -> Any:
    """Return an example of a parameter or header."""
    content = as_map(parameter.get("content"))
    return sample_of_media(document, next((as_map(media) for media in content.values()), parameter)).value


def flat_schema(document: Document, schema: Any) -> dict[str, Any]:
    """Return a schema with its references and `allOf` resolved, and the first of its alternatives."""
    return _Maker(document).flat(schema, frozenset())[0]


def _written(document: Document, media: Mapping[str, Any]) -> Any:
    """Return the example that is written beside a schema."""
    if "example" in media:
        return media["example"]
    for example in as_map(media.get("examples")).values():
        found = document.map(example)
        for key in ("value", "dataValue", "serializedValue"):
            if key in found:
                return found[key]
    return _MISSING


def _parsed(text: str) -> Any:
    """Return the data of an example that is written as the text of JSON."""
    try:
        return read_json(text.encode()) if text.lstrip()[:1] in ("{", "[") else text
    except (ValueError, RecursionError):
        return text


class _Maker:
    def __init__(self, document: Document) -> None:
        self.document = document
        self.schemas: dict[KeyPath, dict[str, Any]] = {}
        self.left = MAX_SCHEMAS
        self.values = MAX_EXAMPLE_VALUES

    def flat(self, schema: Any, inside: frozenset[str], depth: int = 0) -> tuple[dict[str, Any], frozenset[str]]:
        """Return a schema without references, `allOf` and alternatives, and the references that it is inside of.

        A schema that contains itself is empty, with the mark `x-cyclic`.
        """
        self.left -= 1
        resolved, reference = self.document.resolve(schema)
        found = as_map(resolved)
        if reference:
            if reference in inside:
                return {"x-cyclic": True}, inside
            inside = inside | {reference}
        parts = [*as_list(found.get("allOf")), *self._branch(found)]
        if not parts or depth > MAX_DEPTH or self.left < 0:
            return found, inside
        result = {key: value for key, value in found.items() if key not in ("allOf", *_BRANCHES)}
        for part in parts:
            below, inside_part = self.flat(part, inside, depth + 1)
            if "x-cyclic" in below:
                continue
            inside = inside | inside_part
            _merge(result, below, is_whole=len(parts) == 1 and not found.get("properties"))
        return result, inside

    def _branch(self, schema: dict[str, Any]) -> list[Any]:
        """Return the first alternative that is not null."""
        for key in _BRANCHES:
            for one in as_list(schema.get(key)):
                if as_map(one).get("type") != "null":
                    return [one]
        return []

    def value(self, schema: Any, path: KeyPath, inside: frozenset[str], required: bool) -> Any:
        """Return a value that a schema describes, _MISSING for one that contains itself."""
        flat, inside = self.flat(schema, inside)
        if "x-cyclic" in flat or len(path) > MAX_DEPTH or (self.left < 0 and not required) or self.left < -MAX_SCHEMAS:
            return _MISSING
        given = _given(flat)
        if given is not _MISSING:
            return self.example(given, flat, path)
        kind = _kind(flat)
        if kind == "object":
            return self._object(flat, path, inside)
        if kind == "array":
            return self._array(flat, path, inside)
        self.schemas[path] = flat
        return None if _is_nullable(flat) and not required else _scalar(kind, flat)

    def _object(self, flat: dict[str, Any], path: KeyPath, inside: frozenset[str]) -> dict[str, Any]:
        result = {}
        names = {name for name in as_list(flat.get("required")) if isinstance(name, str)}
        for name, schema in as_map(flat.get("properties")).items():
            needed = name in names
            described = as_map(schema)
            if described.get("writeOnly") is True or (
                not needed and (described.get("deprecated") is True or len(path) >= OPTIONAL_DEPTH)
            ):
                continue
            value = self.value(schema, (*path, name), inside, needed)
            if value is _MISSING and needed:
                value = {"array": [], "object": {}}.get(_kind(self.flat(schema, frozenset())[0]))
            if value is not _MISSING:
                result[name] = value
        return result

    def _array(self, flat: dict[str, Any], path: KeyPath, inside: frozenset[str]) -> list[Any]:
        items = flat.get("items", next(iter(as_list(flat.get("prefixItems"))), None))
        if items is None:
            return []
        item = self.value(items, (*path, 0), inside, True)
        return [] if item is _MISSING else [item]

    def example(self, value: Any, schema: Any, path: KeyPath, inside: frozenset[str] = frozenset()) -> Any:
        """Return a written example, and remember which schema describes which value of it."""
        self.values -= 1
        if self.values < 0 or len(path) > MAX_EXAMPLE_DEPTH:
            return None
        flat, inside = self.flat(schema, inside) if self.left > 0 else ({}, inside)
        if isinstance(value, dict):
            properties = as_map(flat.get("properties"))
            return {
                name: self.example(item, properties.get(name), (*path, name), inside) for name, item in value.items()
            }
        if isinstance(value, list):
            items = flat.get("items")
            return [self.example(item, items, (*path, at), inside) for at, item in enumerate(value)]
        self.schemas[path] = flat
        return value


def _merge(into: dict[str, Any], part: dict[str, Any], is_whole: bool) -> None:
    """Add a part of a schema to it. What is an example of a part is one of the schema only if the part is all of it."""
    for key, value in part.items():
        if key == "properties":
            into[key] = {**as_map(value), **as_map(into.get(key))}
        elif key == "required":
            into[key] = [*as_list(into.get(key)), *as_list(value)]
        elif is_whole or key not in _OWN:
            into.setdefault(key, value)


def _given(flat: dict[str, Any]) -> Any:
    """Return the value that a schema itself gives."""
    if "example" in flat:
        given = flat["example"]
        return _parsed(given) if isinstance(given, str) and not _is_text(flat) else given
    for key in ("examples", "enum"):
        values = flat.get(key)
        values = list(values.values()) if isinstance(values, dict) else as_list(values)
        if key == "enum" and "const" in flat:
            return flat["const"]
        if key == "enum" and "default" in flat:
            return flat["default"]
        for value in values:
            if value is not None:
                return value
    return flat.get("const", flat.get("default", _MISSING))


def _is_text(flat: dict[str, Any]) -> bool:
    return "string" in _kinds(flat)


def _kinds(flat: dict[str, Any]) -> list[str]:
    kind = flat.get("type")
    return [str(one) for one in (kind if isinstance(kind, list) else [kind]) if one is not None]


def _kind(flat: dict[str, Any]) -> str:
    """Return the type of a schema, also of one that does not say it."""
    for kind in _kinds(flat):
        if kind != "null":
            return kind
    if "properties" in flat or "additionalProperties" in flat:
        return "object"
    return "array" if "items" in flat or "prefixItems" in flat else "string" if flat else "null"


def _is_nullable(flat: dict[str, Any]) -> bool:
    return flat.get("nullable") is True or "null" in _kinds(flat)


def _scalar(kind: str, flat: dict[str, Any]) -> Any:
    if kind in ("integer", "number"):
        return _number(kind, flat)
    if kind == "boolean":
        return False
    if kind != "string":
        return None
    text = _FORMATS.get(str(flat.get("format")), "string")
    if isinstance(flat.get("pattern"), str):
        text = text_like(flat["pattern"], text)
    shortest, longest = flat.get("minLength"), flat.get("maxLength")
    if isinstance(shortest, int) and len(text) < shortest <= 1000:
        text = text.ljust(shortest, "x")
    return text[:longest] if isinstance(longest, int) and longest >= 0 else text


def _number(kind: str, flat: dict[str, Any]) -> Any:
    lowest, highest = flat.get("minimum"), flat.get("maximum")
    above = flat.get("exclusiveMinimum")
    if isinstance(above, (int, float)) and not isinstance(above, bool):
        lowest = above + 1
    elif above is True and isinstance(lowest, (int, float)):
        lowest = lowest + 1
    if isinstance(lowest, (int, float)) and not isinstance(lowest, bool) and lowest > 0:
        return int(lowest) if kind == "integer" else lowest
    if isinstance(highest, (int, float)) and not isinstance(highest, bool) and highest < 0:
        return int(highest) if kind == "integer" else highest
    return 0


_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:?\d\d)?")


def is_time(value: Any, schema: Mapping[str, Any]) -> bool:
    """Return whether a value is a time of day and date, as a text."""
    return isinstance(value, str) and (_TIME.fullmatch(value) is not None or schema.get("format") == "date-time")
