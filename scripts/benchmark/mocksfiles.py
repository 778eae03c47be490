"""Mocks files with many mocks, and what loading them costs."""

import asyncio
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median

from processes import DEFAULT_MOCKS, ENDPOINT, LATEHOOK, NOWHERE, QUIET, Ask, load, mitmdump
from scale import Scale
from table import Row

MANY = 500
"""Mocks in one file, where many are measured."""
HOSTS_LAST = Ask("http://0.thirdparty.example/?some_parameter=some_value")
"""What `many_hosts` has an answer for, however many they are."""


def many_mocks(folder: Path, count: int) -> Path:
    """The default mock so often, each with a path of its own."""
    return _file(folder / f"{count}-mocks.yaml", (f"{ENDPOINT}/{number}" for number in range(count)))


def the_last(count: int) -> Ask:
    return Ask(f"http://{ENDPOINT}/{count - 1}?some_parameter=some_value")


def many_hosts(folder: Path, count: int) -> Path:
    """The default mock for so many hosts."""
    return _file(folder / f"{count}-hosts.yaml", (f"{number}.thirdparty.example/" for number in reversed(range(count))))


def _file(file: Path, addresses: Iterable[str]) -> Path:
    head, entry, mock = DEFAULT_MOCKS.read_text().partition("  - match: ")
    rest = mock.partition("\n")[2]
    file.write_text(head + "".join(f"{entry}POST {address}\n{rest}" for address in addresses))
    return file


async def loading(folder: Path, scale: Scale) -> list[Row]:
    """Many mocks are read again while requests come in, 50 a second."""
    file, last = many_mocks(folder, MANY), the_last(MANY)
    during, otherwise, seconds = [], [], []
    async with mitmdump(folder, LATEHOOK, QUIET, f"mock_file={file}", **NOWHERE) as proxy:
        await load(proxy, 50, "burst", 300, ask=last)  # to warm up
        for number in range(1, scale.edits + 1):
            under_load = asyncio.create_task(load(proxy, 50, "paced", 3, 50, ask=last))
            await asyncio.sleep(1)
            start = time.time()
            file.write_text(f"{file.read_text()}# edited\n")
            await proxy.said("latehook: reloaded", number)
            end = time.time()
            seconds.append(end - start)
            loaded = await under_load
            loaded.check()
            for request in loaded.requests:
                within = request.sent < end and request.at > start
                (during if within else otherwise).append(1000 * (request.at - request.sent))
    name = f"{MANY} mocks are loaded"
    return [
        Row(f"{name}: takes, until they are in use", median(seconds), "s"),
        Row(f"{name}: answer otherwise, p50", median(otherwise), "ms"),
        Row(f"{name}: answer meanwhile, p50", median(during), "ms"),
        Row(f"{name}: slowest answer meanwhile", max(during), "ms", 50),
    ]
