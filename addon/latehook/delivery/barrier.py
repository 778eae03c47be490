"""How far an advance may move the clock: not past the moment at which a retry may become due."""

import asyncio
import heapq
from collections.abc import Iterable
from itertools import islice

from latehook.webhooks.retries import NEVER


class AdvanceBarrier:
    """The webhooks that have become due during an advance and whose attempts have not ended.

    An attempt that fails may be retried within the same advance, as if the attempt had taken no time: the retry is due
    at the webhook's due time plus the wait. So the clock stops at the earliest possible retry until its attempt has
    ended. All times are seconds of Latehook's clock.
    """

    def __init__(self) -> None:
        self._due: dict[int, float] = {}
        self._next_due: dict[int, float] = {}  # the earliest time at which each can be due again
        self._earliest: list[tuple[float, int]] = []  # a heap of these, and of outdated ones
        self._changed = asyncio.Event()

    def add(self, keys: Iterable[int], now: float) -> None:
        """Add webhooks that have become due. Their next due time is not known yet: it may be `now`."""
        for key in keys:
            self._due[key] = now
            self._set_next_due(key, now)

    def set_least_wait(self, key: int, wait: float) -> None:
        """Note that a webhook, if its attempt fails, is due again after `wait` seconds or later."""
        due = self._due.get(key)
        if due is not None and self._next_due[key] != due + wait:
            self._set_next_due(key, due + wait)
            self._changed.set()

    def remove(self, key: int) -> None:
        """Remove a webhook: its attempt has ended, or there will be none."""
        self._due.pop(key, None)
        self._next_due.pop(key, None)
        self._changed.set()

    def due_time(self, key: int) -> float | None:
        """Return when a webhook became due; None if that was not in this advance."""
        return self._due.get(key)

    @property
    def limit(self) -> float:
        """The time up to which the clock may move now; infinity where no retry is possible."""
        while self._earliest and self._next_due.get(self._earliest[0][1]) != self._earliest[0][0]:
            heapq.heappop(self._earliest)
        return self._earliest[0][0] if self._earliest else NEVER

    @property
    def is_empty(self) -> bool:
        """Whether the attempts at all webhooks have ended."""
        return not self._due

    def keys(self, limit: int) -> list[int]:
        """Return the keys of the webhooks, at most `limit`, the earliest first."""
        return list(islice(self._due, limit))

    async def changed(self) -> None:
        """Wait until the limit may have moved, or a webhook was removed."""
        self._changed.clear()
        await self._changed.wait()

    def _set_next_due(self, key: int, time: float) -> None:
        self._next_due[key] = time
        heapq.heappush(self._earliest, (time, key))
