"""PURE: pages of lists: which parameters of a request choose the jobs that a response lists."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from latehook.importing.exchanges import Exchange
from latehook.importing.scrubbing import snake
from latehook.importing.sources import member, quote
from latehook.importing.stages import Timeline

_LIMIT = re.compile(r"(^|[\[_])(limit|per_?page|page_?size|size|count|top|first|max_?results)\]?$")
_PAGE = re.compile(r"(^|[\[_])(page|page_?(number|no)|number)\]?$")
_OFFSET = re.compile(r"(^|[\[_])(offset|skip|start|after)\]?$")
_NEXT = re.compile(r"(^|_)next(_|$)|^(cursor|after|has_more|more)$")

DEFAULT_LIMIT = 100
"""Jobs on a page where the request names no limit."""


@dataclass(frozen=True, slots=True)
class Page:
    """Expressions: `every` gives all jobs that may follow, `shown` those of the page, `end` how many have been shown.

    `is_limited`: the request may name how many it wants. `offset` is the parameter that skips some, None if none does.
    """

    every: str
    shown: str
    end: str
    is_limited: bool
    offset: str | None

    def id_at(self, place: str, as_number: bool) -> str:
        """Return the expression of the id of the first or last job of the page, none if it is empty."""
        number = " | map('int')" if as_number else ""
        return f"({self.shown} | map(attribute='id'){number} | list | {place} | default(none))"

    def following(self, path: Sequence[Any], values: Sequence[Any], last: str) -> str | None:
        """Return the expression of what leads to the next page, None for other values.

        `values` are those of all responses, `last` the id of the last item where the value is no null.
        """
        if not self.is_limited or not path or not _NEXT.search(snake(path[-1])):
            return None
        more = f"{self.every} | length > {self.end}"
        if all(isinstance(value, bool) for value in values):
            return f"({more})"
        texts = [value for value in values if isinstance(value, str) and value]
        if not texts or len(texts) == len(values):
            return None
        pieces = [quote(part) for part in texts[0].split(last)]
        text = f" ~ {self.id_at('last', False)} ~ ".join(pieces)
        if self.offset is not None:
            text = re.sub(rf"([?&]{re.escape(self.offset)}=)\d+(.*)", rf"\1' ~ ({self.end}) ~ '\2", text)
        return f"(({text}) if {more} else none)"


def page_of(exchanges: Sequence[Exchange], lists: Sequence[Sequence[Timeline]], jobs: str) -> Page:
    """Return how requests choose the jobs of `lists` that they list. `jobs` gives all of them, the newest first."""
    orders = [[life.job.creator.started for life in lives] for lives in lists]
    if any(order != sorted(order, reverse=True) for order in orders):
        jobs = f"{jobs} | reverse | list"
    parameters = {name: value for exchange in exchanges for name, value in exchange.query}
    limit = next((name for name, value in parameters.items() if _LIMIT.search(name) and value.isdigit()), None)
    if limit is None:
        return Page(f"({jobs})", f"({jobs})", "0", False, None)
    count = f"({member('request.query', limit)} | default({DEFAULT_LIMIT}) | int)"
    ids = {str(life.job.id) for lives in lists for life in lives}
    cursor = next((name for name, value in parameters.items() if value in ids), None)
    if cursor is not None:
        same = f"selectattr('id', 'equalto', {member('request.query', cursor)}) | map(attribute='created_at')"
        before = f"({jobs} | {same} | first | default(10**12))"
        jobs = f"{jobs} | selectattr('created_at', 'lessthan', {before}) | list"
    numbers = {name for name, value in parameters.items() if value.isdigit() and name != limit}
    page = next((name for name in numbers if _PAGE.search(name)), None)
    offset = next((name for name in sorted(numbers) if _OFFSET.search(name)), None)
    start = "0"
    if page is not None:
        start = f"(({member('request.query', page)} | default(1) | int) - 1) * {count}"
    elif offset is not None:
        start = f"({member('request.query', offset)} | default(0) | int)"
    end = f"{start} + {count}"
    return Page(f"({jobs})", f"({jobs})[{start}:{end}]", end, True, offset if page is None else None)
