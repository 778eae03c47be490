"""Start jobs: write a job and schedule its webhooks, before its response is sent."""

from contextlib import suppress

from latehook.base.clock import Clock
from latehook.base.errors import StoreError
from latehook.delivery.compiled_mocks import CompiledMocks
from latehook.delivery.outbox import Outbox
from latehook.delivery.ownership import Ownership
from latehook.engine.choices import Choices
from latehook.mocks.decisions import Decision
from latehook.store.group_commit import GroupCommit
from latehook.store.protocol import Store

PRUNE_EVERY = 1000
"""Jobs after which old ones are deleted from the store."""

DEFAULT_KEEP = 86400.0
"""Seconds for which ended jobs are kept."""


class JobStarter:
    """Starts the jobs that decisions ask for, and deletes old ones now and then."""

    def __init__(
        self,
        store: Store,
        commits: GroupCommit,
        clock: Clock,
        compiled_mocks: CompiledMocks,
        outbox: Outbox,
        choices: Choices,
        ownership: Ownership,
    ) -> None:
        self.keep = DEFAULT_KEEP
        """Seconds for which ended jobs are kept."""
        self._store = store
        self._commits = commits
        self._clock = clock
        self._compiled_mocks = compiled_mocks
        self._outbox = outbox
        self._choices = choices
        self._ownership = ownership
        self._started = 0

    async def start(self, decision: Decision) -> int | None:
        """Write and schedule the job that a decision starts or changes, and wait for attempts before the response.

        Return the key of a new job, else 0; None if it was not started because another job has its idempotency key.
        Raises StoreError, UnstorableError: the job is not written, and nothing is scheduled.
        """
        job = decision.started or decision.changed
        if job is None or decision.mock is None:
            if self._commits.is_scheduled:  # the response may show what other requests of this turn have written
                await self._commits.committed()
            return 0
        if decision.changed:
            await self._ownership.take([job.key])
        self._commits.schedule()
        self._compiled_mocks.add(decision.mock)
        if decision.started:
            key, keys = self._store.add_job(job)
        else:
            key, keys = 0, self._store.replace_stages(job, decision.kept_stages)
        if decision.started and decision.delayed is not None and decision.delayed.number is None:
            self._choices.begin(decision.mock, job, key, keys)
        try:
            committed = await self._commits.committed()
        except StoreError:
            self._choices.drop(key)
            raise
        if key in committed.repeated:
            self._choices.drop(key)
            return None
        first_attempts = self._outbox.schedule_job(job, keys)
        decisions = self._outbox.decisions
        if job.is_open or decisions.follows(job.key):
            await decisions.continue_job(key or job.key)
        if first_attempts is not None:
            await first_attempts.ended()
            await decisions.settled()
        self._started += 1
        if self._started % PRUNE_EVERY == 0:
            self._prune()
        return key

    def _prune(self) -> None:
        """Delete old jobs from the store. If the store cannot write, a later call deletes them."""
        self._commits.schedule()
        with suppress(StoreError):
            self._store.prune(self._clock.real() - self.keep, self._clock.now())
