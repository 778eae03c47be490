"""What is due when: Latehook's clock, one heap, one timer."""

import asyncio
import heapq
import time
from bisect import bisect_right
from collections.abc import Callable
from operator import itemgetter

Segments = list[tuple[float, float, float]]

KEPT_SEGMENTS = 1000
"""Changes of the clock that are remembered."""


class Clock:
    """Latehook's own clock, in seconds: real time by speed, plus advances. It decides what is due.

    What the SUT is shown is `real`. The clock is kept in segments (its time, the real time, the speed from there on),
    which outlive the process: it runs on while the process is down.
    """

    def __init__(self, real: Callable[[], float] = time.time) -> None:
        self.real = real
        self.segments: Segments = [(0.0, 0.0, 1.0)]

    @property
    def speed(self) -> float:
        return self.segments[-1][2]

    def now(self) -> float:
        return self.at(self.real())

    def at(self, real: float) -> float:
        """What this clock shows at a moment in Unix seconds, from its last change on."""
        start, real_start, speed = self.segments[-1]
        return start + (real - real_start) * speed

    def run(self, speed: float) -> None:
        """Go on from here at this speed."""
        self.segments = self.changed(self.now(), speed)

    def jump(self, moment: float) -> None:
        """Go on from a later moment; not back."""
        if moment > self.now():
            self.segments = self.changed(moment, self.speed)

    def reset(self, speed: float) -> None:
        """Show real time again, and run at this speed."""
        self.segments = [(0.0, 0.0, 1.0)]
        self.run(speed)

    def real_at(self, moment: float) -> float:
        """The Unix seconds at which this clock shows, or showed, a moment; of one that was jumped over, the jump's."""
        at = max(bisect_right(self.segments, moment, key=itemgetter(0)) - 1, 0)
        start, real_start, speed = self.segments[at]
        real = real_start + (moment - start) / speed
        return min(real, self.segments[at + 1][1]) if at + 1 < len(self.segments) else real

    def changed(self, moment: float, speed: float) -> Segments:
        """The segments of a clock that goes on from this moment, at this speed."""
        segments = [*self.segments, (moment, self.real(), speed)]
        del segments[1:-KEPT_SEGMENTS]
        return segments


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
