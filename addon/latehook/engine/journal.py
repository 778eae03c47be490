"""The last requests to mocked hosts, and what each got."""

from collections import deque
from collections.abc import Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from latehook.base.model import Request
from latehook.mocks.near_misses import NearMiss

KEPT = 1000
"""Requests of which the last are kept."""

SIZE_KEPT = 16 * 1024
"""Bytes of a request's headers and body up to which these are kept with it."""


class JournalEntry(Struct):
    """A request, by its number since the start. `at` is Unix seconds, `status` None where it was forwarded.

    `mock` is the name of the one that took it, `near` are those that did not, if none has; `job` is the id of the job
    that it started or asked for.
    """

    number: int
    at: float
    request: Request
    status: int | None
    mock: str | None
    job: str | None
    near: Sequence[NearMiss] = ()

    @property
    def matched(self) -> bool:
        return self.mock is not None


class Journal:
    """The newest requests. `count` and `unmatched` are of all since the start, or the last reset."""

    def __init__(self) -> None:
        self.count = 0
        self.unmatched = 0
        self._received: deque[JournalEntry] = deque(maxlen=KEPT)

    def add(
        self,
        at: float,
        request: Request,
        status: int | None,
        mock: str | None,
        job: str | None,
        near: Sequence[NearMiss] = (),
    ) -> JournalEntry:
        self.count += 1
        self.unmatched += mock is None
        received = JournalEntry(self.count, at, _light(request), status, mock, job, near)
        self._received.append(received)
        return received

    def clear(self) -> None:
        self.count = self.unmatched = 0
        self._received.clear()

    def __reversed__(self) -> Iterator[JournalEntry]:
        """The newest first."""
        return iter(list(reversed(self._received)))


def _light(request: Request) -> Request:
    """A request as it is kept: of a large one without headers, body and form."""
    size = request.size + sum(len(name) + len(value) for name, value in request.headers)
    if size <= SIZE_KEPT:
        return request if request.parts is None else replace(request, parts=None)
    return replace(request, target=request.target[:SIZE_KEPT], headers=(), body=None, parts=None)
