"""PURE: mocks, compiled: what each says, and which of them a request fits."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from latehook.durations import Delay
from latehook.hosts import ByHost
from latehook.matching import Matcher, canonical_host
from latehook.model import Place, Request
from latehook.plans import ResponsePlan, WebhookPlan


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

    `vars` are the dials as the files set them; `reads` are the members of `request` that need its body and are read,
    `later` those of a request that has started a job, read when the job is asked for again. `secrets` are not to be
    shown, nor what the `secret_dials` are set to.
    """

    def __init__(
        self,
        mocks: Iterable[Mock] = (),
        vars: Mapping[str, Any] | None = None,
        reads: frozenset[str] = frozenset(),
        later: frozenset[str] = frozenset(),
        secrets: frozenset[str] = frozenset(),
        secret_dials: frozenset[str] = frozenset(),
    ) -> None:
        self.all = tuple(dataclasses.replace(mock, keeps=mock.keeps | later) for mock in mocks)
        self.reads = reads
        self.later = later
        self.secrets = secrets
        self.secret_dials = secret_dials
        self.vars = dict(vars or {})
        self.forwards = any(mock.response is None for mock in self.all)
        self._by_host = ByHost((mock.matcher, mock) for mock in self.all)

    @classmethod
    def together(cls, *several: "Mocks") -> "Mocks":
        """All of several as one, the first in front; its dials win."""
        if len(several) == 1:
            return several[0]
        return cls(
            (mock for mocks in several for mock in mocks.all),
            {name: value for mocks in reversed(several) for name, value in mocks.vars.items()},
            frozenset().union(*(mocks.reads for mocks in several)),
            frozenset().union(*(mocks.later for mocks in several)),
            frozenset().union(*(mocks.secrets for mocks in several)),
            frozenset().union(*(mocks.secret_dials for mocks in several)),
        )

    def matching(self, request: Request) -> Iterator[tuple[Mock, dict[str, str]]]:
        """The mocks whose match a request fits, in file order, each with what it captures of the path."""
        for mock, captures in self._by_host.find(canonical_host(request.host), request.method, request.path):
            if mock.matcher.takes_origin(request.scheme, request.port):
                yield mock, captures
