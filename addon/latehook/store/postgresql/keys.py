"""PURE: keys of new rows. They grow with time, and other processes never make the same ones."""

from collections.abc import Callable

EPOCH = 1_735_689_600.0
"""The beginning of 2025, in Unix seconds."""

PROCESSES, OF_A_PROCESS = 64, 32
"""In each millisecond, so many processes have so many keys. JSON numbers, which have 53 bits, hold them for a century.
"""


class Keys:
    """Makes keys. `real` returns real time in Unix seconds. `number` is that of this process among those alive."""

    def __init__(self, real: Callable[[], float]) -> None:
        self.number = 0
        self._real = real
        self._last = 0  # counts the keys of this process: milliseconds, and the place in the millisecond

    def start_after(self, key: int) -> None:
        """Make only keys that are greater than this one."""
        self._last = max(self._last, (key // (PROCESSES * OF_A_PROCESS) + 1) * OF_A_PROCESS)

    def next(self) -> int:
        by_time = int((self._real() - EPOCH) * 1000) * OF_A_PROCESS
        self._last = max(self._last + 1, by_time)
        millisecond, place = divmod(self._last, OF_A_PROCESS)
        return (millisecond * PROCESSES + self.number) * OF_A_PROCESS + place
