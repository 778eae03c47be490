"""Tells waiting coroutines that something has changed."""

import asyncio


class Notifier:
    """`revision` grows with every change that a list of the control API would show."""

    def __init__(self) -> None:
        self.revision = 0
        self.waiting = 0
        """The number of coroutines that wait."""
        self._changed = asyncio.Event()

    def notify(self) -> None:
        """Note a change, and wake those that wait for one."""
        self.revision += 1
        if self.waiting:
            self._changed.set()  # wakes all that wait now
            self._changed.clear()

    async def wait_for_change(self, revision: int, timeout: float) -> bool:
        """Wait until the revision is not this one any more. Return False if it still is after `timeout` seconds."""
        self.waiting += 1
        try:
            async with asyncio.timeout(timeout):
                while self.revision == revision:
                    await self._changed.wait()
            return True
        except TimeoutError:
            return False
        finally:
            self.waiting -= 1
