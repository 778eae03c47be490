"""Processor time of a request: for a complex mock, and with many mocks, hosts, connections or ended jobs."""

import json
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from mocks_files import MANY, POST_TO_LAST_HOST, many_hosts, many_mocks, post_to_last_mock
from processes import DEFAULT, DEFAULT_MOCKS, LATEHOOK, MOCKS, NO_WEBHOOK, QUIET, Post, Proxy, load, mitmdump
from scale import Scale
from store_files import fill
from table import Row, ratio

SLOW_CLOCK = "mock_speed=0.0001"
"""Keeps webhooks whose delay does not come from DELAY out of the measurement."""
COMPLEX = "replicate"
"""The provider file whose main request costs the most to decide (twilio-sms: 0.9 times as much, stripe: 0.8)."""
PREDICT = Post(
    "https://api.replicate.com/v1/predictions",
    json.dumps(
        {
            "version": "5c7d5dc6dd8bf75c1acaa8565735e7986bc5b66206b55cca93cb72c9bf15ccaa",
            "input": {"prompt": "a ship"},
            "webhook": "http://127.0.0.1:9/webhook",
            "webhook_events_filter": ["start", "completed"],
        }
    ),
    "id",
)
FLAT = 1.2
"""Largest allowed ratio of the cost of a request with many connections or ended jobs to that with few."""


@dataclass(frozen=True)
class Setup:
    """A proxy's options, and the requests that it gets."""

    options: tuple[str, ...]
    post: Post = DEFAULT
    connections: int = 10


async def gallery(folder: Path, scale: Scale) -> list[Row]:
    """Measure the most complex provider file and the default mock in turn, with flows printed and without.

    Both are started several times: the layout of a process's memory changes the cost by some hundredths.
    """
    rows = []
    file = LATEHOOK.parent / "providers" / f"{COMPLEX}.yaml"
    setups = [_setup(DEFAULT_MOCKS, DEFAULT), _setup(file, PREDICT)]
    printed: list[tuple[str, tuple[str, ...], float | None]] = [("flows printed", (), 1.25), (QUIET, (QUIET,), None)]
    for name, options, goal in printed:
        plain, rich = await _costs(folder, scale, setups, options, scale.starts)
        rows += [
            Row(f"CPU a request, {name}: the default mock", median(plain), "ms"),
            Row(f"CPU a request, {name}: {COMPLEX}'s mock", median(rich), "ms"),
            Row(f"CPU a request, {name}: {COMPLEX}'s mock to the default", ratio(rich, plain), "times", goal),
        ]
    return rows


async def matching(folder: Path, scale: Scale) -> list[Row]:
    """Measure requests that the last of many mocks of a host matches."""
    counts = (1, MANY // 10, MANY)
    setups = [_setup(many_mocks(folder, count), post_to_last_mock(count)) for count in counts]
    return [await _growth(folder, scale, "mocks of one host", counts, setups, 1.1)]


async def hosts(folder: Path, scale: Scale) -> list[Row]:
    """Measure requests with one mock for each of many hosts."""
    counts = (1, MANY // 10, MANY)
    setups = [_setup(many_hosts(folder, count), POST_TO_LAST_HOST) for count in counts]
    return [await _growth(folder, scale, "hosts", counts, setups, 1.1)]


async def connections(folder: Path, scale: Scale) -> list[Row]:
    """Measure requests over many connections, most of which have a request under way."""
    counts = (1, 30, 900)
    setups = [Setup((SLOW_CLOCK,), connections=count) for count in counts]
    return [await _growth(folder, scale, "connections", counts, setups, FLAT)]


async def ended_jobs(folder: Path, scale: Scale) -> list[Row]:
    """Measure requests with a store file that has many ended jobs."""
    counts = (1000, 10_000, 100_000)
    setups = []
    for count in counts:
        store = folder / f"{count}-ended.sqlite"
        now = time.time()
        await fill(store, MOCKS, NO_WEBHOOK, [now] * count, ended=True)
        setups.append(Setup((f"mock_file={MOCKS}", f"mock_store={store}")))
    return [await _growth(folder, scale, "ended jobs in a store file", counts, setups, FLAT)]


def growth(what: str, counts: Sequence[int], costs: Sequence[Sequence[float]], goal: float) -> Row:
    """Make the row of the costs of a request for each of `counts`. Its value is the ratio of the last to the first."""
    many = ", ".join(f"{count:,}" for count in counts)
    each = ", ".join(f"{median(cost):.2f}" for cost in costs)
    return Row(f"CPU a request with {many} {what}: {each} ms", ratio(costs[-1], costs[0]), "times", goal)


async def costs_in_turn(proxies: Sequence[Proxy], setups: Sequence[Setup], scale: Scale) -> list[list[float]]:
    """Return for each proxy the milliseconds of processor time of a request in each round."""
    costs: list[list[float]] = [[] for _ in setups]
    for proxy, setup in zip(proxies, setups, strict=True):
        await load(proxy, 10, "burst", 300, post=setup.post)  # to warm up
    for _ in range(scale.rounds):
        for proxy, setup, cost in zip(proxies, setups, costs, strict=True):
            cost.append((await load(proxy, setup.connections, "burst", scale.round_requests, post=setup.post)).cost)
    return costs


async def _growth(
    folder: Path, scale: Scale, what: str, counts: Sequence[int], setups: Sequence[Setup], goal: float
) -> Row:
    return growth(what, counts, await _costs(folder, scale, setups), goal)


async def _costs(
    folder: Path,
    scale: Scale,
    setups: Sequence[Setup],
    options: Sequence[str] = (QUIET,),
    starts: int = 1,
) -> list[list[float]]:
    costs: list[list[float]] = [[] for _ in setups]
    for _ in range(starts):
        async with AsyncExitStack() as stack:
            proxies = [
                await stack.enter_async_context(mitmdump(folder, LATEHOOK, *options, *setup.options))
                for setup in setups
            ]
            for cost, more in zip(costs, await costs_in_turn(proxies, setups, scale), strict=True):
                cost += more
    return costs


def _setup(file: Path, post: Post) -> Setup:
    return Setup((f"mock_file={file}", SLOW_CLOCK), post)
