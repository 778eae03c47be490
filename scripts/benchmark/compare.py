"""Compare two versions of Latehook: run both at once, give them the same loads in turn, and print the ratios.

Versions that are measured minutes apart differ by a third although they are the same, because other programs share the
machine. Loads that follow each other within seconds meet the same machine.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import instructions
from jobs import run_jobs
from mocks_files import MANY, POST_TO_LAST_HOST, many_hosts, many_mocks, post_to_last_mock
from processes import DEFAULT, DEFAULT_MOCKS, LATEHOOK, MOCKS, NO_WEBHOOK, OVER_TLS, QUIET, Post, Proxy, load, mitmdump
from receivers import Receiver, receiver
from request_cost import COMPLEX, PREDICT, SLOW_CLOCK
from table import machine, print_columns

ROOT = LATEHOOK.parents[1]
STARTS = 6
"""Starts of both versions: the layout of a process's memory changes its costs by some hundredths."""
ROUNDS, REQUESTS = 5, 500
"""Short loads: two that follow each other within half a second meet the same machine."""
ROUNDS_OF_JOBS = 1
"""Jobs take seconds, so they get fewer and longer loads."""
COUNTED, COUNTED_RATE = 100, 20
"""Requests whose instructions are counted, and how many come in a second: below valgrind, a request takes 20 ms."""
ONE_WORKER = "mock_workers=1"
"""Keeps counted jobs to one connection: on a busy machine, several webhooks would be due at once, and open more."""


@dataclass(frozen=True)
class Case:
    """A load that both versions get. `mocks` is their mocks file; None: the default one of each version."""

    name: str
    post: Post = DEFAULT
    kind: str = "burst"
    connections: int = 10
    mocks: Path | None = None
    options: tuple[str, ...] = (QUIET,)
    store: bool = False
    jobs: bool = False
    """Let the webhooks fall due, and count their processor time too."""


@dataclass(frozen=True)
class Version:
    """A checkout of Latehook."""

    name: str
    tree: Path

    @property
    def script(self) -> Path:
        return self.tree / "addon" / "mock.py"


async def main(words: list[str]) -> int:
    given = _arguments(words)
    with tempfile.TemporaryDirectory(prefix="latehook-compare-") as name:
        folder = Path(name)
        old, new = Version(given.revision, folder / "old"), Version("this tree", ROOT)
        _check_out(given.revision, old.tree)
        if given.instructions:
            print_columns(await _instructions(folder, (old, new)))
            return 0
        lines: list[tuple[str, ...]] = [("", old.name, new.name, "ratio", "middle half", "ratio of the smallest")]
        for case in _cases(folder):
            pairs = [pair for _ in range(given.starts) for pair in await _measure(folder, case, (old, new))]
            lines.append(_line(f"CPU ms: {case.name}", pairs))
            print(*lines[-1], sep="  ", file=sys.stderr)
        lines.append(_line("seconds until ready", await _starts(folder, (old, new), given.starts)))
    print(machine())
    print_columns(lines)
    return 0


def _arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench compare",
        description="Run an older version of this repository and this tree at once, with this tree's installed "
        "packages. Give them loads in turn. Print the processor time of a request or job, and the ratio of this tree's "
        "to the older version's.",
    )
    parser.add_argument("revision", help="the older version: a commit, a tag or a branch")
    parser.add_argument("--starts", type=int, default=STARTS, help=f"how often both are started (default {STARTS})")
    parser.add_argument(
        "--instructions",
        action="store_true",
        help="count the machine instructions with valgrind instead of the time: exact, also on a busy machine",
    )
    return parser.parse_args(words)


def _cases(folder: Path) -> list[Case]:
    slow = (QUIET, SLOW_CLOCK)
    return [
        *_main_cases(),
        Case("TLS, a connection each", OVER_TLS, kind="fresh"),
        Case(f"the last of {MANY} mocks", post_to_last_mock(MANY), mocks=many_mocks(folder, MANY), options=slow),
        Case(f"the last of {MANY} hosts", POST_TO_LAST_HOST, mocks=many_hosts(folder, MANY), options=slow),
        Case("900 connections", connections=900),
        *_job_cases(),
    ]


def _main_cases() -> list[Case]:
    complex_mock = DEFAULT_MOCKS.parent / "providers" / f"{COMPLEX}.yaml"
    return [
        Case("HTTP, flows printed", options=()),
        Case("HTTP"),
        Case("HTTP, store file", store=True),
        Case("TLS, keep-alive, flows printed", OVER_TLS, options=()),
        Case("TLS, keep-alive", OVER_TLS),
        Case("TLS, keep-alive, store file", OVER_TLS, store=True),
        Case(f"{COMPLEX}'s mock, flows printed", PREDICT, mocks=complex_mock, options=(SLOW_CLOCK,)),
        Case(f"{COMPLEX}'s mock", PREDICT, mocks=complex_mock, options=(QUIET, SLOW_CLOCK)),
    ]


def _job_cases() -> list[Case]:
    return [
        Case("whole jobs", mocks=MOCKS, jobs=True),
        Case("whole jobs, store file", mocks=MOCKS, store=True, jobs=True),
    ]


async def _instructions(folder: Path, versions: Sequence[Version]) -> list[tuple[str, ...]]:
    """Return the table of the millions of instructions of a request, or of a whole job."""
    lines: list[tuple[str, ...]] = [("million instructions", *[version.name for version in versions], "ratio")]
    below = instructions.command(folder)
    async with receiver() as received:
        jobs = [replace(case, options=(*case.options, ONE_WORKER)) for case in _job_cases()]
        for case in (*_main_cases(), *jobs):

            async def run(proxy: Proxy, case: Case = case) -> None:
                received.clear()
                loaded = load(proxy, 1, "paced", COUNTED / COUNTED_RATE, COUNTED_RATE, post=case.post)
                await (run_jobs(proxy, received, loaded) if case.jobs else loaded)

            old, new = [
                await instructions.count(folder, _start(folder, case, version, received, below), run) / COUNTED
                for version in versions
            ]
            lines.append((case.name, f"{old:.3f}", f"{new:.3f}", f"{new / old:.3f}"))
            print(*lines[-1], sep="  ", file=sys.stderr)
    return lines


def _check_out(revision: str, folder: Path) -> None:
    """Write the files of a revision into a new folder."""
    folder.mkdir()
    archive = subprocess.run(["git", "archive", revision], cwd=ROOT, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)


async def _measure(folder: Path, case: Case, versions: Sequence[Version]) -> list[tuple[float, float]]:
    """Start both versions. Return for each round the milliseconds of processor time of a request (or job) with both."""
    pairs = []
    async with AsyncExitStack() as stack:
        received = await stack.enter_async_context(receiver())
        proxies = [await stack.enter_async_context(_start(folder, case, version, received)) for version in versions]
        for proxy in proxies:
            await _cost(proxy, case, received)  # to warm up
        for number in range(ROUNDS_OF_JOBS if case.jobs else ROUNDS):
            turns = list(enumerate(proxies))
            if number % 2:
                turns.reverse()  # a load of the machine that grows or falls steadily harms both equally
            costs = {turn: await _cost(proxy, case, received) for turn, proxy in turns}
            pairs.append((costs[0], costs[1]))
    return pairs


def _start(
    folder: Path, case: Case, version: Version, received: Receiver, below: Sequence[str] = ()
) -> AbstractAsyncContextManager[Proxy]:
    mocks = case.mocks or version.script.with_name("mocks.yaml")
    options = [*case.options, f"mock_file={mocks}"]
    if case.store:
        options.append(f"mock_store={folder / f'{version.tree.name}-{case.jobs}-{case.post.transport}.sqlite'}")
    variables = {"CALLBACK_URL": received.url, "DELAY": "1s"} if case.jobs else NO_WEBHOOK
    return mitmdump(folder, version.script, *options, variables={**variables, **_path(version)}, below=below)


def _path(version: Version) -> dict[str, str]:
    return {"PYTHONPATH": str(version.tree / "addon")}


async def _cost(proxy: Proxy, case: Case, received: Receiver) -> float:
    if not case.jobs:
        amount = 1 if case.kind == "fresh" else REQUESTS  # "fresh" takes seconds
        return (await load(proxy, case.connections, case.kind, amount, post=case.post)).cost
    received.clear()
    _, cost = await run_jobs(proxy, received, load(proxy, case.connections, "paced", 2, 300))
    return cost


async def _starts(folder: Path, versions: Sequence[Version], count: int) -> list[tuple[float, float]]:
    """Return for each of `count` starts in turn the seconds until each version is ready."""
    pairs = []
    for _ in range(count):
        seconds = []
        for version in versions:
            async with mitmdump(folder, version.script, variables={**NO_WEBHOOK, **_path(version)}) as proxy:
                seconds.append(proxy.start_seconds)
        pairs.append((seconds[0], seconds[1]))
    return pairs


def _line(name: str, pairs: Sequence[tuple[float, float]]) -> tuple[str, ...]:
    """Return a row of the table: medians of both versions, median and quartiles of the ratios, ratio of the smallest.

    What else runs on the machine only adds to a value: the smallest ones have the least of it.
    """
    ratios = sorted(new / old for old, new in pairs)
    quarter = len(ratios) // 4
    spread = f"{ratios[quarter]:.3f} to {ratios[-1 - quarter]:.3f}"
    old, new = zip(*pairs, strict=True)
    smallest = f"{min(new) / min(old):.3f}"
    return name, f"{median(old):.4g}", f"{median(new):.4g}", f"{median(ratios):.3f}", spread, smallest
