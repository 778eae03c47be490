"""Watch the store: what happens to it from outside, and the clock that it has."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from itertools import count

from latehook.base import logs
from latehook.base.errors import StoreError
from latehook.base.notifier import Notifier
from latehook.delivery.outbox import Outbox
from latehook.store.protocol import Store
from latehook.store.shared_state import SharedState
from latehook.webhooks.retries import NEVER

log = logging.getLogger(logs.LOGGER)

CHECK_STORE_EVERY = 1.0
"""Seconds between two looks at the store."""

KEEP_CLOCK_EVERY = 5
"""Looks at the store between two writes of the clock, while webhooks are pending: so a crash loses few seconds of it.
"""


class StoreWatch:
    """Looks again and again whether the store is as it was, and writes the clock for a process that crashes.

    `on_look` is called at each look.
    """

    def __init__(
        self, store: Store, state: SharedState, outbox: Outbox, notifier: Notifier, on_look: Callable[[], None]
    ) -> None:
        self._store = store
        self._state = state
        self._outbox = outbox
        self._notifier = notifier
        self._on_look = on_look
        self._problems: list[str] = []
        self._watching: asyncio.Task[None] | None = None

    @property
    def problems(self) -> list[str]:
        """What is wrong with the store, each in one line."""
        problems = [*self._problems]
        if self._store.problem is not None:
            problems.append(f"the store cannot be reached: {self._store.problem}")
        return problems

    def start(self) -> None:
        self._watching = asyncio.get_running_loop().create_task(self._watch(), name="latehook: watch the store")

    async def stop(self) -> None:
        """Watch no more, and write the clock for the last time."""
        if self._watching is not None:
            self._watching.cancel()
            with suppress(StoreError):
                await self._state.keep_clock()

    async def _watch(self) -> None:
        for turn in count():
            self._on_look()
            for problem in self._store.new_problems():
                log.error("latehook: %s", problem)
                self._problems.append(problem)
                self._notifier.notify()
            if turn % KEEP_CLOCK_EVERY == 0 and self._outbox.next_due() != NEVER:
                with suppress(StoreError):  # if the store cannot write, a later turn does
                    await self._state.keep_clock()
            await asyncio.sleep(CHECK_STORE_EVERY)
