"""Begin a few of many clients that connect at once in each turn of the event loop: others are served in between."""

import asyncio

from latehook.base.turns import Turns

CLIENTS_PER_TURN = 8
"""A new client takes about a millisecond, with its first request two."""


class Arrivals:
    """The clients that connect."""

    def __init__(self) -> None:
        self._turns = Turns()
        self._begun = 0
        """Clients that have begun in this turn."""

    async def next(self) -> None:
        """Return at once for the first clients of a turn; for those after them, each in a turn of its own."""
        if self._begun == 0:
            asyncio.get_running_loop().call_soon(self._end_turn)
        self._begun += 1
        if self._begun > CLIENTS_PER_TURN:
            await self._turns.next()

    def _end_turn(self) -> None:
        self._begun = 0
