"""A limit of the processor time that one thread uses."""

from time import perf_counter, thread_time


class ProcessorTimeLimit:
    """The time of the current thread, from now on. Time in which others use the processor does not count."""

    __slots__ = ("_end", "_look_at")

    def __init__(self, seconds: float) -> None:
        self._end = thread_time() + seconds
        self._look_at = perf_counter() + seconds

    def is_over(self) -> bool:
        """Return whether the time is used up. This is cheap as long as not even so much real time has passed."""
        if perf_counter() < self._look_at:
            return False
        left = self._end - thread_time()
        self._look_at = perf_counter() + left
        return left < 0
