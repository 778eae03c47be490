"""What is due when: Latehook's clock, one heap, one timer."""

import asyncio
import heapq
from collections.abc import Callable

from latehook.base.clock import Clock

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

    def fill(self, entries: list[tuple[float, int]]) -> None:
        """Put many on it at once."""
        self._heap += entries
        heapq.heapify(self._heap)
        self.look()

    def clear(self) -> None:
        self._heap.clear()
        self._cancel()

    def look(self) -> None:
        """The clock has changed: what is due now?"""
        self._cancel()
        self._arm()

    def next_due(self) -> float:
        """The time of the earliest; infinity where there is none."""
        return self._heap[0][0] if self._heap else float("inf")

    def ring(self) -> None:
        """Wake what is due, without waiting for the timer."""
        now = self._clock.now()
        due = []
        while self._heap and self._heap[0][0] <= now:
            due.append(heapq.heappop(self._heap)[1])
        self.look()
        if due:
            self._wake(due)

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
            self._timer = asyncio.get_running_loop().call_later(delay, self.ring)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_due = None, float("inf")
