"""PURE: reads the status of a job from what the provider says about it."""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from latehook.base.model import COMPLETED, PENDING
from latehook.importing.exchanges import Exchange, leaves
from latehook.importing.scrubbing import snake
from latehook.importing.tracing import Trace

_STATUS = re.compile(r"(^|_)(status|state|phase)$")
_DONE = re.compile(r"^(is_)?(done|completed|finished|ready|complete)$")
_VALUE = re.compile(r"[A-Za-z][\w .:-]{0,39}")

StatusOf = Callable[[Exchange], str | None]


def provider_value(exchange: Exchange) -> Any:
    """Return the data that the provider says in an exchange."""
    return exchange.request.body.value if exchange.inbound else exchange.response.body.value


def _status_leaves(exchange: Exchange, pattern: re.Pattern[str]) -> list[tuple[int, str, Any]]:
    """Return depth, name and value of the fields with such a name, the outermost first."""
    named = [
        (len(path), snake(path[-1]), value)
        for path, value in leaves(provider_value(exchange))
        if path and isinstance(path[-1], str)
    ]
    if exchange.inbound:
        named += [(1, snake(name), value) for name, value in exchange.query]
    return sorted((one for one in named if pattern.search(one[1])), key=lambda one: one[0])


def status_reader(jobs: Sequence[Trace]) -> StatusOf:
    """Return a function that reads the status that a message says: from the field with the most different values."""
    values: dict[str, set[str]] = {}
    counts: dict[str, int] = {}
    messages = [message for job in jobs for message in job.all if message.inbound or message.is_success]
    for message in messages:
        for _, name, value in _status_leaves(message, _STATUS):
            if isinstance(value, str) and _VALUE.fullmatch(value):
                values.setdefault(name, set()).add(value)
                counts[name] = counts.get(name, 0) + 1
    if values:
        best = max(values, key=lambda name: (len(values[name]), name == "status", counts[name], name))
        names = [best, *sorted(name for name in values if name != best and values[name] & values[best])]
        outcome = _outcome_name(messages, names)
        return lambda message: (outcome and _outcome(message, outcome)) or _first_status(message, names)
    if any(value is True for message in messages for _, _, value in _status_leaves(message, _DONE)):
        return _done_status
    return _by_shape(jobs)


def _outcome_name(messages: Sequence[Exchange], names: Sequence[str]) -> str | None:
    """Return the field beside the status that tells outcomes apart: they have one status, and this field differs.

    It is null or missing before, as the `conclusion` of a run of GitHub Actions is.
    """
    seen: dict[str, dict[str, set[str]]] = {}
    unset: set[str] = set()
    for message in messages:
        status = _first_status(message, names)
        for name, value in _beside_status(message, names).items():
            if value is None:
                unset.add(name)
            elif status is not None and isinstance(value, str) and _VALUE.fullmatch(value):
                seen.setdefault(name, {}).setdefault(status, set()).add(value)
    telling = [
        name
        for name, by_status in seen.items()
        if name in unset and len(by_status) == 1 and all(len(values) > 1 for values in by_status.values())
    ]
    given = {
        str(value) for message in messages if not message.inbound for _, value in leaves(message.request.body.value)
    }
    return next((name for name in telling if not given & set().union(*seen[name].values())), None)


def _beside_status(message: Exchange, names: Sequence[str]) -> dict[str, Any]:
    """Return the values in the map that has the status."""
    found = list(leaves(provider_value(message)))
    holders = {path[:-1] for path, _ in found if path and snake(path[-1]) in names}
    return {
        snake(path[-1]): value
        for path, value in found
        if path and path[:-1] in holders and snake(path[-1]) not in names
    }


def _outcome(message: Exchange, name: str) -> str | None:
    if not (message.inbound or message.is_success):
        return None
    values = (value for path, value in leaves(provider_value(message)) if path and snake(path[-1]) == name)
    return next((value for value in values if isinstance(value, str)), None)


def _first_status(message: Exchange, names: Sequence[str]) -> str | None:
    if not (message.inbound or message.is_success):
        return None
    found = [
        (names.index(name), depth, value) for depth, name, value in _status_leaves(message, _STATUS) if name in names
    ]
    texts = [(rank, depth, value) for rank, depth, value in found if isinstance(value, str) and _VALUE.fullmatch(value)]
    return min(texts, key=lambda one: one[:2])[2] if texts else None


def _done_status(message: Exchange) -> str | None:
    if not (message.inbound or message.is_success):
        return None
    return "done" if any(value is True for _, _, value in _status_leaves(message, _DONE)) else "running"


def _by_shape(jobs: Sequence[Trace]) -> StatusOf:
    """Return the status by the shape of polls: while they have another shape than the last one, the job is pending."""
    shapes: dict[tuple[str, str], list[str]] = {}
    for job in jobs:
        for message in job.linked:
            if not message.inbound:
                shapes.setdefault(_place(message, job), []).append(_shape(message))
    final = {place: _final_shape(found) for place, found in shapes.items() if len(set(found)) > 1}

    def status(message: Exchange) -> str | None:
        job = next((one for one in jobs if message in one.linked), None)
        if job is None:
            return None
        if message.inbound:
            return COMPLETED if len(job.webhooks) == 1 else None
        place = _place(message, job)
        return None if place not in final else COMPLETED if _shape(message) == final[place] else PENDING

    return status


def _final_shape(shapes: Sequence[str]) -> str:
    """Return the shape of polls after which nothing changes: the last one of a success."""
    return next((shape for shape in reversed(shapes) if shape.startswith("[2")), shapes[-1])


def _place(message: Exchange, job: Trace) -> tuple[str, str]:
    return message.method, message.path.replace(str(job.id), "{}")


def _shape(message: Exchange) -> str:
    value = message.response.body.value
    return json.dumps([message.status, sorted(value) if isinstance(value, dict) else type(value).__name__])
