"""PURE: responses that list jobs: each item becomes what the mocks file says of one job."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from latehook.importing.exchanges import Exchange, KeyPath, leaves, mentions, words_in
from latehook.importing.json_texts import json_text
from latehook.importing.pages import page_of
from latehook.importing.scrubbing import snake
from latehook.importing.situations import Situation
from latehook.importing.sources import quote
from latehook.importing.stages import Timeline

_COUNT = re.compile(r"(^|_)(count|total|size|length)(_|$)")
_LIMIT_KEY = re.compile(r"limit|page_?size|per_?page")


@dataclass(frozen=True, slots=True)
class Listed:
    """A list of jobs in a response: its place, and each item with its job.

    `missing` counts those of no known job, `known` the jobs that there were.
    """

    path: KeyPath
    items: Sequence[tuple[dict[str, Any], Timeline]]
    missing: int
    known: int


def listed_jobs(exchange: Exchange, lives: Sequence[Timeline]) -> Listed | None:
    """Return the list of jobs in the response to a request, None if it has none. `lives` are jobs that it may have."""
    known = [life for life in lives if life.job.id is not None and life.job.creator.started < exchange.started]
    for path, items in _lists(exchange.response.body.value):
        found = [(item, life) for item in items if (life := _job_of(item, known)) is not None]
        if found:
            return Listed(path, found, len(items) - len(found), len(known))
    return None


def _lists(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, list[dict[str, Any]]]]:
    """Yield the lists of maps in a value, the outermost first."""
    if isinstance(value, list):
        if value and all(isinstance(item, dict) for item in value):
            yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _lists(item, (*path, key))


def _job_of(item: dict[str, Any], lives: Sequence[Timeline]) -> Timeline | None:
    words = words_in([str(value) for _, value in leaves(item) if value is not None])
    found = [life for life in lives if mentions(words, life.job.id)]
    return found[0] if len(found) == 1 else None


def text_of(
    found: Sequence[tuple[Exchange, Listed]], mock: str, item: Any, unify: Callable[..., Any], situation: Situation
) -> str:
    """Return the JSON of a response as text with a loop over the jobs of a mock. `item` is the template of an item.

    The situation is that of the response with the longest list.
    """
    jobs = f"jobs | selectattr('mock', 'equalto', {quote(mock)}) | list"
    page = page_of([exchange for exchange, _ in found], [[life for _, life in one.items] for _, one in found], jobs)
    loop = f"[{{% for job in {page.shown} %}}{json_text(item)}{{{{ ',' if not loop.last }}}}{{% endfor %}}]"
    exchange, listed = max(found, key=lambda one: len(one[1].items))
    count = len(listed.items) + listed.missing
    known = [dict(leaves(one.response.body.value)) for one, _ in found]

    def written(value: Any, path: KeyPath) -> str:
        if path == listed.path:
            return loop
        if isinstance(value, dict):
            return (
                "{" + ", ".join(f"{json.dumps(key)}: {written(one, (*path, key))}" for key, one in value.items()) + "}"
            )
        expression = chosen(value, path)
        return (
            json_text(unify([(value, situation)], *map(str, path))) if expression is None else f"{{{{ {expression} }}}}"
        )

    def chosen(value: Any, path: KeyPath) -> str | None:
        """Return the expression of a value that depends on which jobs are listed."""
        if type(value) is int and path and _COUNT.search(snake(path[-1])) and not _LIMIT_KEY.search(snake(path[-1])):
            if value == count and (page.is_limited and "total" not in snake(path[-1])):
                return f"{page.shown} | length"
            return f"{page.every} | length" if value in (count, listed.known) else None
        for place, at in (("first", 0), ("last", -1)):
            if value == listed.items[at][1].job.id and value is not None:
                return f"{page.id_at(place, isinstance(value, int))} | tojson"
        last = next(
            (str(one.items[-1][1].job.id) for (_, one), leaf in zip(found, known, strict=True) if leaf.get(path)), ""
        )
        following = page.following(path, [leaf.get(path) for leaf in known], last) if last else None
        return f"{following} | tojson" if following is not None else None

    return written(exchange.response.body.value, ())
