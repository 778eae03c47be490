"""PURE: the `match` of each request: its path with names for the segments that differ from job to job."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from latehook.importing.exchanges import Exchange, leaves
from latehook.importing.scrubbing import Scrubber, snake
from latehook.importing.shapes import is_id_key, is_opaque

_NAME = re.compile(r"[a-z_][a-z0-9_]*")
_WORD = re.compile(r"[a-z]+([_-][a-z]+)*")
_NAMES = re.compile(r"name|user|login|person|city|town|street|gender|nationality|religion|ethnicity")
"""Segments behind which a word may be a name. Behind others it says what is done: `/mail/send`, `/token/revoke`."""


@dataclass(frozen=True, slots=True)
class Match:
    """A `match`: `text` is what the mocks file has. `captures` counts the names in its path."""

    text: str
    captures: int


class Matches:
    """The match of every request, and what it captures.

    `ids` are the ids of jobs: their segment is named `id`. `variables` are other values of jobs, with their names.
    """

    def __init__(
        self, exchanges: Sequence[Exchange], ids: Iterable[str], variables: Mapping[str, str], scrubber: Scrubber
    ) -> None:
        self._ids = sorted(ids, key=len, reverse=True)
        self._variables = variables
        self._scrubber = scrubber
        self.captures: dict[Exchange, dict[str, str]] = {}
        self._of: dict[Exchange, Match] = {}
        outbound = [exchange for exchange in exchanges if not exchange.inbound]
        self._given = {
            str(value)
            for exchange in outbound
            for path, value in leaves(exchange.response.body.value)
            if type(value) is int and path and is_id_key(path[-1])
        }
        patterns = _with_same_names({exchange: self._pattern(exchange) for exchange in outbound})
        for exchange in outbound:
            pattern = patterns[exchange]
            if not exchange.is_success:  # an id that does not exist has the place of one that does
                pattern = next((other for other in patterns.values() if _fits(exchange, pattern, other)), pattern)
            self.captures[exchange] = _captured(exchange, pattern)
            path = "/" + "/".join(pattern)
            self._of[exchange] = Match(f"{exchange.method} {exchange.origin}{path}", path.count("{"))

    def of(self, exchange: Exchange) -> Match:
        return self._of[exchange]

    def _pattern(self, exchange: Exchange) -> list[str]:
        names: list[str] = []
        pattern = []
        for at, segment in enumerate(exchange.segments):
            before = exchange.segments[at - 1] if at else ""
            pattern.append(self._segment(segment, before, names))
        return pattern

    def _segment(self, segment: str, before: str, names: list[str]) -> str:
        text = unquote(segment)
        for id in self._ids:
            if text == id or re.fullmatch(rf"{re.escape(id)}[.:][A-Za-z]+", text):
                return text.replace(id, "{" + _unused("id", names) + "}")
        if (name := self._variables.get(text)) is not None:
            return "{" + _unused(name, names) + "}"
        if "{" in text or "}" in text or text == "**" or self._is_private(text, before):
            return "{" + _unused(_singular(before), names) + "}"
        return segment.replace("?", "%3F").replace("#", "%23").replace(" ", "%20")

    def _is_private(self, text: str, before: str) -> bool:
        is_verb = _WORD.fullmatch(text) is not None and not _NAMES.search(snake(before))
        cleaned, _ = self._scrubber.clean((before,) if before and not is_verb else (), text)
        return is_opaque(text) or cleaned != text or text in self._given


def _with_same_names(patterns: dict[Exchange, list[str]]) -> dict[Exchange, list[str]]:
    """Return the patterns with the same names where they match the same paths: those with `id`, or the first ones."""
    named: dict[tuple[str, ...], list[str]] = {}
    for exchange, pattern in patterns.items():
        shape = (exchange.method, exchange.origin, *(re.sub(r"\{\w+\}", "{}", part) for part in pattern))
        known = named.setdefault(shape, pattern)
        if "{id}" in "/".join(pattern) and "{id}" not in "/".join(known):
            named[shape] = pattern
    return {
        exchange: named[exchange.method, exchange.origin, *(re.sub(r"\{\w+\}", "{}", part) for part in pattern)]
        for exchange, pattern in patterns.items()
    }


def _fits(exchange: Exchange, own: Sequence[str], other: Sequence[str]) -> bool:
    """Return whether the request of an exchange also matches another pattern, which has more captures than its own."""
    if len(own) != len(other) or own == other:
        return False
    return all(mine == theirs or _segment_fits(mine, theirs) for mine, theirs in zip(own, other, strict=True))


def _segment_fits(literal: str, pattern: str) -> bool:
    before, name, behind = pattern.partition("{id}")
    return (
        bool(name) and len(literal) > len(before + behind) and literal.startswith(before) and literal.endswith(behind)
    )


def _captured(exchange: Exchange, pattern: Sequence[str]) -> dict[str, str]:
    captured = {}
    for segment, part in zip(exchange.segments, pattern, strict=True):
        if found := re.search(r"\{(\w+)\}", part):
            behind = part[found.end() :]
            captured[found[1]] = unquote(segment)[found.start() : len(unquote(segment)) - len(behind) or None]
    return captured


def _singular(segment: str) -> str:
    name = snake(segment)
    name = name[:-3] + "y" if name.endswith("ies") else name[:-1] if name.endswith("s") and len(name) > 3 else name
    return name if _NAME.fullmatch(name) else "part"


def _unused(name: str, names: list[str]) -> str:
    unused = (
        name
        if name not in names
        else next(f"{name}{number}" for number in range(2, 100) if f"{name}{number}" not in names)
    )
    names.append(unused)
    return unused
