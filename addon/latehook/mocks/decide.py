"""PURE, the heart: what the third party would do. Mocks, a request, a moment and the jobs so far in; an answer out."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from msgspec.structs import replace

from latehook.base.errors import ExpressionError, Place, shorten
from latehook.base.model import Job, Moment, Request, Response, ResponseFault, Stage, State, Webhook, reached
from latehook.bodies.decoding import SMALL
from latehook.expressions.expression import render
from latehook.expressions.values import to_text
from latehook.expressions.views import JobView, new_uuid
from latehook.mocks import error_responses, near_misses
from latehook.mocks.context import Context, scope_of
from latehook.mocks.definitions import FaultPlan, Mock, Mocks, ResponsePlan, WebhookPlan
from latehook.mocks.rendering import map_of, respond

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
    kept: int = 0
    delay: float = 0.0
    fault: ResponseFault | None = None
    job: str | None = None
    near: Sequence[near_misses.NearMiss] = ()


class _NoJob(Exception):
    """A lookup found no job with this id."""


def decide(mocks: Mocks, request: Request, moment: Moment, world: Context) -> Decision:
    """Decide what a request gets; `moment` is the request's end.

    It never raises for what a request holds: an expression that fails is a 500 without a job.
    """
    unknown: list[near_misses.NearMiss] = []
    for mock, captures in mocks.matching(request):
        if mock.times is not None and world.answered(mock.definition) >= mock.times:
            continue
        asked = replace(request, captures=tuple(captures.items())) if captures else request
        try:
            found = _try(mock, asked, moment, world)
        except _NoJob as error:
            unknown.append(_near(mock, f"there is no job {str(error)!r}"))
        except ExpressionError as error:
            return Decision(error_responses.failure(500, str(error), request, world.redaction), mock)
        else:
            if found is not None:
                return found
    if unknown:
        return Decision(error_responses.failure(404, unknown[-1].differs, request, world.redaction), near=unknown)
    near = near_misses.closest(request, [_near(mock, _differs(mock, request, moment, world)) for mock in mocks.all])
    return Decision(error_responses.unmatched(request, near, world.redaction), near=near)


def forwards_at_once(mocks: Mocks, request: Request) -> Decision | None:
    """The answer, if a request's headers alone say that it is forwarded: it need not be waited for."""
    for mock, _ in mocks.matching(request):
        at_once = mock.response is None and mock.when is None and mock.times is None
        return Decision(None, mock) if at_once else None
    return None


def _try(mock: Mock, request: Request, moment: Moment, world: Context) -> Decision | None:
    """The answer of a mock whose match fits; None where its `when` is false. _NoJob, ExpressionError."""
    scope = scope_of(mock.constants, request, moment, world)
    job: Job | None = None
    if mock.lookup is not None:
        id = to_text(render(mock.lookup, scope))
        job = world.find(id)
        if job is None:
            raise _NoJob(id)
        scope["job"] = JobView(job, moment)
    if mock.when is not None and not render(mock.when, scope):
        return None
    if mock.response is None:
        return Decision(None, mock)
    peeks = mock.matcher.only_peeks(request.method)
    if job is not None:
        found = _look_up(mock, mock.response, job, request, scope, moment, peeks)
    elif mock.starts_job:
        found = _start(mock, mock.response, request, scope, moment, world, peeks)
    else:
        found = Decision(respond(mock.response, scope, moment), mock, delay=_delay(mock.response, moment))
    fault = mock.response.fault
    return found if fault is None else _with_fault(found, fault, mock, moment, world)


def _with_fault(
    found: Decision, plan: FaultPlan[ResponseFault], mock: Mock, moment: Moment, world: Context
) -> Decision:
    """The answer with the fault, if it happens this time: drawn last, it changes nothing else that is drawn."""
    return dataclasses.replace(found, fault=plan.draw(moment.random, world.faulted(mock.definition)))


def _delay(plan: ResponsePlan, moment: Moment) -> float:
    return 0.0 if plan.delay is None else plan.delay.draw(moment.random)


def _start(
    mock: Mock,
    plan: ResponsePlan,
    request: Request,
    scope: dict[str, Any],
    moment: Moment,
    world: Context,
    peeks: bool,
) -> Decision:
    """A new job and its response; the response there was, for an idempotency key that has been seen."""
    key = _idempotency_key(mock, scope)
    if key is not None and (before := world.repeated(mock.name, key)) is not None:
        return Decision(before.response, mock, delay=_delay(plan, moment), job=before.id)
    job = Job(_job_id(mock, scope, moment), mock.name, moment.now, request, idempotency_key=key)
    asked = scope["request"]
    if mock.job is not None:
        scope["job"] = JobView(job, moment, request=asked)
        job = replace(job, vars=dict(map_of(render(mock.job.vars, scope), mock.job.place, "job.vars")))
    scope["job"] = JobView(job, moment, request=asked)
    job = replace(job, stages=_stages(mock, scope, moment))
    webhooks = _webhooks(mock, job, scope, moment)
    scope["job"] = JobView(job, moment, request=asked)
    response = respond(plan, scope, moment)
    delay = _delay(plan, moment)
    if peeks:
        return Decision(response, mock, delay=delay)
    kept = _kept(request, mock.keeps)  # so far its expressions could read all of it
    started = replace(job, request=kept, webhooks=webhooks, response=response)
    return Decision(response, mock, started, delay=delay, job=job.id)


def _look_up(
    mock: Mock,
    plan: ResponsePlan,
    job: Job,
    request: Request,
    scope: dict[str, Any],
    moment: Moment,
    peeks: bool,
) -> Decision:
    """The response for a job that exists; the mock's own stages replace those the job has not reached."""
    if not mock.stages:
        return Decision(respond(plan, scope, moment), mock, delay=_delay(plan, moment), job=job.id)
    kept = tuple(reached(job.stages, moment.clock))
    changed = replace(job, stages=kept + _stages(mock, scope, moment))
    webhooks = _webhooks(mock, changed, scope, moment)
    scope["job"] = JobView(changed, moment)
    response = respond(plan, scope, moment)
    cause = _kept(request, mock.keeps)
    changed = replace(changed, webhooks=tuple(replace(webhook, request=cause) for webhook in webhooks))
    delay = _delay(plan, moment)
    return Decision(response, mock, None, None if peeks else changed, len(kept), delay, job=job.id)


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
    keeps_body = (bool(members) and not only_parts) or request.size <= SMALL
    return replace(
        request,
        body=request.body if keeps_body else None,
        parts=request.parts if members & {"form", "files"} else None,
    )


def _stages(mock: Mock, scope: Mapping[str, Any], moment: Moment) -> tuple[Stage, ...]:
    """The mock's stages. Each is due no earlier than the one before."""
    stages = []
    due = moment.clock
    for at, plan in enumerate(mock.stages):
        due = max(due, moment.clock + (0.0 if plan.after is None else plan.after.draw(moment.random)))
        status = render(plan.status, scope)
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
                plan=at,
                due=job.stages[first + at].due,
                to=None,
                ordered=stage.webhook.ordered,
                before_response=stage.after is None,
            )
            webhooks += _to_each(stage.webhook, like, scope, moment)
    return tuple(webhooks)


def _to_each(plan: WebhookPlan, like: Webhook, scope: Mapping[str, Any], moment: Moment) -> list[Webhook]:
    """One for each URL of `to`; `like` has what no expression says."""
    wanted = plan.when is None or bool(render(plan.when, scope))
    event = render(plan.event, scope)
    event = scope["job"].status if event is None else _name(event, plan.place, "webhook.event")
    webhooks = []
    for target in _targets(plan, scope):
        url = to_text(target).strip() or None
        state, reason = _first_state(url, wanted)
        to = url if url is None else url[:URL]
        webhooks.append(replace(like, id=new_uuid(moment.random), to=to, event=event, state=state, reason=reason))
    return webhooks


def _targets(plan: WebhookPlan, scope: Mapping[str, Any]) -> Sequence[Any]:
    to = render(plan.to, scope)
    if not isinstance(to, list):
        return [to]
    if len(to) > TARGETS:
        raise ExpressionError(plan.place, f"`to` is a list of {len(to):,} URLs, and may have {TARGETS:,}")
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


def _near(mock: Mock, differs: str) -> near_misses.NearMiss:
    return near_misses.NearMiss(mock.name, f"{mock.place.file}:{mock.place.line}", mock.matcher.path, differs)


def _differs(mock: Mock, request: Request, moment: Moment, world: Context) -> str:
    """The first thing in which a request differs from what a mock takes, in words."""
    differs = near_misses.difference(mock.matcher, request)
    if differs is not None:
        return differs
    if mock.times is not None and world.answered(mock.definition) >= mock.times:
        return f"times is {mock.times}, and so many requests it has answered"
    return f"when is false: {mock.when_text}"
