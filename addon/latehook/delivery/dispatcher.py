"""Attempts: slots for each destination, starts paced by the loop's turns. What is sent and what follows others know."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from latehook.base import logs
from latehook.base.model import Outcome, Outgoing

log = logging.getLogger(logs.LOGGER)

STARTS_A_TURN = 8
"""Attempts started in one turn of the loop: between them the requests get their turn."""

LOOKS_A_TURN = 200
"""Due webhooks looked at in one turn: most of them wait, where their destination is full."""

DEFAULT_WORKERS = 64
"""Attempts under way at once to one destination."""


class DispatcherOwner(Protocol):
    """What delivery is told: the engine's side."""

    def destination(self, key: int) -> str | None:
        """Where a due webhook goes, as scheme, host and port; None: it is not to be sent any more."""

    async def prepare(self, key: int) -> Outgoing | None:
        """The next attempt of a webhook, made when its slot is free; None: there is none."""

    async def conclude(self, key: int, outcome: Outcome) -> None:
        """An attempt has ended."""


@dataclass(slots=True)
class Slots:
    """One destination: the attempts under way and the webhooks that wait for one of them to end."""

    busy: int = 0
    waiting: deque[int] = field(default_factory=deque)


class Dispatcher:
    """Starts attempts when their destination has a slot free, and only then makes them."""

    def __init__(
        self,
        deliveries: DispatcherOwner,
        send: Callable[[Outgoing], Awaitable[Outcome]],
        workers: int = DEFAULT_WORKERS,
    ) -> None:
        self.workers = workers
        self._deliveries = deliveries
        self._send = send
        self._due: deque[int] = deque()
        self._next: deque[tuple[str, int]] = deque()
        self._slots: dict[str, Slots] = {}
        self._under_way: dict[asyncio.Task[None], int] = {}
        self._turn: asyncio.Handle | None = None
        self._stopped = False

    def enqueue(self, keys: Iterable[int]) -> None:
        """These webhooks are due."""
        self._due.extend(keys)
        self._next_turn()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way, or due."""
        return not (self._due or self._next or self._slots)

    async def abort(self) -> None:
        """Break off all that is under way and forget what is due."""
        self._due.clear()
        self._next.clear()
        for slots in self._slots.values():
            slots.waiting.clear()
        await self.break_off(set(self._under_way.values()))

    async def break_off(self, keys: Collection[int]) -> None:
        """Break off the attempts at these webhooks."""
        tasks = {task for task, key in self._under_way.items() if key in keys}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1)

    async def drain(self, seconds: float) -> None:
        """Start nothing more; give what is under way that long to end, then break it off."""
        self._stopped = True
        if self._under_way:
            _, late = await asyncio.wait(set(self._under_way), timeout=seconds)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=0.1)

    def _next_turn(self) -> None:
        if self._turn is None and (self._next or self._due) and not self._stopped:
            self._turn = asyncio.get_running_loop().call_soon(self._start_some)

    def _start_some(self) -> None:
        self._turn = None
        started = 0
        try:
            for _ in range(LOOKS_A_TURN):
                if started == STARTS_A_TURN or self._stopped:
                    break
                if self._next:
                    started += self._start_or_wait(*self._next.popleft())
                elif self._due:
                    key = self._due.popleft()
                    destination = self._deliveries.destination(key)
                    if destination is not None:
                        started += self._start_or_wait(destination, key)
        finally:  # one that breaks keeps no other from its turn
            self._next_turn()

    def _start_or_wait(self, destination: str, key: int) -> bool:
        slots = self._slots.setdefault(destination, Slots())
        if slots.busy >= self.workers:
            slots.waiting.append(key)
            return False
        slots.busy += 1
        task = asyncio.get_running_loop().create_task(self._attempt(key), name=f"webhook {key}")
        self._under_way[task] = key
        task.add_done_callback(lambda done: self._ended(destination, done))
        return True

    async def _attempt(self, key: int) -> None:
        outgoing = await self._deliveries.prepare(key)
        if outgoing is not None:
            await self._deliveries.conclude(key, await self._send(outgoing))

    def _ended(self, destination: str, task: asyncio.Task[None]) -> None:
        self._under_way.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("latehook: an attempt broke: %r", error, exc_info=error)
        slots = self._slots[destination]
        slots.busy -= 1
        if slots.waiting and not self._stopped:
            self._next.append((destination, slots.waiting.popleft()))
            self._next_turn()
        elif slots.busy == 0:
            del self._slots[destination]
