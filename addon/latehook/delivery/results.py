"""The results of attempts. They are written to the store, and kept while that fails: no webhook is sent twice."""

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct

from latehook.base import logs
from latehook.base.errors import StoreError
from latehook.base.model import Attempt, Content, Outcome, State
from latehook.store import Store
from latehook.store.group_commit import GroupCommit

log = logging.getLogger(logs.LOGGER)

REWRITE_AFTER = 1.0
"""Seconds after which results are written again that could not be written."""


class AttemptResult(Struct, frozen=True):
    """An attempt that has ended, the webhook's state after it, and when the webhook is due (again).

    `clock_at` is when the attempt started by the job's clock.
    """

    number: int
    clock_at: float
    outcome: Outcome
    state: State
    due: float
    content: Content

    def attempt(self) -> Attempt:
        """Return the attempt."""
        end = self.outcome
        return Attempt(self.number, end.started_at, end.ended_at, end.status, end.error, end.body, self.clock_at)


class NoAttempt(Struct, frozen=True):
    """The reason why an attempt could not be made. The webhook has failed."""

    reason: str
    state: State = State.FAILED


class PendingResults:
    """Writes results. `key in results`: whether a webhook has a result that is not in the store yet."""

    def __init__(self, store: Store, commits: GroupCommit) -> None:
        self.problem: str | None = None
        """Why results are not in the store; None where nothing keeps them from being written."""
        self._store = store
        self._commits = commits
        self._pending: dict[int, list[AttemptResult | NoAttempt]] = {}
        self.unwritten: Mapping[int, Sequence[AttemptResult | NoAttempt]] = self._pending
        """The results that are not in the store yet, by their webhook's key, for others to read."""
        self._rewrite_timer: asyncio.TimerHandle | None = None
        self._closing = False

    def __contains__(self, key: int) -> bool:
        return key in self._pending

    def last(self, key: int) -> AttemptResult | NoAttempt | None:
        """Return a webhook's last result that is not in the store yet."""
        results = self._pending.get(key)
        return results[-1] if results else None

    async def write_content(self, key: int, content: Content) -> None:
        """Write what a webhook says before it is sent: after a crash, the attempt is repeated with the same content.

        A store that cannot write is logged, and the webhook is sent all the same.
        """
        try:
            self._commits.schedule()
            self._store.set_content(key, content)
            await self._commits.committed()
        except StoreError as error:
            log.error("latehook: the content of a webhook cannot be written: %s", error)

    async def write(self, key: int, result: AttemptResult | NoAttempt) -> None:
        """Write a result. If the store cannot write, log that, keep the result, and try again later."""
        results = self._pending.setdefault(key, [])
        results.append(result)
        try:
            self._commits.schedule()
            self._write(key, results)
            await self._commits.committed()
        except StoreError as error:
            log.error("latehook: the result of an attempt cannot be written: %s", error)
            self.problem = str(error)
            self._write_later()
        else:
            self._pending.pop(key, None)

    def forget(self, keys: Collection[int] | None = None) -> None:
        """Drop the results of these webhooks, or of all."""
        for key in list(self._pending) if keys is None else keys:
            self._pending.pop(key, None)

    def write_now(self) -> None:
        """Write the results that are left. Raises StoreError."""
        if not self._pending:
            return
        with self._commits.transaction():
            for key, results in self._pending.items():
                self._write(key, results)
        if self.problem is not None:
            log.info("latehook: the store can write again: the results of %d webhooks are in it", len(self._pending))
        self._pending.clear()
        self.problem = None

    def close(self) -> None:
        """Write the results that are left. If the store cannot write, they are lost."""
        self._closing = True
        self._write_pending()
        if self._pending:
            again = "the next process sends these webhooks again"
            log.error("latehook: the results of %d webhooks could not be written: %s", len(self._pending), again)

    def _write_later(self) -> None:
        if self._rewrite_timer is None and not self._closing:
            self._rewrite_timer = asyncio.get_running_loop().call_later(REWRITE_AFTER, self._write_pending)

    def _write_pending(self) -> None:
        if self._rewrite_timer is not None:
            self._rewrite_timer.cancel()
            self._rewrite_timer = None
        try:
            self.write_now()
        except StoreError:
            self._write_later()

    def _write(self, key: int, results: Sequence[AttemptResult | NoAttempt]) -> None:
        for result in results:
            if isinstance(result, AttemptResult):
                self._store.add_attempt(
                    key, result.number, result.outcome, result.state, result.due, result.content, result.clock_at
                )
            else:
                self._store.set_state(key, result.state, result.reason)
