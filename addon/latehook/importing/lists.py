"""PURE: responses that list jobs: each item becomes what the mocks file says of one job."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from latehook.importing.exchanges import Exchange, KeyPath, leaves, mentions, words_in
from latehook.importing.scrubbing import snake
from latehook.importing.situations import Situation
from latehook.importing.sources import quote
from latehook.importing.stages import Timeline

_COUNT = re.compile(r"(^|_)(count|total|size|length)(_|$)")


@dataclass(frozen=True, slots=True)
class Listed:
    """A list of jobs in a response: its place, and each item with its job. `missing` counts those of no known job."""

    path: KeyPath
    items: Sequence[tuple[dict[str, Any], Timeline]]
    missing: int


def listed_jobs(exchange: Exchange, lives: Sequence[Timeline]) -> Listed | None:
    """Return the list of jobs in the response to a request, None if it has none. `lives` are jobs that it may have."""
    known = [life for life in lives if life.job.id is not None and life.job.creator.started < exchange.started]
    for path, items in _lists(exchange.response.body.value):
        found = [(item, life) for item in items if (life := _job_of(item, known)) is not None]
        if found:
            return Listed(path, found, len(items) - len(found))
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
    exchange: Exchange, listed: Listed, mock: str, item: Any, unify: Callable[..., Any], situation: Situation
) -> str:
    """Return the JSON of a response as text with a loop over the jobs of a mock. `item` is the template of an item."""
    jobs = f"jobs | selectattr('mock', 'equalto', {quote(mock)}) | list"
    loop = f"[{{% for job in {jobs} %}}{_json(item)}{{{{ ',' if not loop.last }}}}{{% endfor %}}]"
    count = len(listed.items) + listed.missing

    def written(value: Any, path: KeyPath) -> str:
        if path == listed.path:
            return loop
        if isinstance(value, dict):
            return (
                "{" + ", ".join(f"{json.dumps(key)}: {written(one, (*path, key))}" for key, one in value.items()) + "}"
            )
        if type(value) is int and value == count and path and _COUNT.search(snake(path[-1])):
            return f"{{{{ {jobs} | length }}}}"
        return _json(unify([(value, situation)], *map(str, path)))

    return written(exchange.response.body.value, ())


def _json(template: Any) -> str:
    """Return a template of data as a text that gives its JSON."""
    if isinstance(template, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {_json(value)}" for key, value in template.items()) + "}"
    if isinstance(template, list):
        return "[" + ", ".join(map(_json, template)) + "]"
    if isinstance(template, str) and "{{" in template:
        return f"{{{{ {_expression(template)} | tojson }}}}"
    return json.dumps(template, ensure_ascii=False)


def _expression(template: str) -> str:
    """Return a text with expressions as one expression, in brackets."""
    parts = re.split(r"\{\{ (.*?) \}\}", template)
    pieces = [part if at % 2 else quote(part) for at, part in enumerate(parts) if part]
    return "(" + (pieces[0] if len(pieces) == 1 else " ~ ".join(f"({piece})" for piece in pieces)) + ")"
