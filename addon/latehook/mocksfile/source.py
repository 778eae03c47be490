"""Reads a YAML file as plain data, and remembers the line of every key and value for error messages."""

import base64
import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from latehook.base.errors import MocksError, Place
from latehook.base.json_numbers import JSON_NUMBER, MAX_NUMBER_LENGTH, NumberAsWritten, fraction, whole_number
from latehook.base.json_text import LONE_SURROGATE, encode_json, read_json
from latehook.expressions.compiler import is_one_expression

KeyPath = tuple[str | int, ...]
"""The keys and indexes that lead to a value: `("mocks", 0, "match")`."""

MAX_TEXT_LENGTH = 8 * 1024 * 1024
"""Characters of one mocks file."""

MAX_DEPTH = 100
"""Levels of lists and maps, one in the other."""

MAX_ALIASED = 100_000
"""Values that all aliases of a file stand for together: aliases of aliases multiply."""

_TAG = "tag:yaml.org,2002:"
_REMEDIES = {
    "expected <block end>": "this line does not fit the list or map above it: look at its indentation",
    "mapping values are not allowed": "put quotes around a value that contains `: `",
    "'\\t' that cannot start": "indent with spaces, not with tabs",
    "cannot start any token": "put quotes around a value that starts with this character",
    "end of stream": "a quote is not closed",
    "stream end": "a bracket, a brace or a quote is not closed",
    "undefined alias": "define its anchor (`&NAME`) above it, or put quotes around a value that starts with `*`",
    "maximum depth": f"lists and maps are more than {MAX_DEPTH} levels deep here",
    "another document": "a mocks file is one YAML document: remove the line `---`",
}
"""What to do about the YAML parser's message that contains the key. The first one counts."""


class Source:
    """The plain data of a mocks file, with the line of every key and value.

    `posted` is None for a file on this machine. Of a text that was posted it has the contents of the files that were
    sent with it, by name: no others may be read. `has_written_numbers`: there are numbers in it that keep their text
    (`NumberAsWritten`).
    """

    def __init__(
        self,
        file: str,
        data: Any,
        lines: dict[KeyPath, int],
        has_written_numbers: bool = False,
        posted: Mapping[str, bytes] | None = None,
    ) -> None:
        self.file = file
        self.data = data
        self.has_written_numbers = has_written_numbers
        self.posted = posted
        self._lines = lines

    @classmethod
    def parse(cls, file: str, text: str, posted: Mapping[str, bytes] | None = None) -> "Source":
        """Parse a file's text. Raises MocksError if it is not YAML 1.2, or uses tags other than those of plain data."""
        reader = _Reader(file)
        return cls(file, reader.read(text), reader.lines, reader.has_written_numbers, posted)

    def excerpt(self, index: int, files: Collection[str]) -> bytes:
        """Return everything that the mock with this index is compiled from, as JSON for `from_excerpt`.

        `files` are the names of the files that it reads: those that were posted are part of the excerpt.
        """
        return self._excerpt(self.file, index, files)

    def identity(self, index: int, files: Collection[str]) -> bytes:
        """Return what tells this mock from others: its excerpt, with the file's name in the place of its path.

        So a mock is the same one in each folder and on each machine that has a copy of its file.
        """
        return self._excerpt(Path(self.file).name, index, files)

    def _excerpt(self, file: str, index: int, files: Collection[str]) -> bytes:
        line = self.place(("mocks", index)).line
        excerpt = [file, index, line, self.data["mocks"][index], self.data.get("defaults", {})]
        if self.posted is not None:
            excerpt.append({name: base64.b64encode(self.posted[name]).decode() for name in files})
        return encode_json(excerpt)

    @classmethod
    def from_excerpt(cls, excerpt: bytes) -> "tuple[Source, int]":
        """Return a source that has only the mock of an excerpt, and the mock's index.

        All places in it have the line of the mock.
        """
        file, index, line, mock, defaults, *posted = read_json(excerpt)
        files = {name: base64.b64decode(content) for name, content in posted[0].items()} if posted else None
        return cls(file, {"mocks": {index: mock}, "defaults": defaults}, {(): line}, posted=files), index

    def place(self, path: KeyPath) -> Place:
        """Return file, line and key of what is at `path`; of a key that is not there, the line of the map around it."""
        known = path
        while known not in self._lines:
            known = known[:-1]
        return Place(self.file, self._lines[known], _dotted(path))

    def value(self, path: KeyPath) -> Any:
        value: Any = self.data
        for part in path:
            value = value[part]
        return value


class _Reader:
    """Reads one text. `lines` grows: the line of each key and value by its path."""

    def __init__(self, file: str) -> None:
        self.lines: dict[KeyPath, int] = {(): 1}
        self.has_written_numbers = False
        self._file = file
        self._yaml = YAML(typ="safe", pure=True)
        self._yaml.max_depth = MAX_DEPTH
        self._seen: set[int] = set()
        self._aliased = 0

    def read(self, text: str) -> Any:
        """Return the text as maps, lists, texts, numbers, booleans and None. Raises MocksError."""
        if len(text) > MAX_TEXT_LENGTH:
            problem = f"the file has {len(text):,} characters, and may have {MAX_TEXT_LENGTH:,}: split it into several"
            raise MocksError(Place(self._file, 1), problem)
        try:
            root = self._yaml.compose(text)
            return None if root is None else self._construct(root, (), ())
        except RecursionError:
            line = self._yaml.reader.line + 1
            raise MocksError(Place(self._file, line), "the file is nested too deeply here") from None
        except MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise MocksError(Place(self._file, line), f"this is not YAML: {_explanation(error)}") from None
        except YAMLError as error:
            raise MocksError(Place(self._file, 1), f"this is not YAML: {' '.join(str(error).split())}") from None
        except MocksError:
            raise
        except Exception as error:  # the parser's own checks, such as of the version in a line `%YAML`
            problem = f"this is not YAML: the YAML parser says, of some line: {error or type(error).__name__}"
            raise MocksError(Place(self._file, 1), problem) from None

    def _construct(self, node: Node, path: KeyPath, parents: tuple[Node, ...]) -> Any:
        if any(node is parent for parent in parents):
            raise MocksError(self._place(node, path), "this alias contains itself")
        self.lines.setdefault(path, node.start_mark.line + 1)
        self._count_aliased(node, path)
        parents = (*parents, node)
        if isinstance(node, MappingNode) and node.tag == f"{_TAG}map":
            return self._mapping(node, path, parents)
        if isinstance(node, SequenceNode) and node.tag == f"{_TAG}seq":
            return [self._construct(item, (*path, index), parents) for index, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _count_aliased(self, node: Node, path: KeyPath) -> None:
        """Count a value that was read before, and so is here by an alias. Raises MocksError for one too many."""
        if id(node) not in self._seen:
            self._seen.add(id(node))
            return
        self._aliased += 1
        if self._aliased > MAX_ALIASED:
            problem = f"the aliases of this file stand for more than {MAX_ALIASED:,} values: write fewer in one another"
            raise MocksError(self._place(node, path), problem)

    def _mapping(self, node: MappingNode, path: KeyPath, parents: tuple[Node, ...]) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                raise MocksError(
                    self._place(key_node, path), "a key cannot be a map: put quotes around a value with {{ }}"
                )
            if key_node.tag == f"{_TAG}merge":
                merged = self._merge(value_node, path, parents) | merged
                continue
            key = str(key_node.value)
            if LONE_SURROGATE.search(key):
                raise MocksError(
                    self._place(key_node, path), "a key holds half a surrogate pair, which is no character"
                )
            if key in mapping:
                raise MocksError(
                    self._place(key_node, (*path, key)), f"the key {key!r} is in this map twice: remove one of them"
                )
            self.lines[(*path, key)] = key_node.start_mark.line + 1
            mapping[key] = self._construct(value_node, (*path, key), parents)
        return {**merged, **mapping}

    def _merge(self, node: Node, path: KeyPath, parents: tuple[Node, ...]) -> dict[str, Any]:
        merged = self._construct(node, path, parents)
        maps = merged if isinstance(merged, list) else [merged]
        if not all(isinstance(item, dict) for item in maps):
            raise MocksError(self._place(node, path), "the value of `<<` must be a map, or a list of maps")
        return {key: value for item in reversed(maps) for key, value in item.items()}

    def _scalar(self, node: Node, path: KeyPath) -> Any:
        kind = str(node.tag).removeprefix(_TAG)
        try:
            match kind:
                case "null":
                    return None
                case "bool":
                    return self._yaml.constructor.construct_yaml_bool(node)
                case "int" | "float":
                    return self._number(node, kind, path)
                case "str" | "timestamp":  # dates stay text
                    return _text(node)
        except (ValueError, KeyError):
            pass
        raise MocksError(self._place(node, path), f"the YAML tag {kind!r} cannot be used here: write plain YAML 1.2")

    def _number(self, node: Node, kind: str, path: KeyPath) -> int | float:
        """Return a number that is written as in JSON: others could not come back as they are written."""
        text = str(node.value)
        if len(text) > MAX_NUMBER_LENGTH:
            problem = f"the number has {len(text):,} characters, and may have {MAX_NUMBER_LENGTH:,}"
            raise MocksError(self._place(node, path), f"{problem}: put quotes around it to send the text")
        if (found := JSON_NUMBER.fullmatch(text)) is not None:
            value = whole_number(text) if found[2] is found[3] is None else fraction(text)
            self.has_written_numbers |= isinstance(value, NumberAsWritten)
            return value
        value = getattr(self._yaml.constructor, f"construct_yaml_{kind}")(node)
        if isinstance(value, float) and not math.isfinite(value):
            raise MocksError(self._place(node, path), f"JSON has no number {text}: write a finite number, or text")
        remedy = f"write {value}, or quotes around it to send the text"
        raise MocksError(self._place(node, path), f"the number {text} is not written as in JSON: {remedy}")

    def _place(self, node: Node, path: KeyPath) -> Place:
        return Place(self._file, node.start_mark.line + 1, _dotted(path) if path in self.lines else "")


def _text(node: Node) -> str:
    """Return a scalar's text. The line break that ends a block scalar (`|`, `>`) is no part of a single expression."""
    text = str(node.value)
    if (
        isinstance(node, ScalarNode)
        and node.style in ("|", ">")
        and text.endswith("\n")
        and is_one_expression(text[:-1])
    ):
        return text[:-1]
    return text


def _dotted(path: KeyPath) -> str:
    """Return a path as error messages show it: `mocks[0].match`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def _explanation(error: MarkedYAMLError) -> str:
    """Return the remedy for a message of the YAML parser; the message too, if the remedy is not known."""
    remedies = (remedy for message, remedy in _REMEDIES.items() if message in error.problem)
    begin = error.context_mark.line + 1 if error.context_mark else 0
    if (remedy := next(remedies, None)) is not None:
        is_elsewhere = begin and error.problem_mark and begin != error.problem_mark.line + 1
        return f"{remedy}; it begins in line {begin}" if is_elsewhere else remedy
    context = f"{error.context} that starts in line {begin}" if error.context and begin else error.context
    parsers_words = ", ".join(filter(None, (error.problem, context)))
    return f"check the indentation, colons and quotes of this line (the YAML parser says: {parsers_words})"
