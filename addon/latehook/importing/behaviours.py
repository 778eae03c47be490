"""PURE: groups requests by how they were answered."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from latehook.importing.exchanges import Exchange
from latehook.importing.stages import Timeline

_ROOT = re.compile(r"\s*(?:<\?xml[^>]*\?>\s*)?<([A-Za-z_][\w:.-]*)")
"""The root element of XML or HTML."""


def is_error(group: Sequence[Exchange]) -> bool:
    return not group[0].is_success


def is_read(group: Sequence[Exchange]) -> bool:
    return group[0].method == "GET" and group[0].is_success and group[0].response.body.kind == "json"


def alike(first: Exchange, second: Exchange) -> bool:
    return _behaviour(first) == _behaviour(second)


def _behaviour(exchange: Exchange) -> str:
    """Return what tells answers of different kinds apart: the status, and which fields or root element the body has."""
    body = exchange.response.body
    root = _ROOT.match(body.value) if isinstance(body.value, str) else None
    return json.dumps([exchange.status, body.kind, _fields(body.value, 2), root and root[1]], sort_keys=True)


def _fields(value: Any, depth: int) -> Any:
    if isinstance(value, dict) and depth:
        return {
            str(key): _fields(item, depth - 1) for key, item in sorted(value.items(), key=lambda pair: str(pair[0]))
        }
    return None


def by_behaviour(exchanges: Sequence[Exchange], life_of: Mapping[Exchange, Timeline]) -> list[list[Exchange]]:
    """Return the exchanges in groups that were answered alike, and whose jobs went through the same statuses."""
    groups: list[list[Exchange]] = []
    for exchange in exchanges:
        fitting = (
            group
            for group in groups
            if alike(group[0], exchange) and _same_life(life_of.get(group[0]), life_of.get(exchange))
        )
        group = next(fitting, None)
        if group is None:
            groups.append([exchange])
        elif exchange in life_of and len(life_of[exchange].segments[0].stages) > len(
            life_of[group[0]].segments[0].stages
        ):
            group.insert(0, exchange)
        else:
            group.append(exchange)
    return groups


def _same_life(first: Timeline | None, second: Timeline | None) -> bool:
    """Return whether two jobs went the same way, as far as both were recorded."""
    if first is None or second is None:
        return first is second
    ways = [[(stage.status, stage.webhook is None) for stage in life.segments[0].stages] for life in (first, second)]
    statuses = [[status for status, _ in way if status is not None] for way in ways]
    return all(one == other for one, other in zip(*statuses, strict=False))
