"""Soak test: jobs at a steady rate for minutes, with a store file. Measures losses, lateness and growth."""

import asyncio
from pathlib import Path
from statistics import median

from jobs import DELAY, lateness, run_jobs
from processes import LATEHOOK, MOCKS, QUIET, Proxy, load, mitmdump
from receivers import receiver
from table import Row, percentile

RATE = 80
"""Jobs a second."""


async def soak(folder: Path, minutes: float) -> list[Row]:
    """Run jobs for so many minutes, and watch the proxy's memory and the size of the store's write-ahead log."""
    seconds = round(60 * minutes)
    store = folder / "soak.sqlite"
    name = f"{RATE} jobs/s into a store file for {minutes:g} min"

    async with receiver() as received:
        variables = {"CALLBACK_URL": received.url, "DELAY": f"{DELAY}s"}
        options = (QUIET, f"mock_file={MOCKS}", f"mock_store={store}")
        async with mitmdump(folder, LATEHOOK, *options, variables=variables) as proxy:
            watch = asyncio.create_task(_watch(proxy, store.with_name(f"{store.name}-wal")))
            loaded, cpu = await run_jobs(proxy, received, load(proxy, 50, "paced", seconds, RATE))
            requests = loaded.requests
            watch.cancel()
            samples = await watch
    late = lateness(requests, received, lambda request: request.sent)
    memory = [resident for resident, _ in samples]
    tenth = len(memory) // 10
    grown = median(memory[-tenth:]) - median(memory[3 * tenth : 4 * tenth])
    return [
        Row(f"{name}: answered otherwise", sum(request.identifier is None for request in requests), "requests", 0),
        Row(f"{name}: lost", len(requests) - len(late), "webhooks", 0),
        Row(f"{name}: memory, at the end", memory[-1] / 1e6, "MB"),
        Row(f"{name}: memory, grown from 30 % on", grown / 1e6, "MB", 5),
        Row(f"{name}: largest log", max(log for _, log in samples) / 1e6, "MB", 33),
        Row(f"{name}: late, p50", percentile(late, 50), "ms"),
        Row(f"{name}: late, p99", percentile(late, 99), "ms", 100),
        Row(f"{name}: CPU", cpu, "ms a job"),
    ]


async def _watch(proxy: Proxy, log: Path) -> list[tuple[int, int]]:
    """Return the resident bytes of the proxy and the bytes of the log, ten times a second until cancelled."""
    samples = []
    try:
        while True:
            samples.append((proxy.memory, log.stat().st_size if log.exists() else 0))
            await asyncio.sleep(0.1)
    except asyncio.CancelledError:
        return samples
