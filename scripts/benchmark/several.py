"""A store in PostgreSQL: what a job costs with it, with two processes behind haproxy, and with a million webhooks."""

import os
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import asyncpg
from jobs import SHORT_DELAY, lateness, run_jobs
from processes import LATEHOOK, MOCKS, NO_WEBHOOK, QUIET, Proxy, Target, load, mitmdump
from receivers import Receiver, receiver
from request_cost import Setup, costs_in_turn, growth
from scale import Scale
from table import Row, percentile, ratio

from services import Service, haproxy, install_missing, postgresql

RATES = (60, 300, 650)
"""Jobs a second, on one instance."""
RATE_OF_TWO = 300
"""Jobs a second, on one instance and on two."""
FEW, MILLION = 1000, 1_000_000
TOKEN = "mock_token=bench"


async def cluster(folder: Path, scale: Scale) -> list[Row]:
    """Measure the store in PostgreSQL: against a file, with two instances, and with many pending webhooks."""
    await install_missing()
    async with postgresql() as database:
        return [
            *await _stores(folder, database, scale),
            *await _instances(folder, database, scale),
            *await _pending(folder, database, scale),
        ]


@dataclass(frozen=True)
class Group:
    """Proxies that get one load, through a balancer if there are several."""

    port: int
    proxies: Sequence[Proxy]

    @property
    def cpu(self) -> float:
        return sum(proxy.cpu for proxy in self.proxies)


@dataclass(frozen=True)
class Costs:
    """Milliseconds of processor time of a job, in each round: of the proxies, of PostgreSQL and of haproxy."""

    proxies: list[float]
    database: list[float]
    balancer: list[float]
    late: list[float]
    """Milliseconds by which the 99th of a hundred webhooks was late."""
    lost: list[int]


async def _stores(folder: Path, database: Service, scale: Scale) -> list[Row]:
    """Compare one instance whose store is in PostgreSQL with one whose store is a file, in turn."""
    stores = [f"mock_store={folder / 'one.sqlite'}", f"mock_store={database.store('one')}"]
    rows = []

    async def measure(received: Receiver, groups: Sequence[Target]) -> None:
        for rate in RATES:
            file, shared = await _costs_in_turn(groups, received, rate, scale, database)
            name = f"one instance, {rate} jobs/s"
            rows.extend(
                [
                    Row(f"{name}: lost", sum(file.lost) + sum(shared.lost), "webhooks", 0),
                    Row(f"{name}, a store file: CPU", median(file.proxies), "ms a job"),
                    Row(f"{name}, PostgreSQL: CPU", median(shared.proxies), "ms a job"),
                    Row(f"{name}, PostgreSQL: its own CPU", median(shared.database), "ms a job"),
                    Row(f"{name}: CPU with PostgreSQL to a store file", ratio(shared.proxies, file.proxies), "times"),
                    Row(f"{name}, a store file: late, p99", median(file.late), "ms"),
                    Row(f"{name}, PostgreSQL: late, p99", median(shared.late), "ms"),
                ]
            )

    await _with_proxies(folder, stores, measure)
    return rows


async def _instances(folder: Path, database: Service, scale: Scale) -> list[Row]:
    """Compare two instances behind haproxy with one, in turn. Each of the two has a core of its own."""
    alone, both = (f"mock_store={database.store(schema)}" for schema in ("alone", "both"))
    rows = []

    async def measure(received: Receiver, targets: Sequence[Target]) -> None:
        one, *two = targets
        cores = sorted(os.sched_getaffinity(0))
        proxies = [proxy for proxy in two if isinstance(proxy, Proxy)]
        for number, proxy in enumerate(proxies):
            os.sched_setaffinity(proxy.process.pid, {cores[number % len(cores)]})
        async with haproxy(folder, [proxy.port for proxy in proxies]) as balancer:
            groups = [one, Group(balancer.port, proxies)]
            single, pair = await _costs_in_turn(groups, received, RATE_OF_TWO, scale, database, balancer)
        name = f"two instances, {RATE_OF_TWO} jobs/s"
        rows.extend(
            [
                Row(f"{name}: lost", sum(single.lost) + sum(pair.lost), "webhooks", 0),
                Row(f"{name}: CPU of one alone", median(single.proxies), "ms a job"),
                Row(f"{name}: CPU of both", median(pair.proxies), "ms a job"),
                Row(f"{name}: CPU of both to one alone", ratio(pair.proxies, single.proxies), "times"),
                Row(f"{name}: haproxy's CPU", median(pair.balancer), "ms a job"),
                Row(f"{name}: PostgreSQL's CPU, with one", median(single.database), "ms a job"),
                Row(f"{name}: PostgreSQL's CPU, with both", median(pair.database), "ms a job"),
                Row(f"{name}: late, p99", median(pair.late), "ms"),
            ]
        )

    await _with_proxies(folder, [alone, both, both], measure)
    return rows


async def _pending(folder: Path, database: Service, scale: Scale) -> list[Row]:
    """Compare an instance whose schema has a million pending webhooks with one whose schema has few."""
    name = f"{MILLION:,} webhooks pending in PostgreSQL"
    for schema, count in (("few", FEW), ("many", MILLION)):
        await _fill(folder, database, schema, count)
    setups = [Setup((f"mock_file={MOCKS}", f"mock_store={database.store(schema)}")) for schema in ("few", "many")]
    small, large = (mitmdump(folder, LATEHOOK, QUIET, TOKEN, *setup.options) for setup in setups)
    async with small as with_few, large as with_many:
        each = (with_many.memory - with_few.memory) / (MILLION - FEW)
        costs = await costs_in_turn((with_few, with_many), setups, scale)
        start = with_many.start_seconds
    return [
        growth("webhooks pending in PostgreSQL", (FEW, MILLION), costs, 1.2),
        Row(f"{name}: memory", each, "B each"),
        Row(f"{name}: restart with them", start, "s"),
    ]


async def _with_proxies(
    folder: Path, stores: Sequence[str], measure: Callable[[Receiver, Sequence[Target]], Awaitable[None]]
) -> None:
    """Run a proxy with each of the stores, and measure them."""
    async with AsyncExitStack() as stack:
        received = await stack.enter_async_context(receiver())
        variables = {"CALLBACK_URL": received.url, "DELAY": f"{SHORT_DELAY}s"}
        options = QUIET, TOKEN, f"mock_file={MOCKS}"
        proxies = [
            await stack.enter_async_context(mitmdump(folder, LATEHOOK, *options, store, variables=variables))
            for store in stores
        ]
        for proxy in proxies:
            await load(proxy, 10, "burst", 300)  # to warm up
        await received.wait(300 * len(proxies), 60)
        await measure(received, proxies)


async def _costs_in_turn(
    targets: Sequence[Target],
    received: Receiver,
    rate: int,
    scale: Scale,
    database: Service,
    balancer: Service | None = None,
) -> list[Costs]:
    """Give each target jobs at a rate, in turn, and measure what they cost."""
    costs = [Costs([], [], [], [], []) for _ in targets]
    for _ in range(scale.rounds):
        for target, cost in zip(targets, costs, strict=True):
            received.clear()
            before = _cpu(database), _cpu(balancer)
            loaded, cpu = await run_jobs(target, received, load(target, 50, "paced", scale.paced_seconds / 2, rate))
            after = _cpu(database), _cpu(balancer)
            jobs = len(loaded.requests)
            late = lateness(loaded.requests, received, lambda request: request.sent, SHORT_DELAY)
            cost.proxies.append(cpu)
            cost.database.append(1000 * (after[0] - before[0]) / jobs)
            cost.balancer.append(1000 * (after[1] - before[1]) / jobs)
            cost.late.append(percentile(late, 99))
            cost.lost.append(jobs - len(late))
    return costs


def _cpu(service: Service | None) -> float:
    """Return the seconds of processor time so far of a service, with its child processes."""
    if service is None:
        return 0.0
    total = 0.0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # the process has ended
            continue
        parent, ended = int(fields[1]), sum(map(int, fields[13:15])) / os.sysconf("SC_CLK_TCK")
        if int(folder.name) == service.pid:
            total += ended  # children that have ended
        if service.pid in (parent, int(folder.name)):
            total += time.clock_gettime(~int(folder.name) << 3 | 2)  # clock_getcpuclockid(3)
    return total


async def _fill(folder: Path, database: Service, schema: str, count: int) -> None:
    """Write pending jobs to a schema: one by Latehook, and copies of it by SQL, since requests would take long."""
    store = f"mock_store={database.store(schema)}"
    async with mitmdump(folder, LATEHOOK, QUIET, TOKEN, f"mock_file={MOCKS}", store, variables=NO_WEBHOOK) as proxy:
        await load(proxy, 1, "burst", 1)
    connection = await asyncpg.connect(
        database.store(schema).partition("?")[0], server_settings={"search_path": schema}
    )
    try:
        await connection.execute(COPY.format(count=count - 1), timeout=600)
        await connection.execute("VACUUM ANALYZE", timeout=600)
    finally:
        await connection.close()


COPY = """
CREATE TEMPORARY TABLE first_job AS SELECT * FROM job;
CREATE TEMPORARY TABLE first_webhook AS SELECT * FROM webhook;
INSERT INTO job SELECT copy.* FROM first_job original, generate_series(1, {count}) number,
    json_populate_record(original, json_build_object('key', original.key - number, 'id', md5(number::text))) copy;
INSERT INTO webhook SELECT copy.* FROM first_webhook original, generate_series(1, {count}) number,
    json_populate_record(original, json_build_object(
        'key', original.key - number, 'job', original.job - number, 'id', md5(number::text),
        'due', original.due + number / 300.0
    )) copy;
"""
