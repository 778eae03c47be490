"""PURE: what a client asks of the control API and how it reads the answers. The shells, sync and async, carry them.

A call is a generator: it yields what to ask, is sent the answer, and returns the result. Queries are in order of time.
"""

from collections.abc import Generator, Mapping, Sequence
from typing import Any, TypedDict

import msgspec
from msgspec import Struct

from latehook.base.durations import parse_duration
from latehook.base.errors import ControlError
from latehook.client import failures, models
from latehook.client.mocks import Written
from latehook.client.models import Job, Page, Request, Webhook

__tracebackhide__ = failures.is_told

LIMIT = 30.0
"""Seconds that an answer may take beyond what it waits for. The server ends an advance itself, after 10."""
PAGE = 1000
STRICT_ROUNDS = 10
"""Changes, or seconds, that what is under way is given to end in before a strict test is judged."""
OWED = ("pending", "held", "delivering")


class Ask(Struct, frozen=True):
    """A request to the control API. `path` counts from `/_latehook/`."""

    method: str
    path: str
    query: Mapping[str, str] = {}
    content: bytes | None = None
    content_type: str = "application/json"
    timeout: float = LIMIT


class Answer(Struct, frozen=True):
    """What came back."""

    status: int
    content: bytes


type Call[Result] = Generator[Ask, Answer, Result]


class OfRequests(TypedDict, total=False):
    """Which requests; `where` is an expression, such as `request.json.order == 'o-17'`."""

    job: str | int
    mock: str
    where: str


class OfWebhooks(OfRequests, total=False):
    """Which webhooks, whatever their state."""

    event: str


class Filters(OfWebhooks, total=False):
    """Which webhooks, or jobs by their webhooks."""

    state: str | Sequence[str]


def webhooks(filters: Mapping[str, Any], limit: int | None = None) -> Call[list[Webhook]]:
    return (yield from _all("webhooks", Page[Webhook], filters, limit))


def jobs(filters: Mapping[str, Any], limit: int | None = None) -> Call[list[Job]]:
    return (yield from _all("jobs", Page[Job], filters, limit))


def requests(matched: bool | None, filters: Mapping[str, Any], limit: int | None = None) -> Call[list[Request]]:
    return (yield from _all("requests", Page[Request], {"matched": matched, **filters}, limit))


def pending(filters: Mapping[str, Any]) -> Call[list[Webhook]]:
    """What is owed, in the order in which it is due."""
    owed = yield from webhooks({"state": OWED, **filters})
    return sorted(owed, key=lambda webhook: webhook.due_at)


def wait_for(
    state: str | Sequence[str], count: int, timeout: str | float, filters: Mapping[str, Any]
) -> Call[list[Webhook]]:
    query = _query({**filters, "state": state, "count": count, "timeout": timeout})
    answer = yield Ask("GET", "wait", query, timeout=_seconds(timeout) + LIMIT)
    if answer.status == 408:
        seen = msgspec.json.decode(answer.content, type=models.Missed)
        raise failures.NotHappened(failures.missed(filters, count, query["state"], timeout, seen))
    return list(_read(answer, Page[Webhook]).items)


def advance(duration: str | float, job: str | None) -> Call[None]:
    answer = yield _post("clock", {"advance": duration, "job": job})
    if remaining := _read(answer, models.Advanced).left:
        raise failures.NotHappened(failures.left(duration, remaining))


def one(operation: str, webhook: str | Webhook) -> Call[Webhook]:
    """An operation on one webhook; how it stands after."""
    id = webhook.id if isinstance(webhook, Webhook) else webhook
    answer = yield _post(f"webhooks/{id}/{operation}", {})
    return _read(answer, Webhook)


def several(operation: str, webhook: str | Webhook | None, filters: Mapping[str, Any]) -> Call[None]:
    """An operation on one webhook, or on all that the filters let through; without any, on all there are."""
    if webhook is not None:
        yield from one(operation, webhook)
    else:
        _check((yield _post(operation, filters)))


def load(mocks: Written) -> Call[None]:
    query = {} if mocks.file is None else {"file": str(mocks.file.resolve())}
    _check((yield Ask("POST", "mocks", query=query, content=mocks.content.encode(), content_type=mocks.content_type)))


def get_vars() -> Call[dict[str, Any]]:
    return _read((yield Ask("GET", "vars")), dict[str, Any])


def set_vars(values: Mapping[str, Any]) -> Call[None]:
    _check((yield Ask("PUT", "vars", content=msgspec.json.encode(values))))


def ca_bundle() -> Call[bytes]:
    answer = yield Ask("GET", "ca-bundle.pem")
    _check(answer)
    return answer.content


def strict() -> Call[None]:
    """NotHappened where something is owed, has failed or matched nothing. What is under way may end first."""
    for _ in range(STRICT_ROUNDS):
        revision = _read((yield Ask("GET", "status")), dict[str, Any])["revision"]
        if not (yield from webhooks({"state": "delivering"}, limit=1)):
            break
        yield Ask("GET", "status", {"after": str(revision), "timeout": "1s"})
    owed = yield from pending({})
    failed = yield from webhooks({"state": "failed"})
    unmatched = yield from requests(False, {})
    if text := failures.undone(owed, failed, unmatched):
        raise failures.NotHappened(text)


def _all[Item](path: str, page: type[Page[Item]], filters: Mapping[str, Any], limit: int | None) -> Call[list[Item]]:
    """A list, page by page; of its newest `limit`. The API has the newest first."""
    items: list[Item] = []
    after = None
    while True:
        part = PAGE if limit is None else min(limit - len(items), PAGE)
        read = _read((yield Ask("GET", path, _query({**filters, "limit": part, "after": after}))), page)
        items += read.items
        after = read.next
        if after is None or len(items) == limit:
            return items[::-1]


def _post(path: str, body: Mapping[str, Any]) -> Ask:
    given = {name: value for name, value in body.items() if value is not None}
    return Ask("POST", path, content=msgspec.json.encode(given))


def _query(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: _text(value) for name, value in values.items() if value is not None}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else ",".join(value) if isinstance(value, Sequence) else str(value)


def _seconds(timeout: str | float) -> float:
    try:
        return parse_duration(timeout)
    except ValueError as error:
        raise ControlError(f"timeout: {error}") from None


def _read[Result](answer: Answer, type: type[Result]) -> Result:
    _check(answer)
    return msgspec.json.decode(answer.content, type=type)


def _check(answer: Answer) -> None:
    if answer.status >= 400:
        raise ControlError(_detail(answer))


def _detail(answer: Answer) -> str:
    try:
        return msgspec.json.decode(answer.content, type=models.Problem).detail
    except msgspec.MsgspecError:
        return f"what answers there is not Latehook: {answer.status} {answer.content[:200]!r}"
