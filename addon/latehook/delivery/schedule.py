"""Which webhook is due when, by Latehook's clock: one heap, one timer."""

import asyncio
import heapq
from collections.abc import Callable

from latehook.base.clock import Clock

LONGEST_SLEEP = 30.0
"""Real seconds until the timer reads the clock again: the event loop's time stops while the machine sleeps."""


class Schedule:
    """A heap of (due, key), and one timer that calls `wake` with the keys that are due, the earliest first.

    `due` is a time of `clock`.
    """

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
            self.rearm()

    def load(self, entries: list[tuple[float, int]]) -> None:
        """Push many (due, key) at once."""
        self._heap += entries
        heapq.heapify(self._heap)
        self.rearm()

    def clear(self) -> None:
        self._heap.clear()
        self._cancel_timer()

    def stop(self) -> None:
        """Call `wake` no more by the timer."""
        self._stopped = True
        self._cancel_timer()

    def wake_due(self) -> None:
        """Call `wake` with what is due, without waiting for the timer."""
        now = self._clock.now()
        due = []
        while self._heap and self._heap[0][0] <= now:
            due.append(heapq.heappop(self._heap)[1])
        self.rearm()
        if due:
            self._wake(due)

    def rearm(self) -> None:
        """Set the timer to the earliest due time. To be called when the clock was changed."""
        self._cancel_timer()
        if self._heap and not self._stopped:
            self._timer_due = self._heap[0][0]
            delay = min(max((self._timer_due - self._clock.now()) / self._clock.speed, 0.0), LONGEST_SLEEP)
            self._timer = asyncio.get_running_loop().call_later(delay, self.wake_due)

    def next_due(self) -> float:
        """Return the earliest due time; infinity where nothing is scheduled."""
        return self._heap[0][0] if self._heap else float("inf")

    def first(self, number: int) -> list[int]:
        """Return the keys of so many entries, those that are due first. The others cost no time."""
        keys = list[int]()
        places = [(entry, 0) for entry in self._heap[:1]]  # a heap of the entries whose parents in the heap were taken
        while places and len(keys) < number:
            (_, key), place = heapq.heappop(places)
            keys.append(key)
            children = range(2 * place + 1, min(2 * place + 3, len(self._heap)))
            for child in children:
                heapq.heappush(places, (self._heap[child], child))
        return keys

    def __len__(self) -> int:
        return len(self._heap)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_due = None, float("inf")
