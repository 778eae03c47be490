"""A YAML file as plain data with a place for everything in it: what is wrong in it can be pointed at."""

import json
import math
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from latehook.base.errors import MocksError, Place
from latehook.base.json_text import encode_json

Path = tuple[str | int, ...]
"""The keys and indexes that lead to a value: ("mocks", 0, "match")."""


class Source:
    """A mocks file as plain data, with the line of every key and value."""

    def __init__(self, file: str, data: Any = None, lines: dict[Path, int] | None = None) -> None:
        self.file = file
        self.data = data
        self._lines: dict[Path, int] = lines or {(): 1}

    @classmethod
    def read(cls, file: str, text: str) -> "Source":
        """MocksError where it is no YAML, or YAML of other kinds than plain 1.2."""
        source = cls(file)
        source._read(text)
        return source

    def excerpt(self, at: int) -> bytes:
        """All that one mock was written with, to be brought back later; places in it are then those of the mock."""
        mock = self.place(("mocks", at))
        defaults = self.data.get("defaults", {})
        return encode_json([self.file, at, mock.line, self.data["mocks"][at], defaults])

    @classmethod
    def of_excerpt(cls, excerpt: bytes) -> "tuple[Source, int]":
        """The source of an excerpt, and the mock's number in it."""
        file, at, line, mock, defaults = json.loads(excerpt)
        return cls(file, {"mocks": {at: mock}, "defaults": defaults}, {(): line}), at

    def _read(self, text: str) -> None:
        file = self.file
        self._yaml = YAML(typ="safe", pure=True)
        try:
            root = self._yaml.compose(text)
            self.data = None if root is None else self._construct(root, (), ())
        except RecursionError:
            raise MocksError(Place(file, 1), "this is nested too deeply") from None
        except MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise MocksError(Place(file, line), f"this is not YAML: {error.problem}") from None
        except YAMLError as error:
            raise MocksError(Place(file, 1), f"this is not YAML: {' '.join(str(error).split())}") from None

    def place(self, path: Path) -> Place:
        known = path
        while known not in self._lines:
            known = known[:-1]
        key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
        return Place(self.file, self._lines[known], key.lstrip("."))

    def at(self, path: Path) -> Any:
        """What is written there."""
        value: Any = self.data
        for part in path:
            value = value[part]
        return value

    def _construct(self, node: Node, path: Path, within: tuple[Node, ...]) -> Any:
        if any(node is outer for outer in within):
            raise MocksError(self._at(node, path), "this alias contains itself")
        self._lines.setdefault(path, node.start_mark.line + 1)
        within = (*within, node)
        if isinstance(node, MappingNode) and node.tag == "tag:yaml.org,2002:map":
            return self._mapping(node, path, within)
        if isinstance(node, SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
            return [self._construct(item, (*path, at), within) for at, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: MappingNode, path: Path, within: tuple[Node, ...]) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                raise MocksError(
                    self._at(key_node, path), "a key cannot be a map: put quotes around a value with {{ }}"
                )
            if key_node.tag == "tag:yaml.org,2002:merge":
                merged = self._merge(value_node, path, within) | merged
                continue
            key = str(key_node.value)
            if key in mapping:
                raise MocksError(self._at(key_node, (*path, key)), f"the key {key!r} stands twice in this map")
            self._lines[(*path, key)] = key_node.start_mark.line + 1
            mapping[key] = self._construct(value_node, (*path, key), within)
        return {**merged, **mapping}

    def _merge(self, node: Node, path: Path, within: tuple[Node, ...]) -> dict[str, Any]:
        merged = self._construct(node, path, within)
        maps = merged if isinstance(merged, list) else [merged]
        if not all(isinstance(item, dict) for item in maps):
            raise MocksError(self._at(node, path), "<< merges maps, and this is none")
        return {key: value for item in reversed(maps) for key, value in item.items()}

    def _scalar(self, node: Node, path: Path) -> Any:
        kind = str(node.tag).removeprefix("tag:yaml.org,2002:")
        try:
            match kind:
                case "null":
                    return None
                case "bool" | "int" | "float":
                    value = getattr(self._yaml.constructor, f"construct_yaml_{kind}")(node)
                    if not (isinstance(value, float) and not math.isfinite(value)):
                        return value
                    raise MocksError(self._at(node, path), f"{node.value} is not a number that JSON can hold")
                case "str" | "timestamp":  # dates stay text
                    return str(node.value)
        except (ValueError, KeyError):
            pass
        raise MocksError(self._at(node, path), f"the tag {kind!r} does not fit here: write plain YAML 1.2")

    def _at(self, node: Node, path: Path) -> Place:
        return Place(self.file, node.start_mark.line + 1, self.place(path).key if path in self._lines else "")
