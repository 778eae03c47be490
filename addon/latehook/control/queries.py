"""The handlers that change nothing: lists, one job or webhook, waits and files."""

import asyncio
from collections.abc import Sequence

from msgspec.structs import replace
from starlette.responses import Response

from latehook.api import models, payloads
from latehook.api.defaults import WAIT_STATE
from latehook.base.model import UNFINISHED, State
from latehook.base.version import version
from latehook.control import responses, serializers
from latehook.control.context import HandlerContext
from latehook.control.page import page as page_response
from latehook.control.params import ListQuery, NoParameters, PageQuery, RequestsQuery, StatusQuery, WaitQuery
from latehook.control.parsing import cursor, filters_of, wait_seconds
from latehook.engine.filters import JOBS, REQUESTS, Filter

LISTED = 20
"""Webhooks and requests that the answer to a wait in vain lists at most, of each kind."""

IN_WORDS = 3
"""Webhooks that its `detail` describes at most."""

PEM = "application/x-pem-file"


async def page(context: HandlerContext, params: NoParameters, id: str) -> Response:
    return page_response()


async def openapi(context: HandlerContext, params: NoParameters, id: str) -> dict[str, object]:
    return await asyncio.to_thread(context.openapi)  # this takes too long for the event loop


async def status(context: HandlerContext, params: StatusQuery, id: str) -> payloads.Status:
    operations, queries = context.operations, context.queries
    if params.after is not None:
        await operations.notifier.wait_for_change(params.after, wait_seconds(params.timeout))
    requests, unmatched = queries.count_requests()
    return payloads.Status(
        version=version(),
        ready=True,
        clock=serializers.clock(operations.clock),
        holding=operations.holding,
        vars=dict(operations.vars),
        counts=payloads.Counts(
            jobs=queries.count_jobs(), webhooks=queries.count_webhooks(), requests=requests, unmatched=unmatched
        ),
        mocks=serializers.mocks(operations.mocks),
        revision=operations.notifier.revision,
        waiting=operations.notifier.waiting,
        problems=tuple(operations.problems),
    )


async def jobs(context: HandlerContext, params: ListQuery, id: str) -> payloads.JobPage:
    filter = context.queries.parse_filter(filters_of(params), JOBS)
    found = await context.queries.jobs(filter, params.limit, cursor(params.after))
    items = tuple(serializers.job(job, context.operations.clock) for job in found.items)
    return payloads.JobPage(items=items, next=_next(found.next))


async def job(context: HandlerContext, params: NoParameters, id: str) -> models.Job:
    [details] = context.queries.job_details([context.queries.job(id)])
    return serializers.job(details, context.operations.clock)


async def webhooks(context: HandlerContext, params: ListQuery, id: str) -> payloads.WebhookPage:
    filter = context.queries.parse_filter(filters_of(params))
    found = await context.queries.webhooks(filter, params.limit, cursor(params.after))
    return payloads.WebhookPage(items=context.webhooks(found.items), next=_next(found.next))


async def webhook(context: HandlerContext, params: NoParameters, id: str) -> models.Webhook:
    return context.webhook(id)


async def requests(context: HandlerContext, params: RequestsQuery, id: str) -> payloads.RequestPage:
    filter = context.queries.parse_filter(filters_of(params), REQUESTS)
    found = await context.queries.requests(filter, params.limit, cursor(params.after), params.matched)
    return payloads.RequestPage(items=tuple(map(serializers.request, found.items)), next=_next(found.next))


async def others(context: HandlerContext, params: PageQuery, id: str) -> payloads.OtherPage:
    found = context.queries.others(params.limit, cursor(params.after))
    return payloads.OtherPage(items=tuple(map(serializers.other, found.items)), next=_next(found.next))


async def wait(context: HandlerContext, params: WaitQuery, id: str) -> payloads.WebhookList | Response:
    limit = wait_seconds(params.timeout)
    given = filters_of(params)
    filter = context.queries.parse_filter({**given, "state": given["state"] or WAIT_STATE})
    found = await context.operations.wait(filter, params.count, limit)
    if len(found) >= params.count:
        return payloads.WebhookList(context.webhooks(found))
    return context.responder.problem(await _wait_problem(context, params, filter, context.webhooks(found)))


async def ca(context: HandlerContext, params: NoParameters, id: str) -> Response:
    return responses.file(context.certificates.own(), PEM)


async def ca_bundle(context: HandlerContext, params: NoParameters, id: str) -> Response:
    return responses.file(context.certificates.bundle(), PEM)


async def variables(context: HandlerContext, params: NoParameters, id: str) -> dict[str, object]:
    return dict(context.operations.vars)


async def _wait_problem(
    context: HandlerContext, params: WaitQuery, filter: Filter, found: Sequence[models.Webhook]
) -> payloads.WaitProblem:
    """Return what did happen while a client waited in vain: its reader has to see why."""
    any_state = replace(filter, criteria=replace(filter.criteria, states=None))
    in_any_state = context.webhooks((await context.queries.webhooks(any_state, LISTED)).items)
    everything = context.queries.parse_filter({}, REQUESTS)
    requests = (await context.queries.requests(everything, LISTED)).items
    unmatched = (await context.queries.requests(everything, LISTED, matched=False)).items
    found_ids = {webhook.id for webhook in found}
    others = tuple(webhook for webhook in in_any_state if webhook.id not in found_ids)
    return payloads.WaitProblem(
        title=responses.title(408),
        status=408,
        detail=_detail(params, filter, found, others, context.queries.count_requests()),
        found=tuple(found),
        webhooks=others,
        requests=tuple(map(serializers.request, requests)),
        unmatched=tuple(map(serializers.request, unmatched)),
    )


def _detail(
    params: WaitQuery,
    filter: Filter,
    found: Sequence[models.Webhook],
    others: Sequence[models.Webhook],
    counts: tuple[int, int],
) -> str:
    """Return in one line what did happen. `counts` are the numbers of all requests and of the unmatched ones."""
    filters = " ".join(f"{name}={value}" for name, value in filters_of(params).items() if value is not None)
    states = " or ".join(filter.criteria.states or ())
    parts = [f"within {params.timeout} {len(found)} of {params.count} webhooks {states}"]
    if filters:
        parts[0] += f" ({filters})"
    parts += [_describe(webhook) for webhook in others[:IN_WORDS]]
    if len(others) > IN_WORDS:
        parts.append(f"and {len(others) - IN_WORDS} more")
    if not others:
        parts.append("no other webhook matches the filters")
    if filter.where is not None and filter.where.failed:
        parts.append(f"`where` failed for some: {filter.where.failed}")
    parts.append(f"{counts[0]} requests came, {counts[1]} of them matched no mock")
    return "; ".join(parts)


def _describe(webhook: models.Webhook) -> str:
    text = f"webhook {webhook.id} of job {webhook.job} is {webhook.state}"
    if webhook.due_in is not None and webhook.state is State.PENDING:
        text += f", due in {webhook.due_in:.1f} s"
    last = next((attempt for attempt in reversed(webhook.attempts) if attempt.ended_at is not None), None)
    if last is not None:
        text += f", attempt {last.number}: {last.error or f'status {last.status}'}"
    elif webhook.reason is not None and webhook.state not in UNFINISHED:
        text += f": {webhook.reason}"
    return text


def _next(key: int | None) -> str | None:
    return None if key is None else str(key)
