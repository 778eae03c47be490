"""Whether this process may answer, and let anything leave, among those that share its store."""

from latehook.store.protocol import Store
from latehook.store.shared_state import SharedState

STALE = "this process has lost touch with the others that share its store: it waits for an answer to its heartbeat"


class Standing:
    """Of a process whose store no other one can use, nothing is ever wrong here."""

    def __init__(self, store: Store, state: SharedState) -> None:
        self._cluster = store.cluster
        self._state = state

    @property
    def problem(self) -> str | None:
        """Why this process must not answer requests; None where it may."""
        if self._cluster is None:
            return None
        return self._state.problem or (None if self._cluster.is_fresh else STALE)

    @property
    def closes_all_hosts(self) -> str | None:
        """Why nothing may leave for any host: another process may have added mocks for it. None where it may."""
        if self._cluster is None or (problem := self.problem) is None:
            return None
        cluster = self._cluster
        was_alone = cluster.epoch != 0 and not cluster.others and self._state.problem is None
        # A process that was only paused may be alone no more. One that cannot reach the store has no way to find out.
        return None if was_alone and cluster.is_unreachable else problem
