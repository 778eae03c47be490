"""Requests a second, ours beside the bare addon's, in turns: what else the machine does meets both."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from processes import BARE, DEFAULT, LATEHOOK, NOWHERE, OVER_TLS, QUIET, Ask, load, mitmdump
from scale import Scale
from table import Row, ratio

LAZY = "connection_strategy=lazy"
"""Without this a bare mitmdump wants to reach the third party, and answers nothing over TLS."""


@dataclass(frozen=True)
class Way:
    """How requests come."""

    name: str
    ask: Ask
    kind: str = "steady"


HTTP = Way("HTTP", DEFAULT)
TLS = Way("TLS, keep-alive", OVER_TLS)
FRESH = Way("TLS, a connection each", OVER_TLS, "fresh")

PRINTED, NO_DETAIL = "flows printed", QUIET
GOALS = [
    (HTTP, PRINTED, "ours", 1.1),
    (HTTP, PRINTED, "ours with a store file", 1.0),
    (TLS, PRINTED, "ours", 1.1),
    (TLS, PRINTED, "ours with a store file", 1.0),
    (FRESH, PRINTED, "ours", 1.0),
    (HTTP, NO_DETAIL, "ours", 2.2),
    (TLS, NO_DETAIL, "ours", 2.0),
]
"""(way, what is printed, who, times the bare addon's rate)"""


async def throughput(folder: Path, scale: Scale) -> list[Row]:
    contestants = {
        (PRINTED, "bare"): (BARE, (LAZY,)),
        (PRINTED, "ours"): (LATEHOOK, ()),
        (PRINTED, "ours with a store file"): (LATEHOOK, (f"mock_store={folder / 'throughput.sqlite'}",)),
        (NO_DETAIL, "bare"): (BARE, (LAZY, QUIET)),
        (NO_DETAIL, "ours"): (LATEHOOK, (QUIET,)),
    }
    turns = {(way, mood, one): [] for way, mood, who, _ in GOALS for one in ("bare", who)}
    async with AsyncExitStack() as stack:
        proxies = {}
        for key, (script, options) in contestants.items():
            proxies[key] = await stack.enter_async_context(mitmdump(folder, script, *options, **NOWHERE))
            await load(proxies[key], 10, "burst", 200)  # to warm up
        for _ in range(scale.rounds):
            for (way, mood, who), rates in turns.items():
                rates.append((await load(proxies[mood, who], 10, way.kind, scale.round_seconds, ask=way.ask)).rate)
    return [
        *(Row(f"throughput: {_named(*turn)}", median(rates), "requests/s") for turn, rates in turns.items()),
        *(
            Row(
                f"{_named(way, mood, who)}, to bare",
                ratio(turns[way, mood, who], turns[way, mood, "bare"]),
                "times",
                goal,
                at_most=False,
            )
            for way, mood, who, goal in GOALS
        ),
    ]


def _named(way: Way, mood: str, who: str) -> str:
    return f"{way.name}, {mood}: {who}"
