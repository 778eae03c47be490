"""PURE: mocks, compiled: what each says. All values are compiled: plain data, with Expressions in it."""

import dataclasses
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from latehook.base.errors import Place
from latehook.base.hostnames import canonical_host
from latehook.base.messages import Request, Response, ResponseFault, WebhookFault
from latehook.expressions.expression import Render
from latehook.mocks.bodies import BodySpec
from latehook.mocks.matching import Matcher
from latehook.mocks.router import Router
from latehook.mocks.times import Time
from latehook.webhooks.retries import RetrySchedule
from latehook.webhooks.schemes import Scheme


@dataclass(frozen=True, slots=True)
class FaultSpec[Kind: StrEnum]:
    """A fault that happens with a chance (0 to 1) each time, and at most `count` times."""

    kind: Kind
    chance: float = 1.0
    count: int | None = None

    def draw(self, source: random.Random, so_far: int) -> Kind | None:
        """Return the fault if it happens this time; `so_far` is how often it has happened."""
        if self.count is not None and so_far >= self.count:
            return None
        return self.kind if self.chance >= 1 or source.random() < self.chance else None


@dataclass(frozen=True, slots=True)
class ResponseSpec:
    """A response that a mock gives. `delay` is drawn or computed anew for each response.

    With `until` it waits until that holds, at most for the delay. One of several is given if its `when` holds.
    `rejects`: the job that the request has started is taken back. With `reads_answers`, an expression of it reads
    `job.webhooks`.
    """

    status: Any
    headers: Any
    body: BodySpec | None
    delay: Time | None
    fault: FaultSpec[ResponseFault] | None
    place: Place
    until: Any = None
    when: Any = None
    rejects: bool = False
    reads_answers: bool = False


@dataclass(frozen=True, slots=True)
class SignSpec:
    """How a webhook is signed. `secret` is one or a list; `skew` is the error of the sender's clock, in seconds.

    The scheme's templates may have Expressions in them: a template with expressions is a tuple of its pieces. In `jwt`
    and `parameters` a value may also be an Expression.
    """

    scheme: Scheme
    has_expressions: bool
    secret: Any
    skew: float
    place: Place


@dataclass(frozen=True, slots=True)
class WebhookSpec:
    """A webhook as a mock describes it. `timeout` is in seconds, of one attempt in total.

    `verify` says whether the receiver's certificate is verified, or has the CAs to verify it by, in PEM form.
    `body_members` are the members of `request` that need its body and that are read after the response. So many
    `redirects` of a receiver are followed. `late` has those of `to` and `when` that are decided when the webhook's turn
    comes, because they read `job.webhooks`. `render_at_request` gives the values of `when`, `event` and `to` at the
    request: of a late `when` it is true, of a late `to` null.
    """

    to: Any
    method: Any
    headers: Any
    query: Any
    body: BodySpec | None
    when: Any
    event: Any
    retry: RetrySchedule
    timeout: float
    sign: SignSpec | None
    ordered: bool
    verify: bool | str
    fault: FaultSpec[WebhookFault] | None
    place: Place
    render_at_request: Render = field(compare=False)
    redirects: int = 0
    body_members: frozenset[str] = field(default_factory=frozenset)
    late: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class JobSpec:
    """What a mock says about its jobs. An `id` of None is a new UUID."""

    id: Any
    vars: Any
    idempotency_key: Any
    place: Place


@dataclass(frozen=True, slots=True)
class RepeatSpec:
    """How a stage sends its webhook again: the time between two, and how many in all; None: until the next stage."""

    every: Time
    times: Any
    place: Place


@dataclass(frozen=True, slots=True)
class EndOf:
    """The time of a stage: so long (`plus`) after the webhook with this event has ended."""

    event: str
    plus: Time
    place: Place


@dataclass(frozen=True, slots=True)
class StageSpec:
    """A stage as a mock describes it. `after` is the time after the request, None for `before-response`.

    Its webhook is sent for each item of the list `each`, or once if that is None. With `is_status_late`, its status is
    computed when it is due, because it reads `job.webhooks`.
    """

    after: Time | EndOf | None
    status: Any
    webhook: WebhookSpec | None
    each: Any = None
    repeat: RepeatSpec | None = None
    is_status_late: bool = False

    @property
    def is_plain(self) -> bool:
        return self.repeat is None and not self.is_status_late and not isinstance(self.after, EndOf)


class Validation(Protocol):
    """Compares requests with what a document says of them. `refuses`: one that differs gets an error response."""

    refuses: bool

    def problems(self, request: Request) -> Sequence[str]:
        """Return in what a request differs, each in one line."""
        ...

    def refusal(self) -> Response | None:
        """Return the error response of the document, None if it has none."""
        ...


@dataclass(frozen=True, slots=True)
class Mock:
    """One entry of a mocks file, compiled. Without a `response` the request is forwarded.

    `choices` are responses that are given instead if their `when` holds, the first of them that does.

    `excerpt` is what the entry was compiled from. `definition` identifies the mock: a hash of that, without its file's
    folder. `constants` are the part of a scope that is the same for all its expressions. `kept_members` are the members
    of `request` that need its body and that are read of a job's request after its response: jobs keep their request's
    body for them.
    `reads_answers`: an expression reads what receivers have answered, so answers are kept. `has_plain_stages`: all
    their times and statuses are known at a request, and each is reached once. `distinction` tells
    it from others of the same name: its `when`, or file and line. It is empty if there are no others.
    """

    matcher: Matcher
    name: str
    place: Place
    definition: str
    excerpt: bytes
    constants: Mapping[str, Any]
    response: ResponseSpec | None
    choices: tuple[ResponseSpec, ...] = ()
    when: Any = None
    when_text: str = ""
    times: int | None = None
    lookup: Any = None
    job: JobSpec | None = None
    stages: tuple[StageSpec, ...] = ()
    kept_members: frozenset[str] = frozenset()
    validation: Validation | None = None
    reads_answers: bool = False
    distinction: str = ""
    starts_job: bool = field(init=False)
    has_plain_stages: bool = field(init=False)

    def __post_init__(self) -> None:
        """Compute what is the same for all requests."""
        starts_job = self.lookup is None and (self.job is not None or bool(self.stages))
        object.__setattr__(self, "starts_job", starts_job)
        object.__setattr__(self, "has_plain_stages", all(stage.is_plain for stage in self.stages))

    @property
    def chooses_late(self) -> bool:
        """Whether its response is chosen after the first attempts of the webhooks before it."""
        return bool(self.choices) and any(stage.after is None for stage in self.stages)

    @property
    def rejects(self) -> bool:
        """Whether one of its responses takes the job back."""
        return any(response.rejects for response in self.choices) or (
            self.response is not None and self.response.rejects
        )

    @property
    def waits(self) -> bool:
        """Whether one of its responses waits until an expression holds."""
        responses = self.choices if self.response is None else (*self.choices, self.response)
        return any(response.until is not None for response in responses)

    def response_number(self, number: int) -> ResponseSpec:
        """Return the response with this number: the choices have the first ones."""
        assert self.response is not None
        return self.choices[number] if number < len(self.choices) else self.response


def _distinction(mock: Mock) -> str:
    return f"when {mock.when_text}" if mock.when_text else mock.place.line_of_file


class Mocks:
    """All mocks in file order, found by host and method.

    `vars` are the variables as the files set them. `body_members` are the members of `request` that need its body and
    that any expression reads; `kept_members` are those that expressions of other mocks read of a job's request.
    `secrets` are redacted in everything that people read, as are the values of the variables in `secret_vars`.
    """

    def __init__(
        self,
        mocks: Iterable[Mock] = (),
        vars: Mapping[str, Any] | None = None,
        body_members: frozenset[str] = frozenset(),
        kept_members: frozenset[str] = frozenset(),
        secrets: frozenset[str] = frozenset(),
        secret_vars: frozenset[str] = frozenset(),
    ) -> None:
        given = tuple(mocks)
        names = Counter(mock.name for mock in given)
        self.all = tuple(
            dataclasses.replace(
                mock,
                kept_members=mock.kept_members | kept_members,
                distinction=_distinction(mock) if names[mock.name] > 1 else "",
            )
            for mock in given
        )
        self.body_members = body_members
        self.kept_members = kept_members
        self.secrets = secrets
        self.secret_vars = secret_vars
        self.vars = dict(vars or {})
        self.forwards = any(mock.response is None for mock in self.all)
        self.has_long_polls = any(mock.waits for mock in self.all)
        self.reads_answers = any(mock.reads_answers for mock in self.all)
        self._router = Router((mock.matcher, mock) for mock in self.all)

    @classmethod
    def combine(cls, *several: "Mocks") -> "Mocks":
        """Return the mocks of several as one: those of the first come first, and its variables win."""
        if len(several) == 1:
            return several[0]
        return cls(
            (mock for mocks in several for mock in mocks.all),
            {name: value for mocks in reversed(several) for name, value in mocks.vars.items()},
            frozenset().union(*(mocks.body_members for mocks in several)),
            frozenset().union(*(mocks.kept_members for mocks in several)),
            frozenset().union(*(mocks.secrets for mocks in several)),
            frozenset().union(*(mocks.secret_vars for mocks in several)),
        )

    def candidates(self, request: Request) -> Iterator[tuple[Mock, dict[str, str]]]:
        """Yield the mocks whose `match` fits a request, in file order, each with what it captures of the path."""
        for mock, captures in self._router.find(canonical_host(request.host), request.method, request.path):
            if mock.matcher.matches_origin(request.scheme, request.port):
                yield mock, captures
