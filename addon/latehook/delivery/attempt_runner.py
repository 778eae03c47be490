"""Make the attempts at due webhooks, and write how they have ended."""

import logging
from collections.abc import Sequence
from typing import Protocol

from msgspec.structs import replace

from latehook.base import logs
from latehook.base.errors import LatehookError, StoreError, StoreUnreachable
from latehook.base.messages import Answer, Outcome, Outgoing
from latehook.base.model import State
from latehook.base.notifier import Notifier
from latehook.delivery.attempts import AttemptObserver
from latehook.delivery.decisions import Decisions
from latehook.delivery.making import AttemptMaker
from latehook.delivery.progress import Progress
from latehook.delivery.reporting import log_outcome
from latehook.delivery.results import AttemptResult, NoAttempt
from latehook.delivery.running_advance import RunningAdvance
from latehook.store.protocol import Store
from latehook.webhooks import retries

log = logging.getLogger(logs.LOGGER)


class Turns(Protocol):
    """Knows whose turn it is, and is told what becomes of a webhook. Webhooks are named by their keys in the store."""

    async def destinations(self, keys: Sequence[int]) -> Sequence[str | None]:
        """Return where each of these due webhooks goes; None: it is not its turn."""

    def is_due(self, key: int, due: float) -> bool:
        """Return whether a webhook that is pending in the store is due, has no running attempt, and has not ended."""

    def is_by_hand(self, key: int) -> bool:
        """Return whether an operation sends a webhook, held or not."""

    def ended(self, key: int, again: float | None) -> None:
        """Note that an attempt has ended, and is written. The webhook is due again at `again`, if it is."""

    def end_of(self, key: int) -> float:
        """Return when a webhook's attempt has ended that ended just now."""

    def on_first_attempt(self, key: int) -> None:
        """Continue what waits for a webhook's first attempt: it has ended, or there will be none."""

    def look_again(self, key: int) -> None:
        """Look again a little later at a webhook that another process has acted on, if one can."""


class AttemptRunner:
    """Makes attempts for the dispatcher: see AttemptHandler."""

    def __init__(
        self,
        turns: Turns,
        store: Store,
        notifier: Notifier,
        progress: Progress,
        decisions: Decisions,
        advance: RunningAdvance,
        maker: AttemptMaker,
    ) -> None:
        self._turns = turns
        self._store = store
        self._notifier = notifier
        self._running = progress.running
        self._results = progress.results
        self._decisions = decisions
        self._advance = advance
        self._maker = maker
        self._observer: AttemptObserver | None = None
        self._preparing: set[int] = set()  # their attempts are being made

    def observe(self, observer: AttemptObserver | None) -> None:
        """Call `observer` when an attempt that starts from now on has ended; None: call nothing, which is faster."""
        self._observer = observer
        self._maker.observed = observer is not None

    async def destinations(self, keys: Sequence[int]) -> Sequence[str | None]:
        return await self._turns.destinations(keys)

    async def prepare(self, key: int) -> Outgoing | None:
        if key in self._preparing:
            return None
        self._preparing.add(key)
        try:
            return await self._prepare(key)
        except StoreUnreachable:  # `reload` schedules it again
            self._running.pop(key, None)
            self._advance.leave((key,))
            return None
        finally:
            self._preparing.discard(key)

    async def _prepare(self, key: int) -> Outgoing | None:
        try:
            stored = await self._store.pending_webhook(key)
        except StoreUnreachable:
            raise
        except StoreError as error:
            await self._give_up(key, f"webhook number {key} of the store", str(error))
            return None
        if stored is None:
            self._turns.on_first_attempt(key)
            return None
        if not self._turns.is_due(key, stored.webhook.due):
            self._advance.leave((key,))
            return None
        if isinstance(unwritten := self._results.last(key), AttemptResult):
            stored = replace(stored, attempts=unwritten.number, content=unwritten.content)
        try:
            attempt = await self._maker.make(stored, self._advance.due_time(key))
        except StoreUnreachable:
            raise
        except LatehookError as error:
            await self._give_up(key, f"job {stored.job.id}: webhook", str(error))
            return None
        except Exception as error:  # a bug: without this, the webhook would neither be sent nor fail
            log.exception("latehook: an attempt could not be made")
            await self._give_up(key, f"job {stored.job.id}: webhook", f"{type(error).__name__}: {error}")
            return None
        self._running[key] = attempt
        self._notifier.notify((key,))
        self._advance.started(key, attempt)
        if attempt.outgoing.fault is not None:
            log.info("latehook: job %s: the webhook's fault: %s", stored.job.id, attempt.outgoing.fault)
        by_hand = self._turns.is_by_hand(key)
        if self._store.is_durable and not await self._results.begin(key, attempt.number, attempt.content, by_hand):
            self._running.pop(key, None)
            self._turns.on_first_attempt(key)
            self._turns.look_again(key)
            return None
        return attempt.outgoing

    async def conclude(self, key: int, outcome: Outcome) -> None:
        attempt = self._running[key]
        state, wait = retries.after_attempt(attempt.retry, attempt.number, outcome)
        due = self._turns.end_of(key) + wait if state is State.PENDING else attempt.stored.webhook.due
        content = attempt.content
        if attempt.keeps_answer:
            content = replace(content, answer=outcome.answer or Answer(outcome.status, outcome.error))
        await self._results.write(key, AttemptResult(attempt.number, attempt.clock_at, outcome, state, due, content))
        await self._decisions.settled()
        self._running.pop(key, None)
        self._turns.ended(key, due if state is State.PENDING else None)
        self._notifier.notify((key,))
        log_outcome(attempt, outcome, state, wait)
        self._turns.on_first_attempt(key)
        if self._observer is not None and attempt.outgoing.wire is not None:
            self._observer(attempt, outcome)

    async def _give_up(self, key: int, name: str, reason: str) -> None:
        """Write that a webhook has failed, which no attempt can be made at. `name` is its name in the log."""
        await self._results.write(key, NoAttempt(reason))
        await self._decisions.settled()
        log.warning("latehook: %s failed: %s", name, reason)
        self._turns.on_first_attempt(key)
