"""Long polls: responses that wait until the `until` of their mock holds. It is computed when something has changed."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from functools import partial

from latehook.base.clock import Clock
from latehook.base.errors import ExpressionError, LatehookError, StoreError
from latehook.base.notifier import Notifier
from latehook.engine.context import LiveContext
from latehook.mocks import responding
from latehook.mocks.decisions import Decision, DelayedResponse
from latehook.mocks.definitions import Mock
from latehook.store import Store

MAX_WAITING = 1000
"""Responses that wait at once."""

LOOK_EVERY = 0.25
"""Seconds between two looks at an `until` that reads the time or other jobs."""

PAUSE = 0.02
"""Seconds for which changes are collected before a look: under load something changes all the time."""

SHARE = 10
"""After a look there is a pause that is longer than the look by this factor, for all that wait together."""


class TooManyLongPolls(LatehookError):
    """No further response can wait."""


class LongPolls:
    """The responses that wait."""

    def __init__(self, store: Store, context: LiveContext, clock: Clock, notifier: Notifier) -> None:
        self._store = store
        self._context = context
        self._clock = clock
        self._notifier = notifier
        self._waiting: set[asyncio.Event] = set()
        self._is_closed = False
        notifier.add_listener(self._on_change)

    async def delay(self, decision: Decision, started: int, left: asyncio.Event | None) -> None:
        """Wait for the delay of a response: all of it, or until its `until` holds or its client has `left`.

        `started` is the key of the job that its request has started, else 0. Raises TooManyLongPolls.
        """
        mock, delayed = decision.mock, decision.delayed
        if mock is None or delayed is None or mock.response_number(delayed.number or 0).until is None:
            await asyncio.sleep(decision.delay)
        else:
            await self._wait(mock, delayed, started, decision.delay, left)

    async def _wait(
        self, mock: Mock, delayed: DelayedResponse, started: int, limit: float, left: asyncio.Event | None
    ) -> None:
        if len(self._waiting) >= MAX_WAITING:
            raise TooManyLongPolls(f"{MAX_WAITING:,} responses wait for their `until` already: no other one can")
        look = partial(self._seconds_to_next_look, mock, delayed, started)
        wake = asyncio.Event()
        leaving = None if left is None else asyncio.ensure_future(left.wait())
        if leaving is not None:
            leaving.add_done_callback(lambda _: wake.set())
        self._waiting.add(wake)
        try:
            with self._notifier.counted(), suppress(TimeoutError):
                async with asyncio.timeout(limit):
                    while not self._is_closed and not (left is not None and left.is_set()):
                        if not await self._look(look, wake):
                            return
        finally:
            self._waiting.discard(wake)
            if leaving is not None:
                leaving.cancel()

    def close(self) -> None:
        """End all waits, and later ones at once."""
        self._is_closed = True
        self._on_change(None)

    async def _look(self, look: Callable[[], Awaitable[float | None]], wake: asyncio.Event) -> bool:
        """Look once, and wait for the time of the next look. Return False if the response need not wait any more."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        wake.clear()
        seconds = await look()
        if seconds is None:
            return False
        pause = max(PAUSE, (loop.time() - started) * SHARE * len(self._waiting))
        with suppress(TimeoutError):
            async with asyncio.timeout(None if math.isinf(seconds) else max(seconds, pause)):
                await wake.wait()
                await asyncio.sleep(0 if self._is_closed else pause)
        return True

    async def _seconds_to_next_look(self, mock: Mock, delayed: DelayedResponse, started: int) -> float | None:
        """Return when to look again if nothing changes: when the job's next stage is reached; infinity: never.

        Return None if the response need not wait any more. An error ends the wait: rendering the response gives it.
        """
        key = started or (delayed.job.key if delayed.job is not None else 0)
        try:
            job = await self._store.job(key) if key else None
            is_forgotten = key != 0 and job is None
            has_response = job is not None and job.response is not None and (delayed.starts or delayed.repeats)
            if is_forgotten or has_response:
                return None
            if await self._context.decide(partial(responding.holds, mock, delayed, job)):
                return None
        except (StoreError, ExpressionError):
            return None
        if responding.varies_with_time(mock, delayed):
            return LOOK_EVERY
        if job is None:
            return math.inf
        now = self._clock.now() + job.ahead
        return min((stage.due - now for stage in job.stages if stage.due > now), default=math.inf) / self._clock.speed

    def _on_change(self, webhooks: Collection[int] | None) -> None:
        for wake in self._waiting:
            wake.set()
