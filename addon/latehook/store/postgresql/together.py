"""Reads by key that are asked for at the same time, made by one query."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

MAX_KEYS = 50
"""Keys that one query reads at most."""


class Together[Key, Value]:
    """Reads values by key. `read` returns those that are there; what is asked for while it runs goes together."""

    def __init__(self, read: Callable[[Sequence[Key]], Awaitable[Mapping[Key, Value]]]) -> None:
        self._read = read
        self._asked: dict[Key, asyncio.Future[Value | None]] = {}
        self._is_reading = False  # set before the task is made: it may end before `create_task` returns
        self._reading: asyncio.Task[None]

    async def get(self, key: Key) -> Value | None:
        """Return the value of a key; None where there is none. Raises what `read` raises."""
        loop = asyncio.get_running_loop()
        answer = self._asked.get(key)
        if answer is None:
            answer = self._asked[key] = loop.create_future()
        if not self._is_reading:
            self._is_reading = True
            self._reading = loop.create_task(self._read_all(), name="latehook: read")
        return await asyncio.shield(answer)

    async def _read_all(self) -> None:
        while self._asked:
            keys = list(self._asked)[:MAX_KEYS]
            answers = {key: self._asked.pop(key) for key in keys}
            try:
                found = await self._read(keys)
            except Exception as error:
                for answer in answers.values():
                    answer.set_exception(error)
                    answer.exception()  # mark it as retrieved: perhaps no task waits
            else:
                for key, answer in answers.items():
                    answer.set_result(found.get(key))
        self._is_reading = False
