"""Wait for the first attempts at a job's webhooks that come before its response."""

import asyncio


class FirstAttempts:
    """The webhooks of one job, by their keys, whose first attempt must end before the response is sent."""

    def __init__(self) -> None:
        self._left: set[int] = set()
        self._ended = asyncio.get_running_loop().create_future()

    def add(self, key: int) -> None:
        self._left.add(key)

    def remove(self, key: int) -> None:
        """Note that the first attempt at a webhook has ended, or that there will be none."""
        self._left.discard(key)
        if not self._left and not self._ended.done():
            self._ended.set_result(None)

    async def ended(self) -> None:
        """Return when the first attempts at all of them have ended."""
        await asyncio.wait([self._ended])
