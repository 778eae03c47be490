"""Whole jobs, from the request to its webhook: loss, lateness, processor time, and the highest rate that goes well."""

import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from fill import fill
from processes import LATEHOOK, MOCKS, QUIET, Answered, Ask, Load, Proxy, load, mitmdump
from receivers import Receiver, hanging_receiver, receiver
from scale import Scale
from table import Row, percentile

AFTER = 5
"""Seconds from a request to its webhook."""
SOON = 1
"""The same, where the rate counts: requests and webhooks are to meet for most of the time."""
PATIENCE = 60.0
"""Seconds after which a webhook that has not arrived counts as lost."""
HANG = Ask("http://hanging.example/jobs")
HUNG = 1000
WIDE = "mock_workers=128"
"""A burst is answered faster than 64 attempts at once, the default, can be made to a receiver that takes 50 ms: 1,280
a second. What is late then is late for want of these.
"""
INSTANT = 10_000
"""Webhooks due in one instant."""
LEAD = 5.0
"""Seconds in which they are written and mitmdump starts."""
STEPS = 0.1
"""Between the rates that are tried, as a part of the goal."""


async def paced(folder: Path, scale: Scale) -> list[Row]:
    """200 requests a second, and meanwhile the webhooks of earlier ones."""
    seconds = scale.paced_seconds
    name = f"200 requests/s for {seconds} s"

    async def run(proxy: Proxy, received: Receiver) -> list[Row]:
        loaded, cpu = await jobs(proxy, received, load(proxy, 50, "paced", seconds, 200))
        requests = loaded.requests
        late = lateness(requests, received, lambda request: request.sent)
        return [
            Row(f"{name}: lost", len(requests) - len(late), "webhooks", 0),
            Row(f"{name}: answer, p50", percentile(answers(requests), 50), "ms"),
            Row(f"{name}: answer, p99", percentile(answers(requests), 99), "ms", 30),
            Row(f"{name}: late, p50", percentile(late, 50), "ms"),
            Row(f"{name}: late, p99", percentile(late, 99), "ms", 29),
            Row(f"{name}: CPU", cpu, "ms a job"),
        ]

    return await _measured(folder, 0.0, run)


async def burst(folder: Path, scale: Scale) -> list[Row]:
    """All at once; then their webhooks, to a receiver that takes its time, as wide as they need it and by default."""
    rows = []
    for options in ((WIDE,), ()):
        name = f"{scale.burst:,} requests at once, receiver takes 50 ms{''.join(f', {option}' for option in options)}"
        rows += await _burst(folder, scale.burst, name, *options)
    return rows


async def _burst(folder: Path, count: int, name: str, *options: str) -> list[Row]:
    """A request waits long until the proxy comes to read it, so that no time of the client's is its end. Late therefore
    counts from its answer; and, harder, from `job.created_at`: when Latehook had read it.
    """

    async def run(proxy: Proxy, received: Receiver) -> list[Row]:
        loaded, cpu = await jobs(proxy, received, load(proxy, 300, "burst", count))
        requests = loaded.requests
        after_answer = lateness(requests, received, lambda request: request.at)
        after_end = lateness(requests, received, lambda request: received.created_at[request.identifier])
        return [
            Row(f"{name}: lost", len(requests) - len(after_end), "webhooks", 0),
            Row(f"{name}: answered", loaded.rate, "requests/s"),
            Row(f"{name}: late after the answer, p99", percentile(after_answer, 99), "ms", 60 if options else None),
            Row(f"{name}: late after the request's end, p99", percentile(after_end, 99), "ms"),
            Row(f"{name}: CPU", cpu, "ms a job", 2.1),
        ]

    return await _measured(folder, 0.05, run, *options)


async def hanging(folder: Path, scale: Scale) -> list[Row]:
    """What others notice of a receiver that hangs."""
    name = f"{HUNG:,} webhooks owed to a receiver that hangs"
    async with hanging_receiver() as url, receiver() as received:
        variables = {"CALLBACK_URL": received.url, "HANGING_URL": url, "DELAY": f"{AFTER}s"}
        async with mitmdump(folder, LATEHOOK, QUIET, f"mock_file={MOCKS}", **variables) as proxy:
            (await load(proxy, 50, "burst", HUNG, ask=HANG)).check()
            loaded, _ = await jobs(proxy, received, load(proxy, 50, "paced", scale.paced_seconds, 100))
    requests = loaded.requests
    late = lateness(requests, received, lambda request: request.sent)
    return [
        Row(f"{name}: others lost", len(requests) - len(late), "webhooks", 0),
        Row(f"{name}: others late, p99", percentile(late, 99), "ms", 100),
    ]


async def highest_rate(folder: Path, scale: Scale) -> list[Row]:
    """The highest steady rate on one core, looked for from the goal on; and what a job costs there and on the way."""
    rows = []
    for mood, options, goal, cpu in ((QUIET, (QUIET,), 650, 1.3), ("flows printed", (), 400, 2.1)):
        async with receiver() as received:
            variables = {"CALLBACK_URL": received.url, "DELAY": f"{SOON}s"}
            options = (*options, f"mock_file={MOCKS}")
            async with mitmdump(folder, LATEHOOK, *options, one_core=True, **variables) as proxy:
                await jobs(proxy, received, load(proxy, 10, "burst", 300))  # to warm up
                costs = await _search(proxy, received, goal, scale)
        highest = max((rate for rate, cost in costs.items() if cost is not None), default=0)
        rows += [
            Row(f"whole jobs, {mood}: highest steady rate on one core", highest, "jobs/s", goal, at_most=False),
            *(
                Row(f"whole jobs, {mood}: CPU at {rate}/s", cost, "ms a job", cpu if rate == highest else None)
                for rate, cost in costs.items()
                if cost is not None
            ),
        ]
    return rows


async def _search(proxy: Proxy, received: Receiver, goal: int, scale: Scale) -> dict[int, float | None]:
    """What a job costs at each rate that was tried, from the goal on up, or down; None where it does not go well."""
    costs = {goal: await _cost(proxy, received, goal, scale)}
    step = STEPS if costs[goal] is not None else -STEPS
    for number in range(1, scale.steps):
        rate = round(goal * (1 + step * number))
        costs[rate] = await _cost(proxy, received, rate, scale)
        if (costs[rate] is None) != (costs[goal] is None):
            break
    return costs


async def _cost(proxy: Proxy, received: Receiver, rate: int, scale: Scale) -> float | None:
    """A job's milliseconds of processor time at a rate; None where that does not go well.

    It does with answers p99 within 50 ms, webhooks within 100 ms, none lost; one hiccup of the machine is forgiven.
    """
    for _ in range(2):
        received.forget()
        loaded, cpu = await jobs(proxy, received, load(proxy, 200, "paced", scale.paced_seconds / 2, rate))
        requests = loaded.requests
        late = lateness(requests, received, lambda request: request.sent, SOON)
        lost = len(requests) - len(late)
        if not lost and percentile(answers(requests), 99) <= 50 and percentile(late, 99) <= 100:
            return cpu
    return None


async def instant(folder: Path, scale: Scale) -> list[Row]:
    """What requests notice while many webhooks are due in one instant."""
    name = f"{INSTANT:,} due in one instant, and 100 requests/s"
    store = folder / "instant.sqlite"
    async with receiver() as received:
        variables = {"CALLBACK_URL": received.url, "DELAY": f"{AFTER}s"}
        due = time.time() + LEAD
        await fill(store, MOCKS, variables, [due] * INSTANT)
        options = (f"mock_file={MOCKS}", f"mock_store={store}")
        async with mitmdump(folder, LATEHOOK, *options, **variables) as proxy:
            requests = (await load(proxy, 50, "paced", LEAD + 15, 100)).requests
            await received.wait(len(requests) + INSTANT, PATIENCE)
    asked = {request.identifier for request in requests}
    arrived = [at for identifier, at in received.arrived.items() if identifier not in asked]
    end = max(arrived, default=due)
    meanwhile = [request for request in requests if request.at > due and request.sent < end]
    return [
        Row(f"{name}: lost", INSTANT + len(requests) - len(received.arrived), "webhooks", 0),
        Row(f"{name}: delivered", len(arrived) / (end - due), "webhooks/s"),
        Row(f"{name}: answer meanwhile, p50", percentile(answers(meanwhile), 50), "ms"),
        Row(f"{name}: answer meanwhile, p99", percentile(answers(meanwhile), 99), "ms", 100),
    ]


async def jobs(proxy: Proxy, received: Receiver, under_load: Awaitable[Load]) -> tuple[Load, float]:
    """What was loaded, when its webhooks have arrived; and the milliseconds of processor time that each job took."""
    loaded = await under_load
    before = proxy.cpu
    await received.wait(len(loaded.requests), PATIENCE)
    return loaded, 1000 * (loaded.cpu + proxy.cpu - before) / len(loaded.requests)


def answers(requests: Iterable[Answered]) -> list[float]:
    """How many milliseconds each answer took."""
    return [1000 * (request.at - request.sent) for request in requests]


def lateness(
    requests: Iterable[Answered], received: Receiver, end: Callable[[Answered], float], after: float = AFTER
) -> list[float]:
    """How many milliseconds after its time each webhook that arrived did."""
    return [
        1000 * (received.arrived[request.identifier] - end(request) - after)
        for request in requests
        if request.identifier in received.arrived
    ]


async def _measured(
    folder: Path, takes: float, run: Callable[[Proxy, Receiver], Awaitable[list[Row]]], *options: str
) -> list[Row]:
    async with receiver(takes) as received:
        variables = {"CALLBACK_URL": received.url, "DELAY": f"{AFTER}s"}
        async with mitmdump(folder, LATEHOOK, f"mock_file={MOCKS}", *options, **variables) as proxy:
            return await run(proxy, received)
