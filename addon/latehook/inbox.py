"""The last requests to mocked hosts, and what each got."""

from collections import deque
from collections.abc import Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from latehook.bodies import SMALL
from latehook.model import Request
from latehook.refusals import Near

KEPT = 1000
"""Requests of which the last are kept."""


class Received(Struct):
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
    near: Sequence[Near] = ()

    @property
    def matched(self) -> bool:
        return self.mock is not None


class Inbox:
    """The newest requests. `count` and `unmatched` are of all since the start, or the last reset."""

    def __init__(self) -> None:
        self.count = 0
        self.unmatched = 0
        self._received: deque[Received] = deque(maxlen=KEPT)

    def add(
        self,
        at: float,
        request: Request,
        status: int | None,
        mock: str | None,
        job: str | None,
        near: Sequence[Near] = (),
    ) -> Received:
        self.count += 1
        self.unmatched += mock is None
        received = Received(self.count, at, _light(request), status, mock, job, near)
        self._received.append(received)
        return received

    def clear(self) -> None:
        self.count = self.unmatched = 0
        self._received.clear()

    def __reversed__(self) -> Iterator[Received]:
        """The newest first."""
        return iter(list(reversed(self._received)))


def _light(request: Request) -> Request:
    """The request without a body that is not small."""
    if request.body is None or len(request.body) <= SMALL:
        return request
    return replace(request, body=None)
