"""The request journal: the last requests to mocked hosts, and what each got."""

from collections import deque
from collections.abc import Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from latehook.base.messages import Request
from latehook.mocks.near_misses import NearMiss

MAX_ENTRIES = 1000
"""Requests that the journal has at most. The oldest are dropped."""

MAX_SIZE = 16 * 1024
"""Bytes of headers and body together up to which a request is kept whole."""


class JournalEntry(Struct):
    """A request. `number` counts from 1 since the start or the last reset; `at` is Unix seconds.

    `status` is None for a request that was forwarded, or whose delayed response is not there yet. `mock` is the name of
    the mock that has answered it; where none has, there are `near_misses`. `job` is the id of the job that the request
    has started or looked up. `problems` are what differs from the OpenAPI document of its mock.
    """

    number: int
    at: float
    request: Request
    status: int | None
    mock: str | None
    job: str | None
    near_misses: Sequence[NearMiss] = ()
    problems: Sequence[str] = ()

    @property
    def matched(self) -> bool:
        """Whether a mock has matched the request."""
        return self.mock is not None

    def set_failed(self, status: int) -> None:
        """Note that the request got an error response with this status instead, and started no job."""
        self.status, self.job = status, None


class OtherRequest(Struct, frozen=True):
    """A request or a connection that left for a host that no mock names. `number` and `at` are as in JournalEntry.

    `url` is the whole URL; of a connection (`CONNECT`, or its protocol), host and port.
    """

    number: int
    at: float
    method: str
    url: str


class OtherRequests:
    """The newest requests and connections that left for hosts that no mock names."""

    def __init__(self) -> None:
        self._count = 0
        self._entries: deque[OtherRequest] = deque(maxlen=MAX_ENTRIES)

    def add(self, at: float, method: str, url: str) -> None:
        self._count += 1
        self._entries.append(OtherRequest(self._count, at, method[:MAX_SIZE], url[:MAX_SIZE]))

    def clear(self) -> None:
        self._count = 0
        self._entries.clear()

    def page(self, limit: int, after: int | None) -> tuple[list[OtherRequest], int | None]:
        """Return at most `limit` entries behind number `after`, the newest first, and the `after` of the next page."""
        older = [entry for entry in reversed(self._entries) if after is None or entry.number < after]
        return older[:limit], older[limit - 1].number if len(older) > limit else None


class Journal:
    """The newest requests. `count` and `unmatched` count all requests since the start or the last reset."""

    def __init__(self) -> None:
        self.count = 0
        self.unmatched = 0
        self._entries: deque[JournalEntry] = deque(maxlen=MAX_ENTRIES)

    def add(
        self,
        at: float,
        request: Request,
        status: int | None,
        mock: str | None,
        job: str | None,
        near_misses: Sequence[NearMiss] = (),
        problems: Sequence[str] = (),
    ) -> JournalEntry:
        """Add a request. Return its entry."""
        self.count += 1
        self.unmatched += mock is None
        kept = _without_large_parts(request)
        entry = JournalEntry(self.count, at, kept, status, mock, job, near_misses, problems)
        self._entries.append(entry)
        return entry

    def clear(self) -> None:
        self.count = self.unmatched = 0
        self._entries.clear()

    def __reversed__(self) -> Iterator[JournalEntry]:
        """Iterate over the entries as they are now, the newest first."""
        return iter(list(reversed(self._entries)))


def _without_large_parts(request: Request) -> Request:
    """Return a request as the journal keeps it: a large one without headers, body and form."""
    size = request.size
    for name, value in request.headers:
        size += len(name) + len(value)
    if size <= MAX_SIZE:
        return request if request.parts is None else replace(request, parts=None)
    return replace(request, target=request.target[:MAX_SIZE], headers=(), body=None, parts=None)
