"""What a request costs the proxy, against what it asks for and what there is: mocks, hosts, connections, ended jobs."""

import json
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from fill import fill
from mocksfiles import HOSTS_LAST, MANY, many_hosts, many_mocks, the_last
from processes import DEFAULT, DEFAULT_MOCKS, LATEHOOK, MOCKS, NOWHERE, QUIET, Ask, Proxy, load, mitmdump
from scale import Scale
from table import Row, ratio

STANDS_STILL = "mock_speed=0.0001"
"""Keeps webhooks that DELAY does not put off out of the measurement."""
COMPLEX = "replicate"
"""Of the gallery's main requests the one that costs `service.answer` the most (twilio-sms: 0.9 of it, stripe: 0.8)."""
PREDICT = Ask(
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
"""Times the cost of a request that it may cost with a hundred times as many."""


@dataclass(frozen=True)
class Contestant:
    """A proxy with these options, and what it is asked."""

    options: tuple[str, ...]
    ask: Ask = DEFAULT
    connections: int = 10


async def gallery(folder: Path, scale: Scale) -> list[Row]:
    """The gallery's most complex mock and the default one in turns: as mitmdump is started, and where nobody looks.

    Several starts of both: one lies better in its memory than the other, by some hundredths.
    """
    rows = []
    file = LATEHOOK.parent / "providers" / f"{COMPLEX}.yaml"
    for mood, options, goal in (("flows printed", (), 1.25), (QUIET, (QUIET,), None)):
        plain, rich = await _costs(
            folder, scale, [_with(DEFAULT_MOCKS, DEFAULT), _with(file, PREDICT)], options, scale.starts
        )
        rows += [
            Row(f"CPU a request, {mood}: the default mock", median(plain), "ms"),
            Row(f"CPU a request, {mood}: {COMPLEX}'s mock", median(rich), "ms"),
            Row(f"CPU a request, {mood}: {COMPLEX}'s mock to the default", ratio(rich, plain), "times", goal),
        ]
    return rows


async def matching(folder: Path, scale: Scale) -> list[Row]:
    """The last of so many mocks for its host."""
    counts = (1, MANY // 10, MANY)
    contestants = [_with(many_mocks(folder, count), the_last(count)) for count in counts]
    return [await _growth(folder, scale, "mocks of one host", counts, contestants, 1.1)]


async def hosts(folder: Path, scale: Scale) -> list[Row]:
    """One mock for each of so many hosts."""
    counts = (1, MANY // 10, MANY)
    contestants = [_with(many_hosts(folder, count), HOSTS_LAST) for count in counts]
    return [await _growth(folder, scale, "hosts", counts, contestants, 1.1)]


async def connections(folder: Path, scale: Scale) -> list[Row]:
    """So many connections, most of them with a request under way."""
    counts = (1, 30, 900)
    contestants = [Contestant((STANDS_STILL,), connections=count) for count in counts]
    return [await _growth(folder, scale, "connections", counts, contestants, FLAT)]


async def ended_jobs(folder: Path, scale: Scale) -> list[Row]:
    """A store file in which so many jobs have ended."""
    counts = (1000, 10_000, 100_000)
    contestants = []
    for count in counts:
        store = folder / f"{count}-ended.sqlite"
        now = time.time()
        await fill(store, MOCKS, NOWHERE, [now] * count, ended=True)
        contestants.append(Contestant((f"mock_file={MOCKS}", f"mock_store={store}")))
    return [await _growth(folder, scale, "ended jobs in a store file", counts, contestants, FLAT)]


def growth(what: str, counts: Sequence[int], costs: Sequence[Sequence[float]], goal: float) -> Row:
    """Costs of a request beside each other; what is measured is the last to the first."""
    many = ", ".join(f"{count:,}" for count in counts)
    each = ", ".join(f"{median(cost):.2f}" for cost in costs)
    return Row(f"CPU a request with {many} {what}: {each} ms", ratio(costs[-1], costs[0]), "times", goal)


async def in_turns(proxies: Sequence[Proxy], contestants: Sequence[Contestant], scale: Scale) -> list[list[float]]:
    """For each: the milliseconds of processor time that a request took, round by round."""
    costs: list[list[float]] = [[] for _ in contestants]
    for proxy, one in zip(proxies, contestants, strict=True):
        await load(proxy, 10, "burst", 300, ask=one.ask)  # to warm up
    for _ in range(scale.rounds):
        for proxy, one, cost in zip(proxies, contestants, costs, strict=True):
            cost.append((await load(proxy, one.connections, "burst", scale.round_requests, ask=one.ask)).cost)
    return costs


async def _growth(
    folder: Path, scale: Scale, what: str, counts: Sequence[int], contestants: Sequence[Contestant], goal: float
) -> Row:
    return growth(what, counts, await _costs(folder, scale, contestants), goal)


async def _costs(
    folder: Path,
    scale: Scale,
    contestants: Sequence[Contestant],
    options: Sequence[str] = (QUIET,),
    starts: int = 1,
) -> list[list[float]]:
    costs: list[list[float]] = [[] for _ in contestants]
    for _ in range(starts):
        async with AsyncExitStack() as stack:
            proxies = [
                await stack.enter_async_context(mitmdump(folder, LATEHOOK, *options, *one.options, **NOWHERE))
                for one in contestants
            ]
            for cost, more in zip(costs, await in_turns(proxies, contestants, scale), strict=True):
                cost += more
    return costs


def _with(file: Path, ask: Ask) -> Contestant:
    return Contestant((f"mock_file={file}", STANDS_STILL), ask)
