"""Tells waiting coroutines that something has changed."""

import asyncio
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

Listener = Callable[[Collection[int] | None], None]
"""Called at each change while somebody waits, with the keys of the webhooks that changed; None: any may have."""


class Notifier:
    """`revision` grows with every change that a list of the control API would show."""

    def __init__(self) -> None:
        self.revision = 0
        self.waiting = 0
        """The number of coroutines that wait."""
        self._changed = asyncio.Event()
        self._listeners: list[Listener] = []

    def look(self) -> None:
        """Do what has to be done every second: nothing, where only this process changes anything."""

    def add_listener(self, listener: Listener) -> None:
        """Call `listener` at each change from now on."""
        self._listeners.append(listener)

    def notify(self, webhooks: Collection[int] | None = ()) -> None:
        """Note a change, and wake those that wait for one.

        `webhooks` are the keys of those that are not as before; None: any may have changed.
        """
        self.revision += 1
        self.wake(webhooks)

    def wake(self, webhooks: Collection[int] | None) -> None:
        """Wake those that wait for a change. `webhooks` are as in `notify`."""
        if self.waiting:
            self._changed.set()  # wakes all that wait now
            self._changed.clear()
            for listener in self._listeners:
                listener(webhooks)

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count a coroutine among those that wait."""
        self.waiting += 1
        try:
            yield
        finally:
            self.waiting -= 1

    async def wait_for_change(self, revision: int, timeout: float) -> bool:
        """Wait until the revision is not this one any more. Return False if it still is after `timeout` seconds."""
        with self.counted():
            try:
                async with asyncio.timeout(timeout):
                    while self.revision == revision:
                        await self._changed.wait()
                return True
            except TimeoutError:
                return False
