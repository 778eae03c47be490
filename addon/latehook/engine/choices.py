"""Responses that are chosen after the webhooks before them, and the jobs that such a response takes back."""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from functools import partial

from msgspec.structs import replace

from latehook.base import logs
from latehook.base.model import Job, State, StoredWebhook
from latehook.base.notifier import Notifier
from latehook.delivery.outbox import Outbox
from latehook.delivery.ownership import Ownership
from latehook.engine.context import LiveContext
from latehook.mocks import responding
from latehook.mocks.decisions import Decision, DelayedResponse
from latehook.mocks.definitions import Mock
from latehook.store.group_commit import GroupCommit
from latehook.store.protocol import Store

log = logging.getLogger(logs.LOGGER)


LONGEST_CHOICE = 30.0
"""Seconds for which the choice of another process is waited for."""

LOOK_AFTER = 1.0
"""Seconds after which that is looked at again, though no notice has come."""


class Choices:
    """The choices that wait for webhooks.

    While the response may still reject a job (`Job.undecided`), only the webhooks before the response are sent. If the
    response cannot be chosen, or the process ends meanwhile, nobody has accepted the job, and it is taken back.
    """

    def __init__(
        self,
        store: Store,
        commits: GroupCommit,
        outbox: Outbox,
        ownership: Ownership,
        context: LiveContext,
        notifier: Notifier,
    ) -> None:
        self._store = store
        self._notifier = notifier
        self._commits = commits
        self._outbox = outbox
        self._ownership = ownership
        self._context = context
        self._open: dict[int, asyncio.Future[Decision]] = {}  # by the job's key: a repeated request waits for these
        self._waiting: dict[int, Sequence[int]] = {}  # the webhooks of a job that may be rejected

    def begin(self, mock: Mock, job: Job, key: int, webhooks: Sequence[int]) -> None:
        """Note a new job without a chosen response, which the store has under these keys. Its commit follows."""
        self._open[key] = asyncio.get_running_loop().create_future()
        if mock.rejects:
            waiting = [key for key, webhook in zip(webhooks, job.webhooks, strict=True) if not webhook.before_response]
            self._waiting[key] = waiting
            self._outbox.block(waiting)

    def drop(self, key: int) -> None:
        """Forget a job whose commit has failed."""
        self._outbox.unblock(self._waiting.pop(key, ()))
        self._end(key, None)

    def clear(self) -> None:
        """Forget all jobs."""
        for key in list(self._open):
            self.drop(key)

    async def take_back_undecided(self, jobs: Iterable[int]) -> list[int]:
        """Take back those of these jobs that a process has left undecided that has ended. Return the others.

        Raises StoreError.
        """
        jobs = list(jobs)
        found = await self._store.jobs_by_key(jobs)
        undecided = {job.key for job in found if job.undecided and job.key not in self._open}
        if undecided:
            async with self._commits.transaction():
                self._store.delete_jobs(undecided)
            number = len(undecided)
            log.warning(
                "latehook: jobs taken back, because the proxy ended before it chose their responses: %d", number
            )
        return [job for job in jobs if job not in undecided]

    async def are_made_elsewhere(self, decision: Decision) -> bool:
        """Return whether another process was choosing the response that a request is to get again, and has ended that.

        The request has to be decided again then: the choice may have taken the job back. Raises StoreError.
        """
        delayed = decision.delayed
        if self._store.cluster is None or delayed is None or not delayed.repeats or delayed.number is not None:
            return False
        key = 0 if delayed.job is None else delayed.job.key
        if key in self._open:
            return False
        try:
            async with asyncio.timeout(LONGEST_CHOICE):
                revision = self._notifier.revision
                while (job := await self._store.job(key)) is not None and job.chosen is None:
                    await self._notifier.wait_for_change(revision, LOOK_AFTER)
                    revision = self._notifier.revision
        except TimeoutError:  # its process has ended: this one chooses
            return False
        return True

    async def choose(self, mock: Mock, decision: Decision, started: int) -> Decision:
        """Return the decision for one of several responses. `started` is the key of the job if the request started it.

        Raises StoreError: no response is chosen.
        """
        delayed = decision.delayed
        assert delayed is not None and delayed.job is not None
        key = started or delayed.job.key
        if delayed.repeats and (first := self._open.get(key)) is not None:
            await asyncio.wait([first])
            if not first.cancelled():
                chosen = first.result()
                return replace(chosen, fault=None, delayed=_same_response(delayed, chosen))
        try:
            chosen = await self._choose(mock, delayed, key)
        except BaseException:
            self._end(key, None)
            raise
        self._end(key, chosen)
        return chosen

    async def _choose(self, mock: Mock, delayed: DelayedResponse, key: int) -> Decision:
        stored = await self._store.job(key)
        chosen = await self._context.decide(partial(responding.choose, mock, delayed, stored or delayed.job))
        if chosen.rejects:
            chosen = replace(chosen, job_id=None)
        if stored is None or not (delayed.starts or delayed.repeats):
            return chosen
        if chosen.rejects:
            taken_back = await self._take_back(stored)
            if chosen.delayed is not None:  # else the choice has failed
                chosen = replace(chosen, delayed=replace(chosen.delayed, job=stored, taken_back=taken_back))
            return chosen
        async with self._commits.change():
            if (stored := await self._store.job(key)) is not None:
                self._commits.schedule()
                self._store.update_job(replace(stored, chosen=chosen.chosen, undecided=False))
        await self._commits.committed()
        self._outbox.unblock(self._waiting.pop(key, ()))
        return chosen

    async def _take_back(self, job: Job) -> Sequence[StoredWebhook]:
        """Delete a job as if it had never started. Return its webhooks, which the response may read.

        If the store cannot delete the job, its webhooks wait for ever.
        """
        webhooks = await self._store.webhooks(job.key)
        keys = [stored.key for stored in webhooks]
        self._outbox.block(keys)
        reason = "its request was rejected"
        await forget_jobs(self._store, self._commits, self._outbox, self._ownership, [job.key], keys, reason)
        log.info("latehook: job %s: its request was rejected: the job is taken back", job.id)
        return webhooks

    def _end(self, key: int, decision: Decision | None) -> None:
        """Tell repeated requests what was chosen; None: each of them chooses."""
        self._waiting.pop(key, None)
        if (first := self._open.pop(key, None)) is not None and not first.done():
            first.cancel() if decision is None else first.set_result(decision)


def _same_response(delayed: DelayedResponse, chosen: Decision) -> DelayedResponse | None:
    """Return what a repeated request's response is rendered from: the first request has got the one that was chosen."""
    first = chosen.delayed
    if first is None:
        return None
    job = first.job if chosen.rejects else delayed.job
    return replace(delayed, number=chosen.chosen, job=job, taken_back=first.taken_back)


async def forget_jobs(
    store: Store,
    commits: GroupCommit,
    outbox: Outbox,
    ownership: Ownership,
    jobs: Sequence[int],
    webhooks: Sequence[int],
    reason: str,
) -> None:
    """Delete jobs with all their webhooks: first cancel the webhooks, then running attempts. Raises StoreError."""
    async with commits.transaction():
        for key in webhooks:
            store.set_state(key, State.CANCELED, reason)
    await outbox.forget(webhooks)
    await ownership.break_off(webhooks)
    async with commits.transaction():
        store.delete_jobs(jobs)
