"""What is asked without changing anything: lists, one of them, waiting, files."""

from msgspec.structs import replace
from starlette.responses import Response

from latehook import authorities
from latehook.control import answers, asking, shapes
from latehook.control.asking import Listed, ListedRequests, Nothing, StatusAfter, Waited
from latehook.control.here import Here, version
from latehook.control.page import page as the_page
from latehook.lists import OWED
from latehook.model import State
from latehook.selection import JOBS, REQUESTS, Selection

TOLD = 20
"""Of webhooks and of requests: what a wait in vain is told at most."""

PEM = "application/x-pem-file"


async def page(here: Here, asked: Nothing, id: str) -> Response:
    return the_page()


async def openapi(here: Here, asked: Nothing, id: str) -> dict[str, object]:
    return here.document()


async def status(here: Here, asked: StatusAfter, id: str) -> shapes.Status:
    operations = here.operations
    if asked.after is not None:
        await operations.changes.after(asked.after, asking.wait_seconds(asked.timeout))
    return shapes.Status(
        version=version(),
        ready=True,
        clock=shapes.clock(operations.clock),
        holding=operations.holding,
        vars=dict(operations.vars),
        counts=shapes.Counts(here.lists.count_jobs(), here.lists.counts(), *here.lists.count_requests()),
        mocks=shapes.mocks(operations.mocks),
        revision=operations.changes.revision,
        waiting=operations.changes.waiting,
    )


async def jobs(here: Here, asked: Listed, id: str) -> shapes.Page[shapes.Job]:
    selection = here.lists.select(asking.filters(asked), JOBS)
    found = await here.lists.jobs(selection, asked.limit, asking.cursor(asked.after))
    return shapes.Page([shapes.job(job, here.operations.clock) for job in found.items], _next(found.next))


async def job(here: Here, asked: Nothing, id: str) -> shapes.Job:
    [history] = here.lists.job_histories([here.operations.job(id)])
    return shapes.job(history, here.operations.clock)


async def webhooks(here: Here, asked: Listed, id: str) -> shapes.Page[shapes.Webhook]:
    selection = here.lists.select(asking.filters(asked))
    found = await here.lists.webhooks(selection, asked.limit, asking.cursor(asked.after))
    return shapes.Page(here.webhooks(found.items), _next(found.next))


async def webhook(here: Here, asked: Nothing, id: str) -> shapes.Webhook:
    return here.webhook(id)


async def requests(here: Here, asked: ListedRequests, id: str) -> shapes.Page[shapes.Request]:
    selection = here.lists.select(asking.filters(asked), REQUESTS)
    found = await here.lists.requests(selection, asked.limit, asking.cursor(asked.after), asked.matched)
    return shapes.Page([shapes.request(received) for received in found.items], _next(found.next))


async def wait(here: Here, asked: Waited, id: str) -> shapes.Items[shapes.Webhook] | Response:
    limit = asking.wait_seconds(asked.timeout)
    given = asking.filters(asked)
    selection = here.lists.select({**given, "state": given["state"] or State.DELIVERED})
    found = await here.operations.wait(selection, asked.count, limit)
    if len(found) >= asked.count:
        return shapes.Items(here.webhooks(found))
    return here.answers.problem(await _what_did_happen(here, asked, selection, here.webhooks(found)))


async def ca(here: Here, asked: Nothing, id: str) -> Response:
    return answers.file(authorities.own(here.confdir), PEM)


async def ca_bundle(here: Here, asked: Nothing, id: str) -> Response:
    return answers.file(authorities.bundle(here.confdir), PEM)


async def vars(here: Here, asked: Nothing, id: str) -> dict[str, object]:
    return dict(here.operations.vars)


async def _what_did_happen(
    here: Here, asked: Waited, selection: Selection, found: list[shapes.Webhook]
) -> shapes.TimedOut:
    """408: who reads it is to see why."""
    any_state = replace(selection, criteria=replace(selection.criteria, states=None))
    others = here.webhooks((await here.lists.webhooks(any_state, TOLD)).items)
    everything = here.lists.select({}, REQUESTS)
    requests = (await here.lists.requests(everything, TOLD)).items
    unmatched = (await here.lists.requests(everything, TOLD, matched=False)).items
    known = {webhook.id for webhook in found}
    other = [webhook for webhook in others if webhook.id not in known]
    detail = _in_words(asked, selection, found, other, here.lists.count_requests())
    return shapes.TimedOut(
        title=answers.title(408),
        status=408,
        detail=detail,
        found=found,
        webhooks=other,
        requests=[shapes.request(received) for received in requests],
        unmatched=[shapes.request(received) for received in unmatched],
    )


def _in_words(
    asked: Waited,
    selection: Selection,
    found: list[shapes.Webhook],
    other: list[shapes.Webhook],
    requests: tuple[int, int],
) -> str:
    filters = " ".join(f"{name}={value}" for name, value in asking.filters(asked).items() if value is not None)
    states = " or ".join(selection.criteria.states or ())
    said = [
        f"within {asked.timeout} {len(found)} of {asked.count} webhooks {states}" + (f" ({filters})" if filters else "")
    ]
    said += [_told(webhook) for webhook in other[:3]]
    if len(other) > 3:
        said.append(f"and {len(other) - 3} more")
    if not other:
        said.append("no other webhook fits")
    if selection.where is not None and selection.where.failed:
        said.append(f"`where` could not be told for some: {selection.where.failed}")
    said.append(f"{requests[0]} requests came, {requests[1]} of them matched no mock")
    return "; ".join(said)


def _told(webhook: shapes.Webhook) -> str:
    text = f"webhook {webhook.id} of job {webhook.job} is {webhook.state}"
    if webhook.due_in is not None and webhook.state is State.PENDING:
        text += f", due in {webhook.due_in:.1f} s"
    last = next((attempt for attempt in reversed(webhook.attempts) if attempt.ended_at is not None), None)
    if last is not None:
        text += f", attempt {last.number}: {last.error or f'status {last.status}'}"
    elif webhook.reason is not None and webhook.state not in OWED:
        text += f": {webhook.reason}"
    return text


def _next(key: int | None) -> str | None:
    return None if key is None else str(key)
