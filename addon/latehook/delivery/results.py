"""The results of attempts. They are written to the store, and kept while that fails: no webhook is sent twice."""

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

from msgspec import Struct

from latehook.base import logs
from latehook.base.errors import StoreError, StoreUnreachable
from latehook.base.messages import Outcome
from latehook.base.model import Attempt, Content, State
from latehook.store.group_commit import GroupCommit
from latehook.store.protocol import Store

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
        row = self.number, end.started_at, end.ended_at, end.status, end.error, end.body, self.clock_at, end.redirects
        return Attempt(*row, end.content_type)


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
        self._in_doubt: set[int] = set()  # their attempts may have begun in the store, and are not sent
        self._rewriting: asyncio.Task[None] | None = None
        self._closing = False

    def __contains__(self, key: int) -> bool:
        return key in self._pending

    def last(self, key: int) -> AttemptResult | NoAttempt | None:
        """Return a webhook's last result that is not in the store yet."""
        results = self._pending.get(key)
        return results[-1] if results else None

    async def begin(self, key: int, number: int, content: Content, by_hand: bool) -> bool:
        """Write that attempt `number` begins: after a crash it is made again, with the same content.

        Return whether the attempt may be sent. If the store cannot write, that is logged, and it may unless another
        process can send it. If this one was paused until its lease was over, or has joined anew meanwhile, another one
        may have taken the webhook.
        `by_hand`: an operation sends it, held or not. Raises StoreUnreachable: it must not be sent then.
        """
        self._in_doubt.discard(key)
        try:
            self._commits.schedule()
            self._write(key, self._pending.get(key, ()))  # else the store knows of fewer attempts, and refuses this one
            self._store.begin(key, number, content, by_hand)
            cluster = self._store.cluster
            epoch = None if cluster is None else cluster.epoch
            if key in (await self._commits.committed()).refused:
                return False
            if cluster is None or (cluster.epoch == epoch and cluster.is_fresh):
                return True
            await cluster.owners.abandon([key])  # else another process that owns it now would wait for its end
            return False
        except StoreUnreachable:
            self._in_doubt.add(key)
            self._write_later()
            raise
        except StoreError as error:
            log.error("latehook: the content of a webhook cannot be written: %s", error)
            return self._store.cluster is None

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

    async def write_now(self) -> None:
        """Write the results that are left. Raises StoreError."""
        if not self._pending:
            return
        written = {key: list(results) for key, results in self._pending.items()}
        async with self._commits.transaction():
            for key, results in written.items():
                self._write(key, results)
        if self.problem is not None:
            log.info("latehook: the store can write again: the results of %d webhooks are in it", len(written))
        for key, results in written.items():
            if self._pending.get(key) == results:  # else more has happened while this was written
                del self._pending[key]
        self.problem = None

    async def close(self) -> None:
        """Write the results that are left. If the store cannot write, they are lost."""
        self._closing = True
        if self._rewriting is not None:
            self._rewriting.cancel()
        with suppress(StoreError):
            await self.write_now()
        if self._pending:
            again = "the next process sends these webhooks again"
            log.error("latehook: the results of %d webhooks could not be written: %s", len(self._pending), again)

    def _write_later(self) -> None:
        if self._rewriting is None and not self._closing:
            self._rewriting = asyncio.get_running_loop().create_task(self._rewrite(), name="latehook: results")

    async def _rewrite(self) -> None:
        """Try to write the results that are left, and which attempts are not sent, until the store can write."""
        try:
            while self._pending or self._in_doubt:
                await asyncio.sleep(REWRITE_AFTER)
                with suppress(StoreError):
                    await self.write_now()
                    await self._abandon_unsent()
        finally:
            self._rewriting = None

    async def _abandon_unsent(self) -> None:
        """Write that attempts are not under way of which the store may think so. Raises StoreError.

        While the store could not be reached, another process may have taken their webhooks: it waits for their end.
        """
        keys = self._in_doubt - self._pending.keys()
        if keys and self._store.cluster is not None:
            await self._store.cluster.owners.abandon(keys)
        self._in_doubt -= keys

    def _write(self, key: int, results: Sequence[AttemptResult | NoAttempt]) -> None:
        for result in results:
            if isinstance(result, AttemptResult):
                self._store.add_attempt(
                    key, result.number, result.outcome, result.state, result.due, result.content, result.clock_at
                )
            else:
                self._store.set_state(key, result.state, result.reason)
