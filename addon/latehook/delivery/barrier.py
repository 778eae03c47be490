"""What an advance of the clock waits for: time is moved from one due moment to the next, never past a consequence."""

import asyncio
import heapq
from collections.abc import Iterable
from itertools import islice

from latehook.webhooks.retries import NEVER


class Advance:
    """The webhooks that an advance has made due, each with the earliest moment at which its attempt has a consequence.

    A failed attempt may be tried again within the advance: as if it had taken no time, its next one is due at its own
    moment plus the wait. So nothing later may start before that is known.
    """

    def __init__(self) -> None:
        self._started: dict[int, float] = {}
        self._consequence: dict[int, float] = {}
        self._earliest: list[tuple[float, int]] = []  # a heap of consequences, those that no longer hold among them
        self._changed = asyncio.Event()

    def awaits(self, keys: Iterable[int], started: float) -> None:
        """These have become due at this moment."""
        for key in keys:
            self._started[key] = started
            self._expect(key, started)

    def expects(self, key: int, wait: float) -> None:
        """The consequence of its attempt can come no earlier than after `wait` seconds."""
        started = self._started.get(key)
        if started is not None and self._consequence[key] != started + wait:
            self._expect(key, started + wait)
            self._changed.set()

    def started(self, key: int) -> float | None:
        """The moment at which it became due, if that was in this advance."""
        return self._started.get(key)

    def ended(self, key: int) -> None:
        self._started.pop(key, None)
        self._consequence.pop(key, None)
        self._changed.set()

    @property
    def horizon(self) -> float:
        """The moment beyond which nothing may start yet."""
        while self._earliest and self._consequence.get(self._earliest[0][1]) != self._earliest[0][0]:
            heapq.heappop(self._earliest)
        return self._earliest[0][0] if self._earliest else NEVER

    @property
    def is_over(self) -> bool:
        """Whether all has ended."""
        return not self._started

    def left(self, limit: int) -> list[int]:
        """The first of those that have not ended."""
        return list(islice(self._started, limit))

    async def change(self) -> None:
        """Wait until more is known of something, or it has ended."""
        self._changed.clear()
        await self._changed.wait()

    def _expect(self, key: int, consequence: float) -> None:
        self._consequence[key] = consequence
        heapq.heappush(self._earliest, (consequence, key))
