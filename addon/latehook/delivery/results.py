"""What became of webhooks, told to the store: kept in mind while it cannot write, so that nothing is sent twice."""

import asyncio
import logging
from collections.abc import Collection, Sequence

from msgspec import Struct

from latehook.base import logs
from latehook.base.errors import StoreError
from latehook.base.model import Content, Outcome, State
from latehook.store import Store
from latehook.store.commits import Commits

log = logging.getLogger(logs.LOGGER)

WRITTEN_AGAIN = 1.0
"""Seconds between two tries to write how webhooks ended, while the store cannot write."""


class AttemptResult(Struct, frozen=True):
    """How an attempt ended, and what follows."""

    number: int
    outcome: Outcome
    state: State
    due: float
    content: Content


class NoAttempt(Struct, frozen=True):
    """Why there can be none: the webhook has failed."""

    reason: str
    state: State = State.FAILED


class PendingResults:
    """`key in ledger`: whether of this webhook something is known that the store does not know."""

    def __init__(self, store: Store, commits: Commits) -> None:
        self._store = store
        self._commits = commits
        self._unwritten: dict[int, list[AttemptResult | NoAttempt]] = {}
        self._rewriting: asyncio.TimerHandle | None = None
        self._closing = False

    def __contains__(self, key: int) -> bool:
        return key in self._unwritten

    def last(self, key: int) -> AttemptResult | NoAttempt | None:
        """What follows from a webhook's last attempt, where the store does not know it."""
        ends = self._unwritten.get(key)
        return ends[-1] if ends else None

    async def keep(self, key: int, content: Content) -> None:
        """Write what a webhook says before it is said: an attempt that a crash cuts is made again with just that."""
        try:
            self._commits.soon()
            self._store.keep(key, content)
            await self._commits.made()
        except StoreError as error:  # no reason not to send it
            log.error("latehook: the content of a webhook cannot be written: %s", error)

    async def write(self, key: int, end: AttemptResult | NoAttempt) -> None:
        """Write how an attempt ended, or keep it in mind until that can be written."""
        ends = self._unwritten.setdefault(key, [])
        ends.append(end)
        try:
            self._commits.soon()
            self._write(key, ends)
            await self._commits.made()
        except StoreError as error:
            log.error("latehook: the end of an attempt cannot be written: %s", error)
            self._write_later()
        else:
            self._unwritten.pop(key, None)

    def forget(self, keys: Collection[int] | None = None) -> None:
        """Of these webhooks, or of all, nothing is to be written any more."""
        for key in list(self._unwritten) if keys is None else keys:
            self._unwritten.pop(key, None)

    def close(self) -> None:
        """Try for the last time."""
        self._closing = True
        self._write_again()

    def _write_later(self) -> None:
        if self._rewriting is None and not self._closing:
            self._rewriting = asyncio.get_running_loop().call_later(WRITTEN_AGAIN, self._write_again)

    def _write_again(self) -> None:
        if self._rewriting is not None:
            self._rewriting.cancel()
            self._rewriting = None
        try:
            with self._commits.at_once():
                for key, ends in self._unwritten.items():
                    self._write(key, ends)
        except StoreError:
            self._write_later()
        else:
            self._unwritten.clear()

    def _write(self, key: int, ends: Sequence[AttemptResult | NoAttempt]) -> None:
        for end in ends:
            if isinstance(end, AttemptResult):
                self._store.finish(key, end.number, end.outcome, end.state, end.due, end.content)
            else:
                self._store.set_state(key, end.state, end.reason)
