"""Count the machine instructions of a load with valgrind: exact on a busy machine, where times differ by a third."""

import re
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from processes import Proxy

MILLION = 1_000_000
LOADS = 4
"""How often a load is counted."""


def command(folder: Path) -> list[str]:
    """Return the beginning of a command whose instructions are counted when `count` says so."""
    if shutil.which("valgrind") is None:
        sys.exit("scripts/bench: --instructions needs valgrind: install it (apt install valgrind)")
    return ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder / 'counted.%p'}"]


async def count(
    folder: Path, started: AbstractAsyncContextManager[Proxy], load: Callable[[Proxy], Awaitable[object]]
) -> float:
    """Start a proxy, give it a load several times, and return the millions of instructions of the cheapest one.

    What else the proxy does meanwhile only adds to a count: it imports modules while the first loads run, and does
    some work every second.
    """
    async with started as proxy:
        pid = proxy.process.pid
        await load(proxy)
        _control(pid, "-i", "on")
        return min([await _counted(folder, proxy, load, number) for number in range(1, LOADS + 1)])


async def _counted(folder: Path, proxy: Proxy, load: Callable[[Proxy], Awaitable[object]], number: int) -> float:
    """Return the millions of instructions of a load, for which callgrind makes the dump with this number."""
    pid = proxy.process.pid
    _control(pid, "-z")
    await load(proxy)
    _control(pid, "-d")
    dump = folder / f"counted.{pid}.{number}"
    found = re.search(r"^(?:summary|totals): (\d+)", dump.read_text(), re.MULTILINE)
    assert found is not None, "callgrind writes a line `summary` or `totals`"
    return int(found[1]) / MILLION


def _control(pid: int, *words: str) -> None:
    """Have callgrind do something now. The command returns when that has happened."""
    subprocess.run(["callgrind_control", *words, str(pid)], check=True, capture_output=True)
