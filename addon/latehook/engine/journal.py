"""The request journal: the last requests to mocked hosts, and what each got."""

from collections import deque
from collections.abc import Sequence

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


class Journal:
    """The newest requests to mocked hosts, and the newest that left for others.

    `count` and `unmatched` count all requests to mocked hosts since the start or the last reset.
    """

    is_shared = False
    """Whether other processes write to it too."""

    def __init__(self) -> None:
        self.count = 0
        self.unmatched = 0
        self._entries: deque[JournalEntry] = deque(maxlen=MAX_ENTRIES)
        self._others_count = 0
        self._others: deque[OtherRequest] = deque(maxlen=MAX_ENTRIES)

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
        """Add a request. Return its entry; call `write` again when it was changed."""
        self.count += 1
        self.unmatched += mock is None
        kept = _without_large_parts(request)
        entry = JournalEntry(self._number(self.count), at, kept, status, mock, job, near_misses, problems)
        self._entries.append(entry)
        self.write(entry)
        return entry

    def add_other(self, at: float, method: str, url: str) -> OtherRequest:
        """Add a request or a connection that leaves for a host that no mock names."""
        self._others_count += 1
        entry = OtherRequest(self._number(self._others_count), at, method[:MAX_SIZE], url[:MAX_SIZE])
        self._others.append(entry)
        self.write(entry)
        return entry

    def write(self, entry: JournalEntry | OtherRequest) -> None:
        """Write an entry for other processes to read. Here there are none, so nothing is written."""

    async def flush(self) -> None:
        """Return when everything is written."""

    async def clear(self) -> None:
        """Forget everything."""
        self.count = self.unmatched = self._others_count = 0
        self._entries.clear()
        self._others.clear()

    async def drop_before(self, number: int) -> None:
        """Forget what other processes have written too late, before they knew of a reset."""

    def last_number(self) -> int:
        """Return a number that is lower than that of each later entry."""
        return 0

    async def newest(self, before: int | None = None) -> Sequence[JournalEntry]:
        """Return the requests to mocked hosts with a lower number than `before`, as they are now, the newest first."""
        return [entry for entry in reversed(self._entries) if before is None or entry.number < before]

    async def newest_others(self, before: int | None = None) -> Sequence[OtherRequest]:
        """Return the requests that left for other hosts, as `newest` does."""
        return [entry for entry in reversed(self._others) if before is None or entry.number < before]

    async def counts(self) -> tuple[int, int]:
        """Return how many requests to mocked hosts have come, and how many of them no mock has matched."""
        return self.count, self.unmatched

    def _number(self, count: int) -> int:
        """Return the number of the next entry."""
        return count


def _without_large_parts(request: Request) -> Request:
    """Return a request as the journal keeps it: a large one without headers, body and form."""
    size = request.size
    for name, value in request.headers:
        size += len(name) + len(value)
    if size <= MAX_SIZE:
        return request if request.parts is None else replace(request, parts=None)
    return replace(request, target=request.target[:MAX_SIZE], headers=(), body=None, parts=None)
