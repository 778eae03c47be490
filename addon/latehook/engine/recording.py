"""Record what comes: an entry of the journal for each request, and for what leaves for other hosts."""

import logging

from latehook.base import logs
from latehook.base.clock import Clock
from latehook.base.messages import Request
from latehook.base.notifier import Notifier
from latehook.engine.journal import Journal, JournalEntry
from latehook.mocks.decisions import Decision

log = logging.getLogger(logs.LOGGER)


class Recorder:
    """Writes to a journal, and tells the notifier."""

    def __init__(self, journal: Journal, notifier: Notifier, clock: Clock) -> None:
        self._journal = journal
        self._notifier = notifier
        self._clock = clock
        self.is_shared = journal.is_shared
        """Whether other processes write to the journal, too."""

    def record(self, request: Request, decision: Decision) -> JournalEntry:
        """Add a request to the journal."""
        status = None if decision.response is None else decision.response.status
        if decision.delayed is not None and decision.delayed.number is not None and decision.mock is not None:
            fixed = decision.mock.response_number(decision.delayed.number).status
            status = fixed if isinstance(fixed, int) else None
        mock = None if decision.mock is None else decision.mock.name
        self._notifier.notify()
        if decision.problems:
            log.warning("latehook: %s: the request does not fit its document: %s", mock, "; ".join(decision.problems))
        return self._journal.add(
            self._clock.real(), request, status, mock, decision.job_id, decision.near_misses, decision.problems
        )

    def changed(self, entry: JournalEntry) -> None:
        """Write an entry that says more now."""
        self._journal.write(entry)
        self._notifier.notify()

    def other(self, method: str, url: str) -> None:
        """Add a request, or a connection, that leaves for a host that no mock names."""
        self._journal.add_other(self._clock.real(), method, url)
        self._notifier.notify()

    async def settle(self, decision: Decision) -> None:
        """Return when other processes see a request's entry, if it is one of those that tests look for at once."""
        if decision.mock is None or decision.problems:
            await self._journal.flush()
