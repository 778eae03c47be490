"""PURE: keys of new rows. They grow with time, and other processes never make the same ones."""

from collections.abc import Callable

EPOCH = 1_735_689_600.0
"""The beginning of 2025, in Unix seconds."""

KEYS_A_MILLISECOND = 1024
"""So many keys fit in a millisecond. JSON numbers, which have 53 bits, hold them for a century."""


class Keys:
    """Makes keys. `real` returns real time in Unix seconds."""

    def __init__(self, real: Callable[[], float]) -> None:
        self._real = real
        self._last = 0

    def start_after(self, key: int) -> None:
        """Make only keys that are greater than this one."""
        self._last = max(self._last, key)

    def next(self) -> int:
        by_time = int((self._real() - EPOCH) * 1000) * KEYS_A_MILLISECOND
        self._last = max(self._last + 1, by_time)
        return self._last
