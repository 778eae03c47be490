"""Tells waiting coroutines of changes that this process, or another one with the same store, has made."""

import asyncio
from collections.abc import Callable, Collection

from latehook.base.notifier import Notifier
from latehook.store.cluster import Cluster

CHANGES = "changes"
"""The kind of a notice that says how many changes a process has made."""

GATHER = 0.02
"""Seconds for which changes are gathered before a notice of them."""

EPOCHS = 2**20
"""A number of a notice is a count of changes times this, plus the epoch of the process that has made them."""


class ClusterNotifier(Notifier):
    """As Notifier. The revision is the same at all processes, as soon as each has heard of all changes.

    It is the sum of the changes that the processes that are alive have made. Each begins to count at the time of its
    start, in milliseconds. So the revision is another one after each change, and after a process has ended or joined.
    """

    def __init__(self, cluster: Cluster, real: Callable[[], float]) -> None:
        super().__init__()
        self._cluster = cluster
        self._own = int(real() * 1000)
        self._others: dict[int, int] = {}  # by the epoch of each
        self._publishing: asyncio.TimerHandle | None = None
        cluster.subscribe(CHANGES, self._on_notice)

    def notify(self, webhooks: Collection[int] | None = ()) -> None:
        self._own += 1
        self._count()
        self.wake(webhooks)
        if self._publishing is None and self._cluster.others:
            self._publishing = asyncio.get_running_loop().call_later(GATHER, self._publish)

    def look(self) -> None:
        """Repeat the last notice, and have those that wait look again: a notice may have been lost."""
        self._publish()
        self._count()
        if self._cluster.others:
            self.wake(None)

    def _count(self) -> None:
        self.revision = self._own + sum(self._others.get(epoch % EPOCHS, 0) for epoch in self._cluster.others)

    def _publish(self) -> None:
        if self._publishing is not None:
            self._publishing.cancel()
            self._publishing = None
        self._cluster.publish(CHANGES, [self._own * EPOCHS + self._cluster.epoch % EPOCHS])

    def _on_notice(self, numbers: Collection[int] | None) -> None:
        for number in numbers or ():
            changes, epoch = divmod(number, EPOCHS)
            self._others[epoch] = max(changes, self._others.get(epoch, 0))
        self._count()
        self.wake(())
