"""Notices between the processes on one schema, by NOTIFY. A notice is only a hint: it may be lost."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress

import msgspec

from latehook.base.errors import StoreError

GATHER = 0.02
"""Seconds for which notices are gathered after one was sent: each NOTIFY makes all commits of the server wait."""

MAX_NUMBERS = 300
"""Numbers in one notice. More become None: PostgreSQL takes 8,000 bytes."""

Callback = Callable[[Collection[int] | None], None]


class Notice(msgspec.Struct):
    """What one NOTIFY says: kinds of changes with their numbers, None: many. `sender` is the epoch of its process."""

    sender: int
    changes: dict[str, list[int] | None]


class Notices:
    """Sends and hears notices. `send` executes a NOTIFY with this text."""

    def __init__(self, send: Callable[[str], Awaitable[None]], epoch: Callable[[], int]) -> None:
        self._send = send
        self._epoch = epoch
        self._callbacks: defaultdict[str, list[Callback]] = defaultdict(list)
        self._gathered: dict[str, set[int] | None] = {}
        self._sending: asyncio.Task[None] | None = None

    def subscribe(self, kind: str, callback: Callback) -> None:
        """Call `callback` with the numbers of each notice of this kind that another process sends; None: many."""
        self._callbacks[kind].append(callback)

    def publish(self, kind: str, numbers: Collection[int] | None = None) -> None:
        """Send a notice soon. What is published meanwhile goes with it."""
        gathered = self._gathered.get(kind, set())
        both = None if gathered is None or numbers is None else gathered | set(numbers)
        self._gathered[kind] = None if both is None or len(both) > MAX_NUMBERS else both
        if self._sending is None:
            self._sending = asyncio.get_running_loop().create_task(self._send_all(), name="latehook: notices")

    def hear(self, text: str) -> None:
        """Act on a notice that has come."""
        with suppress(msgspec.DecodeError):  # any program can send one
            notice = msgspec.json.decode(text, type=Notice)
            if notice.sender != self._epoch():
                for kind, numbers in notice.changes.items():
                    self.act(kind, numbers)

    def act(self, kind: str, numbers: Collection[int] | None) -> None:
        """Act as if another process had sent this."""
        for callback in self._callbacks.get(kind, ()):
            callback(numbers)

    async def _send_all(self) -> None:
        try:
            while self._gathered:
                gathered, self._gathered = self._gathered, {}
                changes = {kind: None if numbers is None else sorted(numbers) for kind, numbers in gathered.items()}
                await self._send_one(changes)
                await asyncio.sleep(GATHER)
        finally:
            self._sending = None

    async def send_now(self, kind: str) -> None:
        """Send a notice without numbers, and return when it is sent."""
        await self._send_one({kind: None})

    async def _send_one(self, changes: dict[str, list[int] | None]) -> None:
        with suppress(StoreError):  # the others look for themselves, a little later
            await self._send(msgspec.json.encode(Notice(self._epoch(), changes)).decode())

    def close(self) -> None:
        """Send no more."""
        if self._sending is not None:
            self._sending.cancel()
