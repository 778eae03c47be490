"""Waits for webhooks. A change has only those waits evaluated that it concerns, and only for what has changed."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection

from latehook.base.notifier import Notifier
from latehook.engine.filters import Filter
from latehook.engine.queries import Queries, WebhookDetails

MAX_WAITED_FOR = 1000
"""Webhooks that one wait returns at most."""

EVALUATE_AFTER = 0.01
"""Seconds for which changes are collected after an evaluation: under load something changes all the time."""


class Wait:
    """A wait, and the keys of the webhooks that match at the moment.

    `is_stale`: the keys must be found again, because anything may have changed.
    """

    def __init__(self, filter: Filter, count: int) -> None:
        self.filter = filter
        self.count = count
        self.matching: set[int] = set()
        self.is_stale = True
        self.wake = asyncio.Event()

    @property
    def varies_with_time(self) -> bool:
        return self.filter.where is not None and self.filter.where.varies_with_time

    def set(self, key: int, matches: bool) -> None:
        """Note whether a webhook matches."""
        if matches:
            self.matching.add(key)
        else:
            self.matching.discard(key)
        if len(self.matching) >= self.count:
            self.wake.set()

    def make_stale(self) -> None:
        self.is_stale = True
        self.wake.set()


class Waits:
    """All waits under way, by the job that each is for; None: for any job."""

    def __init__(self, queries: Queries, notifier: Notifier) -> None:
        self._queries = queries
        self._notifier = notifier
        self._waits: defaultdict[str | None, list[Wait]] = defaultdict(list)
        self._changed: set[int] = set()
        self._anything_changed = False
        self._evaluation: asyncio.Task[None] | None = None
        notifier.add_listener(self._on_change)

    async def wait[Result](
        self, filter: Filter, count: int, limit: float, convert: Callable[[WebhookDetails], Result]
    ) -> list[Result]:
        """Wait until `count` webhooks match, or `limit` real seconds.

        Return those that match, at most MAX_WAITED_FOR, the oldest first, each as `convert` returns it.
        """
        wait = Wait(filter, count)
        job = filter.criteria.job
        self._waits[job].append(wait)
        try:
            with self._notifier.counted():
                async with asyncio.timeout(limit):
                    return await self._enough(wait, convert)
        except TimeoutError:
            return await self._found(wait, convert)
        finally:
            self._waits[job].remove(wait)
            if not self._waits[job]:
                del self._waits[job]

    async def _enough[Result](self, wait: Wait, convert: Callable[[WebhookDetails], Result]) -> list[Result]:
        """Return what a wait has found once that is enough."""
        while True:
            wait.wake.clear()
            if wait.is_stale:
                await self._find(wait)
            if len(wait.matching) >= wait.count:
                found = await self._found(wait, convert)
                if len(found) >= wait.count:
                    return found
            await wait.wake.wait()

    async def _find(self, wait: Wait) -> None:
        """Find all webhooks that match. What changes meanwhile is evaluated as a change."""
        wait.is_stale = False
        wait.matching.clear()
        self._queries.use_current_variables(wait.filter)
        async for batch in self._queries.webhook_batches(wait.filter):
            wait.matching.update(stored.key for stored in batch)
            if len(wait.matching) >= MAX_WAITED_FOR:
                return

    async def _found[Result](self, wait: Wait, convert: Callable[[WebhookDetails], Result]) -> list[Result]:
        """Return the webhooks that match, as they are now."""
        if wait.is_stale:
            await self._find(wait)
        found: list[Result] = []
        async for batch in self._queries.batches_of(sorted(wait.matching, reverse=True)):
            for stored in batch:
                matches = self._queries.webhook_matches(stored, wait.filter)
                wait.set(stored.key, matches)
                if matches:
                    found += map(convert, await self._queries.webhook_details([stored]))
        return found[:MAX_WAITED_FOR][::-1]

    # Changes

    def _on_change(self, webhooks: Collection[int] | None) -> None:
        if not self._waits:
            return
        if webhooks is None:
            self._anything_changed = True
        else:
            self._changed.update(webhooks)
        if self._evaluation is None:
            self._evaluation = asyncio.get_running_loop().create_task(self._evaluate(), name="latehook: waits")

    async def _evaluate(self) -> None:
        """Evaluate the waits until nothing more has changed."""
        try:
            has_changed = True
            while has_changed:
                keys, self._changed = self._changed, set()
                anything, self._anything_changed = self._anything_changed, False
                for wait in self._all():
                    if anything or wait.varies_with_time:
                        wait.make_stale()
                await self._evaluate_webhooks(keys)
                await asyncio.sleep(EVALUATE_AFTER)
                has_changed = bool(self._changed) or self._anything_changed
        finally:
            self._evaluation = None

    async def _evaluate_webhooks(self, keys: set[int]) -> None:
        async for batch in self._queries.batches_of(keys):
            for stored in batch:
                keys.discard(stored.key)
                for wait in [*self._waits.get(stored.job.id, ()), *self._waits.get(None, ())]:
                    wait.set(stored.key, self._queries.webhook_matches(stored, wait.filter))
                    if self._queries.turns.is_over():
                        await self._queries.turns.next()
        for wait in self._all():
            wait.matching -= keys  # they were deleted

    def _all(self) -> list[Wait]:
        return [wait for waits in self._waits.values() for wait in waits]
