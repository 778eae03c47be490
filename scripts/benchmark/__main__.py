"""Measure Latehook, and compare each result with its goal. `soak` runs for minutes; `compare` compares two versions."""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

import compare
import table
from jobs import burst, hanging, highest_rate, instant, paced
from mocks_files import loading
from pending import memory, million
from request_cost import connections, ended_jobs, gallery, hosts, matching
from scale import FULL, QUICK
from several import cluster
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
ON_REQUEST = (cluster,)
"""Measures that are made only if they are named: they need other programs."""
NOT_QUICK = (hanging, highest_rate, instant, hosts, connections, ended_jobs, loading, million)
"""Measures that --quick leaves out."""


def arguments() -> argparse.Namespace:
    names = [measure.__name__ for measure in (*MEASURES, *ON_REQUEST)]
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument(
        "measures",
        nargs="*",
        metavar="MEASURE",
        help=f"measure only this: soak, {', '.join(names)}; by default all but soak and cluster",
    )
    parser.add_argument("--quick", action="store_true", help="take a minute and a half, with rougher results")
    parser.add_argument("--minutes", type=float, default=10, help="how long to soak (default 10)")
    given = parser.parse_intermixed_args()
    if unknown := [name for name in given.measures if name not in (*names, "soak")]:
        parser.error(f"there is no measure {unknown[0]!r}: {', '.join(names)}, soak")
    return given


async def main() -> int:
    given = arguments()
    cores = os.cpu_count() or 1
    busy = os.getloadavg()[0]
    scale = QUICK if given.quick else FULL
    left_out = NOT_QUICK if given.quick and not given.measures else ()
    rows = []
    with tempfile.TemporaryDirectory(prefix="latehook-bench-") as folder:
        if "soak" in given.measures:
            rows += await soak(Path(folder), given.minutes)
        for measure in (*MEASURES, *ON_REQUEST):
            by_default = measure not in ON_REQUEST and not given.measures
            if measure not in left_out and (by_default or measure.__name__ in given.measures):
                began = time.monotonic()
                rows += await measure(Path(folder), scale)
                print(f"{measure.__name__}: done in {time.monotonic() - began:.0f} s", file=sys.stderr)
    table.show(rows)
    if left_out:
        print(f"\n--quick left out: {', '.join(measure.__name__ for measure in left_out)}.")
    if busy > cores / 2:
        print(f"\nThe machine was busy before the start (load {busy:.1f} on {cores} cores): measure again.")
    return 1 if any(row.missed for row in rows) else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(compare.main(sys.argv[2:]) if sys.argv[1:2] == ["compare"] else main()))
