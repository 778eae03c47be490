"""From the engine's values to the structures of the API. Nothing is read or changed here.

`shown` returns the part of a body that an answer has: lists have only the beginning of a long one.
"""

import base64
from collections.abc import Callable
from typing import NamedTuple

from latehook.api import models, payloads
from latehook.base import messages, model
from latehook.base.clock import Clock
from latehook.base.errors import BodyError
from latehook.base.model import UNFINISHED, State
from latehook.bodies.charsets import UTF_8, declared_charset, decode_charset
from latehook.engine.journal import JournalEntry, OtherRequest
from latehook.engine.queries import JobDetails, WebhookDetails
from latehook.mocks.definitions import Mocks
from latehook.mocks.error_responses import UNMATCHED
from latehook.mocks.suggestions import suggest

Shown = Callable[[bytes], bytes]


def whole(body: bytes) -> bytes:
    return body


def webhook(details: WebhookDetails, clock: Clock, shown: Shown = whole) -> models.Webhook:
    stored, current = details.stored, details.stored.webhook
    content = stored.content
    content_type = None if content is None else content.content_type
    body = _body(None if content is None else content.body, shown, content_type)
    is_unknown = current.due == model.UNKNOWN and current.state in UNFINISHED
    is_scheduled = current.state in (State.PENDING, State.DELIVERING) and not is_unknown
    return models.Webhook(
        id=current.id,
        job=stored.job.id,
        mock=stored.job.mock,
        event=current.event,
        state=current.state,
        reason=current.reason,
        url=current.to,
        stage=current.stage,
        due_at=_known(current.due + stored.job.ahead),
        due_in=max(current.due - clock.now(), 0.0) / clock.speed if is_scheduled else None,
        waits_for=model.waits_for(stored.job.stages[: current.stage + 1]) if is_unknown else None,
        method=None if content is None else content.method,
        content_type=content_type,
        size=None if content is None else len(content.body),
        body=body.text,
        attempts=tuple(_attempt(attempt, shown) for attempt in details.attempts),
        ahead=stored.job.ahead,
        index=current.index,
        truncated=body.truncated,
        body_base64=body.base64,
    )


def job(details: JobDetails, clock: Clock, shown: Shown = whole) -> models.Job:
    job, now = details.job, clock.now() + details.job.ahead
    is_unfinished = any(each.stored.webhook.state in UNFINISHED for each in details.webhooks)
    return models.Job(
        id=job.id,
        number=job.key,
        mock=job.mock,
        distinction=job.distinction or None,
        status=model.status_of(model.reached_stages(job.stages, now)),
        created_at=job.created_at,
        ended=not is_unfinished and all(stage.due <= now for stage in job.stages),
        vars=job.vars,
        request=_job_request(job.request, shown),
        response=None if job.response is None else _job_response(job.response, shown),
        stages=tuple(_stage(job, number, now) for number in range(len(job.stages))),
        webhooks=tuple(webhook(each, clock, shown) for each in details.webhooks),
        ahead=job.ahead,
    )


def _stage(job: model.Job, number: int, now: float) -> models.Stage:
    stage = job.stages[number]
    return models.Stage(
        status=stage.status,
        due_at=_known(stage.planned),
        reached=stage.due <= now,
        waits_for=model.waits_for(job.stages[: number + 1]),
        error=stage.error,
    )


def _known(due: float) -> float | None:
    return None if due == model.UNKNOWN else due


def request(entry: JournalEntry, redact: Callable[[str], str]) -> models.Request:
    """Return a request. `redact` returns a text without secrets."""
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
        suggestion=suggest(entry.request, redact) if not entry.matched and entry.status == UNMATCHED else None,
        problems=tuple(entry.problems),
    )


def other(entry: OtherRequest) -> models.OtherRequest:
    return models.OtherRequest(number=entry.number, at=entry.at, method=entry.method, url=entry.url)


def mocks(mocks: Mocks) -> tuple[payloads.Mock, ...]:
    return tuple(
        payloads.Mock(
            name=mock.name,
            match=mock.matcher.text,
            place=mock.place.line_of_file,
            when=mock.when_text or None,
        )
        for mock in mocks.all
    )


def clock(clock: Clock) -> payloads.Clock:
    return payloads.Clock(now=clock.now(), real=clock.real(), speed=clock.speed)


def _attempt(attempt: model.Attempt, shown: Shown) -> models.Attempt:
    body = _body(attempt.body, shown, attempt.content_type)
    return models.Attempt(
        number=attempt.number,
        at=attempt.started_at,
        ended_at=attempt.ended_at,
        clock_at=attempt.clock_at,
        status=attempt.status,
        error=attempt.error,
        size=len(attempt.body),
        body=body.text or "",
        content_type=attempt.content_type,
        truncated=body.truncated,
        body_base64=body.base64,
        redirects=tuple(models.Redirect(status=each.status, url=each.url) for each in attempt.redirects),
    )


def _job_request(request: messages.Request, shown: Shown) -> models.JobRequest:
    headers = tuple(
        (name.decode("latin-1"), value.decode("utf-8", "backslashreplace")) for name, value in request.headers
    )
    body = _body(request.body, shown, messages.content_type_of(headers))
    return models.JobRequest(
        method=request.method,
        url=request.url,
        headers=headers,
        size=request.size,
        body=body.text,
        truncated=body.truncated,
        body_base64=body.base64,
    )


def _job_response(response: messages.Response, shown: Shown) -> models.JobResponse:
    body = _body(response.body, shown, messages.content_type_of(response.headers))
    return models.JobResponse(
        status=response.status,
        headers=response.headers,
        size=len(response.body),
        body=body.text or "",
        truncated=body.truncated,
        body_base64=body.base64,
    )


class _Body(NamedTuple):
    text: str | None
    base64: str | None = None
    truncated: bool = False


def _body(body: bytes | None, shown: Shown, content_type: str | None = None) -> _Body:
    """Return what is shown of a body, as text by the charset of its content type.

    It is in base64 too if the text in UTF-8 is not the body.
    """
    if body is None:
        return _Body(None)
    part = shown(body)
    truncated = len(part) < len(body)
    try:
        charset = declared_charset(content_type or "") or UTF_8
        text = decode_charset(part, charset)
        is_exact = charset == UTF_8 or text.encode("utf-8", "surrogatepass") == part
    except BodyError:
        text, is_exact = part.decode("utf-8", "replace"), False
    return _Body(text, None if is_exact else base64.b64encode(part).decode(), truncated)
