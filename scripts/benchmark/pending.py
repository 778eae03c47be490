"""Pending webhooks: the memory that each needs, and the cost of a million of them."""

import asyncio
import json
import time
import urllib.request
from pathlib import Path

from processes import LATEHOOK, MOCKS, NO_WEBHOOK, QUIET, Proxy, load, mitmdump
from receivers import Receiver, receiver
from request_cost import Setup, costs_in_turn, growth
from scale import Scale
from store_files import fill
from table import Row

FEW, MILLION = 1000, 1_000_000
FIRST_DUE = 5 * 3600.0
"""Seconds until the first of the webhooks is due."""
SPREAD = 3600.0
"""Seconds between the first and the last due time."""
ADVANCE = "12h"
"""Moves the clock past all due times, also those of the requests that are measured."""
WATCHED = 8.0
"""Seconds for which deliveries are counted, during the advance and again after it."""


async def memory(folder: Path, scale: Scale) -> list[Row]:
    """Measure the memory of a pending webhook, with its job and request in the store in memory."""
    async with mitmdump(folder, LATEHOOK, QUIET) as proxy:
        await load(proxy, 10, "burst", 2000)  # to warm up
        before = proxy.memory
        await load(proxy, 10, "burst", scale.pending)
        grown = proxy.memory - before
    return [Row(f"memory, {scale.pending:,} webhooks pending in the store in memory", grown / scale.pending, "B each")]


async def million(folder: Path, scale: Scale) -> list[Row]:
    """Measure a proxy whose store file has a million pending webhooks, and one whose has few."""
    name = f"{MILLION:,} webhooks pending in a store file"
    async with receiver() as received:
        variables = NO_WEBHOOK | {"CALLBACK_URL": received.url}
        few, many = folder / "few.sqlite", folder / "million.sqlite"
        await fill(few, MOCKS, variables, _dues(FEW))
        await fill(many, MOCKS, variables, _dues(MILLION))
        setups = [Setup((f"mock_file={MOCKS}", f"mock_store={store}")) for store in (few, many)]
        small, large = (mitmdump(folder, LATEHOOK, QUIET, *setup.options, variables=variables) for setup in setups)
        async with small as with_few, large as with_many:
            each = (with_many.memory - with_few.memory) / (MILLION - FEW)
            costs = await costs_in_turn((with_few, with_many), setups, scale)
            advancing, after = await _delivery_rates(with_many, received)
    return [
        Row(f"{name}: memory", each, "B each", 300),
        growth("webhooks pending in a store file", (FEW, MILLION), costs, 1.2),
        Row(f"{name}: restart with them", with_many.start_seconds, "s", 20),
        Row(f"{name}: delivered while advanced past all, first {WATCHED:g} s", advancing, "webhooks/s"),
        Row(f"{name}: delivered then without an advance, {WATCHED:g} s", after, "webhooks/s"),
        Row(f"{name}: delivery while advanced to that without", advancing / after, "times", 0.8, at_most=False),
    ]


def _dues(count: int) -> list[float]:
    first = time.time() + FIRST_DUE
    return [first + number * SPREAD / count for number in range(count)]


async def _delivery_rates(proxy: Proxy, received: Receiver) -> tuple[float, float]:
    """Return the webhooks delivered a second during an advance past all due times, and after that advance."""
    advance = asyncio.create_task(asyncio.to_thread(_advance, proxy))
    during = await _delivery_rate(received)
    await advance
    return during, await _delivery_rate(received)


async def _delivery_rate(received: Receiver) -> float:
    before, start = len(received.arrived), time.monotonic()
    await asyncio.sleep(WATCHED)
    return (len(received.arrived) - before) / (time.monotonic() - start)


def _advance(proxy: Proxy) -> None:
    url = f"http://127.0.0.1:{proxy.port}/_latehook/clock"
    body = json.dumps({"advance": ADVANCE}).encode()
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    opener.open(request, timeout=120).read()
