"""PURE: mocks, compiled: what each says, and which of them a request fits."""

import dataclasses
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from latehook.base.durations import Delay
from latehook.base.errors import Place
from latehook.base.hostnames import canonical_host
from latehook.base.model import Request, ResponseFault, WebhookFault
from latehook.mocks.matching import Matcher
from latehook.mocks.router import Router
from latehook.webhooks.retries import RetrySchedule
from latehook.webhooks.schemes import Scheme


@dataclass(frozen=True, slots=True)
class FilePlan:
    """A file, read at load."""

    content: bytes
    filename: str
    type: str


@dataclass(frozen=True, slots=True)
class BodyPlan:
    """A body as a mock describes it: its kind (`json`, `form`, `text`, `file`, `multipart`) and its compiled value."""

    kind: str
    value: Any
    place: Place


@dataclass(frozen=True, slots=True)
class FaultPlan[Kind: StrEnum]:
    """What goes wrong on purpose: with this chance each time, and at most `count` times."""

    kind: Kind
    chance: float = 1.0
    count: int | None = None

    def draw(self, source: random.Random, so_far: int) -> Kind | None:
        """What happens this time, after it has happened so often."""
        if self.count is not None and so_far >= self.count:
            return None
        return self.kind if self.chance >= 1 or source.random() < self.chance else None


@dataclass(frozen=True, slots=True)
class ResponsePlan:
    """The response a mock gives."""

    status: Any
    headers: Any
    body: BodyPlan | None
    delay: Delay | None
    fault: FaultPlan[ResponseFault] | None
    place: Place


@dataclass(frozen=True, slots=True)
class SignPlan:
    """How a webhook is signed. `secret` is one or a list; `skew` is the sender's clock error in seconds."""

    scheme: Scheme
    secret: Any
    skew: float
    place: Place


@dataclass(frozen=True, slots=True)
class WebhookPlan:
    """A webhook as a mock describes it. Times are seconds; `reads` are the members of `request` that need its body."""

    to: Any
    method: Any
    headers: Any
    query: Any
    body: BodyPlan | None
    when: Any
    event: Any
    retry: RetrySchedule
    timeout: float
    sign: SignPlan | None
    ordered: bool
    verify: bool | str
    fault: FaultPlan[WebhookFault] | None
    place: Place
    reads: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class JobPlan:
    """What a mock says of its jobs; None is the default."""

    id: Any
    vars: Any
    idempotency_key: Any
    place: Place


@dataclass(frozen=True, slots=True)
class StagePlan:
    """A stage as a mock describes it; `after` is None for `before-response`."""

    after: Delay | None
    status: Any
    webhook: WebhookPlan | None


@dataclass(frozen=True, slots=True)
class Mock:
    """One entry of a mocks file, compiled. `response` is None where the request is forwarded.

    `definition` identifies it as it was `written`; `constants` are what its expressions see besides request and job;
    `keeps` are the members of `request` that its jobs are asked for later and that need the body.
    """

    matcher: Matcher
    name: str
    place: Place
    definition: str
    written: bytes
    constants: Mapping[str, Any]
    response: ResponsePlan | None
    when: Any = None
    when_text: str = ""
    times: int | None = None
    lookup: Any = None
    job: JobPlan | None = None
    stages: tuple[StagePlan, ...] = ()
    keeps: frozenset[str] = frozenset()

    @property
    def starts_job(self) -> bool:
        return self.lookup is None and (self.job is not None or bool(self.stages))


class Mocks:
    """All mocks in file order, found by host and method.

    `vars` are the variables as the files set them; `reads` are the members of `request` that need its body and are read,
    `later` those of a request that has started a job, read when the job is asked for again. `secrets` are not to be
    shown, nor what the `secret_vars` are set to.
    """

    def __init__(
        self,
        mocks: Iterable[Mock] = (),
        vars: Mapping[str, Any] | None = None,
        reads: frozenset[str] = frozenset(),
        later: frozenset[str] = frozenset(),
        secrets: frozenset[str] = frozenset(),
        secret_vars: frozenset[str] = frozenset(),
    ) -> None:
        self.all = tuple(dataclasses.replace(mock, keeps=mock.keeps | later) for mock in mocks)
        self.reads = reads
        self.later = later
        self.secrets = secrets
        self.secret_vars = secret_vars
        self.vars = dict(vars or {})
        self.forwards = any(mock.response is None for mock in self.all)
        self._by_host = Router((mock.matcher, mock) for mock in self.all)

    @classmethod
    def together(cls, *several: "Mocks") -> "Mocks":
        """All of several as one, the first in front; its variables win."""
        if len(several) == 1:
            return several[0]
        return cls(
            (mock for mocks in several for mock in mocks.all),
            {name: value for mocks in reversed(several) for name, value in mocks.vars.items()},
            frozenset().union(*(mocks.reads for mocks in several)),
            frozenset().union(*(mocks.later for mocks in several)),
            frozenset().union(*(mocks.secrets for mocks in several)),
            frozenset().union(*(mocks.secret_vars for mocks in several)),
        )

    def matching(self, request: Request) -> Iterator[tuple[Mock, dict[str, str]]]:
        """The mocks whose match a request fits, in file order, each with what it captures of the path."""
        for mock, captures in self._by_host.find(canonical_host(request.host), request.method, request.path):
            if mock.matcher.takes_origin(request.scheme, request.port):
                yield mock, captures
