"""Requests a second, with Latehook and with the bare addon in turn: other load on the machine slows both."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from processes import BARE_ADDON, DEFAULT, LATEHOOK, OVER_TLS, QUIET, Post, load, mitmdump
from scale import Scale
from table import Row, ratio

LAZY = "connection_strategy=lazy"
"""Without this option, mitmdump with the bare addon connects to the third party before it answers a TLS request."""


@dataclass(frozen=True)
class Traffic:
    """How the requests are sent. `kind` is the load generator's."""

    name: str
    post: Post
    kind: str = "steady"


HTTP = Traffic("HTTP", DEFAULT)
TLS = Traffic("TLS, keep-alive", OVER_TLS)
FRESH = Traffic("TLS, a connection each", OVER_TLS, "fresh")

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
"""(traffic, what mitmdump prints, proxy, least ratio of its rate to the bare addon's)"""


async def throughput(folder: Path, scale: Scale) -> list[Row]:
    """Measure the rate of each proxy with each kind of traffic, and its ratio to the bare addon's."""
    proxies_to_start: dict[tuple[str, str], tuple[Path, tuple[str, ...]]] = {
        (PRINTED, "bare"): (BARE_ADDON, (LAZY,)),
        (PRINTED, "ours"): (LATEHOOK, ()),
        (PRINTED, "ours with a store file"): (LATEHOOK, (f"mock_store={folder / 'throughput.sqlite'}",)),
        (NO_DETAIL, "bare"): (BARE_ADDON, (LAZY, QUIET)),
        (NO_DETAIL, "ours"): (LATEHOOK, (QUIET,)),
    }
    rates: dict[tuple[Traffic, str, str], list[float]] = {
        (traffic, printed, name): [] for traffic, printed, ours, _ in GOALS for name in ("bare", ours)
    }
    async with AsyncExitStack() as stack:
        proxies = {}
        for key, (script, options) in proxies_to_start.items():
            proxies[key] = await stack.enter_async_context(mitmdump(folder, script, *options))
            await load(proxies[key], 10, "burst", 200)  # to warm up
        for _ in range(scale.rounds):
            for (traffic, printed, name), measured in rates.items():
                loaded = await load(proxies[printed, name], 10, traffic.kind, scale.round_seconds, post=traffic.post)
                measured.append(loaded.rate)
    return [
        *(Row(f"throughput: {_title(*key)}", median(measured), "requests/s") for key, measured in rates.items()),
        *(
            Row(
                f"{_title(traffic, printed, name)}, to bare",
                ratio(rates[traffic, printed, name], rates[traffic, printed, "bare"]),
                "times",
                goal,
                at_most=False,
            )
            for traffic, printed, name, goal in GOALS
        ),
    ]


def _title(traffic: Traffic, printed: str, name: str) -> str:
    return f"{traffic.name}, {printed}: {name}"
