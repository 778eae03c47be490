"""Start the attempts at due webhooks: so many at once to one destination, and a few in each turn of the event loop."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from functools import lru_cache
from typing import Protocol

from latehook.base import logs
from latehook.base.messages import Outcome, Outgoing
from latehook.base.urls import split_url
from latehook.delivery.attempts import ConnectObserver
from latehook.delivery.reporting import without_user
from latehook.delivery.slots import Slots

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


class Dispatcher:
    """Starts the attempts at due webhooks. Each attempt is made when its destination has a free slot, and not before.

    `workers` is the number of slots of each destination.
    """

    def __init__(
        self,
        handler: AttemptHandler,
        send: Callable[[Outgoing, ConnectObserver], Awaitable[Outcome]],
        workers: int = DEFAULT_WORKERS,
    ) -> None:
        self._handler = handler
        self._send = send
        self._workers = workers
        self._due: deque[int] = deque()
        self._examined: deque[tuple[str, int]] = deque()  # those that may start: they have a destination
        self._free: deque[str] = deque()  # destinations that may be free to start one that waits
        self._slots: dict[str, Slots] = {}
        self._running: dict[asyncio.Task[None], int] = {}
        self._is_starting = False
        self._starting: asyncio.Task[None] | None = None
        self._being_examined: Sequence[int] = ()
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
        return not (self._due or self._free or self._examined or self._slots or self._being_examined)

    @property
    def keys(self) -> set[int]:
        """The webhooks that are enqueued, or whose attempts are running."""
        waiting = {key for slots in self._slots.values() for key in slots.waiting}
        examined = {key for _, key in self._examined}
        running = {key for task, key in self._running.items() if not task.done()}
        return waiting.union(self._due, self._being_examined, examined, running)

    async def abort(self) -> None:
        """Cancel all running attempts, and drop the webhooks that wait for theirs."""
        self._due.clear()
        self._examined.clear()
        self._free.clear()
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
        if not self._is_starting and (self._free or self._examined or self._due) and not self._stopped:
            self._is_starting = True
            asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        self._starting = asyncio.Task(self._start_all(), loop=loop, name="latehook: start attempts", eager_start=True)

    async def _start_all(self) -> None:
        while (self._free or self._examined or self._due) and not self._stopped:
            try:
                await self._start_some()
            except Exception:  # an error for some webhooks must not stop the others
                log.exception("latehook: due webhooks could not be examined")
            await asyncio.sleep(0)
        self._is_starting = False

    async def _start_some(self) -> None:
        """Start attempts for one turn of the event loop."""
        if not self._free and not self._examined:
            await self._examine()
        started = 0
        while (self._free or self._examined) and started < STARTS_PER_TURN and not self._stopped:
            if self._free:
                started += self._start_waiting(self._free.popleft())
            else:
                started += self._start_or_wait(*self._examined.popleft())

    async def _examine(self) -> None:
        """Find out which of the next due webhooks may start, and where they go."""
        keys = [self._due.popleft() for _ in range(min(len(self._due), EXAMINED_PER_TURN))]
        self._being_examined = keys
        try:
            destinations = await self._handler.destinations(keys)
        finally:
            self._being_examined = ()
        self._examined += [(to, key) for key, to in zip(keys, destinations, strict=True) if to is not None]

    def _start_waiting(self, destination: str) -> bool:
        """Start the attempt that waits for this destination, if it is free. Return whether one has started."""
        slots = self._slots.get(destination)
        if slots is None or not slots.waiting or not slots.is_free(self._workers):
            return False
        self._start_attempt(destination, slots, slots.waiting.popleft())
        self._free.append(destination)
        return True

    def _start_or_wait(self, destination: str, key: int) -> bool:
        slots = self._slots.get(destination)
        if slots is None:
            slots = self._slots[destination] = Slots(lambda: self._on_free(destination))
        if not slots.is_free(self._workers):
            slots.waiting.append(key)
            return False
        self._start_attempt(destination, slots, key)
        return True

    def _start_attempt(self, destination: str, slots: Slots, key: int) -> None:
        task = asyncio.get_running_loop().create_task(self._attempt(slots, key), name=f"webhook {key}")
        slots.start(task, self._workers)
        self._running[task] = key
        task.add_done_callback(lambda done: self._on_end(destination, slots, done))

    async def _attempt(self, slots: Slots, key: int) -> None:
        outgoing = await self._handler.prepare(key)
        if outgoing is not None:
            outcome = await self._send(outgoing, slots)
            if outcome.status is not None:
                slots.answered(outcome.ended_at - outcome.started_at, outcome.keeps_open)
            await self._handler.conclude(key, outcome)

    def _on_end(self, destination: str, slots: Slots, task: asyncio.Task[None]) -> None:
        self._running.pop(task)
        slots.end(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("latehook: an attempt broke: %r", error, exc_info=error)
        if slots.waiting and not self._stopped:
            self._on_free(destination)
        elif slots.running == 0:
            del self._slots[destination]

    def _on_free(self, destination: str) -> None:
        self._free.append(destination)
        self._start()
