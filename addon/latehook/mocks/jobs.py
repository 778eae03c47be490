"""PURE: what a job consists of, as its mock describes it: its id, its stages, its webhooks, the request it keeps."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from latehook.base.errors import ExpressionError, shorten
from latehook.base.messages import Request
from latehook.base.model import Job, Moment, State, StoredWebhook, Webhook
from latehook.bodies.decoding import SMALL_BODY_SIZE
from latehook.expressions.body_members import held_by
from latehook.expressions.expression import render
from latehook.expressions.random_values import new_uuid
from latehook.expressions.values import to_text
from latehook.expressions.views import JobView
from latehook.mocks.definitions import EndOf, Mock, StageSpec, WebhookSpec
from latehook.mocks.fields import quoted, require_name
from latehook.mocks.stages import PlannedStage
from latehook.webhooks.targets import is_url

MAX_TARGETS = 1000
"""URLs in one `to`."""

MAX_WEBHOOKS = 1000
"""Webhooks that one request may make with `each` or `repeat`."""

MAX_URL_LENGTH = 8000
"""Characters of a URL in `to`: RFC 9110 4.1 recommends that everybody supports so many."""

NOT_WANTED = "its `when` is false"
"""The reason of a webhook that its `when` skips."""


def job_id(mock: Mock, scope: Mapping[str, Any], moment: Moment) -> str:
    """Return the id of a new job. Raises ExpressionError."""
    if mock.job is None or mock.job.id is None:
        return new_uuid(moment.random)
    id = require_name(render(mock.job.id, scope), mock.job.place, "job.id")
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
    name = require_name(key, mock.job.place, "job.idempotency_key")
    return f"{mock.when_text}:{name}"  # two mocks of the same name differ in their `when`


def webhooks(
    mock: Mock, job: Job, planned: Sequence[PlannedStage], scope: dict[str, Any], moment: Moment
) -> tuple[Webhook, ...]:
    """Return the webhooks of the mock's stages. `planned` are these stages, the last ones of the job.

    Leaves in `scope` the job as it is at the last of them: each webhook's expressions see the job at their own stage.
    Raises ExpressionError.
    """
    found: list[Webhook] = []
    request_view = scope["job"].request
    for number, (stage, at, repetition, sends) in enumerate(planned, len(job.stages) - len(planned)):
        spec = mock.stages[at]
        if spec.webhook is None or not sends:
            continue
        scope["job"] = JobView(job, moment.now, number, request_view)
        template = Webhook(
            id="",
            stage=number,
            definition=mock.definition,
            mock_stage=at,
            due=stage.planned - job.ahead,
            to=None,
            ordered=spec.webhook.ordered,
            before_response=spec.after is None,
            index=repetition,
        )
        if spec.each is None and repetition is None:
            found += _first_webhooks(spec.webhook, template, scope, moment)
            continue
        for one in _for_each_item(spec, template, scope):
            found += _first_webhooks(spec.webhook, one, {**scope, "item": one.item, "index": one.index}, moment)
            if len(found) > MAX_WEBHOOKS:
                problem = f"with `each` or `repeat`, a job has at most {MAX_WEBHOOKS:,} webhooks: here it has more"
                raise ExpressionError(spec.webhook.place, problem)
    return tuple(found)


def check_awaited(
    mock: Mock, job: Job, planned: Sequence[PlannedStage], webhooks: Sequence[Webhook], others: Sequence[StoredWebhook]
) -> None:
    """Raise ExpressionError for a stage that waits for the end of a webhook that the job does not have before it.

    `webhooks` are those of the mock's stages, `others` those that the job has already.
    """
    all_webhooks = [*(stored.webhook for stored in others), *webhooks]
    for number, (_, at, _, _) in enumerate(planned, len(job.stages) - len(planned)):
        after = mock.stages[at].after
        if isinstance(after, EndOf) and not any(
            webhook.event == after.event and webhook.stage < number for webhook in all_webhooks
        ):
            problem = f"the job has no webhook with the event {after.event!r} before this stage"
            raise ExpressionError(after.place, f"{problem}: there is no end to wait for")


def kept_request(request: Request, members: frozenset[str]) -> Request:
    """Return the request as its job keeps it.

    `members` are those that need the body and may be read later. A body of more than SMALL_BODY_SIZE is kept only for
    a member that cannot be taken from the parts of a form that was read while it arrived.
    """
    in_parts = held_by("parts", members)
    needs_body = members if request.parts is None else members - in_parts
    keeps_body = bool(needs_body) or request.size <= SMALL_BODY_SIZE
    return replace(request, body=request.body if keeps_body else None, parts=request.parts if in_parts else None)


def _for_each_item(spec: StageSpec, template: Webhook, scope: Mapping[str, Any]) -> Iterator[Webhook]:
    """Yield `template` for each item of `each`. The index is that of the repetition, if the stage is repeated."""
    items = [None] if spec.each is None else render(spec.each, scope)
    if items is None:
        return
    if not isinstance(items, list):
        raise ExpressionError(spec.each.place, f"{quoted(items)} is not a list: `each` needs one")
    if len(items) > MAX_WEBHOOKS:
        raise ExpressionError(spec.each.place, f"the list has {len(items):,} items, and may have {MAX_WEBHOOKS:,}")
    for index, item in enumerate(items):
        yield replace(template, item=item, index=index if template.index is None else template.index)


def _first_webhooks(spec: WebhookSpec, template: Webhook, scope: Mapping[str, Any], moment: Moment) -> list[Webhook]:
    """Return the webhooks of a stage as they are at the request; the rest of each is as in `template`.

    One whose `to` is late stands for all those that `to` will give.
    """
    when, event, to = spec.render_at_request(scope)
    is_wanted = bool(when)
    event = scope["job"].status if event is None else require_name(event, spec.place, "webhook.event")
    if not spec.late:
        return [_for_target(target, event, is_wanted, template, moment) for target in _targets(spec, to)]
    if "to" in spec.late and is_wanted:
        return [replace(template, id=new_uuid(moment.random), event=event, late=True)]
    targets = _targets(spec, to)
    found = [_for_target(target, event, is_wanted, template, moment) for target in targets]
    if "when" not in spec.late:
        return found
    return [replace(webhook, late=True) if webhook.state is State.PENDING else webhook for webhook in found]


def decided_webhooks(spec: WebhookSpec, webhook: Webhook, scope: Mapping[str, Any], moment: Moment) -> list[Webhook]:
    """Return what a late webhook turns out to be, now that its turn has come: one for each URL of `to`.

    The first has the id of the late one. Raises ExpressionError.
    """
    decided = replace(webhook, late=False)
    is_wanted = "when" not in spec.late or bool(render(spec.when, scope))
    if "to" not in spec.late or not is_wanted:
        return [decided if is_wanted else replace(decided, state=State.SKIPPED, reason=NOT_WANTED)]
    targets = _targets(spec, render(spec.to, scope)) or [None]
    found = [_for_target(target, webhook.event, is_wanted, decided, moment) for target in targets]
    return [replace(found[0], id=webhook.id), *found[1:]]


def _for_target(target: Any, event: str | None, is_wanted: bool, template: Webhook, moment: Moment) -> Webhook:
    """Return the webhook for one item of `to`."""
    url = to_text(target).strip() or None
    state, reason = _first_state(url, is_wanted)
    to = url if url is None else url[:MAX_URL_LENGTH]
    return replace(template, id=new_uuid(moment.random), to=to, event=event, state=state, reason=reason)


def _targets(spec: WebhookSpec, to: Any) -> Sequence[Any]:
    """Return the items of a rendered `to`. Raises ExpressionError where they are too many."""
    if not isinstance(to, list):
        return [to]
    if len(to) > MAX_TARGETS:
        raise ExpressionError(spec.place, f"`to` is a list of {len(to):,} URLs, and may have {MAX_TARGETS:,}")
    return to


def _first_state(url: str | None, is_wanted: bool) -> tuple[State, str | None]:
    """Return the state that a new webhook to this URL begins in, and the reason if it is never sent."""
    if not is_wanted:
        return State.SKIPPED, NOT_WANTED
    if url is None:
        return State.SKIPPED, "its `to` is null"
    if len(url) > MAX_URL_LENGTH:
        length = f"{len(url):,} characters, and a URL may have {MAX_URL_LENGTH:,}"
        return State.FAILED, f"its `to` has {length}: {url[:100]}…"
    if not is_url(url):
        return State.FAILED, shorten(f"its `to` is {url!r}, which is not a URL (http://host[:port]/path)")
    return State.PENDING, None
