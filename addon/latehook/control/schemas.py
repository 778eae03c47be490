"""The shapes of what leaves: each is made here of the words, and is in the OpenAPI document as it is here."""

import base64
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from latehook.base import model
from latehook.base.clock import Clock as LatehookClock
from latehook.base.model import UNFINISHED, State
from latehook.engine.journal import JournalEntry
from latehook.engine.queries import JobDetails, WebhookDetails
from latehook.mocks.definitions import Mocks


class Attempt(Struct):
    """One try to deliver a webhook; `ended_at` is null while it is under way. `body` is what the receiver answered."""

    number: int
    at: float
    ended_at: float | None
    status: int | None
    error: str | None
    body: str
    body_base64: str | UnsetType = UNSET


class Webhook(Struct):
    """A webhook. `due_in` is real seconds, null where it has ended or is held; `body` is null before an attempt."""

    id: str
    job: str
    mock: str
    event: str | None
    state: State
    reason: str | None
    url: str | None
    stage: int
    due_at: float
    due_in: float | None
    method: str | None
    content_type: str | None
    body: str | None
    attempts: list[Attempt]
    body_base64: str | UnsetType = UNSET


class JobRequest(Struct):
    """The request that started a job. `body` is null where it was not kept."""

    method: str
    url: str
    headers: list[tuple[str, str]]
    size: int
    body: str | None
    body_base64: str | UnsetType = UNSET


class JobResponse(Struct):
    """What it was answered."""

    status: int
    headers: list[tuple[str, str]]
    body: str
    body_base64: str | UnsetType = UNSET


class Stage(Struct):
    """A moment in a job's life."""

    status: str | None
    due_at: float
    reached: bool


class Job(Struct):
    """A job, its status as of now. It has ended when its last stage is reached and nothing of it is owed."""

    id: str
    mock: str
    status: str
    created_at: float
    ended: bool
    vars: dict[str, Any]
    request: JobRequest
    response: JobResponse | None
    stages: list[Stage]
    webhooks: list[Webhook]


class Near(Struct):
    """A mock that did not take a request, and the first thing that differs."""

    mock: str
    place: str
    differs: str


class Request(Struct):
    """A request to a mocked host. `status` is null where it was forwarded; `why` is there where no mock took it."""

    number: int
    at: float
    method: str
    url: str
    status: int | None
    matched: bool
    mock: str | None
    job: str | None
    why: list[Near] | None


class Clock(Struct):
    """Latehook's clock and the real one."""

    now: float
    real: float
    speed: float


class Counts(Struct):
    """How many there are. Requests are counted since the start, or the last reset."""

    jobs: int
    webhooks: dict[State, int]
    requests: int
    unmatched: int


class Mock(Struct):
    """A mock in use, and where it is written."""

    name: str
    match: str
    place: str


class Status(Struct):
    """What is going on. `revision` grows with every change of anything; `waiting` is how many wait for one."""

    version: str
    ready: bool
    clock: Clock
    holding: bool
    vars: dict[str, Any]
    counts: Counts
    mocks: list[Mock]
    revision: int
    waiting: int


class Page[Item](Struct):
    """Some of a list, the newest first. `next` is the `after` of the page behind it."""

    items: list[Item]
    next: str | None


class Items[Item](Struct):
    """All of a list."""

    items: list[Item]


class Advanced(Struct):
    """The clock after its change, and the webhooks that have not happened in time."""

    clock: Clock
    left: list[Webhook]


class Problem(Struct, kw_only=True):
    """What is wrong, in one line: `detail`. RFC 9457."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str


class TimedOut(Problem, kw_only=True):
    """What did happen while something was waited for: what fits, what fits but for its state, what came."""

    found: list[Webhook]
    webhooks: list[Webhook]
    requests: list[Request]
    unmatched: list[Request]


def webhook(details: WebhookDetails, clock: LatehookClock) -> Webhook:
    owed, seen = details.stored, details.stored.webhook
    content = owed.content
    body, body_base64 = _text(None if content is None else content.body)
    to_go = max(seen.due - clock.now(), 0.0) / clock.speed
    return Webhook(
        id=seen.id,
        job=owed.job.id,
        mock=owed.job.mock,
        event=seen.event,
        state=seen.state,
        reason=seen.reason,
        url=seen.to,
        stage=seen.stage,
        due_at=clock.real_at(seen.due),
        due_in=to_go if seen.state in (State.PENDING, State.DELIVERING) else None,
        method=None if content is None else content.method,
        content_type=None if content is None else content.content_type,
        body=body,
        attempts=[_attempt(attempt) for attempt in details.attempts],
        body_base64=body_base64,
    )


def job(details: JobDetails, clock: LatehookClock) -> Job:
    one, now = details.job, clock.now()
    owed = any(webhook.stored.webhook.state in UNFINISHED for webhook in details.webhooks)
    return Job(
        id=one.id,
        mock=one.mock,
        status=model.status_of(model.reached_stages(one.stages, now)),
        created_at=one.created_at,
        ended=not owed and all(stage.due <= now for stage in one.stages),
        vars=one.vars,
        request=_job_request(one.request),
        response=None if one.response is None else _job_response(one.response),
        stages=[Stage(stage.status, clock.real_at(stage.due), stage.due <= now) for stage in one.stages],
        webhooks=[webhook(each, clock) for each in details.webhooks],
    )


def request(received: JournalEntry) -> Request:
    near = [Near(one.mock, one.at, one.differs) for one in received.near_misses]
    return Request(
        number=received.number,
        at=received.at,
        method=received.request.method,
        url=received.request.url,
        status=received.status,
        matched=received.matched,
        mock=received.mock,
        job=received.job,
        why=None if received.matched else near,
    )


def mocks(mocks: Mocks) -> list[Mock]:
    return [Mock(mock.name, mock.matcher.text, f"{mock.place.file}:{mock.place.line}") for mock in mocks.all]


def clock(clock: LatehookClock) -> Clock:
    return Clock(clock.now(), clock.real(), clock.speed)


def _attempt(attempt: model.Attempt) -> Attempt:
    body, body_base64 = _text(attempt.body)
    return Attempt(
        attempt.number, attempt.started_at, attempt.ended_at, attempt.status, attempt.error, body or "", body_base64
    )


def _job_request(request: model.Request) -> JobRequest:
    headers = [(name.decode("latin-1"), value.decode("utf-8", "replace")) for name, value in request.headers]
    return JobRequest(request.method, request.url, headers, request.size, *_text(request.body))


def _job_response(response: model.Response) -> JobResponse:
    body, body_base64 = _text(response.body)
    return JobResponse(response.status, list(response.headers), body or "", body_base64)


def _text(body: bytes | None) -> tuple[str | None, str | UnsetType]:
    """A body as text; and in base64, where it is no text."""
    if body is None:
        return None, UNSET
    try:
        return body.decode(), UNSET
    except UnicodeDecodeError:
        return body.decode("utf-8", "replace"), base64.b64encode(body).decode()
