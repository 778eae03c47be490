"""PURE: Latehook's clock."""

import time
from collections.abc import Callable


def steady_time() -> float:
    """Return seconds that pass evenly: also while the machine sleeps, and when somebody sets the machine's clock."""
    return time.clock_gettime(_STEADY)


# On Linux, CLOCK_MONOTONIC stops while the machine sleeps. On macOS it goes on, and there is no CLOCK_BOOTTIME.
_STEADY: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Clock:
    """Latehook's own clock, in Unix seconds: real time by `speed`, plus advances. It decides what is due.

    It begins with real time and follows `steady` from there: nothing becomes due early or late because the machine's
    clock is set. `real` returns real time in Unix seconds.
    """

    def __init__(self, real: Callable[[], float] = time.time, steady: Callable[[], float] = steady_time) -> None:
        self.real = real
        self.speed: float
        """How many seconds of this clock pass in one second."""
        self._steady = steady
        self.set(real(), 1.0)

    def now(self) -> float:
        return self._start + (self._steady() - self._steady_start) * self.speed

    def set(self, moment: float, speed: float) -> None:
        """Show this moment now, and continue from it at this speed."""
        self._start, self._steady_start, self.speed = moment, self._steady(), speed

    def advance_to(self, moment: float) -> None:
        """Continue from this moment, if it is later than now."""
        if moment > self.now():
            self.set(moment, self.speed)
