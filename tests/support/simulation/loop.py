"""An asyncio event loop that runs only when it is told to, by a clock that is given to it."""

import asyncio
import heapq
from collections.abc import Callable

from support.virtual_time import LoopWithoutThreads

NEVER = float("inf")

RESOLUTION = 1e-6
"""Seconds by which a timer may be early: clocks of different rates round."""

UNWINDING = 100
"""Turns that the tasks of a loop have to end, once they are canceled."""


class SimulatedLoop(LoopWithoutThreads):
    """A loop without sockets and threads. `now` returns its time in seconds, which passes evenly."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__()
        self._now = now

    def time(self) -> float:
        return self._now()

    def is_running(self) -> bool:
        """Return whether it takes a turn: only then do eager tasks start at once, as in a real loop."""
        return asyncio._get_running_loop() is self

    def wakes_at(self) -> float:
        """Return the time by this loop's clock at which something is to be run; NEVER if nothing is."""
        if self._ready:
            return -NEVER
        scheduled = self._scheduled
        while scheduled and scheduled[0]._cancelled:
            heapq.heappop(scheduled)._scheduled = False
            self._timer_cancelled_count -= 1
        return scheduled[0]._when if scheduled else NEVER

    def turn(self) -> None:
        """Run what is due now, and all that follows from that at once."""
        asyncio._set_running_loop(self)
        try:
            ready, scheduled, end = self._ready, self._scheduled, self._now() + RESOLUTION
            while scheduled and scheduled[0]._when < end:
                handle = heapq.heappop(scheduled)
                handle._scheduled = False
                ready.append(handle)
            while ready:
                handle = ready.popleft()
                if not handle._cancelled:
                    handle._run()
        finally:
            asyncio._set_running_loop(None)

    def end(self) -> None:
        """Cancel all tasks, and let them end."""
        for _ in range(UNWINDING):
            tasks = asyncio.all_tasks(self)
            if not tasks:
                break
            for task in tasks:
                task.cancel()
            for _ in range(3):
                self.turn()
        self._ready.clear()
        self._scheduled.clear()
        self.close()
