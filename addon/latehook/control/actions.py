"""What changes something: the operations, of one webhook, of those selected, of all."""

from collections.abc import Awaitable, Callable
from typing import Any

from latehook.control import params, schemas
from latehook.control.context import Here
from latehook.control.params import ClockChange, Filters, Nothing, PostedMocks, Vars
from latehook.control.responses import Refusal
from latehook.engine.filters import WEBHOOKS, Filter
from latehook.engine.operations import Operations
from latehook.expressions.expression import Names

Ids = schemas.Items[str]


def one(operation: Callable[[Operations, str], Awaitable[object]]) -> Callable[[Here, Nothing, str], Awaitable[Any]]:
    """An operation on the webhook with this id, answered with the webhook as it is then."""

    async def does(here: Here, asked: Nothing, id: str) -> schemas.Webhook:
        await operation(here.operations, id)
        return here.webhook(id)

    return does


def several(
    operation: Callable[[Operations, Filter], Awaitable[list[str]]], names: Names = WEBHOOKS
) -> Callable[[Here, Filters, str], Awaitable[Ids]]:
    """An operation on those that filters select, without any on all, answered with their ids."""

    async def does(here: Here, asked: Filters, id: str) -> Ids:
        return Ids(await operation(here.operations, here.lists.parse_filter(params.filters(asked), names)))

    return does


async def clock(here: Here, asked: ClockChange, id: str) -> schemas.Advanced:
    if (asked.advance is None) == (asked.speed is None):
        raise Refusal(400, 'write one of {"advance": "65s"} and {"speed": 60}')
    if asked.speed is not None and asked.job is not None:
        raise Refusal(400, "the speed is that of all jobs: leave `job` out")
    if asked.speed is not None:
        await here.operations.set_speed(asked.speed)
        return schemas.Advanced(schemas.clock(here.operations.clock), [])
    job = None if asked.job is None else str(asked.job)
    left = await here.operations.advance(asked.advance or 0.0, job)
    seen = here.lists.webhook_details([here.lists.with_current_state(each) for each in left])
    return schemas.Advanced(schemas.clock(here.operations.clock), here.webhooks(seen))


async def set_vars(here: Here, asked: Vars, id: str) -> Vars:
    await here.operations.set_vars(asked)
    return dict(here.operations.vars)


async def add_mocks(here: Here, asked: PostedMocks, id: str) -> schemas.Items[schemas.Mock]:
    return schemas.Items(schemas.mocks(await here.operations.add_mocks(asked.text, asked.file)))
