"""Decides what is open in the stages of a job at its request: times after the end of a webhook, late statuses."""

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine, Iterable, Sequence
from typing import Any

from msgspec.structs import replace

from latehook.base import logs
from latehook.base.errors import StoreError
from latehook.base.model import FINISHED, STORED_UNFINISHED, UNKNOWN, Job, State, StoredWebhook, Webhook
from latehook.delivery.awaited import Awaited
from latehook.delivery.late_values import LateValues
from latehook.delivery.results import REWRITE_AFTER, PendingResults
from latehook.delivery.schedule import Schedule
from latehook.mocks.open_stages import waiting_for, with_known_times
from latehook.store.group_commit import GroupCommit
from latehook.store.protocol import Store
from latehook.store.shared_state import SharedState

log = logging.getLogger(logs.LOGGER)

NO_STAGE = -1

TOLERANCE = 1e-6
"""Seconds by which a status is decided early: advances of one job round the difference of two clocks."""


class Decisions:
    """Follows the jobs with open stages. Jobs and webhooks are named by their keys in the store.

    What is decided is in the store at once, and counts with the next commit. If that fails, it is decided again later.
    `schedule(due, key)` is called with each webhook whose due time becomes known, `enqueue(keys)` with those that may
    start. `end_of(key)` returns when a webhook has ended that ended just now. Times are seconds of Latehook's clock.
    """

    def __init__(
        self,
        store: Store,
        commits: GroupCommit,
        state: SharedState,
        late_values: LateValues,
        results: PendingResults,
        schedule: Callable[[float, int], None],
        enqueue: Callable[[Sequence[int]], None],
        end_of: Callable[[int], float],
    ) -> None:
        self._store = store
        self._commits = commits
        self._clock = state.clock
        self._late_values = late_values
        self._results = results
        self._schedule = schedule
        self._enqueue = enqueue
        self._end_of = end_of
        self._statuses = Schedule(state.clock, lambda jobs: self._run(self._continue_all(jobs)))
        """When late statuses are due, each as (due, job)."""
        self._awaited = Awaited()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_stopped = False
        commits.observe(self._on_commit)

    # What it waits for

    def _on_commit(self, webhooks: Collection[int] | None) -> None:
        """Continue the jobs that wait for one of these webhooks, if it has ended. None: it may be any."""
        if keys := self._awaited.among(webhooks):
            self._run(self._continue_after(keys))

    async def _continue_after(self, webhooks: Iterable[int]) -> None:
        for key in webhooks:
            try:
                stored = await self._store.webhook(key)
            except StoreError as error:
                for job in self._awaited.take_jobs(key):
                    self._continue_later(job, error)
                continue
            if stored is None or stored.webhook.state in FINISHED:
                await self._continue_all(self._awaited.take_jobs(key), key)

    def on_first_attempt(self, webhook: int) -> None:
        """Continue the jobs that wait for the first attempt at this webhook: it has ended, or there will be none."""
        if jobs := self._awaited.take_jobs_of_first_attempt(webhook):
            self._run(self._continue_all(jobs, webhook))

    async def _continue_all(self, jobs: Iterable[int], webhook: int | None = None) -> None:
        """Continue jobs, after what has just happened to a webhook."""
        now = None if webhook is None else self._end_of(webhook)
        for job in jobs:
            await self.continue_job(job, now)

    def _run(self, decision: Coroutine[Any, Any, None]) -> None:
        """Start a decision. Where the store is at once, it is also ended here."""
        task = asyncio.Task(decision, loop=asyncio.get_running_loop(), name="latehook: decide", eager_start=True)
        if not task.done():
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def settled(self) -> None:
        """Return when all decisions have ended that were started."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def least_wait(self, webhook: int) -> float:
        """Return the fewest seconds from the end of a webhook to what waits for it; UNKNOWN where nothing does."""
        return self._awaited.least_wait(webhook)

    def blocks(self, job: int, stage: int, webhook: int) -> bool:
        """Return whether a due webhook must wait, because a status of its stage or an earlier one is open."""
        return self._awaited.blocks(job, stage, webhook)

    @property
    def is_idle(self) -> bool:
        """Whether no decision is under way, and no webhook that is due waits for the status of its stage."""
        return not (self._awaited.has_blocked or self._tasks)

    def next_due(self) -> float:
        """Return when the next late status is due; UNKNOWN where none is scheduled."""
        return self._statuses.next_due()

    def wake_due(self) -> None:
        """Decide the statuses that are due by now."""
        if len(self._statuses):
            self._statuses.wake_due()

    def rearm(self) -> None:
        """Act on a change of the clock."""
        self._statuses.rearm()

    def follows(self, job: int) -> bool:
        """Return whether a status of this job is open."""
        return self._awaited.undecided(job) is not None

    async def until_status(self, job: int) -> float:
        """Return the seconds until a late status of a job is due; UNKNOWN where none is to become due."""
        found = await self._store.job(job) if self.follows(job) else None
        number = self._awaited.undecided(job)
        if number is None or found is None or not found.is_open:
            return UNKNOWN
        open = found.stages[number].open
        left = UNKNOWN if open is None else self._until(open.due, found)
        return left if left > 0 else UNKNOWN

    def _until(self, due: float, job: Job) -> float:
        """Return the seconds until a time of a job's clock; 0 if that is past."""
        left = due - job.ahead - self._clock.now()
        return left if left > TOLERANCE else 0.0

    def clear(self) -> None:
        """Forget all jobs."""
        self._awaited.clear()
        self._statuses.clear()

    def stop(self) -> None:
        """Decide no more by the clock, nor again what could not be written."""
        self._is_stopped = True
        self._statuses.stop()

    # Stages

    async def continue_job(self, key: int, now: float | None = None, decide_to: int = NO_STAGE) -> None:
        """Decide what can be decided of a job's open stages, and wait for what comes next.

        `now` is when what it waited for has happened, if not at this moment. The statuses of the stages up to the index
        `decide_to` are decided at once.
        """
        now = self._clock.now() if now is None else now
        async with self._commits.changes:
            try:
                job = await self._store.job(key)
                webhooks = [] if job is None else await self._store.webhooks_of_jobs([job])
                decided = None if job is None else await self._decided(job, webhooks, now, decide_to)
                self._awaited.set_decided(key)
                if decided is not None:
                    self._wait(decided, webhooks)
                    if await self._has_moved_on(decided, webhooks):
                        self._run(self.continue_job(key))
            except StoreError as error:
                self._continue_later(key, error)
                return
        if blocked := self._awaited.take_blocked(key):  # those whose turn has not come are blocked again
            self._enqueue(blocked)

    async def _has_moved_on(self, job: Job, webhooks: Sequence[StoredWebhook]) -> bool:
        """Return whether webhooks have changed since they were read: then nothing tells what is waited for now."""
        if self._store.at_once is not None or not job.is_open:
            return False
        before = [(stored.key, stored.webhook.state, stored.attempts) for stored in webhooks]
        now = await self._store.webhooks_of_jobs([job])
        return before != [(stored.key, stored.webhook.state, stored.attempts) for stored in now]

    async def _decided(self, job: Job, webhooks: Sequence[StoredWebhook], now: float, decide_to: int) -> Job:
        """Return a job with what can be decided of its stages, as it is then in the store."""

        def has_ended(event: str, stage: int) -> bool:
            return not any(_is_awaited(stored.webhook, event, stage) for stored in webhooks)

        stages = with_known_times(job.stages, has_ended, now + job.ahead)
        decided = await self._with_statuses(replace(job, stages=stages), webhooks, now, decide_to)
        if decided.stages != job.stages:
            self._commits.schedule().add_done_callback(lambda done: self._check(job.key, done))
            self._store.update_job(decided)
            for due, key in self.write_dues(decided, webhooks):
                self._schedule(due, key)
            await self._commits.readable()
        return decided

    def write_dues(self, job: Job, webhooks: Sequence[StoredWebhook]) -> list[tuple[float, int]]:
        """Write when webhooks of a job are due, of which that was UNKNOWN and is known now.

        Return (due, key) of those that are pending.
        """
        known = []
        for stored in webhooks:
            webhook = stored.webhook
            if webhook.state not in STORED_UNFINISHED or webhook.due != UNKNOWN:
                continue
            due = job.stages[webhook.stage].planned - job.ahead
            if due != UNKNOWN:
                self._store.set_due(stored.key, due)
                known += [(due, stored.key)] if webhook.state is State.PENDING else []
        return known

    async def _with_statuses(self, job: Job, webhooks: Sequence[StoredWebhook], now: float, decide_to: int) -> Job:
        """Return a job with the late statuses that can be computed: those that are due, in the order of the stages."""
        for number, stage in enumerate(job.stages):
            if stage.open is None:
                continue
            is_due = self._until(stage.open.due, job) <= 0 and self._unattempted(webhooks, number) is None
            if stage.open.due == UNKNOWN or not (is_due or number <= decide_to):
                break
            decided = await self._late_values.reached(job, number, max(stage.open.due, now + job.ahead))
            job = replace(job, stages=(*job.stages[:number], decided, *job.stages[number + 1 :]))
        return job

    def _wait(self, job: Job, webhooks: Sequence[StoredWebhook]) -> None:
        """Note what comes next for the open stages of a job."""
        for event, at, plus in waiting_for(job.stages):
            for stored in webhooks:
                if _is_awaited(stored.webhook, event, at):
                    self._awaited.wait_for_end(job.key, stored.key, plus)
        for number, stage in enumerate(job.stages):
            if stage.open is not None and stage.open.status is not None:
                self._awaited.set_undecided(job.key, number)
                self._wait_for_turn(job, stage.open.due, number, webhooks)
                return

    def _wait_for_turn(self, job: Job, due: float, number: int, webhooks: Sequence[StoredWebhook]) -> None:
        """Note when the late status of the stage with this index can be decided."""
        if due == UNKNOWN:
            return
        unattempted = self._unattempted(webhooks, number)
        if self._until(due, job) > 0 or unattempted is None:
            self._statuses.push(due - job.ahead, job.key)
        else:
            self._awaited.wait_for_first_attempt(job.key, unattempted)

    def _unattempted(self, webhooks: Sequence[StoredWebhook], stage: int) -> int | None:
        """Return the last webhook before this stage whose first attempt is still to come; None if there is none."""
        keys = (
            stored.key
            for stored in webhooks
            if stored.webhook.stage < stage
            and stored.webhook.ordered
            and stored.webhook.state is State.PENDING
            and stored.attempts == 0
            and stored.key not in self._results
        )
        return max(keys, default=None)

    def _check(self, job: int, done: asyncio.Future[Any]) -> None:
        """Decide again what a commit that failed has rolled back."""
        if not done.cancelled() and (error := done.exception()) is not None:
            self._continue_later(job, error)

    def _continue_later(self, job: int, error: BaseException) -> None:
        if self._is_stopped:  # the next process decides
            return
        log.error("latehook: what follows in a job cannot be decided yet: %s", error)
        later = asyncio.get_running_loop().call_later
        later(REWRITE_AFTER, lambda: self._run(self.continue_job(job)))

    async def after_end(self, webhook: int) -> None:
        """Continue what waits for a webhook that has ended without an attempt."""
        await self._continue_after(self._awaited.among([webhook]))


def _is_awaited(webhook: Webhook, event: str, stage: int) -> bool:
    """Return whether the stage with this index, which waits for this event, waits for this webhook."""
    return webhook.event == event and webhook.stage < stage and webhook.state not in FINISHED
