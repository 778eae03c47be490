"""Batches of changes: what is written while one is on its way goes together in the next one."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from latehook.base.errors import StoreUnreachable
from latehook.store.postgresql.link import Link
from latehook.store.protocol import Committed

MAX_CHANGES = 2000
"""Changes that one batch has, unless one commit alone has more."""

WRITE = "SELECT changed, refused, repeated, pruned_to FROM write($1::change[], $2)"


KEY = 3
"""The column of a job's idempotency key."""


class Change(NamedTuple):
    """A value of the type `change`: see schema.py for what each kind uses."""

    what: str
    key: int = 0
    number: int | None = None
    moment: float | None = None
    clock: float | None = None
    ordered: bool | None = None
    state: str | None = None
    reason: str | None = None
    name: str | None = None
    value: bytes | None = None
    job: tuple[Any, ...] | None = None
    webhook: tuple[Any, ...] | None = None
    attempt: tuple[Any, ...] | None = None


class _Waiting(NamedTuple):
    """The changes of one commit, and the future of its result."""

    changes: Sequence[Change]
    result: asyncio.Future[Committed]


class Batches:
    """Writes changes, one batch after the other, each in one transaction and one round trip."""

    def __init__(self, link: Link, epoch: Callable[[], int]) -> None:
        self.pruned_to = 0
        """The key of the last job that a prune has examined."""
        self._link = link
        self._epoch = epoch
        self._waiting: list[_Waiting] = []
        self._last: asyncio.Future[Committed] | None = None
        self._doubtful: set[int] = set()  # jobs of batches of which nobody knows whether they were written
        self._is_sending = False  # set before the task is made: it may end before `create_task` returns
        self._sending: asyncio.Task[None] | None = None

    def write(self, changes: Sequence[Change]) -> asyncio.Future[Committed]:
        """Write changes. Return a future that ends when they count, or has a StoreError: none of them counts.

        If the connection breaks meanwhile, it may turn out that they were written. Then new jobs are deleted again,
        except those with an idempotency key: another process may have answered a repeated request with one.
        """
        self._last = result = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(changes, result))
        if not self._is_sending:
            self._is_sending = True
            self._sending = asyncio.get_running_loop().create_task(self._send_all(), name="latehook: write")
        return result

    async def written(self) -> None:
        """Return when everything that was given to `write` is written, or has failed."""
        if self._last is not None and not self._last.done():
            await asyncio.wait([self._last])

    async def settle(self) -> None:
        """Delete the jobs of which nobody knows whether they were written: their requests have got a 503."""
        if self._doubtful:
            doubtful = set(self._doubtful)
            await self._link.write(WRITE, [Change("deleted job", key) for key in doubtful], self._epoch())
            self._doubtful -= doubtful

    async def end(self) -> None:
        """Return when no batch is on its way."""
        if self._sending is not None and self._is_sending:
            await asyncio.wait([self._sending])

    async def _send_all(self) -> None:
        while self._waiting:
            batch = self._next()
            changes = [change for waiting in batch for change in waiting.changes]
            try:
                await self.settle()
                committed = await self._send(changes)
            except Exception as error:
                if isinstance(error, StoreUnreachable):
                    self._doubtful.update(change.key for change in changes if change.job and change.job[KEY] is None)
                for waiting in batch:
                    waiting.result.set_exception(error)
                    waiting.result.exception()  # mark it as retrieved: perhaps no task waits
            else:
                for waiting in batch:
                    waiting.result.set_result(committed)
        self._is_sending = False

    def _next(self) -> list[_Waiting]:
        """Take the commits of the next batch."""
        number = size = 0
        while number < len(self._waiting) and (number == 0 or size < MAX_CHANGES):
            size += len(self._waiting[number].changes)
            number += 1
        batch, self._waiting = self._waiting[:number], self._waiting[number:]
        return batch

    async def _send(self, changes: Sequence[Change]) -> Committed:
        [(changed, refused, repeated, pruned_to)] = await self._link.write(WRITE, changes, self._epoch())
        if pruned_to is not None:
            self.pruned_to = pruned_to
        return Committed(frozenset(changed), frozenset(refused), frozenset(repeated))
