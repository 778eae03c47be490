"""PURE: what a request gets."""

from collections.abc import Sequence

from msgspec import Struct

from latehook.base.messages import Request, Response, ResponseFault
from latehook.base.model import Job, StoredWebhook
from latehook.mocks.definitions import Mock
from latehook.mocks.near_misses import NearMiss


class DelayedResponse(Struct, frozen=True):
    """What a response is rendered from when its delay is over.

    `seed` is that of its random values: they are the same, whatever happens during the delay. `job` is the job
    that its expressions see. With `starts`, the request has started this job; with `repeats`, an earlier request has,
    and its response was not there yet. `number` is that of the response among those of the mock; None: it is chosen
    when the webhooks before it have had their first attempts. `taken_back` are the webhooks of a job that this response
    has taken back: the store has them no more.
    """

    request: Request
    seed: int
    job: Job | None = None
    starts: bool = False
    repeats: bool = False
    number: int | None = 0
    taken_back: Sequence[StoredWebhook] = ()


class Decision(Struct, frozen=True):
    """What a request gets. Without a `response` or a `delayed` one it is forwarded to the real service.

    `started` is a new job. `changed` is a job whose stages after the first `kept_stages` are replaced. `delay` is in
    seconds, `fault` is what goes wrong with the response on purpose. `job_id` is the job that the request started or
    asked for. `near_misses` are the mocks that came nearest, where none answers. `chosen` is the number of the response
    among those of the mock; with `rejects`, it takes back the job that the request has started. `problems` are what
    differs from the mock's OpenAPI document.
    """

    response: Response | None
    mock: Mock | None = None
    started: Job | None = None
    changed: Job | None = None
    kept_stages: int = 0
    delay: float = 0.0
    fault: ResponseFault | None = None
    job_id: str | None = None
    near_misses: Sequence[NearMiss] = ()
    delayed: DelayedResponse | None = None
    chosen: int = 0
    rejects: bool = False
    problems: Sequence[str] = ()

    @property
    def forwards(self) -> bool:
        """Whether the request is sent to the real service."""
        return self.response is None and self.delayed is None
