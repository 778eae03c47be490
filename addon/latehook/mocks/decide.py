"""PURE, the heart: what the third party would do. Mocks, a request, a moment and the jobs so far in; an answer out."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from msgspec.structs import replace

from latehook.base.errors import ExpressionError, Place, shorten
from latehook.base.model import Job, Moment, Request, Response, ResponseFault, Stage, State, Webhook, reached_stages
from latehook.bodies.decoding import SMALL_BODY_SIZE
from latehook.expressions.expression import render
from latehook.expressions.values import to_text
from latehook.expressions.views import JobView, new_uuid
from latehook.mocks import error_responses
from latehook.mocks.context import Context, scope_of
from latehook.mocks.definitions import FaultSpec, Mock, Mocks, ResponseSpec, WebhookSpec
from latehook.mocks.near_misses import NearMiss, closest, difference
from latehook.mocks.rendering import render_response, require_map

NAME = 1000
"""Characters of a name: a job's id and idempotency key, a status, an event."""

TARGETS = 1000
"""URLs of one `to`."""

URL = 8000
"""Characters of one of them (RFC 9110 4.1 has everybody take so many)."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a request gets. Without a response it is forwarded.

    `started` is a new job; `changed` is one whose later stages are replaced, from stage number `kept` on.
    `delay` is the seconds the response waits, `fault` what becomes of it on purpose. `job` is the id of the job that it
    starts or was asked for; `near` are the mocks that came near, where none took the request.
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


class _NoJob(Exception):
    """A lookup found no job with this id."""


def decide(mocks: Mocks, request: Request, moment: Moment, context: Context) -> Decision:
    """Decide what a request gets; `moment` is the request's end.

    It never raises for what a request holds: an expression that fails is a 500 without a job.
    """
    unknown: list[NearMiss] = []
    for mock, captures in mocks.candidates(request):
        if mock.times is not None and context.answer_count(mock.definition) >= mock.times:
            continue
        asked = replace(request, captures=tuple(captures.items())) if captures else request
        try:
            found = _try(mock, asked, moment, context)
        except _NoJob as error:
            unknown.append(_near(mock, f"there is no job {str(error)!r}"))
        except ExpressionError as error:
            return Decision(error_responses.failure(500, str(error), request, context.redaction), mock)
        else:
            if found is not None:
                return found
    if unknown:
        return Decision(
            error_responses.failure(404, unknown[-1].differs, request, context.redaction), near_misses=unknown
        )
    near = closest(request, [_near(mock, _differs(mock, request, moment, context)) for mock in mocks.all])
    return Decision(error_responses.unmatched(request, near, context.redaction), near_misses=near)


def forwards_at_once(mocks: Mocks, request: Request) -> Decision | None:
    """The answer, if a request's headers alone say that it is forwarded: it need not be waited for."""
    for mock, _ in mocks.candidates(request):
        at_once = mock.response is None and mock.when is None and mock.times is None
        return Decision(None, mock) if at_once else None
    return None


def _try(mock: Mock, request: Request, moment: Moment, context: Context) -> Decision | None:
    """The answer of a mock whose match fits; None where its `when` is false. _NoJob, ExpressionError."""
    scope = scope_of(mock.constants, request, moment, context)
    job: Job | None = None
    if mock.lookup is not None:
        id = to_text(render(mock.lookup, scope))
        job = context.find_job(id)
        if job is None:
            raise _NoJob(id)
        scope["job"] = JobView(job, moment)
    if mock.when is not None and not render(mock.when, scope):
        return None
    if mock.response is None:
        return Decision(None, mock)
    peeks = mock.matcher.is_implicit_head(request.method)
    if job is not None:
        found = _look_up(mock, mock.response, job, request, scope, moment, peeks)
    elif mock.starts_job:
        found = _start(mock, mock.response, request, scope, moment, context, peeks)
    else:
        found = Decision(render_response(mock.response, scope, moment), mock, delay=_delay(mock.response, moment))
    fault = mock.response.fault
    return found if fault is None else _with_fault(found, fault, mock, moment, context)


def _with_fault(
    found: Decision, spec: FaultSpec[ResponseFault], mock: Mock, moment: Moment, context: Context
) -> Decision:
    """The answer with the fault, if it happens this time: drawn last, it changes nothing else that is drawn."""
    return dataclasses.replace(found, fault=spec.draw(moment.random, context.fault_count(mock.definition)))


def _delay(spec: ResponseSpec, moment: Moment) -> float:
    return 0.0 if spec.delay is None else spec.delay.draw(moment.random)


def _start(
    mock: Mock,
    spec: ResponseSpec,
    request: Request,
    scope: dict[str, Any],
    moment: Moment,
    context: Context,
    peeks: bool,
) -> Decision:
    """A new job and its response; the response there was, for an idempotency key that has been seen."""
    key = _idempotency_key(mock, scope)
    if key is not None and (before := context.job_for_idempotency_key(mock.name, key)) is not None:
        return Decision(before.response, mock, delay=_delay(spec, moment), job_id=before.id)
    job = Job(_job_id(mock, scope, moment), mock.name, moment.now, request, idempotency_key=key)
    asked = scope["request"]
    if mock.job is not None:
        scope["job"] = JobView(job, moment, request=asked)
        job = replace(job, vars=dict(require_map(render(mock.job.vars, scope), mock.job.place, "job.vars")))
    scope["job"] = JobView(job, moment, request=asked)
    job = replace(job, stages=_stages(mock, scope, moment))
    webhooks = _webhooks(mock, job, scope, moment)
    scope["job"] = JobView(job, moment, request=asked)
    response = render_response(spec, scope, moment)
    delay = _delay(spec, moment)
    if peeks:
        return Decision(response, mock, delay=delay)
    kept = _kept(request, mock.kept_members)  # so far its expressions could read all of it
    started = replace(job, request=kept, webhooks=webhooks, response=response)
    return Decision(response, mock, started, delay=delay, job_id=job.id)


def _look_up(
    mock: Mock,
    spec: ResponseSpec,
    job: Job,
    request: Request,
    scope: dict[str, Any],
    moment: Moment,
    peeks: bool,
) -> Decision:
    """The response for a job that exists; the mock's own stages replace those the job has not reached."""
    if not mock.stages:
        return Decision(render_response(spec, scope, moment), mock, delay=_delay(spec, moment), job_id=job.id)
    kept = tuple(reached_stages(job.stages, moment.clock))
    changed = replace(job, stages=kept + _stages(mock, scope, moment))
    webhooks = _webhooks(mock, changed, scope, moment)
    scope["job"] = JobView(changed, moment)
    response = render_response(spec, scope, moment)
    cause = _kept(request, mock.kept_members)
    changed = replace(changed, webhooks=tuple(replace(webhook, request=cause) for webhook in webhooks))
    delay = _delay(spec, moment)
    return Decision(response, mock, None, None if peeks else changed, len(kept), delay, job_id=job.id)


def _idempotency_key(mock: Mock, scope: Mapping[str, Any]) -> str | None:
    if mock.job is None:
        return None
    key = render(mock.job.idempotency_key, scope)
    if key is None:
        return None
    name = _name(key, mock.job.place, "job.idempotency_key")
    return f"{mock.when_text}:{name}"  # two mocks of one name differ in their `when`


def _job_id(mock: Mock, scope: Mapping[str, Any], moment: Moment) -> str:
    if mock.job is None or mock.job.id is None:
        return new_uuid(moment.random)
    id = _name(render(mock.job.id, scope), mock.job.place, "job.id")
    if not id:
        raise ExpressionError(mock.job.place, "job.id is empty: a job is found by it")
    return id


def _name(value: Any, place: Place, key: str) -> str:
    """A value as a name: it is kept, compared and shown everywhere."""
    name = to_text(value)
    if len(name) > NAME:
        raise ExpressionError(place, f"{key} has {len(name):,} characters, and may have {NAME:,}: {name}")
    return name


def _kept(request: Request, members: frozenset[str]) -> Request:
    """The request as its job keeps it: a body that is not small only where something will ask for it."""
    only_parts = request.parts is not None and members <= {"form", "files"}
    keeps_body = (bool(members) and not only_parts) or request.size <= SMALL_BODY_SIZE
    return replace(
        request,
        body=request.body if keeps_body else None,
        parts=request.parts if members & {"form", "files"} else None,
    )


def _stages(mock: Mock, scope: Mapping[str, Any], moment: Moment) -> tuple[Stage, ...]:
    """The mock's stages. Each is due no earlier than the one before."""
    stages = []
    due = moment.clock
    for at, spec in enumerate(mock.stages):
        due = max(due, moment.clock + (0.0 if spec.after is None else spec.after.draw(moment.random)))
        status = render(spec.status, scope)
        stages.append(Stage(due, None if status is None else _name(status, mock.place, f"stages[{at}].status")))
    return tuple(stages)


def _webhooks(mock: Mock, job: Job, scope: dict[str, Any], moment: Moment) -> tuple[Webhook, ...]:
    """What the mock's stages owe, which are the job's last. Each sees the job as it is at its stage."""
    webhooks: list[Webhook] = []
    asked = scope["job"].request
    first = len(job.stages) - len(mock.stages)
    for at, stage in enumerate(mock.stages):
        if stage.webhook is not None:
            scope["job"] = JobView(job, moment, first + at, asked)
            like = Webhook(
                id="",
                stage=first + at,
                definition=mock.definition,
                mock_stage=at,
                due=job.stages[first + at].due,
                to=None,
                ordered=stage.webhook.ordered,
                before_response=stage.after is None,
            )
            webhooks += _to_each(stage.webhook, like, scope, moment)
    return tuple(webhooks)


def _to_each(spec: WebhookSpec, like: Webhook, scope: Mapping[str, Any], moment: Moment) -> list[Webhook]:
    """One for each URL of `to`; `like` has what no expression says."""
    wanted = spec.when is None or bool(render(spec.when, scope))
    event = render(spec.event, scope)
    event = scope["job"].status if event is None else _name(event, spec.place, "webhook.event")
    webhooks = []
    for target in _targets(spec, scope):
        url = to_text(target).strip() or None
        state, reason = _first_state(url, wanted)
        to = url if url is None else url[:URL]
        webhooks.append(replace(like, id=new_uuid(moment.random), to=to, event=event, state=state, reason=reason))
    return webhooks


def _targets(spec: WebhookSpec, scope: Mapping[str, Any]) -> Sequence[Any]:
    to = render(spec.to, scope)
    if not isinstance(to, list):
        return [to]
    if len(to) > TARGETS:
        raise ExpressionError(spec.place, f"`to` is a list of {len(to):,} URLs, and may have {TARGETS:,}")
    return to


def _first_state(url: str | None, wanted: bool) -> tuple[State, str | None]:
    if not wanted:
        return State.SKIPPED, "its `when` is false"
    if url is None:
        return State.SKIPPED, "its `to` is null"
    if len(url) > URL:
        return State.FAILED, f"its `to` has {len(url):,} characters, and a URL may have {URL:,}: {url[:100]}…"
    if not is_url(url):
        return State.FAILED, shorten(f"its `to` is {url!r}, which is not a URL (http://host[:port]/path)")
    return State.PENDING, None


@functools.lru_cache(maxsize=256)  # callers use few, and it is a twentieth of what a webhook's decision costs
def is_url(text: str) -> bool:
    """Whether a webhook could be sent there."""
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a bracket or a port that is none
        return False


def _near(mock: Mock, differs: str) -> NearMiss:
    return NearMiss(mock.name, f"{mock.place.file}:{mock.place.line}", mock.matcher.path, differs)


def _differs(mock: Mock, request: Request, moment: Moment, context: Context) -> str:
    """The first thing in which a request differs from what a mock takes, in words."""
    differs = difference(mock.matcher, request)
    if differs is not None:
        return differs
    if mock.times is not None and context.answer_count(mock.definition) >= mock.times:
        return f"times is {mock.times}, and so many requests it has answered"
    return f"when is false: {mock.when_text}"
