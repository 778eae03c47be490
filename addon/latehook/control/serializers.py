"""From the engine's values to the structures of the API. Nothing is read or changed here."""

import base64

from latehook.api import models, payloads
from latehook.base import model
from latehook.base.clock import Clock
from latehook.base.errors import BodyError
from latehook.base.model import UNFINISHED, State
from latehook.bodies.charsets import UTF_8, declared_charset, decode_charset
from latehook.engine.journal import JournalEntry, OtherRequest
from latehook.engine.queries import JobDetails, WebhookDetails
from latehook.mocks.definitions import Mocks


def webhook(details: WebhookDetails, clock: Clock) -> models.Webhook:
    stored, current = details.stored, details.stored.webhook
    content = stored.content
    body, body_base64 = _text(
        None if content is None else content.body, None if content is None else content.content_type
    )
    is_scheduled = current.state in (State.PENDING, State.DELIVERING)
    return models.Webhook(
        id=current.id,
        job=stored.job.id,
        mock=stored.job.mock,
        event=current.event,
        state=current.state,
        reason=current.reason,
        url=current.to,
        stage=current.stage,
        due_at=current.due + stored.job.ahead,
        due_in=max(current.due - clock.now(), 0.0) / clock.speed if is_scheduled else None,
        method=None if content is None else content.method,
        content_type=None if content is None else content.content_type,
        body=body,
        attempts=tuple(map(_attempt, details.attempts)),
        ahead=stored.job.ahead,
        body_base64=body_base64,
    )


def job(details: JobDetails, clock: Clock) -> models.Job:
    job, now = details.job, clock.now() + details.job.ahead
    is_unfinished = any(each.stored.webhook.state in UNFINISHED for each in details.webhooks)
    return models.Job(
        id=job.id,
        mock=job.mock,
        status=model.status_of(model.reached_stages(job.stages, now)),
        created_at=job.created_at,
        ended=not is_unfinished and all(stage.due <= now for stage in job.stages),
        vars=job.vars,
        request=_job_request(job.request),
        response=None if job.response is None else _job_response(job.response),
        stages=tuple(
            models.Stage(status=stage.status, due_at=stage.due, reached=stage.due <= now) for stage in job.stages
        ),
        webhooks=tuple(webhook(each, clock) for each in details.webhooks),
        ahead=job.ahead,
    )


def request(entry: JournalEntry) -> models.Request:
    near_misses = (models.NearMiss(mock=miss.mock, place=miss.at, differs=miss.differs) for miss in entry.near_misses)
    return models.Request(
        number=entry.number,
        at=entry.at,
        method=entry.request.method,
        url=entry.request.url,
        status=entry.status,
        matched=entry.matched,
        mock=entry.mock,
        job=entry.job,
        why=None if entry.matched else tuple(near_misses),
    )


def other(entry: OtherRequest) -> models.OtherRequest:
    return models.OtherRequest(number=entry.number, at=entry.at, method=entry.method, url=entry.url)


def mocks(mocks: Mocks) -> tuple[payloads.Mock, ...]:
    return tuple(
        payloads.Mock(name=mock.name, match=mock.matcher.text, place=f"{mock.place.file}:{mock.place.line}")
        for mock in mocks.all
    )


def clock(clock: Clock) -> payloads.Clock:
    return payloads.Clock(now=clock.now(), real=clock.real(), speed=clock.speed)


def _attempt(attempt: model.Attempt) -> models.Attempt:
    body, body_base64 = _text(attempt.body)
    return models.Attempt(
        number=attempt.number,
        at=attempt.started_at,
        ended_at=attempt.ended_at,
        clock_at=attempt.clock_at,
        status=attempt.status,
        error=attempt.error,
        body=body or "",
        body_base64=body_base64,
    )


def _job_request(request: model.Request) -> models.JobRequest:
    headers = tuple(
        (name.decode("latin-1"), value.decode("utf-8", "backslashreplace")) for name, value in request.headers
    )
    body, body_base64 = _text(request.body, _content_type(headers))
    return models.JobRequest(
        method=request.method,
        url=request.url,
        headers=headers,
        size=request.size,
        body=body,
        body_base64=body_base64,
    )


def _job_response(response: model.Response) -> models.JobResponse:
    body, body_base64 = _text(response.body, _content_type(response.headers))
    return models.JobResponse(
        status=response.status, headers=response.headers, body=body or "", body_base64=body_base64
    )


def _content_type(headers: model.Headers) -> str | None:
    return next((value for name, value in headers if name.lower() == "content-type"), None)


def _text(body: bytes | None, content_type: str | None = None) -> tuple[str | None, str | None]:
    """Return a body as text by the charset of its content type, and in base64 if the text in UTF-8 is not the body."""
    if body is None:
        return None, None
    try:
        text = decode_charset(body, declared_charset(content_type or "") or UTF_8)
    except BodyError:
        text = body.decode("utf-8", "replace")
    return text, None if text.encode("utf-8", "surrogatepass") == body else base64.b64encode(body).decode()
