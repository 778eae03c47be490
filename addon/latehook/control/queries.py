"""What is asked without changing anything: lists, one of them, waiting, files."""

from msgspec.structs import replace
from starlette.responses import Response

from latehook.base.model import UNFINISHED, State
from latehook.control import params, responses, schemas
from latehook.control.context import Here, version
from latehook.control.page import page as the_page
from latehook.control.params import Listed, ListedRequests, Nothing, StatusAfter, Waited
from latehook.engine.filters import JOBS, REQUESTS, Filter

TOLD = 20
"""Of webhooks and of requests: what a wait in vain is told at most."""

PEM = "application/x-pem-file"


async def page(here: Here, asked: Nothing, id: str) -> Response:
    return the_page()


async def openapi(here: Here, asked: Nothing, id: str) -> dict[str, object]:
    return here.document()


async def status(here: Here, asked: StatusAfter, id: str) -> schemas.Status:
    operations = here.operations
    if asked.after is not None:
        await operations.notifier.wait_for_change(asked.after, params.wait_seconds(asked.timeout))
    return schemas.Status(
        version=version(),
        ready=True,
        clock=schemas.clock(operations.clock),
        holding=operations.holding,
        vars=dict(operations.vars),
        counts=schemas.Counts(here.lists.count_jobs(), here.lists.count_webhooks(), *here.lists.count_requests()),
        mocks=schemas.mocks(operations.mocks),
        revision=operations.notifier.revision,
        waiting=operations.notifier.waiting,
    )


async def jobs(here: Here, asked: Listed, id: str) -> schemas.Page[schemas.Job]:
    selection = here.lists.parse_filter(params.filters(asked), JOBS)
    found = await here.lists.jobs(selection, asked.limit, params.cursor(asked.after))
    return schemas.Page([schemas.job(job, here.operations.clock) for job in found.items], _next(found.next))


async def job(here: Here, asked: Nothing, id: str) -> schemas.Job:
    [details] = here.lists.job_details([here.lists.job(id)])
    return schemas.job(details, here.operations.clock)


async def webhooks(here: Here, asked: Listed, id: str) -> schemas.Page[schemas.Webhook]:
    selection = here.lists.parse_filter(params.filters(asked))
    found = await here.lists.webhooks(selection, asked.limit, params.cursor(asked.after))
    return schemas.Page(here.webhooks(found.items), _next(found.next))


async def webhook(here: Here, asked: Nothing, id: str) -> schemas.Webhook:
    return here.webhook(id)


async def requests(here: Here, asked: ListedRequests, id: str) -> schemas.Page[schemas.Request]:
    selection = here.lists.parse_filter(params.filters(asked), REQUESTS)
    found = await here.lists.requests(selection, asked.limit, params.cursor(asked.after), asked.matched)
    return schemas.Page([schemas.request(received) for received in found.items], _next(found.next))


async def wait(here: Here, asked: Waited, id: str) -> schemas.Items[schemas.Webhook] | Response:
    limit = params.wait_seconds(asked.timeout)
    given = params.filters(asked)
    selection = here.lists.parse_filter({**given, "state": given["state"] or State.DELIVERED})
    found = await here.operations.wait(selection, asked.count, limit)
    if len(found) >= asked.count:
        return schemas.Items(here.webhooks(found))
    return here.answers.problem(await _what_did_happen(here, asked, selection, here.webhooks(found)))


async def ca(here: Here, asked: Nothing, id: str) -> Response:
    return responses.file(here.certificates.own(), PEM)


async def ca_bundle(here: Here, asked: Nothing, id: str) -> Response:
    return responses.file(here.certificates.bundle(), PEM)


async def vars(here: Here, asked: Nothing, id: str) -> dict[str, object]:
    return dict(here.operations.vars)


async def _what_did_happen(
    here: Here, asked: Waited, selection: Filter, found: list[schemas.Webhook]
) -> schemas.TimedOut:
    """408: who reads it is to see why."""
    any_state = replace(selection, criteria=replace(selection.criteria, states=None))
    others = here.webhooks((await here.lists.webhooks(any_state, TOLD)).items)
    everything = here.lists.parse_filter({}, REQUESTS)
    requests = (await here.lists.requests(everything, TOLD)).items
    unmatched = (await here.lists.requests(everything, TOLD, matched=False)).items
    known = {webhook.id for webhook in found}
    other = [webhook for webhook in others if webhook.id not in known]
    detail = _in_words(asked, selection, found, other, here.lists.count_requests())
    return schemas.TimedOut(
        title=responses.title(408),
        status=408,
        detail=detail,
        found=found,
        webhooks=other,
        requests=[schemas.request(received) for received in requests],
        unmatched=[schemas.request(received) for received in unmatched],
    )


def _in_words(
    asked: Waited,
    selection: Filter,
    found: list[schemas.Webhook],
    other: list[schemas.Webhook],
    requests: tuple[int, int],
) -> str:
    filters = " ".join(f"{name}={value}" for name, value in params.filters(asked).items() if value is not None)
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


def _told(webhook: schemas.Webhook) -> str:
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
