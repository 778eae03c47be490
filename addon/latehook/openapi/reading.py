"""PURE: the text of a document, as plain data: JSON, or YAML 1.2 of any size.

Real documents are large, and often not valid. So this reader is fast: the C parser of PyYAML reads 3 MB in a
second. It takes what the reader of mocks files refuses: names that occur twice (the last one counts), all numbers.
"""

import re
from collections.abc import Iterable
from typing import Any

import yaml

from latehook.base.errors import LatehookError
from latehook.base.json_numbers import JSON_NUMBER, fraction, whole_number
from latehook.base.json_text import read_json

MAX_DEPTH = 400
"""Levels of lists and maps, one in the other."""

_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # PyYAML can be built without its C parser
_CONSTANTS = {"": None, "~": None} | {
    form: value for word, value in (("null", None), ("true", True), ("false", False))
    for form in (word, word.title(), word.upper())
}  # fmt: skip
_WHOLE = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FRACTION = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_TYPED = {f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float")}


def read_document(text: str, file: str) -> Any:
    """Return the plain data of a text. Raises LatehookError with file and line if it is neither JSON nor YAML."""
    if text.lstrip()[:1] in ("{", "["):
        try:
            return read_json(text.encode())
        except (ValueError, RecursionError):
            pass  # it is YAML with brackets, or YAML's parser says better what is wrong
    try:
        return _Builder(file).build(yaml.parse(text, Loader=_PARSER))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise LatehookError(f"{file}:{line}: this is not YAML: {error.problem}") from None
    except yaml.YAMLError as error:  # a character that YAML does not permit
        raise LatehookError(f"{file}: this is not YAML: {' '.join(str(error).split())}") from None


class _Open:
    """A list or map that is being read. `key` is the name of its next value, None where a name comes next."""

    __slots__ = ("anchor", "key", "merged", "value")

    def __init__(self, value: Any, anchor: str | None) -> None:
        self.value = value
        self.anchor = anchor
        self.key: str | None = None
        self.merged: list[Any] = []


class _Builder:
    def __init__(self, file: str) -> None:
        self._file = file
        self._open: list[_Open] = []
        self._anchors: dict[str, Any] = {}
        self._root: Any = None

    def build(self, events: Iterable[Any]) -> Any:
        """Return the first document of a stream of YAML events."""
        for event in events:
            if isinstance(event, yaml.ScalarEvent):
                self._scalar(event)
            elif isinstance(event, yaml.AliasEvent):
                self._alias(event)
            elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
                self._begin({} if isinstance(event, yaml.MappingStartEvent) else [], event)
            elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                self._end()
            elif isinstance(event, yaml.DocumentEndEvent):
                break
        return self._root

    def _scalar(self, event: Any) -> None:
        if self._expects_name:
            if event.anchor:
                self._anchors[event.anchor] = event.value
            self._open[-1].key = event.value
            return
        is_typed = event.implicit[0] or event.tag in _TYPED
        value = _resolved(event.value) if is_typed else event.value
        if event.anchor:
            self._anchors[event.anchor] = value
        self._add(value)

    def _alias(self, event: Any) -> None:
        if event.anchor not in self._anchors:
            reason = "contains itself" if any(one.anchor == event.anchor for one in self._open) else "has no anchor"
            raise self._error(event, f"the alias *{event.anchor} {reason}")
        value = self._anchors[event.anchor]
        if self._expects_name:
            self._open[-1].key = str(value)
        else:
            self._add(value)

    def _begin(self, value: Any, event: Any) -> None:
        if self._expects_name:
            raise self._error(event, "a name cannot be a list or a map: put quotes around it")
        if len(self._open) >= MAX_DEPTH:
            raise self._error(event, f"lists and maps are more than {MAX_DEPTH} levels deep here")
        self._open.append(_Open(value, event.anchor))

    def _end(self) -> None:
        ended = self._open.pop()
        for name, value in ((name, value) for merged in ended.merged for name, value in merged.items()):
            ended.value.setdefault(name, value)
        if ended.anchor:
            self._anchors[ended.anchor] = ended.value
        self._add(ended.value)

    @property
    def _expects_name(self) -> bool:
        return bool(self._open) and type(self._open[-1].value) is dict and self._open[-1].key is None

    def _add(self, value: Any) -> None:
        if not self._open:
            self._root = value
            return
        into = self._open[-1]
        if type(into.value) is list:
            into.value.append(value)
        elif into.key == "<<" and isinstance(value, (dict, list)):
            into.merged += [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, dict)]
        else:
            into.value[into.key] = value
        into.key = None

    def _error(self, event: Any, problem: str) -> LatehookError:
        return LatehookError(f"{self._file}:{event.start_mark.line + 1}: {problem}")


def _resolved(text: str) -> Any:
    """Return the value of a text without quotes, by the core schema of YAML 1.2: `no` and dates are texts."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] not in "-+.0123456789":
        return text
    try:
        if (found := JSON_NUMBER.fullmatch(text)) is not None:
            return whole_number(text) if found[2] is found[3] is None else fraction(text)
        if _WHOLE.fullmatch(text):
            return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
        return float(text) if _FRACTION.fullmatch(text) else text
    except ValueError:  # too many digits
        return text
