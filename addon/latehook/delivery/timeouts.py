"""A timeout in which a stop of the process does not count."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

SLICE = 0.5
"""Seconds after which a running timeout looks at the time."""

LATE = 0.1
"""Seconds by which such a look is late where the process was stopped or its loop was busy."""


@asynccontextmanager
async def timeout(seconds: float) -> AsyncIterator[None]:
    """Raise TimeoutError in the block once the process has run for `seconds`.

    A process can be stopped: by SIGSTOP, a debugger, or the lid of a laptop. The time of its loop goes on meanwhile,
    and answers arrive in its sockets.
    """
    async with asyncio.timeout(None) as limit:
        watch = _Watch(limit, seconds)
        try:
            yield
        finally:
            watch.timer.cancel()


class _Watch:
    """Ends a timeout after so many seconds, which it counts slice by slice.

    A slice in which the process was stopped counts only as long as it was planned. If it is the last one, there is one
    more, in which the loop reads what has arrived.
    """

    def __init__(self, limit: asyncio.Timeout, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._limit = limit
        self._left = seconds
        self._has_spare = True
        self._start_slice()

    def _start_slice(self) -> None:
        self._planned = min(self._left, SLICE)
        self._started = self._loop.time()
        self.timer = self._loop.call_later(self._planned, self._end_slice)

    def _end_slice(self) -> None:
        took = self._loop.time() - self._started
        was_stopped = took > self._planned + LATE
        self._left -= self._planned if was_stopped else took
        if self._left <= 0 and was_stopped and self._has_spare:
            self._left, self._has_spare = SLICE, False
        if self._left > 0:
            self._start_slice()
        else:
            self._limit.reschedule(self._loop.time())
