"""The advance that runs now, as far as attempts are concerned."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from latehook.base.clock import Clock
from latehook.delivery.attempts import RunningAttempt
from latehook.delivery.barrier import AdvanceBarrier
from latehook.delivery.decisions import Decisions
from latehook.delivery.foresight import Foresight
from latehook.webhooks import retries


class RunningAdvance:
    """Has the barrier of the advance that runs now. While none runs, its methods do nothing."""

    def __init__(
        self, clock: Clock, decisions: Decisions, running: Mapping[int, RunningAttempt], foresight: Foresight
    ) -> None:
        self._clock = clock
        self._decisions = decisions
        self._running = running
        self._foresight = foresight
        self._barrier: AdvanceBarrier | None = None

    @contextmanager
    def barrier(self, keys: Collection[int]) -> Iterator[AdvanceBarrier]:
        """Put webhooks that are due, and all that become due inside this block, into a new barrier.

        One barrier may exist at a time.
        """
        self._barrier = barrier = AdvanceBarrier()
        barrier.add(keys, self._clock.now())
        for key in keys:
            if (attempt := self._running.get(key)) is not None:
                self.started(key, attempt)
        try:
            yield barrier
        finally:
            self._barrier = None
            self._foresight.clear()

    def due(self, keys: Collection[int]) -> None:
        """Note that webhooks have become due."""
        if self._barrier is None:
            return
        self._barrier.add(keys, self._clock.now())
        for key in keys:
            if (least_wait := self._foresight.pop(key)) is not None:
                self._barrier.set_least_wait(key, min(least_wait, self._decisions.least_wait(key)))

    def due_time(self, key: int) -> float | None:
        """Return when a webhook became due, if that was in this advance."""
        return None if self._barrier is None else self._barrier.due_time(key)

    def started(self, key: int, attempt: RunningAttempt) -> None:
        """Note that an attempt is made, and begins."""
        if self._barrier is not None:
            least_wait = retries.least_wait(attempt.retry, attempt.number)
            self._barrier.set_least_wait(key, min(least_wait, self._decisions.least_wait(key)))

    def leave(self, keys: Sequence[int]) -> None:
        """Do not wait for those of these webhooks that have no running attempt."""
        if self._barrier is not None:
            for key in keys:
                if key not in self._running:
                    self._barrier.remove(key)
