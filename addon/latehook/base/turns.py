"""Turns of the event loop for work that reads much, so that requests are answered in between."""

import asyncio
from time import perf_counter

TURN = 0.01
"""Seconds that a turn should take at most."""


class Turns:
    """Lets tasks that read much continue one after the other, each in a turn of the event loop of its own.

    Without this, a hundred tasks of which each works for some milliseconds would stop the loop for their sum.
    """

    def __init__(self) -> None:
        self.taken = 0
        """The number of turns so far."""
        self._lock = asyncio.Lock()
        self._end = 0.0

    async def next(self) -> None:
        """Return in a turn in which no other task returns from here. The tasks that wait come in their order."""
        async with self._lock:
            await asyncio.sleep(0)
        self.taken += 1
        self._end = perf_counter() + TURN

    def is_over(self) -> bool:
        """Return whether the turn has taken long enough: what is left should wait for the next one."""
        return perf_counter() > self._end
