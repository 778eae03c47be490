"""The handlers that change nothing: lists, one job or webhook, waits and files."""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec
from msgspec.structs import replace
from starlette.responses import Response

from latehook.api import models, payloads
from latehook.api.defaults import WAIT_STATE
from latehook.api.payloads import Problem
from latehook.base.counting import number_of
from latehook.base.model import UNFINISHED, State
from latehook.base.version import version
from latehook.control import responses, serializers
from latehook.control.context import HandlerContext
from latehook.control.page.assemble import page as page_response
from latehook.control.params import (
    JobQuery,
    ListQuery,
    NoParameters,
    PageQuery,
    RequestsQuery,
    StatusQuery,
    WaitQuery,
)
from latehook.control.parsing import cursor, filters_of, wait_seconds
from latehook.engine.filters import JOBS, REQUESTS, Filter
from latehook.engine.queries import WebhookDetails

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
    await queries.turns.next()  # all that wait for a change wake at once
    requests, unmatched = await queries.count_requests()
    return payloads.Status(
        version=version(),
        ready=True,
        clock=serializers.clock(operations.clock),
        holding=operations.holding,
        vars=dict(operations.vars),
        counts=payloads.Counts(
            jobs=await queries.count_jobs(),
            webhooks=await queries.count_webhooks(),
            requests=requests,
            unmatched=unmatched,
        ),
        mocks=serializers.mocks(operations.mocks),
        revision=operations.notifier.revision,
        waiting=operations.notifier.waiting,
        problems=tuple(operations.problems),
    )


async def jobs(context: HandlerContext, params: ListQuery, id: str) -> Response:
    filter = context.queries.parse_filter(filters_of(params), JOBS)
    found = await context.queries.jobs(filter, params.limit, context.job, cursor(params.after))
    return context.responder.page(found.items, found.next)


async def job(context: HandlerContext, params: JobQuery, id: str) -> models.Job:
    queries = context.queries
    found = await queries.job(id, params.number)
    await queries.turns.next()  # a job may have a large body, and each of its webhooks another one
    [details] = await queries.job_details([found])
    await queries.turns.next()
    return serializers.job(details, context.operations.clock)


async def webhooks(context: HandlerContext, params: ListQuery, id: str) -> Response:
    filter = context.queries.parse_filter(filters_of(params))
    found = await context.queries.webhooks(filter, params.limit, context.webhook, cursor(params.after))
    return context.responder.page(found.items, found.next)


async def webhook(context: HandlerContext, params: NoParameters, id: str) -> models.Webhook:
    return await context.whole_webhook(id)


async def requests(context: HandlerContext, params: RequestsQuery, id: str) -> Response:
    filter = context.queries.parse_filter(filters_of(params), REQUESTS)
    after = cursor(params.after)
    found = await context.queries.requests(filter, params.limit, context.request, after, params.matched, params.valid)
    return context.responder.page(found.items, found.next)


async def others(context: HandlerContext, params: PageQuery, id: str) -> Response:
    found = await context.queries.others(params.limit, cursor(params.after))
    items = [context.responder.encode(serializers.other(other)) for other in found.items]
    return context.responder.page(items, found.next)


async def wait(context: HandlerContext, params: WaitQuery, id: str) -> Response:
    limit = wait_seconds(params.timeout)
    given = filters_of(params)
    filter = context.queries.parse_filter({**given, "state": given["state"] or WAIT_STATE})

    def convert(details: WebhookDetails) -> tuple[str, msgspec.Raw]:
        return details.stored.webhook.id, context.webhook(details)

    found = dict(await context.operations.waits.wait(filter, params.count, limit, convert))
    if len(found) >= params.count:
        return context.responder.members(items=list(found.values()))
    return await _wait_problem(context, params, filter, found)


async def ca(context: HandlerContext, params: NoParameters, id: str) -> Response:
    return responses.file(context.certificates.own(), PEM)


async def ca_bundle(context: HandlerContext, params: NoParameters, id: str) -> Response:
    return responses.file(context.certificates.bundle(), PEM)


async def variables(context: HandlerContext, params: NoParameters, id: str) -> dict[str, object]:
    return dict(context.operations.vars)


async def _wait_problem(
    context: HandlerContext, params: WaitQuery, filter: Filter, found: Mapping[str, msgspec.Raw]
) -> Response:
    """Return what did happen while a client waited in vain: its reader has to see why.

    `found` are the webhooks that were as wanted, by id.
    """
    queries = context.queries
    any_state = replace(filter, criteria=replace(filter.criteria, states=None))
    in_any_state = (await queries.webhooks(any_state, LISTED, context.listed_webhook)).items
    others = [webhook for webhook in in_any_state if webhook.id not in found]
    everything = queries.parse_filter({}, REQUESTS)
    problem = Problem(
        title=responses.title(408),
        status=408,
        detail=_detail(params, filter, len(found), others, await queries.count_requests()),
    )
    return context.responder.problem(
        problem,
        found=list(found.values()),
        webhooks=list(map(context.responder.encode, others)),
        requests=(await queries.requests(everything, LISTED, context.request)).items,
        unmatched=(await queries.requests(everything, LISTED, context.request, matched=False)).items,
    )


def _detail(
    params: WaitQuery,
    filter: Filter,
    found: int,
    others: Sequence[models.Webhook],
    counts: tuple[int, int],
) -> str:
    """Return in one line what did happen.

    `found` is the number of webhooks that were as wanted. `counts` are those of all requests and of the unmatched ones.
    """
    filters = " ".join(f"{name}={value}" for name, value in filters_of(params).items() if value is not None)
    states = " or ".join(filter.criteria.states or ())
    parts = [f"within {params.timeout} {found} of {number_of(params.count, 'webhook')} {states}"]
    if filters:
        parts[0] += f" ({filters})"
    parts += [_describe(webhook) for webhook in others[:IN_WORDS]]
    if len(others) > IN_WORDS:
        parts.append(f"and {len(others) - IN_WORDS} more")
    if not others:
        parts.append("no other webhook matches the filters")
    if filter.where is not None and filter.where.failed:
        parts.append(f"`where` failed for some: {filter.where.failed}")
    parts.append(f"{number_of(counts[0], 'request')} came, {counts[1]} of them matched no mock")
    return "; ".join(parts)


def _describe(webhook: models.Webhook) -> str:
    text = f"webhook {webhook.id} of job {webhook.job} is {webhook.state}"
    if webhook.due_in is not None and webhook.state is State.PENDING:
        text += f", due in {webhook.due_in:.1f} s"
    if webhook.waits_for is not None:
        text += f", waits for the end of {webhook.waits_for!r}"
    last = next((attempt for attempt in reversed(webhook.attempts) if attempt.ended_at is not None), None)
    if last is not None:
        text += f", attempt {last.number}: {last.error or f'status {last.status}'}"
    elif webhook.reason is not None and webhook.state not in UNFINISHED:
        text += f": {webhook.reason}"
    return text
