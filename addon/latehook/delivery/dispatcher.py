"""Start the attempts at due webhooks: so many at once to one destination, and a few in each turn of the event loop."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

from latehook.base import logs
from latehook.base.messages import Outcome, Outgoing
from latehook.base.urls import split_url
from latehook.delivery.reporting import without_user

log = logging.getLogger(logs.LOGGER)

STARTS_PER_TURN = 8
"""Attempts started in one turn of the event loop, so that requests are answered in between."""

EXAMINED_PER_TURN = 200
"""Due webhooks examined in one turn. Most of them start nothing, where their destination has no free slot."""

DEFAULT_WORKERS = 128
"""Attempts that run at once to one destination."""

UNREADABLE = "(a webhook that the store cannot read)"
"""In the place of a destination: making the attempt says why."""


@lru_cache(maxsize=1024)  # a system has few URLs for webhooks: their queries, which differ, come after this
def destination_of(url: str) -> str:
    """Return the destination of a URL: its scheme, host and port. A text that is no URL has one of its own."""
    parts = split_url(without_user(url))
    return f"{parts.scheme}://{parts.netloc}" if parts else url


class AttemptHandler(Protocol):
    """Decides where a webhook goes, makes its attempts, and handles their outcomes."""

    async def destinations(self, keys: Sequence[int]) -> Sequence[str | None]:
        """Return where each of these due webhooks goes, as scheme, host and port; None: it is not to be sent now."""

    async def prepare(self, key: int) -> Outgoing | None:
        """Make a webhook's next attempt. Called when its destination has a slot for it. None: there is no attempt."""

    async def conclude(self, key: int, outcome: Outcome) -> None:
        """Handle an attempt that has ended."""


@dataclass(slots=True)
class Slots:
    """A destination: how many attempts to it are running, and the webhooks that wait for one of them to end."""

    busy: int = 0
    waiting: deque[int] = field(default_factory=deque)


class Dispatcher:
    """Starts the attempts at due webhooks. Each attempt is made when its destination has a free slot, and not before.

    `workers` is the number of slots of each destination.
    """

    def __init__(
        self,
        handler: AttemptHandler,
        send: Callable[[Outgoing], Awaitable[Outcome]],
        workers: int = DEFAULT_WORKERS,
    ) -> None:
        self._handler = handler
        self._send = send
        self._workers = workers
        self._due: deque[int] = deque()
        self._examined: deque[tuple[str, int]] = deque()  # those that may start: they have a destination
        self._ready: deque[tuple[str, int]] = deque()  # those for which a slot has become free
        self._slots: dict[str, Slots] = {}
        self._running: dict[asyncio.Task[None], int] = {}
        self._is_starting = False
        self._starting: asyncio.Task[None] | None = None
        self._examining = False
        self._stopped = False

    def enqueue(self, keys: Iterable[int]) -> None:
        """Start the attempts at these webhooks, which are due, behind those that were enqueued before."""
        self._due.extend(keys)
        self._start()

    def set_workers(self, workers: int) -> None:
        """Change the number of slots. Running attempts go on."""
        self._workers = workers

    @property
    def is_idle(self) -> bool:
        """Whether no attempt is running, and no webhook is waiting for one."""
        return not (self._due or self._ready or self._examined or self._slots or self._examining)

    async def abort(self) -> None:
        """Cancel all running attempts, and drop the webhooks that wait for theirs."""
        self._due.clear()
        self._examined.clear()
        self._ready.clear()
        for slots in self._slots.values():
            slots.waiting.clear()
        await self.cancel(set(self._running.values()))

    async def cancel(self, keys: Collection[int]) -> None:
        """Cancel the running attempts at these webhooks."""
        tasks = {task for task, key in self._running.items() if key in keys}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1)

    async def drain(self, seconds: float) -> None:
        """Start no more attempts. Wait up to `seconds` for the running ones, and cancel those that have not ended."""
        self._stopped = True
        if self._starting is not None and self._is_starting:
            await asyncio.wait([self._starting], timeout=seconds)
        if self._running:
            _, late = await asyncio.wait(set(self._running), timeout=seconds)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=0.1)

    def _start(self) -> None:
        """Start attempts from the next turn of the loop on, as long as there are some to start."""
        if not self._is_starting and (self._ready or self._examined or self._due) and not self._stopped:
            self._is_starting = True
            asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        self._starting = asyncio.Task(self._start_all(), loop=loop, name="latehook: start attempts", eager_start=True)

    async def _start_all(self) -> None:
        while (self._ready or self._examined or self._due) and not self._stopped:
            try:
                await self._start_some()
            except Exception:  # an error for some webhooks must not stop the others
                log.exception("latehook: due webhooks could not be examined")
            await asyncio.sleep(0)
        self._is_starting = False

    async def _start_some(self) -> None:
        """Start attempts for one turn of the event loop."""
        if not self._ready and not self._examined:
            await self._examine()
        started = 0
        while (waiting := self._ready or self._examined) and started < STARTS_PER_TURN and not self._stopped:
            started += self._start_or_wait(*waiting.popleft())

    async def _examine(self) -> None:
        """Find out which of the next due webhooks may start, and where they go."""
        keys = [self._due.popleft() for _ in range(min(len(self._due), EXAMINED_PER_TURN))]
        self._examining = True
        try:
            destinations = await self._handler.destinations(keys)
        finally:
            self._examining = False
        self._examined += [(to, key) for key, to in zip(keys, destinations, strict=True) if to is not None]

    def _start_or_wait(self, destination: str, key: int) -> bool:
        slots = self._slots.setdefault(destination, Slots())
        if slots.busy >= self._workers:
            slots.waiting.append(key)
            return False
        slots.busy += 1
        task = asyncio.get_running_loop().create_task(self._attempt(key), name=f"webhook {key}")
        self._running[task] = key
        task.add_done_callback(lambda done: self._on_end(destination, done))
        return True

    async def _attempt(self, key: int) -> None:
        outgoing = await self._handler.prepare(key)
        if outgoing is not None:
            await self._handler.conclude(key, await self._send(outgoing))

    def _on_end(self, destination: str, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("latehook: an attempt broke: %r", error, exc_info=error)
        slots = self._slots[destination]
        slots.busy -= 1
        if slots.waiting and not self._stopped:
            self._ready.append((destination, slots.waiting.popleft()))
            self._start()
        elif slots.busy == 0:
            del self._slots[destination]
