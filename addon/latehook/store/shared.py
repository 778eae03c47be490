"""What processes that share a store share besides jobs: the world, counts, and the request journal."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol


class StoredWorld(NamedTuple):
    """The world that several processes share: its `revision`, which grows by one with each change, and its parts.

    `parts` are encoded. A part that was never written is not there.
    """

    revision: int
    resets: int
    parts: Mapping[str, bytes]


class SharedWorld(Protocol):
    """The world in a store that several processes share."""

    offset: float
    """Seconds by which the database's clock was ahead of this machine's at the last read; 0 if that is not certain."""

    async def revision(self) -> int:
        """Return the revision of the last change. Raises StoreError."""

    async def read(self) -> StoredWorld:
        """Return the world as it is. Raises StoreError."""

    async def write(self, revision: int, parts: Mapping[str, bytes], holding: bool, clears: bool) -> int | None:
        """Write parts of a world that was read at this revision. `clears`: delete all jobs and counts.

        Return the new revision. Return None if another process has changed the world meanwhile: nothing is written.
        Raises StoreError.
        """


class SharedCounters(Protocol):
    """Counts by name, since the last reset: of requests that a mock has answered, of faults that have happened."""

    async def count(self, name: str, limit: int) -> int | None:
        """Count one more, and return the count. Return None if it is `limit` already. Raises StoreError."""


class JournalRow(NamedTuple):
    """An entry of the journal, encoded. `number` is its key. `other`: it is about a host that no mock names."""

    other: bool
    number: int
    unmatched: bool
    value: bytes


class SharedJournal(Protocol):
    """The newest entries of the journals of all processes."""

    next_number: Callable[[], int]
    """Returns a new number. Numbers grow with time, and no other process makes the same ones."""

    async def write(self, rows: Sequence[JournalRow]) -> None:
        """Write entries; one that is there already is replaced. The oldest are dropped. Raises StoreError."""

    async def read(self, other: bool, before: int | None, limit: int) -> Sequence[bytes]:
        """Return at most `limit` entries with a number lower than `before`, the newest first. Raises StoreError."""

    async def drop_before(self, number: int) -> None:
        """Delete the entries with a lower number. Raises StoreError."""

    async def counts(self) -> tuple[int, int]:
        """Return how many requests have come since the last reset, and how many of them no mock has matched."""


class Shared(NamedTuple):
    """What the processes share."""

    world: SharedWorld
    counters: SharedCounters
    journal: SharedJournal
