"""PURE: the values of a request that later messages may repeat, with the expressions that read them."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from latehook.bodies.forms import parse_form
from latehook.bodies.xml import parse_xml
from latehook.importing.exchanges import Exchange
from latehook.importing.scrubbing import snake


@dataclass(frozen=True, slots=True)
class Source:
    """A value of a request that a later message may repeat: the expression that reads it, and its field's name."""

    expression: str
    key: str
    value: Any


_LIST = re.compile(r"[^\s,{}\[\]]+(,[^\s,{}\[\]]+)*")
MAX_LIST = 1000
"""Characters of the longest text that may be a list with commas."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORDS = {"and", "or", "not", "in", "is", "if", "else", "true", "false", "none", "True", "False", "None"}
_COMMON_HEADERS = re.compile(
    r"(?i)accept|accept-.*|connection|host|content-.*|user-agent|date|transfer-encoding|te|upgrade|via|forwarded|x-forwarded-.*"
    r"|proxy-.*|cookie|authorization|traceparent|tracestate|cf-.*|x-amzn-.*|keep-alive|expect|pragma|cache-control|x-stripe-client.*"
)
"""Headers of a request that no message repeats, or that are nobody's business."""


def member(base: str, key: str | int) -> str:
    """Return the expression for a member of what `base` reads."""
    if isinstance(key, int):
        return f"{base}[{key}]"
    if _NAME.fullmatch(key) and key not in _WORDS:
        return f"{base}.{key}"
    return f"{base}[{quote(key)}]"


def quote(text: str) -> str:
    """Return a text as an expression has it."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


class Reader:
    """Reads requests. `captures` gives the names and values that the `match` of a request captures."""

    def __init__(self, captures: Mapping[Exchange, Mapping[str, str]]) -> None:
        self._captures = captures
        self._known: dict[Exchange, list[Source]] = {}

    def sources(self, exchange: Exchange, base: str = "request") -> list[Source]:
        """Return the values of a request. `base` is what reads the request in an expression."""
        if exchange not in self._known:
            read = list(self._read(exchange))
            self._known[exchange] = [*read, *(part for source in read for part in _parts(source))]
        found = self._known[exchange]
        if base == "request":
            return found
        return [Source(_rebased(source.expression, base), source.key, source.value) for source in found]

    def _read(self, exchange: Exchange) -> Iterator[Source]:
        for name, value in self._captures.get(exchange, {}).items():
            yield Source(f"request.path.{name}", snake(name), value)
        body = exchange.request.body
        if body.kind == "json":
            yield from _members("request.json", body.value, "json")
        elif body.kind == "xml":
            yield from _members("request.xml", parse_xml(body.raw, exchange.request.header("content-type")), "xml")
        elif body.kind in ("form", "multipart"):
            yield from _members(
                "request.form", {key: value for key, value in body.value.items() if value is not None}, "form"
            )
            if body.kind == "multipart":
                yield from _files(body.raw, exchange.request.header("content-type"))
            for key, value in body.value.items():
                if isinstance(value, str) and value[:1] in "{[":
                    yield from _json_field(member("request.form", key), value)
        for key, text in dict(reversed(exchange.query)).items():
            yield Source(member("request.query", key), snake(key), text)
        for key, text in exchange.request.headers:
            if not _COMMON_HEADERS.fullmatch(key):
                yield Source(member("request.headers", key.lower().replace("-", "_")), snake(key), text)


def _parts(source: Source) -> Iterator[Source]:
    """Yield the parts of a list that is a text with commas, such as `to=31612345678,31612345679`."""
    value = source.value
    if not isinstance(value, str) or len(value) > MAX_LIST or not _LIST.fullmatch(value):
        return
    if "," in value or source.key.endswith("s"):
        for at, part in enumerate(value.split(",")):
            one = f"({source.expression} | split(','))[{at}]"
            yield Source(f"({one} | default('0'))" if at else one, source.key.removesuffix("s"), part)


def _files(raw: bytes, content_type: str) -> Iterator[Source]:
    """Yield what is known of the files in a form."""
    for file in parse_form(raw, content_type).files:
        one = member("request.files", file.field)
        yield Source(one, snake(file.field), True)
        yield Source(f"{one}.filename", "name", file.filename)
        yield Source(f"({one}.filename | split('.'))[0]", "stem", file.filename.partition(".")[0])
        yield Source(f"{one}.size", "size", file.size)
        yield Source(f"{one}.sha256", "sha256", file.sha256)
        yield Source(f"{one}.type", "type", file.type)


def _rebased(expression: str, base: str) -> str:
    return re.sub(r"\brequest(?=\.)", base, expression, count=1)


def _members(base: str, value: Any, key: str) -> Iterator[Source]:
    if base.count(".") != 1:
        yield Source(base, snake(key), value)
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _members(member(base, name), item, key if name == "#text" else name)
        if value and base.startswith("request.json.") and all(isinstance(item, dict) for item in value.values()):
            yield Source(f"({base} | list | last)", snake(key), list(value)[-1])  # its keys are data
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from _members(f"{base}[{at}]", item, key)


def _json_field(expression: str, text: str) -> Iterator[Source]:
    """Yield the values of JSON in a form's field."""
    try:
        value = json.loads(text)
    except ValueError:
        return
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _members(member(f"({expression} | from_json)", name), item, name)
