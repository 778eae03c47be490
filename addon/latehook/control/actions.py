"""The handlers that change something: one webhook, those that filters select, or all; the clock, variables, mocks."""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.responses import Response

from latehook.api import models, payloads
from latehook.control import serializers
from latehook.control.context import HandlerContext
from latehook.control.params import ClockChange, Filters, NoParameters, PostedMocks, Variables
from latehook.control.parsing import filters_of
from latehook.control.responses import Refusal
from latehook.engine.filters import WEBHOOKS, Filter
from latehook.engine.operations import Operations
from latehook.expressions.expression import Names


def one(
    operation: Callable[[Operations, str], Awaitable[object]],
) -> Callable[[HandlerContext, NoParameters, str], Awaitable[Any]]:
    """Return a handler that applies an operation to the webhook with an id, and answers with this webhook."""

    async def handle(context: HandlerContext, params: NoParameters, id: str) -> models.Webhook:
        await operation(context.operations, id)
        return await context.whole_webhook(id)

    return handle


def several(
    operation: Callable[[Operations, Filter], Awaitable[list[str]]], names: Names = WEBHOOKS
) -> Callable[[HandlerContext, Filters, str], Awaitable[Any]]:
    """Return a handler that applies an operation to what filters select, and answers with the ids.

    `names` are the names that the filter `where` may use.
    """

    async def handle(context: HandlerContext, params: Filters, id: str) -> payloads.IdList:
        filter = context.queries.parse_filter(filters_of(params), names)
        return payloads.IdList(tuple(await operation(context.operations, filter)))

    return handle


async def change_clock(context: HandlerContext, params: ClockChange, id: str) -> payloads.Advanced | Response:
    if (params.advance is None) == (params.speed is None):
        raise Refusal(400, 'write one of {"advance": "65s"} and {"speed": 60}')
    if params.speed is not None and params.job is not None:
        raise Refusal(400, "the speed is that of all jobs: leave `job` out")
    if params.speed is not None:
        await context.operations.set_speed(params.speed)
        return payloads.Advanced(clock=serializers.clock(context.operations.clock), left=())
    job = None if params.job is None else str(params.job)
    left = await context.operations.advance(params.advance or 0.0, job)
    webhooks = await context.webhooks([stored.key for stored in left])
    return context.responder.members(clock=serializers.clock(context.operations.clock), left=webhooks)


async def set_variables(context: HandlerContext, params: Variables, id: str) -> Variables:
    await context.operations.set_vars(params)
    return dict(context.operations.vars)


async def add_mocks(context: HandlerContext, params: PostedMocks, id: str) -> payloads.MockList:
    return payloads.MockList(
        serializers.mocks(await context.operations.add_mocks(params.text, params.file, params.files))
    )
