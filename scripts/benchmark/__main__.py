"""Measures Latehook as it is shipped, and prints what it found beside the goals; `soak`: in the long run."""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

import table
from costs import connections, ended_jobs, gallery, hosts, matching
from jobs import burst, hanging, highest_rate, instant, paced
from mocksfiles import loading
from pending import memory, million
from scale import FULL, QUICK
from soak import soak
from start import start
from throughput import throughput

MEASURES = (
    throughput,
    paced,
    burst,
    hanging,
    highest_rate,
    instant,
    gallery,
    matching,
    hosts,
    connections,
    ended_jobs,
    loading,
    memory,
    million,
    start,
)
LEFT_OUT = (hanging, highest_rate, instant, hosts, connections, ended_jobs, loading, million)
"""Of --quick."""


async def main() -> int:
    names = [measure.__name__ for measure in MEASURES]
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument(
        "what", nargs="*", metavar="MEASURE", help=f"only these: soak, {', '.join(names)}; else all but soak"
    )
    parser.add_argument("--quick", action="store_true", help="a minute and a half, rougher numbers")
    parser.add_argument("--minutes", type=float, default=10, help="of a soak")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.what if name not in (*names, "soak")]:
        parser.error(f"there is no measure {unknown[0]!r}: {', '.join(names)}, soak")
    busy = os.getloadavg()[0]
    scale = QUICK if arguments.quick else FULL
    left_out = LEFT_OUT if arguments.quick and not arguments.what else ()
    rows = []
    with tempfile.TemporaryDirectory(prefix="latehook-bench-") as folder:
        if "soak" in arguments.what:
            rows += await soak(Path(folder), arguments.minutes)
        for measure in MEASURES:
            if measure.__name__ in (arguments.what or names) and measure not in left_out:
                began = time.monotonic()
                rows += await measure(Path(folder), scale)
                print(f"{measure.__name__}: done in {time.monotonic() - began:.0f} s", file=sys.stderr)
    table.show(rows)
    if left_out:
        print(f"\nLeft out by --quick: {', '.join(measure.__name__ for measure in left_out)}.")
    if busy > os.cpu_count() / 2:
        print(f"\nThe machine was busy before the start (load {busy:.1f} on {os.cpu_count()} cores): measure again.")
    return 1 if any(row.missed for row in rows) else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
