"""Which jobs this process owns where several share a store: it sends their webhooks, and decides what is open."""

from collections.abc import Iterable

from latehook.delivery.outbox import Outbox
from latehook.store.cluster import ROWS, Taken
from latehook.store.group_commit import GroupCommit
from latehook.store.protocol import Store


class Ownership:
    """Takes jobs from other processes, and goes on with them. Where no other process can be, it does nothing."""

    def __init__(self, store: Store, commits: GroupCommit, outbox: Outbox) -> None:
        self._cluster = cluster = store.cluster
        self._outbox = outbox
        if cluster is not None:
            cluster.on_taken = self._go_on
            cluster.subscribe(ROWS, commits.on_change_elsewhere)

    async def take(self, jobs: Iterable[int]) -> None:
        """Own the jobs with these keys from now on. Raises StoreError."""
        if self._cluster is not None:
            await self._go_on(await self._cluster.take(jobs))

    async def _go_on(self, taken: Taken) -> None:
        for due, key in taken.dues:
            self._outbox.schedule(due, key)
        for job in taken.open_jobs:
            await self._outbox.decisions.continue_job(job)
