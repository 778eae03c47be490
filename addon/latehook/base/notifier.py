"""That something has changed: one number that grows, and who waits for it."""

import asyncio


class Notifier:
    """`revision` grows with every change that a list would show. Telling costs nothing while nobody waits."""

    def __init__(self) -> None:
        self.revision = 0
        self.waiting = 0
        """How many wait."""
        self._happened = asyncio.Event()

    def notify(self) -> None:
        self.revision += 1
        if self.waiting:
            self._happened.set()  # wakes those who wait now
            self._happened.clear()

    async def wait_for_change(self, revision: int, limit: float) -> bool:
        """Wait until the revision is another than this; False when so many seconds are over."""
        self.waiting += 1
        try:
            async with asyncio.timeout(limit):
                while self.revision == revision:
                    await self._happened.wait()
            return True
        except TimeoutError:
            return False
        finally:
            self.waiting -= 1
