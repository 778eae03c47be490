"""PURE: Latehook's clock."""

import time
from bisect import bisect_right
from collections.abc import Callable
from operator import itemgetter

Segments = list[tuple[float, float, float]]
"""Changes of the clock: its time, the real time and the speed from there on."""

MAX_SEGMENTS = 1000
"""Changes of the clock that are kept, besides its start."""


class Clock:
    """Latehook's own clock, in seconds: real time by speed, plus advances. It decides what is due.

    `real` returns real time in Unix seconds. The store keeps `segments`, so that the clock goes on
    while the process is down.
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
        """Return the time of this clock at a real time in Unix seconds, which is not before the clock's last change."""
        start, real_start, speed = self.segments[-1]
        return start + (real - real_start) * speed

    def set_speed(self, speed: float) -> None:
        """Continue from now on at this speed."""
        self.segments = self.segments_after(self.now(), speed)

    def advance_to(self, moment: float) -> None:
        """Continue from this time of the clock, if it is later than now."""
        if moment > self.now():
            self.segments = self.segments_after(moment, self.speed)

    def restore(self, segments: Segments) -> None:
        """Continue by these segments, which were those of a clock or came from `segments_after`."""
        self.segments = segments

    def reset(self, speed: float) -> None:
        """Show real time again, and continue at this speed."""
        self.segments = [(0.0, 0.0, 1.0)]
        self.set_speed(speed)

    def real_at(self, moment: float) -> float:
        """Return the real time, in Unix seconds, at which this clock shows or showed a moment.

        For a moment that an advance skipped, it is the time of the advance.
        """
        at = max(bisect_right(self.segments, moment, key=itemgetter(0)) - 1, 0)
        start, real_start, speed = self.segments[at]
        real = real_start + (moment - start) / speed
        return min(real, self.segments[at + 1][1]) if at + 1 < len(self.segments) else real

    def segments_after(self, moment: float, speed: float) -> Segments:
        """Return the segments of a clock that continues now from this moment at this speed."""
        segments = [*self.segments, (moment, self.real(), speed)]
        del segments[1:-MAX_SEGMENTS]
        return segments
