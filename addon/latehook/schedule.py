"""What is due when: Latehook's clock, one heap, one timer."""

import asyncio
import heapq
import time
from collections.abc import Callable


class Clock:
    """Latehook's own clock, in seconds: real time by speed. It decides what is due; the SUT is shown `real`."""

    def __init__(self, real: Callable[[], float] = time.time) -> None:
        self.real = real
        self.speed = 1.0
        self._anchor = self._real_anchor = 0.0

    def now(self) -> float:
        return self.at(self.real())

    def at(self, real: float) -> float:
        """What this clock shows at a moment in Unix seconds."""
        return self._anchor + (real - self._real_anchor) * self.speed

    def run(self, speed: float) -> None:
        """Go on from here at this speed."""
        self._anchor, self._real_anchor, self.speed = self.now(), self.real(), speed

    def real_at(self, moment: float) -> float:
        """The Unix seconds at which this clock shows a moment."""
        return self._real_anchor + (moment - self._anchor) / self.speed


LONGEST_SLEEP = 30.0
"""Seconds until the timer looks at the clock again: a machine that slept, or whose clock was set, is noticed."""


class Schedule:
    """A heap of (due, key) and one timer: `wake` is called with the keys that are due, earliest first."""

    def __init__(self, clock: Clock, wake: Callable[[list[int]], None]) -> None:
        self._clock = clock
        self._wake = wake
        self._heap: list[tuple[float, int]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = float("inf")
        self._stopped = False

    def push(self, due: float, key: int) -> None:
        heapq.heappush(self._heap, (due, key))
        if due < self._timer_due:
            self._arm()

    def stop(self) -> None:
        """Nothing wakes any more."""
        self._stopped = True
        self._cancel()

    def __len__(self) -> int:
        return len(self._heap)

    def _arm(self) -> None:
        self._cancel()
        if self._heap and not self._stopped:
            self._timer_due = self._heap[0][0]
            delay = min(max((self._timer_due - self._clock.now()) / self._clock.speed, 0.0), LONGEST_SLEEP)
            self._timer = asyncio.get_running_loop().call_later(delay, self._ring)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_due = None, float("inf")

    def _ring(self) -> None:
        now = self._clock.now()
        due = []
        while self._heap and self._heap[0][0] <= now:
            due.append(heapq.heappop(self._heap)[1])
        self._arm()
        if due:
            self._wake(due)
