"""The words of Latehook as values, frozen but for `WireTrace`; structs for their speed. Nothing is decided here."""

import random
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any

from msgspec import Struct

from latehook.base.hostnames import DEFAULT_PORTS

Headers = tuple[tuple[str, str], ...]


class State(StrEnum):
    """A webhook's state."""

    PENDING = "pending"  # its time, or its next attempt, is to come
    HELD = "held"
    DELIVERING = "delivering"
    DELIVERED = "delivered"
    FAILED = "failed"  # given up
    CANCELED = "canceled"
    SKIPPED = "skipped"  # nothing to send


UNFINISHED = (State.PENDING, State.HELD, State.DELIVERING)
"""The states of a webhook that is still to be delivered."""

STORED_UNFINISHED = (State.PENDING, State.HELD)
"""The states that the store has for UNFINISHED. It never has DELIVERING: a running attempt ends with the process."""

FINISHED = (State.DELIVERED, State.FAILED, State.CANCELED, State.SKIPPED)
"""The states of a webhook of which nothing more is sent, unless an operation sends it again."""


class ResponseFault(StrEnum):
    """What the SUT gets on purpose instead of a response."""

    RESET = "reset"  # the connection ends, as TCP's reset does it
    EMPTY = "empty"  # it is closed without an answer
    TRUNCATE = "truncate"  # it is closed in the middle of the answer
    HANG = "hang"  # nothing follows the middle of the answer
    GARBAGE = "garbage"  # what comes is no HTTP


class WebhookFault(StrEnum):
    """What is wrong on purpose with an attempt."""

    DROP = "drop"  # it is lost
    DUPLICATE = "duplicate"  # it is sent twice
    CORRUPT_BODY = "corrupt-body"  # not the body that was signed
    CORRUPT_SIGNATURE = "corrupt-signature"


class Moment(Struct, frozen=True):
    """What a decision may not take for itself: the time and chance.

    `now` is Unix seconds, as the SUT sees it; `clock` is seconds of Latehook's own clock, which decides what is due;
    `real_at` gives the Unix seconds at which that clock showed, or will show, a time.
    """

    now: float
    clock: float
    random: random.Random
    real_at: Callable[[float], float]


class FilePart(Struct, frozen=True):
    """A file of a multipart request: `field` is its name in the form, `sha256` in hexadecimal."""

    field: str
    filename: str
    type: str
    size: int
    sha256: str


class FormParts(Struct, frozen=True):
    """A request's form, taken apart while it came."""

    fields: tuple[tuple[str, str], ...] = ()
    files: tuple[FilePart, ...] = ()


class Request(Struct, frozen=True):
    """A request of the system under test, as it came.

    `target` is path and query as sent. `size` counts all bytes of the body; `body` is None where it was not kept
    (`bodies.decoding.MAX_BODY_SIZE`). `parts` and `sha256` are set where they were computed while the body arrived.
    `captures` are the name and value of each part of the path that the match captures.
    """

    method: str
    scheme: str
    host: str
    port: int
    target: str
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes | None = b""
    size: int = 0
    parts: FormParts | None = None
    sha256: str | None = None
    captures: tuple[tuple[str, str], ...] = ()

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]

    @property
    def url(self) -> str:
        """The whole URL, without a scheme's own port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == DEFAULT_PORTS.get(self.scheme) else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.target}"


class Response(Struct, frozen=True):
    """The synthetic response to a request."""

    status: int
    headers: Headers = ()
    body: bytes = b""


class Stage(Struct, frozen=True):
    """A moment in a job's life. `due` is in seconds of Latehook's clock; a stage may leave the status as it is."""

    due: float
    status: str | None


class Webhook(Struct, frozen=True):
    """A request owed to the system under test at a stage of its job.

    `stage` is its stage's index in the job. `definition` identifies the mock that describes it, `mock_stage` is the
    stage's index there. `request` is the request which that mock answered, where it is not the job's own. `due` is in
    seconds of Latehook's clock.
    """

    id: str
    stage: int
    definition: str
    mock_stage: int
    due: float
    to: str | None
    event: str | None = None
    state: State = State.PENDING
    reason: str | None = None
    request: Request | None = None
    ordered: bool = True
    before_response: bool = False


class Job(Struct, frozen=True):
    """What one accepted request started. `mock` is that mock's name, `created_at` Unix seconds.

    `key` is the store's, 0 before it is there.
    """

    id: str
    mock: str
    created_at: float
    request: Request
    stages: tuple[Stage, ...] = ()
    vars: dict[str, Any] = {}
    response: Response | None = None
    idempotency_key: str | None = None
    webhooks: tuple[Webhook, ...] = ()
    key: int = 0


class Content(Struct, frozen=True):
    """What a webhook says: decided at its first attempt and the same at every later one."""

    url: str
    body: bytes = b""
    content_type: str | None = None
    method: str | None = None


class ResponseHead(Struct, frozen=True):
    """An answer but for its body, `at` when it had come (Unix seconds)."""

    at: float
    version: str
    status: int
    reason: str
    headers: tuple[tuple[bytes, bytes], ...]


class WireTrace(Struct):
    """What is noted of an attempt on its way, where somebody looks at it. What has not happened is None.

    `server` is what is connected to, `target` and `headers` are what was sent to it, until `sent_at` (Unix seconds).
    """

    server: tuple[str, int] | None = None
    target: str | None = None
    headers: Headers | None = None
    sent_at: float | None = None
    answer: ResponseHead | None = None


class Outgoing(Struct, frozen=True):
    """One attempt, ready to be sent. `timeout` is in seconds, for the attempt in total.

    `verify` is whether the receiver's certificate is, or the file with the CA it is to come from. `fault` is what goes
    wrong with it on purpose. `wire` is there where somebody looks.
    """

    method: str
    url: str
    headers: Headers
    body: bytes
    timeout: float
    verify: bool | str = True
    fault: WebhookFault | None = None
    wire: WireTrace | None = None


class Outcome(Struct, frozen=True):
    """How an attempt ended: a status, or the reason there is none. Times are Unix seconds.

    `final`: another attempt would end the same way.
    """

    started_at: float
    ended_at: float
    status: int | None = None
    error: str | None = None
    body: bytes = b""
    retry_after: str | None = None
    final: bool = False


class Attempt(Struct, frozen=True):
    """One try to deliver a webhook. Times are Unix seconds; `ended_at` is None while it is under way."""

    number: int
    started_at: float
    ended_at: float | None = None
    status: int | None = None
    error: str | None = None
    body: bytes = b""


class Criteria(Struct, frozen=True):
    """Which webhooks, or jobs by their webhooks, somebody means. What is None is any."""

    job: str | None = None
    mock: str | None = None
    event: str | None = None
    states: tuple[State, ...] | None = None


class StoredWebhook(Struct, frozen=True):
    """A webhook as the store gives it back: with its job, and what its attempts have left."""

    key: int
    webhook: Webhook
    job: Job
    attempts: int = 0
    content: Content | None = None


PENDING = "pending"  # a job's status before its first stage


COMPLETED = "completed"  # the status of a job whose only stage is its webhook


def reached_stages(stages: Sequence[Stage], clock: float) -> Sequence[Stage]:
    """The stages that are behind, at a time of Latehook's clock."""
    return [stage for stage in stages if stage.due <= clock]


def status_of(stages: Sequence[Stage]) -> str:
    """The status that these stages, all reached, have left."""
    return next((stage.status for stage in reversed(stages) if stage.status is not None), PENDING)
