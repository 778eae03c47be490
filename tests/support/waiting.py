"""Waiting for a condition."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from support.limits import LIMIT

POLL = 0.01
"""Seconds between two looks at the condition."""


def wait_until(condition: Callable[[], Any], what: str, limit: float = LIMIT) -> Any:
    """Return the condition's value as soon as it is true.

    Raises AssertionError after `limit` seconds; its message names `what`.
    """
    end = time.monotonic() + limit
    while not (value := condition()):
        assert time.monotonic() < end, f"did not happen within {limit:g} s: {what}"
        time.sleep(POLL)
    return value


async def until(condition: Callable[[], object | Awaitable[object]]) -> None:
    """Wait until a condition holds, which may be awaited."""
    async with asyncio.timeout(LIMIT):
        while True:
            holds = condition()
            if await holds if isinstance(holds, Awaitable) else holds:
                return
            await asyncio.sleep(POLL)
