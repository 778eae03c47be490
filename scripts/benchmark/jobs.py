"""Whole jobs, from the request to its webhook: losses, lateness, processor time, and the highest steady rate."""

import heapq
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from processes import LATEHOOK, MOCKS, QUIET, Answered, Load, Post, Proxy, Target, load, mitmdump
from receivers import Receiver, hanging_receiver, receiver
from scale import Scale
from store_files import fill
from table import Row, percentile

from latehook.delivery.dispatcher import DEFAULT_WORKERS

DELAY = 5
"""Seconds from a request to its webhook."""
SHORT_DELAY = 1
"""The same in the search for the highest rate, so that requests and webhooks overlap for most of the time."""
LOST_AFTER = 60.0
"""Seconds after which a webhook that has not arrived counts as lost."""
POST_TO_HANGING = Post("http://hanging.example/jobs")
PENDING = 1000
"""Webhooks to the receiver that never answers."""
INSTANT = 10_000
"""Webhooks that are due at one instant."""
LEAD = 5.0
"""Seconds until that instant: the store file is written meanwhile, and mitmdump starts."""
STEP = 0.1
"""Difference between two rates that are tried, as a fraction of the goal."""


async def paced(folder: Path, scale: Scale) -> list[Row]:
    """Measure 200 requests a second, while the webhooks of earlier ones are sent."""
    seconds = scale.paced_seconds
    name = f"200 requests/s for {seconds} s"

    async def run(proxy: Proxy, received: Receiver) -> list[Row]:
        loaded, cpu = await run_jobs(proxy, received, load(proxy, 50, "paced", seconds, 200))
        requests = loaded.requests
        late = lateness(requests, received, lambda request: request.sent)
        return [
            Row(f"{name}: lost", len(requests) - len(late), "webhooks", 0),
            Row(f"{name}: answer, p50", percentile(response_times(requests), 50), "ms"),
            Row(f"{name}: answer, p99", percentile(response_times(requests), 99), "ms", 30),
            Row(f"{name}: late, p50", percentile(late, 50), "ms"),
            Row(f"{name}: late, p99", percentile(late, 99), "ms", 29),
            Row(f"{name}: CPU", cpu, "ms a job"),
        ]

    return await _with_receiver(folder, 0.0, run)


async def burst(folder: Path, scale: Scale) -> list[Row]:
    """Measure many requests at once, whose webhooks go to a slow receiver.

    A request waits until the proxy reads it, so the client does not know when its delay begins. Lateness therefore
    counts from the response, and, more strictly, from `job.created_at`, the time when Latehook had read the request.

    On a fast machine more webhooks are due in a second than the receiver answers: 2,560 with 128 attempts at once. That
    part of the lateness is the receiver's. The goal is for the rest.
    """
    takes = 0.05
    name = f"{scale.burst:,} requests at once, receiver takes {1000 * takes:g} ms"

    async def run(proxy: Proxy, received: Receiver) -> list[Row]:
        loaded, cpu = await run_jobs(proxy, received, load(proxy, 300, "burst", scale.burst))

        def created_at(request: Answered) -> float:
            return received.created_at[str(request.identifier)]

        requests = [request for request in loaded.requests if request.identifier in received.created_at]
        requests.sort(key=created_at)
        after_answer = lateness(requests, received, lambda request: request.at)
        of_receiver = waits(map(created_at, requests), DEFAULT_WORKERS, takes)
        after_end = lateness(requests, received, created_at)
        of_latehook = [late - waited for late, waited in zip(after_answer, of_receiver, strict=True)]
        return [
            Row(f"{name}: lost", len(loaded.requests) - len(requests), "webhooks", 0),
            Row(f"{name}: answered", loaded.rate, "requests/s"),
            Row(f"{name}: late after the answer, p99", percentile(after_answer, 99), "ms"),
            Row(f"{name}: the same without what the receiver takes, p99", percentile(of_latehook, 99), "ms", 60),
            Row(f"{name}: late after the request's end, p99", percentile(after_end, 99), "ms"),
            Row(f"{name}: CPU", cpu, "ms a job", 2.1),
        ]

    return await _with_receiver(folder, takes, run)


async def hanging(folder: Path, scale: Scale) -> list[Row]:
    """Measure whether a receiver that never answers delays webhooks to others."""
    name = f"{PENDING:,} webhooks owed to a receiver that hangs"
    async with hanging_receiver() as url, receiver() as received:
        variables = {"CALLBACK_URL": received.url, "HANGING_URL": url, "DELAY": f"{DELAY}s"}
        async with mitmdump(folder, LATEHOOK, QUIET, f"mock_file={MOCKS}", variables=variables) as proxy:
            (await load(proxy, 50, "burst", PENDING, post=POST_TO_HANGING)).check()
            loaded, _ = await run_jobs(proxy, received, load(proxy, 50, "paced", scale.paced_seconds, 100))
    requests = loaded.requests
    late = lateness(requests, received, lambda request: request.sent)
    return [
        Row(f"{name}: others lost", len(requests) - len(late), "webhooks", 0),
        Row(f"{name}: others late, p99", percentile(late, 99), "ms", 100),
    ]


async def highest_rate(folder: Path, scale: Scale) -> list[Row]:
    """Search the highest steady rate on one core, from the goal on. Measure the cost of a job at each rate tried."""
    rows = []
    printed: list[tuple[str, tuple[str, ...], int, float]] = [
        (QUIET, (QUIET,), 650, 1.3),
        ("flows printed", (), 400, 2.1),
    ]
    for title, options, goal, cpu in printed:
        async with receiver() as received:
            variables = {"CALLBACK_URL": received.url, "DELAY": f"{SHORT_DELAY}s"}
            options = (*options, f"mock_file={MOCKS}")
            async with mitmdump(folder, LATEHOOK, *options, variables=variables, one_core=True) as proxy:
                await run_jobs(proxy, received, load(proxy, 10, "burst", 300))  # to warm up
                costs = await _search(proxy, received, goal, scale)
        highest = max((rate for rate, cost in costs.items() if cost is not None), default=0)
        rows += [
            Row(f"whole jobs, {title}: highest steady rate on one core", highest, "jobs/s", goal, at_most=False),
            *(
                Row(f"whole jobs, {title}: CPU at {rate}/s", cost, "ms a job", cpu if rate == highest else None)
                for rate, cost in costs.items()
                if cost is not None
            ),
        ]
    return rows


async def _search(proxy: Proxy, received: Receiver, goal: int, scale: Scale) -> dict[int, float | None]:
    """Return the cost of a job at each rate tried, from the goal upwards or downwards; None if it is too high."""
    costs: dict[int, float | None] = {goal: await _cost(proxy, received, goal, scale)}
    step = STEP if costs[goal] is not None else -STEP
    for number in range(1, scale.steps):
        rate = round(goal * (1 + step * number))
        costs[rate] = await _cost(proxy, received, rate, scale)
        if (costs[rate] is None) != (costs[goal] is None):
            break
    return costs


async def _cost(proxy: Proxy, received: Receiver, rate: int, scale: Scale) -> float | None:
    """Return the milliseconds of processor time of a job at this rate; None if the rate is too high.

    It is not too high if p99 of the responses is within 50 ms, p99 of the webhooks within 100 ms, and none is lost. A
    second try is made, because other load on the machine may spoil the first.
    """
    for _ in range(2):
        received.clear()
        loaded, cpu = await run_jobs(proxy, received, load(proxy, 200, "paced", scale.paced_seconds / 2, rate))
        requests = loaded.requests
        late = lateness(requests, received, lambda request: request.sent, SHORT_DELAY)
        lost = len(requests) - len(late)
        if not lost and percentile(response_times(requests), 99) <= 50 and percentile(late, 99) <= 100:
            return cpu
    return None


async def instant(folder: Path, scale: Scale) -> list[Row]:
    """Measure the responses to requests while many webhooks are due at one instant."""
    name = f"{INSTANT:,} due in one instant, and 100 requests/s"
    store = folder / "instant.sqlite"
    async with receiver() as received:
        variables = {"CALLBACK_URL": received.url, "DELAY": f"{DELAY}s"}
        due = time.time() + LEAD
        await fill(store, MOCKS, variables, [due] * INSTANT)
        options = (f"mock_file={MOCKS}", f"mock_store={store}")
        async with mitmdump(folder, LATEHOOK, *options, variables=variables) as proxy:
            requests = (await load(proxy, 50, "paced", LEAD + 15, 100)).requests
            await received.wait(len(requests) + INSTANT, LOST_AFTER)
    requested = {request.identifier for request in requests}
    arrived = [at for identifier, at in received.arrived.items() if identifier not in requested]
    end = max(arrived, default=due)
    meanwhile = [request for request in requests if request.at > due and request.sent < end]
    return [
        Row(f"{name}: lost", INSTANT + len(requests) - len(received.arrived), "webhooks", 0),
        Row(f"{name}: delivered", len(arrived) / (end - due), "webhooks/s"),
        Row(f"{name}: answer meanwhile, p50", percentile(response_times(meanwhile), 50), "ms"),
        Row(f"{name}: answer meanwhile, p99", percentile(response_times(meanwhile), 99), "ms", 100),
    ]


async def run_jobs(proxy: Target, received: Receiver, generated: Awaitable[Load]) -> tuple[Load, float]:
    """Wait for a load and its webhooks. Return the load, and the milliseconds of processor time of each job."""
    loaded = await generated
    before = proxy.cpu
    await received.wait(len(loaded.requests), LOST_AFTER)
    return loaded, 1000 * (loaded.cpu + proxy.cpu - before) / len(loaded.requests)


def response_times(requests: Iterable[Answered]) -> list[float]:
    """Return the milliseconds from each request to its response."""
    return [1000 * (request.at - request.sent) for request in requests]


def lateness(
    requests: Iterable[Answered], received: Receiver, end: Callable[[Answered], float], after: float = DELAY
) -> list[float]:
    """Return how many milliseconds late each webhook arrived. It is due `after` seconds after `end`."""
    return [
        1000 * (received.arrived[request.identifier] - end(request) - after)
        for request in requests
        if request.identifier in received.arrived
    ]


def waits(dues: Iterable[float], at_once: int, takes: float) -> list[float]:
    """Return the milliseconds that each webhook waits if it starts when it is due and one of `at_once` places is free.

    `dues` ascend, and each webhook has its place for `takes` seconds.
    """
    free = [0.0] * at_once  # when each place is free
    waited = []
    for due in dues:
        start = max(due, heapq.heappop(free))
        heapq.heappush(free, start + takes)
        waited.append(1000 * (start - due))
    return waited


async def _with_receiver(
    folder: Path, receiver_delay: float, measure: Callable[[Proxy, Receiver], Awaitable[list[Row]]], *options: str
) -> list[Row]:
    """Measure a proxy whose webhooks go to a receiver that answers after `receiver_delay` seconds."""
    async with receiver(receiver_delay) as received:
        variables = {"CALLBACK_URL": received.url, "DELAY": f"{DELAY}s"}
        async with mitmdump(folder, LATEHOOK, f"mock_file={MOCKS}", *options, variables=variables) as proxy:
            return await measure(proxy, received)
