"""PURE: what a job consists of, as its mock describes it: its id, its stages, its webhooks, the request it keeps."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from latehook.base.errors import ExpressionError, Place, shorten
from latehook.base.model import Job, Moment, Request, Stage, State, Webhook
from latehook.bodies.decoding import SMALL_BODY_SIZE
from latehook.expressions.body_members import held_by
from latehook.expressions.expression import render
from latehook.expressions.values import to_text
from latehook.expressions.views import JobView, new_uuid
from latehook.mocks.definitions import Mock, WebhookSpec
from latehook.mocks.times import seconds_of
from latehook.webhooks.targets import is_url

MAX_NAME_LENGTH = 1000
"""Characters of a name: a job's id, its idempotency key, a status, an event."""

MAX_TARGETS = 1000
"""URLs in one `to`."""

MAX_URL_LENGTH = 8000
"""Characters of a URL in `to`: RFC 9110 4.1 recommends that everybody supports so many."""


def job_id(mock: Mock, scope: Mapping[str, Any], moment: Moment) -> str:
    """Return the id of a new job. Raises ExpressionError."""
    if mock.job is None or mock.job.id is None:
        return new_uuid(moment.random)
    id = _name(render(mock.job.id, scope), mock.job.place, "job.id")
    if not id:
        raise ExpressionError(mock.job.place, "job.id is empty: a job is found by it")
    return id


def idempotency_key(mock: Mock, scope: Mapping[str, Any]) -> str | None:
    """Return the idempotency key of a request, None where it has none. Raises ExpressionError."""
    if mock.job is None:
        return None
    key = render(mock.job.idempotency_key, scope)
    if key is None:
        return None
    name = _name(key, mock.job.place, "job.idempotency_key")
    return f"{mock.when_text}:{name}"  # two mocks of the same name differ in their `when`


def stages(mock: Mock, scope: Mapping[str, Any], moment: Moment) -> tuple[Stage, ...]:
    """Return the mock's stages with their times and statuses. A stage is not due before an earlier one.

    `moment` is by the job's clock. Raises ExpressionError.
    """
    found = []
    due = moment.now
    for at, spec in enumerate(mock.stages):
        after = 0.0 if spec.after is None else seconds_of(spec.after, scope, moment.random)
        due = max(due, moment.now + after)
        status = render(spec.status, scope)
        found.append(Stage(due, None if status is None else _name(status, mock.place, f"stages[{at}].status")))
    return tuple(found)


def webhooks(mock: Mock, job: Job, scope: dict[str, Any], moment: Moment) -> tuple[Webhook, ...]:
    """Return the webhooks of the mock's stages, which are the last stages of the job.

    Leaves in `scope` the job as it is at the last of them: each webhook's expressions see the job at their own stage.
    """
    found: list[Webhook] = []
    request_view = scope["job"].request
    first = len(job.stages) - len(mock.stages)
    for at, spec in enumerate(mock.stages):
        if spec.webhook is not None:
            scope["job"] = JobView(job, moment.now, first + at, request_view)
            template = Webhook(
                id="",
                stage=first + at,
                definition=mock.definition,
                mock_stage=at,
                due=job.stages[first + at].due - job.ahead,
                to=None,
                ordered=spec.webhook.ordered,
                before_response=spec.after is None,
            )
            found += _for_each_target(spec.webhook, template, scope, moment)
    return tuple(found)


def kept_request(request: Request, members: frozenset[str]) -> Request:
    """Return the request as its job keeps it.

    `members` are those that need the body and may be read later. A body of more than SMALL_BODY_SIZE is kept only for
    a member that cannot be taken from the parts of a form that was read while it arrived.
    """
    in_parts = held_by("parts", members)
    needs_body = members if request.parts is None else members - in_parts
    keeps_body = bool(needs_body) or request.size <= SMALL_BODY_SIZE
    return replace(request, body=request.body if keeps_body else None, parts=request.parts if in_parts else None)


def _name(value: Any, place: Place, key: str) -> str:
    """Return a value as a name: it is stored, compared and shown, so its length is limited. Raises ExpressionError."""
    name = to_text(value)
    if len(name) > MAX_NAME_LENGTH:
        raise ExpressionError(place, f"{key} has {len(name):,} characters, and may have {MAX_NAME_LENGTH:,}: {name}")
    return name


def _for_each_target(spec: WebhookSpec, template: Webhook, scope: Mapping[str, Any], moment: Moment) -> list[Webhook]:
    """Return a webhook for each URL of `to`; the rest of each is as in `template`."""
    is_wanted = spec.when is None or bool(render(spec.when, scope))
    event = render(spec.event, scope)
    event = scope["job"].status if event is None else _name(event, spec.place, "webhook.event")
    found = []
    for target in _targets(spec, scope):
        url = to_text(target).strip() or None
        state, reason = _first_state(url, is_wanted)
        to = url if url is None else url[:MAX_URL_LENGTH]
        found.append(replace(template, id=new_uuid(moment.random), to=to, event=event, state=state, reason=reason))
    return found


def _targets(spec: WebhookSpec, scope: Mapping[str, Any]) -> Sequence[Any]:
    to = render(spec.to, scope)
    if not isinstance(to, list):
        return [to]
    if len(to) > MAX_TARGETS:
        raise ExpressionError(spec.place, f"`to` is a list of {len(to):,} URLs, and may have {MAX_TARGETS:,}")
    return to


def _first_state(url: str | None, is_wanted: bool) -> tuple[State, str | None]:
    """Return the state that a new webhook to this URL begins in, and the reason if it is never sent."""
    if not is_wanted:
        return State.SKIPPED, "its `when` is false"
    if url is None:
        return State.SKIPPED, "its `to` is null"
    if len(url) > MAX_URL_LENGTH:
        length = f"{len(url):,} characters, and a URL may have {MAX_URL_LENGTH:,}"
        return State.FAILED, f"its `to` has {length}: {url[:100]}…"
    if not is_url(url):
        return State.FAILED, shorten(f"its `to` is {url!r}, which is not a URL (http://host[:port]/path)")
    return State.PENDING, None
