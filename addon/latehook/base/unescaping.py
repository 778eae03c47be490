r"""PURE: the texts that a text with escapes stands for, and where each part of them is in the original.

Escapes of one kind within escapes of the same kind are resolved together: `\\\u0041`, `%2541` and `&amp;#65;` are an A.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from html.entities import html5

DEPTH = 3
"""How many kinds of escapes are resolved within one another."""

Span = tuple[int, int]
"""The start and the end of a part of a text."""


class Escapes:
    """A kind of escapes. `token` matches one escape, or several behind one another.

    It begins with a literal character: Python's regular expressions find that fast.
    """

    token: re.Pattern[str]

    def resolve(self, match: re.Match[str]) -> str:
        """Return what an escape stands for."""
        raise NotImplementedError

    def spans(self, match: re.Match[str]) -> list[Span]:
        """Return the place of each character that an escape stands for."""
        return [match.span()] * len(self.resolve(match))


_NAMED = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
"""What a letter behind a backslash stands for."""


class Backslashes(Escapes):
    """The escapes of JSON and Python. Any number of backslashes counts as one: JSON in JSON doubles them."""

    token = re.compile(
        r"\\\\*(?:u(?P<high>[dD][89abAB][0-9a-fA-F]{2})\\+u(?P<low>[dD][c-fC-F][0-9a-fA-F]{2})"
        r"|u(?P<u>[0-9a-fA-F]{4})|U(?P<U>000[0-9a-fA-F]{5}|0010[0-9a-fA-F]{4})|x(?P<x>[0-9a-fA-F]{2})|(?P<one>.)|$)",
        re.DOTALL,
    )

    def resolve(self, match: re.Match[str]) -> str:
        kind = match.lastgroup
        if kind is None:
            return ""
        value = match[kind]
        if kind == "one":
            return _NAMED.get(value, value)
        if kind == "low":
            return bytes.fromhex(match["high"] + value).decode("utf-16-be")
        return chr(int(value, 16))


class Percents(Escapes):
    """The escapes of URLs and urlencoded forms, in UTF-8."""

    token = re.compile("%(?:25)*[0-9a-fA-F]{2}(?:%(?:25)*[0-9a-fA-F]{2})*")
    _byte = re.compile("%(?:25)*([0-9a-fA-F]{2})")

    def resolve(self, match: re.Match[str]) -> str:
        return bytes(int(code, 16) for code in self._byte.findall(match[0])).decode("utf-8", "surrogateescape")

    def spans(self, match: re.Match[str]) -> list[Span]:
        escapes = [found.span() for found in self._byte.finditer(match.string, *match.span())]
        spans, first = [], 0
        for character in self.resolve(match):
            last = first + len(character.encode("utf-8", "surrogateescape")) - 1
            spans.append((escapes[first][0], escapes[last][1]))
            first = last + 1
        return spans


class References(Escapes):
    """The character references of HTML and XML."""

    token = re.compile(
        r"&(?:amp;)*(?:#0*(?P<decimal>[0-9]{1,7})|#[xX]0*(?P<hex>[0-9a-fA-F]{1,6})|(?P<name>[a-zA-Z][a-zA-Z0-9]{1,31}));"
    )

    def resolve(self, match: re.Match[str]) -> str:
        if match["name"]:
            return html5.get(f"{match['name']};", match[0])
        code = int(match["decimal"]) if match["decimal"] else int(match["hex"], 16)
        return chr(code) if code <= 0x10FFFF else match[0]


KINDS = (Backslashes(), Percents(), References())


@dataclass(frozen=True)
class View:
    """A text whose escapes of one kind are resolved, and what it is made from."""

    text: str
    source: "str | View"
    escapes: Escapes

    def place(self, start: int, end: int) -> Span:
        """Return the place of a part of this text in the original text."""
        first, last = self._spans[start][0], self._spans[end - 1][1]
        return (first, last) if isinstance(self.source, str) else self.source.place(first, last)

    @cached_property
    def _spans(self) -> list[Span]:
        """The place in the source of each character of the text."""
        source = _text_of(self.source)
        spans: list[Span] = []
        end = 0
        for match in self.escapes.token.finditer(source):
            spans += [(place, place + 1) for place in range(end, match.start())]
            spans += self.escapes.spans(match)
            end = match.end()
        return spans + [(place, place + 1) for place in range(end, len(source))]


def has_escapes(text: str) -> bool:
    """Return whether there is any escape in a text. Most texts have none, and that is found out fast."""
    if "\\" not in text and "%" not in text and not ("&" in text and ";" in text):
        return False
    return any(escapes.token.search(text) for escapes in KINDS)


def unescaped(text: str) -> Iterator[View]:
    """Yield the texts that a text stands for: each kind of escapes resolved, then each kind within another."""
    seen = {text}
    sources: list[str | View] = [text]
    for _ in range(DEPTH):
        views: list[View] = []
        for source in sources:
            for escapes in KINDS:
                given = _text_of(source)
                if escapes.token.search(given) is None:
                    continue
                resolved = escapes.token.sub(escapes.resolve, given)
                if resolved not in seen:
                    seen.add(resolved)
                    views.append(View(resolved, source, escapes))
        yield from views
        sources = [*views]


def _text_of(source: str | View) -> str:
    return source if isinstance(source, str) else source.text
