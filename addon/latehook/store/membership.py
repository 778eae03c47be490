"""PURE: what a process may conclude about itself and about the other processes on its store. Times are arguments.

Each process has a lease: a time by the database's clock until which it counts as alive. Heartbeats renew it. A process
that was declared dead gets a new epoch when it joins again. Nothing of an old epoch is written any more.
"""

from collections.abc import Sequence
from typing import NamedTuple

LEASE = 5.0
"""Seconds for which a heartbeat is good."""

BEATS = 5
"""Heartbeats in the time of one lease."""

FRESH = 0.7
"""The part of its lease for which a process trusts its last heartbeat: the rest is for clocks that run unequally."""


class Node(NamedTuple):
    """A process on the store. `left` is in seconds until its lease ends, by the database's clock: it may be negative.

    `applied` is the revision of the shared state that the process has applied.
    """

    epoch: int
    left: float
    applied: int


class Membership:
    """What one process knows. The times `began` and `now` are seconds of its own monotonic clock."""

    def __init__(self, lease: float = LEASE) -> None:
        self.lease = lease
        self.epoch: int | None = None
        """Names this process since it has joined; None before that, and after it was declared dead."""
        self.others: Sequence[Node] = ()
        """The other processes, as the last heartbeat has seen them."""
        self.has_company = False
        """Whether one of them has joined or renewed its lease since this one joined: others may have crashed before."""
        self._fresh_until = float("-inf")
        self._watches_since = float("-inf")
        self._has_beaten = False

    def joined(self, epoch: int, began: float) -> None:
        """Note that the process has joined, by a statement that it sent at `began`."""
        self.epoch = epoch
        self._has_beaten = False
        self._watches_since = began
        self._fresh_until = began + FRESH * self.lease

    def beaten(self, nodes: Sequence[Node], began: float) -> bool:
        """Note the answer to a heartbeat that was sent at `began`: all processes. Return whether this one is alive."""
        if self.epoch not in {node.epoch for node in nodes}:
            self.excluded()
            return False
        if began > self._fresh_until:  # it was paused or cut off, and perhaps the others were, too
            self._watches_since = began
        self._fresh_until = began + FRESH * self.lease
        before = {node.epoch: node.left for node in self.others}
        others = [node for node in nodes if node.epoch != self.epoch]
        if self._has_beaten:
            renewed = any(node.left > before.get(node.epoch, float("-inf")) for node in others)
            self.has_company = renewed or (self.has_company and any(node.left > 0 for node in others))
        self._has_beaten = True
        self.others = others
        return True

    def excluded(self) -> None:
        """Note that this process was declared dead."""
        self.epoch = None
        self.others = ()
        self._fresh_until = float("-inf")

    def is_fresh(self, now: float) -> bool:
        """Return whether nobody can have declared this process dead: it may accept requests and begin attempts."""
        return self.epoch is not None and now < self._fresh_until

    def dead(self, now: float) -> list[int]:
        """Return the epochs of the processes that this one may declare dead.

        It has to have seen the store without a gap for a whole lease: when the store was away, all leases end at once.
        """
        if not self.is_fresh(now) or now - self._watches_since < self.lease:
            return []
        return [node.epoch for node in self.others if node.left < 0]

    @property
    def wait(self) -> float:
        """The seconds from one heartbeat to the next."""
        return self.lease / BEATS

    @property
    def timeout(self) -> float:
        """The seconds for which a heartbeat may last.

        After that the process is not fresh any more. A connection that is broken without a sign is given up then, so
        that the rest of the lease is left to connect again.
        """
        return FRESH * self.lease - self.wait
