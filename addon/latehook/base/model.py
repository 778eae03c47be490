"""PURE: jobs, their webhooks, and the attempts at these. All are immutable."""

import random
from collections.abc import Sequence
from enum import StrEnum
from itertools import takewhile
from typing import Any

from msgspec import Struct

from latehook.base.messages import Answer, Redirect, Request, Response


class State(StrEnum):
    """A webhook's state."""

    PENDING = "pending"  # waits for its time, or for its next attempt
    HELD = "held"
    DELIVERING = "delivering"
    DELIVERED = "delivered"
    FAILED = "failed"  # no more attempts are made
    CANCELED = "canceled"
    SKIPPED = "skipped"  # there was nothing to send


UNFINISHED = (State.PENDING, State.HELD, State.DELIVERING)
"""The states of a webhook that is still to be delivered."""

STORED_UNFINISHED = (State.PENDING, State.HELD)
"""The states that the store has for UNFINISHED. It never has DELIVERING: a running attempt ends with the process."""

FINISHED = (State.DELIVERED, State.FAILED, State.CANCELED, State.SKIPPED)
"""The states of a webhook of which nothing more is sent, unless an operation sends it again."""


class Moment(Struct, frozen=True):
    """The time and the random numbers of one decision: pure functions get them as an argument.

    `now` is the time of Latehook's clock, which decides what is due, or that of one job's clock (see `of`). `real_now`
    is real time. Both are Unix seconds.
    """

    now: float
    real_now: float
    random: random.Random

    def of(self, job: "Job") -> "Moment":
        """Return the same moment by the clock of this job."""
        return Moment(self.now + job.ahead, self.real_now, self.random) if job.ahead else self


UNKNOWN = float("inf")
"""A due time that is not known yet."""


class LateStatus(Struct, frozen=True, omit_defaults=True):
    """A status that is computed when its stage is due. Its mock is `definition`, and `mock_stage` the stage there.

    `request` is the one that this mock answered, if it is not the job's own.
    """

    definition: str
    mock_stage: int
    request: Request | None = None


class OpenStage(Struct, frozen=True, omit_defaults=True):
    """What is not known yet of a stage. Times are of the job's clock.

    `due` is when it is to be reached, UNKNOWN while it waits for the end of a webhook, or is behind a stage that does.
    `waits_for` is the event of that webhook: the stage is due `plus` seconds after its end. It is not due before
    `earliest`, nor before `wait` seconds after the stage in front of it.
    """

    due: float
    earliest: float
    waits_for: str | None = None
    plus: float = 0.0
    wait: float = 0.0
    status: LateStatus | None = None


class Stage(Struct, frozen=True, omit_defaults=True):
    """A moment in a job's life. `due` is a time of the job's clock; a status of None keeps the one before.

    While something of it is `open`, its due time counts as UNKNOWN: it is not reached. `error` says why its status
    could not be computed, if it could not.
    """

    due: float
    status: str | None
    open: OpenStage | None = None
    error: str | None = None

    @property
    def planned(self) -> float:
        """When it is, or is to be, reached; UNKNOWN while that is not known."""
        return self.due if self.open is None else self.open.due


class Webhook(Struct, frozen=True, omit_defaults=True):
    """A request to the system under test that is due at a stage of its job.

    `stage` is the index of its stage in the job. `definition` identifies the mock that describes the webhook, and
    `mock_stage` is the index of the stage there. `request` is the one that this mock answered, if it is not the job's
    own. `due` is a time of Latehook's clock, or UNKNOWN. `ordered` webhooks wait for the first attempts of earlier
    stages. While it is `late`, its `to` or whether it is sent is still to be decided, when its turn comes. `item` and
    `index` are what `each` and `repeat` give its expressions; without these keys, `index` is None.
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
    item: Any = None
    index: int | None = None
    late: bool = False


class Job(Struct, frozen=True, omit_defaults=True):
    """What one accepted request started. `mock` is the name of the mock that started it.

    Each job has a clock: Latehook's, plus `ahead` seconds by which this job alone was advanced. `created_at` and the
    stages are times of that clock, `received_at` is the real time of the request. All are Unix seconds. `key` is the
    job's key in the store, 0 until it is stored. `chosen` is the number of its response among those of the mock, None
    until one is chosen. While it is `undecided`, this response may still take the job back. `distinction` is what
    tells its mock from others of the same name.
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
    received_at: float = 0.0
    ahead: float = 0.0
    chosen: int | None = 0
    undecided: bool = False
    distinction: str = ""

    @property
    def is_open(self) -> bool:
        """Whether something of a stage is not known yet."""
        return any(stage.open is not None for stage in self.stages)


class Content(Struct, frozen=True, omit_defaults=True):
    """The content of a webhook: rendered at its first attempt, and the same at every later one.

    `answer` is what the last attempt that has ended was answered, if a mock may read it.
    """

    url: str
    body: bytes = b""
    content_type: str | None = None
    method: str | None = None
    answer: Answer | None = None


class Attempt(Struct, frozen=True):
    """One try to deliver a webhook. `started_at` and `ended_at` are real time; `ended_at` is None while it is running.

    `clock_at` is when it started by the job's clock. All are Unix seconds.
    """

    number: int
    started_at: float
    ended_at: float | None = None
    status: int | None = None
    error: str | None = None
    body: bytes = b""
    clock_at: float = 0.0
    redirects: tuple[Redirect, ...] = ()
    content_type: str | None = None


class Criteria(Struct, frozen=True):
    """Which webhooks are selected, or which jobs by their webhooks. None selects all."""

    job: str | None = None
    mock: str | None = None
    event: str | None = None
    states: tuple[State, ...] | None = None


class StoredWebhook(Struct, frozen=True):
    """A webhook as the store has it: with its job, the number of its attempts, and its content after the first one.

    `begun`: the store knows that an attempt is under way. A store of one process never does.
    """

    key: int
    webhook: Webhook
    job: Job
    attempts: int = 0
    content: Content | None = None
    begun: bool = False


PENDING = "pending"
"""The status of a job before its first stage."""

COMPLETED = "completed"
"""The status of a job whose only stage is that of its webhook."""


def reached_stages(stages: Sequence[Stage], clock: float) -> Sequence[Stage]:
    """Return the stages that are reached by a time of the job's clock. None is reached before those in front of it."""
    return list(takewhile(lambda stage: stage.due <= clock, stages))


def waits_for(stages: Sequence[Stage]) -> str | None:
    """Return the event whose webhook must end before the time of the last of these stages is known.

    None if it is known.
    """
    if not stages or stages[-1].planned != UNKNOWN:
        return None
    return next((stage.open.waits_for for stage in stages if stage.open is not None and stage.open.waits_for), None)


def status_of(stages: Sequence[Stage]) -> str:
    """Return a job's status once it has reached these stages and no others."""
    return next((stage.status for stage in reversed(stages) if stage.status is not None), PENDING)
