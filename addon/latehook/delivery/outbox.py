"""The unfinished webhooks: when each is due, whose turn it is, its attempts, and what follows from them."""

import asyncio
from collections.abc import Collection, Sequence

from latehook.base.errors import StoreError, StoreUnreachable
from latehook.base.model import UNKNOWN, Job, State
from latehook.base.notifier import Notifier
from latehook.delivery.attempt_runner import AttemptRunner
from latehook.delivery.attempts import AttemptObserver, DeliveryContext, Sender
from latehook.delivery.compiled_mocks import CompiledMocks
from latehook.delivery.decisions import Decisions
from latehook.delivery.dispatcher import UNREADABLE, Dispatcher, destination_of
from latehook.delivery.first_attempts import FirstAttempts
from latehook.delivery.foresight import AHEAD, Foresight
from latehook.delivery.late_values import LateValues
from latehook.delivery.late_webhooks import LateWebhooks
from latehook.delivery.making import AttemptMaker
from latehook.delivery.progress import Progress
from latehook.delivery.reporting import log_unsent
from latehook.delivery.running_advance import RunningAdvance
from latehook.delivery.schedule import Schedule
from latehook.delivery.waiting import Waiting
from latehook.store.group_commit import GroupCommit
from latehook.store.protocol import Due, Store
from latehook.store.shared_state import SharedState

LOOK_AGAIN = 0.1
"""Seconds until a webhook is looked at again of which another process makes an attempt, or has changed it."""


class Outbox:
    """Holds the unfinished webhooks, and starts the attempts at each when its turn has come.

    A webhook is named by its key in the store. Its turn comes when it is due, unless the hold stops it, or an earlier
    webhook of its job still waits for its first attempt. Times are seconds of Latehook's clock.
    """

    def __init__(
        self,
        store: Store,
        commits: GroupCommit,
        notifier: Notifier,
        state: SharedState,
        progress: Progress,
        context: DeliveryContext,
        compiled_mocks: CompiledMocks,
        sender: Sender,
    ) -> None:
        self._running = progress.running
        self._store = store
        self._state = state
        self._clock = state.clock
        self._sender = sender
        self.results = progress.results
        """The results of attempts, as far as the store does not have them yet."""
        self._schedule = Schedule(state.clock, self._wake)
        late = LateValues(context, compiled_mocks)
        self._late_webhooks = LateWebhooks(store, commits, state.clock, late, self.schedule)
        self.decisions = Decisions(store, commits, state, late, self.results, self.schedule, self._enqueue, self.end_of)
        """What is decided after a job's request."""
        self._foresight = Foresight(store, compiled_mocks)
        self.advance = RunningAdvance(self._clock, self.decisions, progress.running, self._foresight)
        """The advance of the clock that runs now."""
        maker = AttemptMaker(context, compiled_mocks)
        self._runner = AttemptRunner(self, store, notifier, progress, self.decisions, self.advance, maker)
        self._dispatcher = Dispatcher(self._runner, sender.send)
        self._waiting = Waiting(state)
        self._first_attempts: dict[int, FirstAttempts] = {}  # responses wait for these

    def set_workers(self, workers: int) -> None:
        """Set how many attempts to one destination run at once."""
        self._dispatcher.set_workers(workers)

    def observe(self, observer: AttemptObserver | None) -> None:
        """Call `observer` when an attempt that starts from now on has ended; None: call nothing, which is faster."""
        self._runner.observe(observer)

    # Scheduling

    def load(self, entries: list[tuple[float, int]]) -> None:
        """Schedule the webhooks of an earlier process, each as (due, key)."""
        self._schedule.load([entry for entry in entries if entry[0] != UNKNOWN])

    async def reload(self) -> None:
        """Schedule all webhooks that are pending in the store, after it could not be reached. Raises StoreError."""
        self._schedule.clear()
        self.decisions.clear()
        self.load(await self._store.pending_dues())
        self.recheck()

    def schedule_job(self, job: Job, keys: Sequence[int]) -> FirstAttempts | None:
        """Schedule a job's webhooks, which the store has under `keys`.

        Return the first attempts that must end before the job's response is sent; None if there are none.
        """
        self._sender.preload()
        awaited = None
        for key, webhook in zip(keys, job.webhooks, strict=True):
            if webhook.state is not State.PENDING:
                log_unsent(job, webhook)
            elif webhook.before_response and not self._state.holding:
                awaited = awaited or FirstAttempts()
                self._await_first_attempt(key, awaited)
                self._enqueue([key])
            else:
                self.schedule(webhook.due, key)
        return awaited

    def is_running(self, key: int) -> bool:
        """Return whether an attempt at a webhook is running."""
        return key in self._running

    def schedule(self, due: float, key: int) -> None:
        """Schedule a webhook that is pending in the store, where it has this due time."""
        if due != UNKNOWN:
            self._schedule.push(due, key)

    def send_now(self, keys: Sequence[int]) -> None:
        """Start the attempts at these webhooks, also during a hold. In the store they are pending and due."""
        self._waiting.exempt(keys)
        self._enqueue(keys)

    def block(self, keys: Collection[int]) -> None:
        """Start no attempts at these webhooks until `unblock`, except by `send_now`."""
        self._waiting.block(keys)

    def unblock(self, keys: Collection[int]) -> None:
        """Start the attempts at these webhooks when their turn comes."""
        self._enqueue(self._waiting.unblock(keys))

    def recheck(self) -> None:
        """Act on a change of the clock or of the hold."""
        self._schedule.rearm()
        self.decisions.rearm()
        self._enqueue(self._waiting.release())

    async def forget(self, keys: Collection[int]) -> None:
        """Cancel the running attempts at these webhooks, and forget them. In the store they are canceled."""
        await self._dispatcher.cancel(keys)
        self.results.forget(keys)
        for key in keys:
            self._running.pop(key, None)
            self.on_first_attempt(key)
        self._waiting.forget(keys)

    async def forget_all(self) -> None:
        """Cancel all running attempts, and forget all webhooks."""
        for key in list(self._first_attempts):
            self.on_first_attempt(key)
        self._running.clear()
        self.results.forget()
        self._waiting.clear()
        self._schedule.clear()
        self.decisions.clear()
        await self._dispatcher.abort()

    async def close(self, seconds: float) -> None:
        """Start no more attempts, and wait up to `seconds` for the running ones."""
        self._schedule.stop()
        self.decisions.stop()
        await self._dispatcher.drain(seconds)
        await self.results.close()
        await self._sender.close()

    # For an advance of the clock

    @property
    def enqueued(self) -> set[int]:
        """The webhooks that are due and wait for their attempts, or whose attempts are running."""
        return self._dispatcher.keys

    def next_due(self) -> float:
        """Return when the next webhook, or the next late status, is due; infinity where none is scheduled."""
        return min(self._schedule.next_due(), self.decisions.next_due())

    async def foresee(self) -> None:
        """Read ahead, in an advance, what is due next. Raises StoreError."""
        if self._foresight.is_short:
            await self._foresight.look(self._schedule.first(AHEAD))

    def wake_due(self) -> None:
        """Enqueue the webhooks that are due by now, without waiting for the timer."""
        self.decisions.wake_due()
        self._schedule.wake_due()

    def is_done_until(self, moment: float) -> bool:
        """Return whether every webhook that was due by `moment` has had its attempt, and no attempt is running."""
        is_idle = self._dispatcher.is_idle and self.decisions.is_idle and not self._waiting
        return is_idle and self.next_due() > moment

    # Attempts: called by their runner

    async def destinations(self, keys: Sequence[int]) -> Sequence[str | None]:
        """Return where each of these due webhooks goes; None: it is not its turn."""
        self._waiting.reading()
        try:
            dues = await self._store.dues(keys)
        except StoreUnreachable:
            self.advance.leave(keys)
            return [None] * len(keys)
        except StoreError:
            return [UNREADABLE] * len(keys)
        found = [self._destination(key, due) for key, due in zip(keys, dues, strict=True)]
        for at, due in enumerate(dues):
            if due is not None and due.late and found[at] is not None:
                found[at] = await self._decide(keys[at])
        return found

    def _destination(self, key: int, due: Due | None) -> str | None:
        """Return where a webhook goes; None if it is not its turn."""
        if due is None:
            self.on_first_attempt(key)
            return None
        if due.elsewhere:
            self.look_again(key)
            return None
        if not self._may_start(key, due):
            self.advance.leave((key,))
            return None
        return destination_of(due.url)

    def _wake(self, keys: Sequence[int]) -> None:
        """Start the attempts at webhooks that are due. The statuses of their stages are decided before."""
        self.decisions.wake_due()
        self._enqueue(keys)

    def _enqueue(self, keys: Sequence[int]) -> None:
        """Have the dispatcher start the attempts at webhooks that are due."""
        self.advance.due(keys)
        self._dispatcher.enqueue(keys)

    async def _decide(self, key: int) -> str | None:
        """Decide a late webhook whose turn has come. Return its destination; None if there is nothing to send."""
        found = await self._late_webhooks.decide(key)
        if found is None:
            self.advance.leave((key,))
            return None
        stored, more = found
        if more and (awaited := self._first_attempts.get(key)) is not None:
            for each in more:
                self._await_first_attempt(each, awaited)
        self._enqueue(more)
        if stored.webhook.state is State.PENDING:
            return destination_of(stored.webhook.to or "")
        await self.decisions.after_end(key)
        self.on_first_attempt(key)
        return None

    def _await_first_attempt(self, key: int, awaited: FirstAttempts) -> None:
        awaited.add(key)
        self._first_attempts[key] = awaited

    def is_by_hand(self, key: int) -> bool:
        """Return whether an operation sends a webhook, held or not."""
        return self._waiting.is_exempt(key)

    def ended(self, key: int, again: float | None) -> None:
        """Note that an attempt has ended, and is written. The webhook is due again at `again`, if it is."""
        self._waiting.end_exemption(key)
        self._waiting.attempt_ended(key)
        if again is not None:
            self._schedule.push(again, key)

    def end_of(self, key: int) -> float:
        """Return when a webhook's attempt has ended that ended just now: during an advance, attempts take no time."""
        became_due = self.advance.due_time(key)
        return self._clock.now() if became_due is None else became_due

    def _may_start(self, key: int, due: Due) -> bool:
        """Return whether it is this webhook's turn. If it is not, note what it waits for."""
        if not self.is_due(key, due.due):
            return False
        if self._waiting.stops(key, due, self.results):
            return False
        return not self.decisions.blocks(due.job, due.stage, key)

    def is_due(self, key: int, due: float) -> bool:
        """Return whether a webhook that is pending in the store is due, has no running attempt, and has not ended.

        Schedule it again if it is due later.
        """
        unwritten = self.results.last(key)
        if key in self._running or (unwritten is not None and unwritten.state is not State.PENDING):
            return False
        if due > self._clock.now():
            self._schedule.push(due, key)
            return False
        return True

    def look_again(self, key: int) -> None:
        """Look again a little later at a webhook that another process has acted on, if one can."""
        if self._store.cluster is not None:
            asyncio.get_running_loop().call_later(LOOK_AGAIN, self._enqueue, (key,))
        self.advance.leave((key,))

    def on_first_attempt(self, key: int) -> None:
        """Continue what waits for a webhook's first attempt: it has ended, or there will be none."""
        self.decisions.on_first_attempt(key)
        if followers := self._waiting.after_first_attempt(key):
            self._enqueue(followers)
        if (awaited := self._first_attempts.pop(key, None)) is not None:
            awaited.remove(key)
        self.advance.leave((key,))
