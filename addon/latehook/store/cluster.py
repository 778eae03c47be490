"""The interface between Latehook and a store that several processes share."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from typing import NamedTuple, Protocol

MANY = None
"""In the place of keys: so many that a notice does not name them."""

ROWS = "rows"
"""The kind of notices with the keys of webhooks that have changed."""


class Taken(NamedTuple):
    """What a process owns from now on: (due, key) of pending webhooks, and the keys of jobs with open stages."""

    dues: Sequence[tuple[float, int]]
    open_jobs: Sequence[int]


class JobOwners(Protocol):
    """Which process owns which job. Each may raise StoreError. Attempts go on, and end, where they have begun."""

    async def take(self, jobs: Iterable[int]) -> Taken:
        """Own these jobs from now on, whoever owned them. Return what this process did not own."""

    async def take_due(self, moment: float) -> Taken:
        """Take the jobs with open stages, or with pending webhooks that are due by `moment` of Latehook's clock."""

    async def under_way(self, webhooks: Collection[int]) -> list[int]:
        """Return those of these webhooks at which another process makes an attempt now."""

    async def under_way_until(self, moment: float) -> list[int]:
        """Return the webhooks that were due by `moment`, and at which another process makes an attempt now."""

    async def abandon(self, webhooks: Collection[int]) -> None:
        """Write that this process has broken off its attempts at these webhooks."""

    async def take_turn(self) -> bool:
        """Begin what only one process may do at a time. Return False where another one does it."""

    async def end_turn(self) -> None:
        """End what `take_turn` has begun."""


class Cluster(Protocol):
    """This process among those that share its store. What it says of the others is at most some seconds old.

    A notice is a hint that something has changed: it may be lost. Whoever waits for one looks again after a second.
    """

    lease: float
    """Seconds after which a process without a heartbeat counts as dead."""

    applied: int
    """The revision of the shared state that this process has applied: the others see it after `acknowledge`."""

    on_taken: Callable[[Taken], Awaitable[None]] | None
    """Called with what this process has taken over from one that has ended."""

    @property
    def owners(self) -> JobOwners:
        """Which process owns which job."""

    @property
    def epoch(self) -> int:
        """The number of this process among all that ever were. It gets another one when it was declared dead."""

    @property
    def is_fresh(self) -> bool:
        """Whether this process may accept requests: nobody can have declared it dead."""

    @property
    def is_unreachable(self) -> bool:
        """Whether this process knows that it cannot reach the store, and so cannot be told anything."""

    @property
    def live(self) -> int:
        """How many processes are alive, with this one."""

    @property
    def others(self) -> Collection[int]:
        """The epochs of the other processes that are alive."""

    @property
    def has_company(self) -> bool:
        """Whether another process has given a sign of life since this one joined."""

    def publish(self, kind: str, numbers: Collection[int] | None = MANY) -> None:
        """Send a notice to the other processes. Several of one kind become one with all their numbers."""

    def subscribe(self, kind: str, callback: Callable[[Collection[int] | None], None]) -> None:
        """Call `callback` with the numbers of each notice of this kind that another process sends."""

    async def acknowledge(self, revision: int) -> None:
        """Write that this process has applied a revision of the shared state. Raises StoreError."""

    async def applied_by_all(self, revision: int) -> None:
        """Return when each process that is alive has applied a revision of the shared state. Raises StoreError."""
