"""The journal of several processes: each writes its entries to the store, and reads those of all."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

from latehook.base import logs
from latehook.base.errors import StoreError, UnstorableError
from latehook.engine.journal import MAX_ENTRIES, Journal, JournalEntry, OtherRequest
from latehook.store import shared
from latehook.store.cluster import Cluster
from latehook.store.shared import JournalRow
from latehook.store.values import encode

log = logging.getLogger(logs.LOGGER)

GATHER = 0.02
"""Seconds for which entries are gathered before they are written."""

OTHERS_WRITE_WITHIN = 0.05
"""Seconds within which other processes have written what has happened there before. A reader waits so long."""

AT_ONCE = 200
"""Entries that are written at once. Each has up to 16 KiB."""

WRITE_AGAIN_AFTER = 1.0
"""Seconds after which entries are written again that could not be written."""

Entry = JournalEntry | OtherRequest

_read_entry = msgspec.msgpack.Decoder(JournalEntry).decode
_read_other = msgspec.msgpack.Decoder(OtherRequest).decode


class SharedJournal(Journal):
    """As Journal. No request waits for its entry to be written, except one that no mock matches.

    `on_written` is called after each write.
    """

    is_shared = True

    def __init__(self, stored: shared.SharedJournal, cluster: Cluster, on_written: Callable[[], None]) -> None:
        super().__init__()
        self._cluster = cluster
        self._stored = stored
        self._on_written = on_written
        self._waiting: dict[int, Entry] = {}
        self._writing: asyncio.Task[None] | None = None
        self._is_writing = asyncio.Lock()

    def write(self, entry: Entry) -> None:
        self._waiting[entry.number] = entry
        if len(self._waiting) > MAX_ENTRIES:  # the store has been away for long
            del self._waiting[next(iter(self._waiting))]
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write_all(), name="latehook: journal")

    async def flush(self) -> None:
        with suppress(StoreError):  # it is written later
            await self._write_waiting()

    async def clear(self) -> None:
        self._waiting.clear()
        async with self._is_writing:  # what is on its way has come
            await super().clear()

    async def drop_before(self, number: int) -> None:
        await self._stored.drop_before(number)

    def last_number(self) -> int:
        return self._stored.next_number()

    async def newest(self, before: int | None = None) -> Sequence[JournalEntry]:
        await self._settle()
        return [_read_entry(value) for value in await self._stored.read(False, before, MAX_ENTRIES)]

    async def newest_others(self, before: int | None = None) -> Sequence[OtherRequest]:
        await self._settle()
        return [_read_other(value) for value in await self._stored.read(True, before, MAX_ENTRIES)]

    async def counts(self) -> tuple[int, int]:
        await self.flush()
        return await self._stored.counts()

    def _number(self, count: int) -> int:
        return self._stored.next_number()

    async def _settle(self) -> None:
        """Return when everything is written that has happened before, also at other processes."""
        await asyncio.gather(self.flush(), asyncio.sleep(OTHERS_WRITE_WITHIN if self._cluster.others else 0))

    async def _write_all(self) -> None:
        try:
            await asyncio.sleep(GATHER)
            while self._waiting:
                try:
                    await self._write_waiting()
                except StoreError:
                    await asyncio.sleep(WRITE_AGAIN_AFTER)
        except Exception:  # without this, nothing would be written any more
            log.exception("latehook: the journal cannot be written")
        finally:
            self._writing = None

    async def _write_waiting(self) -> None:
        """Write what is waiting now. Raises StoreError: it still waits."""
        async with self._is_writing:
            while self._waiting:
                some = dict(list(self._waiting.items())[:AT_ONCE])
                for number in some:
                    del self._waiting[number]
                try:
                    await self._stored.write([row for entry in some.values() if (row := _row(entry)) is not None])
                except StoreError:
                    self._waiting = {**some, **self._waiting}
                    raise
                self._on_written()


def _row(entry: Entry) -> JournalRow | None:
    """Return the row of an entry; None for one that cannot be stored."""
    unmatched = isinstance(entry, JournalEntry) and not entry.matched
    try:
        return JournalRow(isinstance(entry, OtherRequest), entry.number, unmatched, encode(entry))
    except UnstorableError:
        return None
