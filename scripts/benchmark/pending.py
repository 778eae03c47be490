"""Webhooks that are pending: what each holds, and what a million of them cost."""

import asyncio
import json
import time
import urllib.request
from pathlib import Path

from costs import Contestant, growth, in_turns
from fill import fill
from processes import LATEHOOK, MOCKS, NOWHERE, QUIET, Proxy, load, mitmdump
from receivers import Receiver, receiver
from scale import Scale
from table import Row

FEW, MILLION = 1000, 1_000_000
FAR = 5 * 3600.0
"""Seconds until the first of them is due."""
SPREAD = 3600.0
"""Seconds over which they are."""
ADVANCE = "12h"
"""Past all of them, and those of the requests made meanwhile."""
DRAINED = 8.0
"""Seconds for which their delivery is watched, in the advance and after it."""


async def memory(folder: Path, scale: Scale) -> list[Row]:
    """What a pending webhook holds, its job and request in the store (in memory) included."""
    async with mitmdump(folder, LATEHOOK, QUIET, **NOWHERE) as proxy:
        await load(proxy, 10, "burst", 2000)  # to warm up
        before = proxy.memory
        await load(proxy, 10, "burst", scale.pending)
        grown = proxy.memory - before
    return [Row(f"memory, {scale.pending:,} webhooks pending in the store in memory", grown / scale.pending, "B each")]


async def million(folder: Path, scale: Scale) -> list[Row]:
    """A store file with a million webhooks that are pending, beside one with few."""
    name = f"{MILLION:,} webhooks pending in a store file"
    async with receiver() as received:
        variables = NOWHERE | {"CALLBACK_URL": received.url}
        few, many = folder / "few.sqlite", folder / "million.sqlite"
        await fill(few, MOCKS, variables, _dues(FEW))
        await fill(many, MOCKS, variables, _dues(MILLION))
        contestants = [Contestant((f"mock_file={MOCKS}", f"mock_store={store}")) for store in (few, many)]
        small, large = (mitmdump(folder, LATEHOOK, QUIET, *one.options, **variables) for one in contestants)
        async with small as of_few, large as of_many:
            each = (of_many.memory - of_few.memory) / (MILLION - FEW)
            costs = await in_turns((of_few, of_many), contestants, scale)
            advancing, after = await _drained(of_many, received)
    return [
        Row(f"{name}: memory", each, "B each", 300),
        growth("webhooks pending in a store file", (FEW, MILLION), costs, 1.2),
        Row(f"{name}: restart with them", of_many.took, "s", 20),
        Row(f"{name}: delivered while advanced past all, first {DRAINED:g} s", advancing, "webhooks/s"),
        Row(f"{name}: delivered then without an advance, {DRAINED:g} s", after, "webhooks/s"),
        Row(f"{name}: delivery while advanced to that without", advancing / after, "times", 0.8, at_most=False),
    ]


def _dues(count: int) -> list[float]:
    first = time.time() + FAR
    return [first + number * SPREAD / count for number in range(count)]


async def _drained(proxy: Proxy, received: Receiver) -> tuple[float, float]:
    """Webhooks delivered a second: within an advance past all, and after it, when they are simply due."""
    advance = asyncio.create_task(asyncio.to_thread(_advance, proxy))
    within = await _delivered(received)
    await advance
    after = await _delivered(received)
    return within, after


async def _delivered(received: Receiver) -> float:
    before, start = len(received.arrived), time.monotonic()
    await asyncio.sleep(DRAINED)
    return (len(received.arrived) - before) / (time.monotonic() - start)


def _advance(proxy: Proxy) -> None:
    url = f"http://127.0.0.1:{proxy.port}/_latehook/clock"
    body = json.dumps({"advance": ADVANCE}).encode()
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    opener.open(request, timeout=120).read()
