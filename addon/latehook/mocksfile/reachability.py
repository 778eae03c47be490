"""PURE: finds the match that covers a later one, in a time that does not grow with their number."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

from latehook.mocks.matching import Matcher, Segment, covers

type _Key = tuple[str, str | None, str | None, int | None]
"""Host, method, scheme and port of a match. None stands for all."""


@dataclass(slots=True)
class _Node[Item]:
    """The items whose paths begin with the same segments: those that end here, and the nodes of the next segment.

    `literals` has the nodes by the segment itself, `patterns` by the texts in front of and behind its captures.
    """

    items: list[tuple[int, Matcher, Item]] = field(default_factory=list)
    literals: "dict[str, _Node[Item]]" = field(default_factory=dict)
    patterns: "dict[tuple[str, str], _Node[Item]]" = field(default_factory=dict)

    def child(self, segment: Segment) -> "_Node[Item]":
        """Return the node of the next segment. It is made if it does not exist."""
        if segment.pattern is None:
            return self.literals.setdefault(segment.literal or "", _Node())
        return self.patterns.setdefault(_ends(segment), _Node())

    def children_that_may_cover(self, segment: Segment) -> "Iterator[_Node[Item]]":
        """Yield the nodes of the next segments that match everything that `segment` matches, and perhaps others."""
        if segment.pattern is not None:
            ends = {_ends(segment), ("", "")}
            yield from (self.patterns[each] for each in ends if each in self.patterns)
            return
        text = segment.literal or ""
        if text in self.literals:
            yield self.literals[text]
        if self.patterns:
            starts = {text[:length] for length in {len(start) for start, _ in self.patterns}}
            ends_of_text = {text[len(text) - length :] for length in {len(end) for _, end in self.patterns}}
            for start in starts:
                for end in ends_of_text:
                    if (start, end) in self.patterns:
                        yield self.patterns[start, end]


class Covering[Item]:
    """Items, each with its match: finds the first one whose match covers another match."""

    def __init__(self) -> None:
        self._roots: defaultdict[_Key, _Node[Item]] = defaultdict(_Node)
        self._count = 0

    def add(self, matcher: Matcher, item: Item) -> None:
        self._count += 1
        for method in matcher.methods or (None,):
            node = self._roots[matcher.host, method, matcher.scheme, matcher.port]
            for segment in matcher.segments:
                node = node.child(segment)
            node.items.append((self._count, matcher, item))

    def first_that_covers(self, matcher: Matcher) -> Item | None:
        """Return the first item whose match matches every request that this one matches; None if there is none."""
        candidates = [each for root in self._roots_for(matcher) for each in _below(root, matcher.segments)]
        candidates.sort(key=lambda each: each[0])
        return next((item for _, before, item in candidates if covers(before, matcher)), None)

    def _roots_for(self, matcher: Matcher) -> Iterator[_Node[Item]]:
        """Yield the roots of the paths of all matches that may have the host, method, scheme and port of this one."""
        method = next(iter(matcher.methods), None) if matcher.methods else None
        ways = product(_patterns_for(matcher.host), {method, None}, {matcher.scheme, None}, {matcher.port, None})
        yield from (self._roots[way] for way in ways if way in self._roots)


def _below[Item](root: _Node[Item], segments: Sequence[Segment]) -> Iterator[tuple[int, Matcher, Item]]:
    """Yield the items whose path may match each path with these segments: `**` matches those that are longer too."""
    nodes = [root]
    for segment in segments:
        yield from (each for node in nodes for each in node.items if each[1].matches_rest)
        nodes = [child for node in nodes for child in node.children_that_may_cover(segment)]
    yield from (each for node in nodes for each in node.items)


def _patterns_for(host: str) -> list[str]:
    """Return the host, and each `*.DOMAIN` that it is below."""
    labels = host.removeprefix("*.").split(".")
    domains = [".".join(labels[at:]) for at in range(0 if host.startswith("*.") else 1, len(labels))]
    return [*dict.fromkeys((host, *(f"*.{domain}" for domain in domains)))]


def _ends(segment: Segment) -> tuple[str, str]:
    return segment.literals[0], segment.literals[-1]
