"""PURE: finding what a request matches by its host, method and path, in a time that does not grow with their number."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from operator import itemgetter
from urllib.parse import unquote

from latehook.base.hostnames import host_matches
from latehook.mocks.matching import Matcher, Segment


@dataclass(slots=True)
class _Node[Item]:
    """A node for the segments of a path so far. It has the nodes of the next segment by literal and by pattern.

    `exact` are the items that match a path which ends at this node, `prefix` those that match every longer one. Each
    has its position among all items.
    """

    literals: "dict[str, _Node[Item]]" = field(default_factory=dict)
    patterns: "list[tuple[re.Pattern[str], _Node[Item]]]" = field(default_factory=list)
    exact: list[tuple[int, Item]] = field(default_factory=list)
    prefix: list[tuple[int, Item]] = field(default_factory=list)


class PathTree[Item]:
    """Items by the path of their match. The time of a lookup grows with the length of the path."""

    def __init__(self, items: Iterable[tuple[Matcher, Item]]) -> None:
        self._root: _Node[Item] = _Node()
        for at, (matcher, item) in enumerate(items):
            node = self._root
            for segment in matcher.segments:
                node = self._child(node, segment)
            (node.prefix if matcher.matches_rest else node.exact).append((at, item))

    def find(self, path: str) -> list[tuple[Item, dict[str, str]]]:
        """Return the items that match a path, in their original order, each with what it captures."""
        parts = [unquote(part, errors="surrogateescape") if "%" in part else part for part in path.split("/")[1:]]
        found: list[tuple[int, Item, dict[str, str]]] = []
        self._collect(self._root, parts, {}, found)
        found.sort(key=itemgetter(0))
        return [(item, captured) for _, item, captured in found]

    def _child(self, node: _Node[Item], segment: Segment) -> _Node[Item]:
        if segment.pattern is None:
            return node.literals.setdefault(segment.literal or "", _Node())
        node.patterns.append((segment.pattern, _Node()))
        return node.patterns[-1][1]

    def _collect(
        self,
        node: _Node[Item],
        parts: Sequence[str],
        captured: dict[str, str],
        found: list[tuple[int, Item, dict[str, str]]],
    ) -> None:
        if not parts:
            found += [(at, item, captured) for at, item in node.exact]
            return
        found += [(at, item, captured) for at, item in node.prefix]
        if (child := node.literals.get(parts[0])) is not None:
            self._collect(child, parts[1:], captured, found)
        for pattern, child in node.patterns:
            if (match := pattern.fullmatch(parts[0])) is not None:
                self._collect(child, parts[1:], {**captured, **match.groupdict()}, found)


class Router[Item]:
    """Items by the host and method of their match. A host's tree of paths is built when the host is first requested."""

    def __init__(self, items: Iterable[tuple[Matcher, Item]]) -> None:
        self._items = tuple(items)
        patterns = {matcher.host for matcher, _ in self._items}
        self._suffixes = [pattern for pattern in patterns if pattern.startswith("*.")]
        self._exact = patterns - set(self._suffixes)
        self._methods = {"HEAD"}.union(*(matcher.methods for matcher, _ in self._items if matcher.methods))
        self._tree = lru_cache(1024)(self._make_tree)

    def find(self, host: str, method: str, path: str) -> list[tuple[Item, dict[str, str]]]:
        """Return the items that match a canonical host, method and path, each with what it captures."""
        patterns = frozenset(pattern for pattern in self._suffixes if host_matches(pattern, host))
        method = method if method in self._methods else ""  # one tree for all methods that only ANY matches
        return self._tree(patterns | {host} if host in self._exact else patterns, method).find(path)

    def _make_tree(self, patterns: frozenset[str], method: str) -> PathTree[Item]:
        return PathTree(item for item in self._items if item[0].host in patterns and item[0].matches_method(method))
