"""PURE: Latehook's clock."""

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

    def set_speed(self, speed: float) -> None:
        """Go on from here at this speed."""
        self.segments = self.segments_after(self.now(), speed)

    def advance_to(self, moment: float) -> None:
        """Go on from a later moment; not back."""
        if moment > self.now():
            self.segments = self.segments_after(moment, self.speed)

    def restore(self, segments: Segments) -> None:
        """Continue as these segments say, which `segments` or `segments_after` has given."""
        self.segments = segments

    def reset(self, speed: float) -> None:
        """Show real time again, and run at this speed."""
        self.segments = [(0.0, 0.0, 1.0)]
        self.set_speed(speed)

    def real_at(self, moment: float) -> float:
        """The Unix seconds at which this clock shows, or showed, a moment; of one that was jumped over, the jump's."""
        at = max(bisect_right(self.segments, moment, key=itemgetter(0)) - 1, 0)
        start, real_start, speed = self.segments[at]
        real = real_start + (moment - start) / speed
        return min(real, self.segments[at + 1][1]) if at + 1 < len(self.segments) else real

    def segments_after(self, moment: float, speed: float) -> Segments:
        """The segments of a clock that goes on from this moment, at this speed."""
        segments = [*self.segments, (moment, self.real(), speed)]
        del segments[1:-KEPT_SEGMENTS]
        return segments
