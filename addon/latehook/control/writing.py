"""What changes something: the operations, of one webhook, of those selected, of all."""

from latehook.control import asking, shapes
from latehook.control.answers import Refusal
from latehook.control.asking import ClockChange, Filters, Nothing, PostedMocks, Vars
from latehook.control.here import Here
from latehook.selection import JOBS

Ids = shapes.Items[str]


async def fire(here: Here, asked: Nothing, id: str) -> shapes.Webhook:
    await here.operations.fire(id)
    return here.webhook(id)


async def hold_one(here: Here, asked: Nothing, id: str) -> shapes.Webhook:
    await here.operations.hold(id)
    return here.webhook(id)


async def release_one(here: Here, asked: Nothing, id: str) -> shapes.Webhook:
    await here.operations.release(id)
    return here.webhook(id)


async def cancel_one(here: Here, asked: Nothing, id: str) -> shapes.Webhook:
    await here.operations.cancel(id)
    return here.webhook(id)


async def resend_one(here: Here, asked: Nothing, id: str) -> shapes.Webhook:
    await here.operations.resend(id)
    return here.webhook(id)


async def hold(here: Here, asked: Filters, id: str) -> Ids:
    return Ids(await here.operations.hold(here.lists.select(asking.filters(asked))))


async def release(here: Here, asked: Filters, id: str) -> Ids:
    return Ids(await here.operations.release(here.lists.select(asking.filters(asked))))


async def cancel(here: Here, asked: Filters, id: str) -> Ids:
    return Ids(await here.operations.cancel(here.lists.select(asking.filters(asked))))


async def resend(here: Here, asked: Filters, id: str) -> Ids:
    return Ids(await here.operations.resend(here.lists.select(asking.filters(asked))))


async def reset(here: Here, asked: Filters, id: str) -> Ids:
    return Ids(await here.operations.reset(here.lists.select(asking.filters(asked), JOBS)))


async def clock(here: Here, asked: ClockChange, id: str) -> shapes.Advanced:
    if (asked.advance is None) == (asked.speed is None):
        raise Refusal(400, 'write one of {"advance": "65s"} and {"speed": 60}')
    if asked.speed is not None and asked.job is not None:
        raise Refusal(400, "the speed is that of all jobs: leave `job` out")
    if asked.speed is not None:
        await here.operations.set_speed(asked.speed)
        return shapes.Advanced(shapes.clock(here.operations.clock), [])
    job = None if asked.job is None else str(asked.job)
    left = await here.operations.advance(asked.advance or 0.0, job)
    seen = here.lists.histories([here.lists.as_seen(owed) for owed in left])
    return shapes.Advanced(shapes.clock(here.operations.clock), here.webhooks(seen))


async def set_vars(here: Here, asked: Vars, id: str) -> Vars:
    await here.operations.set_vars(asked)
    return dict(here.operations.vars)


async def add_mocks(here: Here, asked: PostedMocks, id: str) -> shapes.Items[shapes.Mock]:
    return shapes.Items(shapes.mocks(await here.operations.add_mocks(asked.text, asked.file)))
