"""Mocks files with many mocks, and the cost of loading one while requests come in."""

import asyncio
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median

from processes import DEFAULT_MOCKS, ENDPOINT, LATEHOOK, QUIET, Post, load, mitmdump
from scale import Scale
from table import Row

MANY = 500
"""Mocks in a file with many."""
POST_TO_LAST_HOST = Post("http://0.thirdparty.example/?some_parameter=some_value")
"""The request that the last mock of a file from `many_hosts` answers, whatever their number."""


def many_mocks(folder: Path, count: int) -> Path:
    """Write a file with the default mock `count` times, each time with another path."""
    return _file(folder / f"{count}-mocks.yaml", (f"{ENDPOINT}/{number}" for number in range(count)))


def post_to_last_mock(count: int) -> Post:
    """Return the request that the last mock of a file from `many_mocks` answers."""
    return Post(f"http://{ENDPOINT}/{count - 1}?some_parameter=some_value")


def many_hosts(folder: Path, count: int) -> Path:
    """Write a file with the default mock for each of `count` hosts."""
    return _file(folder / f"{count}-hosts.yaml", (f"{number}.thirdparty.example/" for number in reversed(range(count))))


def _file(file: Path, addresses: Iterable[str]) -> Path:
    head, entry, mock = DEFAULT_MOCKS.read_text().partition("  - match: ")
    rest = mock.partition("\n")[2]
    file.write_text(head + "".join(f"{entry}POST {address}\n{rest}" for address in addresses))
    return file


async def loading(folder: Path, scale: Scale) -> list[Row]:
    """Measure the reload of a file with many mocks, and the responses to 50 requests a second meanwhile."""
    file, last = many_mocks(folder, MANY), post_to_last_mock(MANY)
    during: list[float] = []
    otherwise: list[float] = []
    seconds = []
    async with mitmdump(folder, LATEHOOK, QUIET, f"mock_file={file}") as proxy:
        await load(proxy, 50, "burst", 300, post=last)  # to warm up
        for number in range(1, scale.edits + 1):
            under_load = asyncio.create_task(load(proxy, 50, "paced", 3, 50, post=last))
            await asyncio.sleep(1)
            start = time.time()
            file.write_text(f"{file.read_text()}# edited\n")
            await proxy.wait_for_log("latehook: reloaded", number)
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
