"""Measures Latehook as it is shipped, and prints what it found beside the goals; `soak`: in the long run."""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

from processes import (
    BARE,
    DEFAULT,
    ENDPOINT,
    LATEHOOK,
    MOCKS,
    Answered,
    Ask,
    Proxy,
    Receiver,
    hanging_receiver,
    load,
    mitmdump,
    receiver,
)

QUIET = "flow_detail=0"
AFTER = 5
"""Seconds from a request to its webhook, where webhooks are measured."""
NEVER = "5h"
"""Where they are not: no webhook falls into the measurement."""
PATIENCE = 60.0
"""Seconds after which a webhook that has not arrived counts as lost."""
STANDS_STILL = "mock_speed=0.0001"
"""Nor does one that DELAY does not put off."""
NOWHERE = {"CALLBACK_URL": "http://127.0.0.1:9/webhook", "DELAY": NEVER}
DEFAULT_MOCKS = LATEHOOK.with_name("mocks.yaml")
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
HANG = Ask("http://hanging.example/jobs")
HUNG = 1000
SOAKED = 80
"""Jobs a second of a soak."""
MANY = 500
"""Mocks in one file, where many are measured: the default one, each with a path of its own."""
LAST = Ask(f"http://{ENDPOINT}/{MANY - 1}?some_parameter=some_value")


@dataclass(frozen=True)
class Scale:
    """How much is done."""

    rounds: int
    round_seconds: int
    paced_seconds: int
    burst: int
    pending: int
    edits: int


FULL = Scale(rounds=5, round_seconds=4, paced_seconds=8, burst=3000, pending=20_000, edits=5)
SCALE = {False: FULL, True: Scale(rounds=3, round_seconds=1, paced_seconds=4, burst=2000, pending=5_000, edits=1)}


@dataclass(frozen=True)
class Row:
    """One line of the table. `goal` is the limit that `measured` is to keep to, from below (`at_most`) or above."""

    name: str
    measured: float
    unit: str
    goal: float | None = None
    at_most: bool = True

    @property
    def missed(self) -> bool:
        if self.goal is None:
            return False
        return self.measured > self.goal if self.at_most else self.measured < self.goal

    def cells(self) -> tuple[str, str, str, str]:
        if self.goal is None:
            return self.name, f"{self.measured:.4g} {self.unit}", "", ""
        sign = "≤" if self.at_most else "≥"
        verdict = "MISSED" if self.missed else "ok"
        return self.name, f"{self.measured:.4g} {self.unit}", f"{sign} {self.goal:g} {self.unit}", verdict


async def throughput(folder: Path, scale: Scale) -> list[Row]:
    """Bare and ours in turns: what else the machine does meets both."""
    contestants = {
        "bare, flows printed": (BARE, ()),
        "ours, flows printed": (LATEHOOK, ()),
        "bare, flow_detail=0": (BARE, (QUIET,)),
        "ours, flow_detail=0": (LATEHOOK, (QUIET,)),
    }
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    async with AsyncExitStack() as stack:
        proxies = {}
        for name, (script, options) in contestants.items():
            proxies[name] = await stack.enter_async_context(mitmdump(folder, script, *options, **NOWHERE))
            await load(proxies[name], 10, "burst", 300)  # to warm up
        for _ in range(scale.rounds):
            for name, proxy in proxies.items():
                rates[name].append(_rate(await load(proxy, 10, "steady", scale.round_seconds)))
    printed = _ratio(rates["ours, flows printed"], rates["bare, flows printed"])
    quiet = _ratio(rates["ours, flow_detail=0"], rates["bare, flow_detail=0"])
    return [
        *(Row(f"throughput: {name}", median(measured), "requests/s") for name, measured in rates.items()),
        Row("ours to bare, flows printed", printed, "times", 1.0, at_most=False),
        Row("ours to bare, flow_detail=0", quiet, "times", 1.8, at_most=False),
    ]


async def paced(folder: Path, scale: Scale) -> list[Row]:
    """200 requests a second, and meanwhile the webhooks of earlier ones."""
    seconds = scale.paced_seconds
    name = f"200 requests/s for {seconds} s"

    async def run(proxy: Proxy, received: Receiver) -> list[Row]:
        requests, cpu = await _jobs(proxy, received, load(proxy, 50, "paced", seconds, 200))
        late = _late(requests, received, lambda request: request.sent)
        answer = [1000 * (request.at - request.sent) for request in requests]
        return [
            Row(f"{name}: lost", len(requests) - len(late), "webhooks", 0),
            Row(f"{name}: answer, p50", _percentile(answer, 50), "ms"),
            Row(f"{name}: answer, p99", _percentile(answer, 99), "ms", 30),
            Row(f"{name}: late, p50", _percentile(late, 50), "ms"),
            Row(f"{name}: late, p99", _percentile(late, 99), "ms", 29),
            Row(f"{name}: CPU", cpu, "ms a job"),
        ]

    return await _measured(folder, 0.0, run)


async def burst(folder: Path, scale: Scale) -> list[Row]:
    """All at once; then their webhooks, to a receiver that takes its time.

    A request waits long until the proxy comes to read it, so that no time of the client's is its end. Late therefore
    counts from its answer; and, harder, from `job.created_at`: when Latehook had read it.
    """
    name = f"{scale.burst:,} requests at once, receiver takes 50 ms"

    async def run(proxy: Proxy, received: Receiver) -> list[Row]:
        requests, cpu = await _jobs(proxy, received, load(proxy, 300, "burst", scale.burst))
        after_answer = _late(requests, received, lambda request: request.at)
        after_end = _late(requests, received, lambda request: received.created_at[request.identifier])
        return [
            Row(f"{name}: lost", len(requests) - len(after_end), "webhooks", 0),
            Row(f"{name}: answered", _rate(requests), "requests/s"),
            Row(f"{name}: late after the answer, p99", _percentile(after_answer, 99), "ms", 66),
            Row(f"{name}: late after the request's end, p50", _percentile(after_end, 50), "ms"),
            Row(f"{name}: late after the request's end, p99", _percentile(after_end, 99), "ms"),
            Row(f"{name}: CPU", cpu, "ms a job", 2.1),
        ]

    return await _measured(folder, 0.05, run)


async def hanging(folder: Path, scale: Scale) -> list[Row]:
    """What others notice of a receiver that hangs."""
    name = f"{HUNG:,} webhooks owed to a receiver that hangs"
    async with hanging_receiver() as url, receiver() as received:
        variables = {"CALLBACK_URL": received.url, "HANGING_URL": url, "DELAY": f"{AFTER}s"}
        async with mitmdump(folder, LATEHOOK, QUIET, f"mock_file={MOCKS}", **variables) as proxy:
            _rate(await load(proxy, 50, "burst", HUNG, ask=HANG))
            requests, _ = await _jobs(proxy, received, load(proxy, 50, "paced", scale.paced_seconds, 100))
    late = _late(requests, received, lambda request: request.sent)
    return [
        Row(f"{name}: others lost", len(requests) - len(late), "webhooks", 0),
        Row(f"{name}: others late, p99", _percentile(late, 99), "ms", 100),
    ]


async def soak(folder: Path, minutes: float) -> list[Row]:
    """Jobs at a steady rate into a store file: what grows?"""
    seconds = round(60 * minutes)
    store = folder / "soak.sqlite"
    name = f"{SOAKED} jobs/s into a store file for {minutes:g} min"

    async with receiver() as received:
        variables = {"CALLBACK_URL": received.url, "DELAY": f"{AFTER}s"}
        options = (QUIET, f"mock_file={MOCKS}", f"mock_store={store}")
        async with mitmdump(folder, LATEHOOK, *options, **variables) as proxy:
            watch = asyncio.create_task(_watch(proxy, store.with_name(f"{store.name}-wal")))
            requests, cpu = await _jobs(proxy, received, load(proxy, 50, "paced", seconds, SOAKED))
            watch.cancel()
            samples = await watch
    late = _late(requests, received, lambda request: request.sent)
    memory = [held for held, _ in samples]
    tenth = len(memory) // 10
    grown = median(memory[-tenth:]) - median(memory[3 * tenth : 4 * tenth])
    return [
        Row(f"{name}: answered otherwise", sum(request.identifier is None for request in requests), "requests", 0),
        Row(f"{name}: lost", len(requests) - len(late), "webhooks", 0),
        Row(f"{name}: memory, at the end", memory[-1] / 1e6, "MB"),
        Row(f"{name}: memory, grown from 30 % on", grown / 1e6, "MB", 5),
        Row(f"{name}: largest log", max(log for _, log in samples) / 1e6, "MB", 33),
        Row(f"{name}: late, p50", _percentile(late, 50), "ms"),
        Row(f"{name}: late, p99", _percentile(late, 99), "ms", 100),
        Row(f"{name}: CPU", cpu, "ms a job"),
    ]


async def _watch(proxy: Proxy, log: Path) -> list[tuple[int, int]]:
    """The bytes that the proxy holds, and those of the store's log, ten times a second until it is canceled."""
    samples = []
    try:
        while True:
            samples.append((proxy.memory, log.stat().st_size if log.exists() else 0))
            await asyncio.sleep(0.1)
    except asyncio.CancelledError:
        return samples


async def memory(folder: Path, scale: Scale) -> list[Row]:
    """What a pending webhook holds, its job and request in the store (in memory) included."""
    async with mitmdump(folder, LATEHOOK, QUIET, **NOWHERE) as proxy:
        await load(proxy, 10, "burst", 2000)  # to warm up
        before = proxy.memory
        await load(proxy, 10, "burst", scale.pending)
        grown = proxy.memory - before
    return [Row(f"memory, {scale.pending:,} webhooks pending in the store in memory", grown / scale.pending, "B each")]


async def gallery(folder: Path, scale: Scale) -> list[Row]:
    """The gallery's most complex mock and the default one in turns."""
    file = LATEHOOK.parent / "providers" / f"{COMPLEX}.yaml"
    plain, rich = await _costs(folder, scale, (DEFAULT_MOCKS, DEFAULT), (file, PREDICT))
    return [
        Row("CPU a request: the default mock", median(plain), "ms"),
        Row(f"CPU a request: {COMPLEX}'s mock", median(rich), "ms"),
        Row(f"CPU a request: {COMPLEX}'s mock to the default", _ratio(rich, plain), "times", 1.25),
    ]


async def matching(folder: Path, scale: Scale) -> list[Row]:
    """One mock, and the same as the last of many for its host, in turns."""
    one, many = _mocks(folder, range(MANY - 1, MANY)), _mocks(folder, range(MANY))
    alone, among = await _costs(folder, scale, (one, LAST), (many, LAST))
    return [
        Row("CPU a request: one mock", median(alone), "ms"),
        Row(f"CPU a request: the last of {MANY} mocks", median(among), "ms"),
        Row(f"CPU a request: the last of {MANY} to one", _ratio(among, alone), "times", 1.1),
    ]


async def loading(folder: Path, scale: Scale) -> list[Row]:
    """Many mocks are read again while requests come in, 50 a second."""
    file = _mocks(folder, range(MANY))
    during, otherwise, seconds = [], [], []
    async with mitmdump(folder, LATEHOOK, QUIET, f"mock_file={file}", **NOWHERE) as proxy:
        await load(proxy, 50, "burst", 300, ask=LAST)  # to warm up
        for number in range(1, scale.edits + 1):
            under_load = asyncio.create_task(load(proxy, 50, "paced", 3, 50, ask=LAST))
            await asyncio.sleep(1)
            start = time.time()
            file.write_text(f"{file.read_text()}# edited\n")
            await proxy.said("latehook: read again", number)
            end = time.time()
            seconds.append(end - start)
            requests = await under_load
            _rate(requests)  # all are answered as they should be
            for request in requests:
                within = request.sent < end and request.at > start
                (during if within else otherwise).append(1000 * (request.at - request.sent))
    name = f"{MANY} mocks are loaded"
    return [
        Row(f"{name}: takes, until they are in use", median(seconds), "s"),
        Row(f"{name}: answer otherwise, p50", median(otherwise), "ms"),
        Row(f"{name}: answer meanwhile, p50", median(during), "ms"),
        Row(f"{name}: slowest answer meanwhile", max(during), "ms", 50),
    ]


def _mocks(folder: Path, numbers: range) -> Path:
    """A file with the default mock once for each number, which ends its path."""
    head, entry, mock = DEFAULT_MOCKS.read_text().partition("  - match: ")
    mocks = (f"{entry}POST {ENDPOINT}/{number}\n{mock.partition('\n')[2]}" for number in numbers)
    file = folder / f"{len(numbers)}-mocks.yaml"
    file.write_text(head + "".join(mocks))
    return file


async def _costs(folder: Path, scale: Scale, *contestants: tuple[Path, Ask]) -> list[list[float]]:
    """For each mocks file and request: the milliseconds of processor time a request took, round by round."""
    costs: list[list[float]] = [[] for _ in contestants]
    async with AsyncExitStack() as stack:
        proxies = []
        for file, ask in contestants:
            proxy = mitmdump(folder, LATEHOOK, QUIET, f"mock_file={file}", STANDS_STILL, **NOWHERE)
            proxies.append(await stack.enter_async_context(proxy))
            await load(proxies[-1], 10, "burst", 300, ask=ask)  # to warm up
        for _ in range(scale.rounds):
            for proxy, (_, ask), cost in zip(proxies, contestants, costs, strict=True):
                before = proxy.cpu
                requests = await load(proxy, 10, "steady", scale.round_seconds, ask=ask)
                _rate(requests)  # to see that all were answered as they should be
                cost.append(1000 * (proxy.cpu - before) / len(requests))
    return costs


async def _measured(folder: Path, takes: float, run: Callable) -> list[Row]:
    async with receiver(takes) as received:
        async with mitmdump(
            folder, LATEHOOK, f"mock_file={MOCKS}", CALLBACK_URL=received.url, DELAY=f"{AFTER}s"
        ) as proxy:
            return await run(proxy, received)


async def _jobs(proxy: Proxy, received: Receiver, under_load) -> tuple[list[Answered], float]:
    """The requests, when their webhooks have arrived; and the milliseconds of processor time that each job took."""
    before = proxy.cpu
    requests = await under_load
    await received.wait(len(requests), PATIENCE)
    return requests, 1000 * (proxy.cpu - before) / len(requests)


def _rate(requests: list[Answered]) -> float:
    """Answers a second, between the first and the last."""
    if any(request.identifier is None for request in requests):
        sys.exit("scripts/bench: a request was not answered as it should be")
    return (len(requests) - 1) / (requests[-1].at - requests[0].at)


def _ratio(ours: list[float], bare: list[float]) -> float:
    """Round by round: what slows the machine down for a while slows both."""
    return median(mine / other for mine, other in zip(ours, bare, strict=True))


def _late(requests: Iterable[Answered], received: Receiver, end: Callable[[Answered], float]) -> list[float]:
    """How many milliseconds after its time each webhook that arrived did."""
    return [
        1000 * (received.arrived[request.identifier] - end(request) - AFTER)
        for request in requests
        if request.identifier in received.arrived
    ]


def _percentile(values: list[float], percent: int) -> float:
    return quantiles(values, n=100)[percent - 1] if len(values) > 1 else float("inf")


def _print(rows: list[Row]) -> None:
    table = [("", "measured", "goal", ""), *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


async def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("what", nargs="?", choices=["soak"], help="only this; else all others")
    parser.add_argument("--quick", action="store_true", help="a minute and a half, rougher numbers")
    parser.add_argument("--minutes", type=float, default=10, help="of a soak")
    arguments = parser.parse_args()
    busy = os.getloadavg()[0]
    rows = []
    with tempfile.TemporaryDirectory(prefix="latehook-bench-") as folder:
        if arguments.what == "soak":
            rows = await soak(Path(folder), arguments.minutes)
        else:
            for measure in (throughput, paced, burst, hanging, gallery, matching, loading, memory):
                rows += await measure(Path(folder), SCALE[arguments.quick])
                print(f"{measure.__name__}: done", file=sys.stderr)
    _print(rows)
    if busy > os.cpu_count() / 2:
        print(f"\nThe machine was busy before the start (load {busy:.1f} on {os.cpu_count()} cores): measure again.")
    return 1 if any(row.missed for row in rows) else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
