"""PURE, the heart: what the third party would do. Mocks, a request and a moment in; response and job out."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlencode

from latehook.bodies import encode_json
from latehook.expressions import render
from latehook.matching import Matcher, canonical_host, covers
from latehook.model import (
    Content,
    ExpressionError,
    Headers,
    Job,
    Moment,
    Outcome,
    Outgoing,
    Owed,
    Place,
    Request,
    Response,
    State,
    Webhook,
)
from latehook.sandbox import to_text
from latehook.scope import COMPLETED, PENDING, JobView, RequestView, new_uuid

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
TEXT = "text/plain; charset=utf-8"
NEAREST_SHOWN = 3


@dataclass(frozen=True, slots=True)
class BodyPlan:
    """A body as a mock describes it: its kind (`json`, `form`, `text`) and its compiled value."""

    kind: str
    value: Any
    place: Place


@dataclass(frozen=True, slots=True)
class ResponsePlan:
    """The response a mock gives."""

    status: int
    headers: Mapping[str, Any]
    body: BodyPlan | None
    place: Place


@dataclass(frozen=True, slots=True)
class WebhookPlan:
    """The webhook a mock owes. Times are seconds."""

    after: float
    to: Any
    method: str
    headers: Mapping[str, Any]
    query: Mapping[str, Any]
    body: BodyPlan | None
    retry: tuple[float, ...]
    timeout: float
    place: Place
    reads_body: bool


@dataclass(frozen=True, slots=True)
class Mock:
    """One entry of a mocks file, compiled. `response` is None where the request is forwarded.

    `definition` identifies it as it was written; `scope` is what its expressions see besides the request and job.
    """

    matcher: Matcher
    place: Place
    definition: str
    scope: Mapping[str, Any]
    response: ResponsePlan | None
    webhook: WebhookPlan | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request gets: a response and perhaps a job; or it is forwarded, when there is no response."""

    response: Response | None
    job: Job | None = None
    mock: Mock | None = None


class Mocks:
    """All mocks in file order, found by host and method."""

    def __init__(self, mocks: Iterable[Mock] = ()) -> None:
        self.all = tuple(mocks)
        self.forwards = any(mock.response is None for mock in self.all)
        self._for_host = lru_cache(1024)(self._select)

    def matching(self, request: Request) -> tuple[Mock, dict[str, str]] | None:
        """The first mock that takes the request, with what its path captured."""
        for mock in self._for_host(canonical_host(request.host), request.method):
            captures = mock.matcher.captures(request)
            if captures is not None:
                return mock, captures
        return None

    def _select(self, host: str, method: str) -> tuple[Mock, ...]:
        return tuple(mock for mock in self.all if covers(mock.matcher.host, host) and mock.matcher.takes(method))


def answer(mocks: Mocks, request: Request, moment: Moment) -> Answer:
    """Decide what a request gets; `moment` is the request's end.

    It never raises for what a request holds: an expression that fails is a 500 without a job.
    """
    found = mocks.matching(request)
    if found is None:
        return Answer(_unmatched(mocks, request))
    mock, captures = found
    if mock.response is None:
        return Answer(None, mock=mock)
    scope = _scope(mock, RequestView(request, captures), moment)
    if mock.webhook is not None:
        scope["job"] = JobView(new_uuid(moment.random), PENDING, moment.now, scope["request"])
    try:
        response = _respond(mock.response, request.method, scope)
        if mock.webhook is None or mock.matcher.only_peeks(request.method):
            return Answer(response, mock=mock)
        return Answer(response, _start(mock, mock.webhook, request, scope, moment), mock)
    except ExpressionError as error:
        return Answer(failure(500, str(error), request), mock=mock)


def failure(status: int, error: str, request: Request, **details: Any) -> Response:
    """Latehook's own answer where no mock gives one: JSON that says what is wrong and names the request."""
    asked = {"method": request.method, "url": request.url}
    body = encode_json({"error": f"latehook: {error}", "request": asked, **details})
    return Response(status, (("content-type", JSON), ("content-length", str(len(body)))), body)


def content_of(mock: Mock, owed: Owed, moment: Moment) -> Content:
    """What the webhook says, decided at its first attempt. ExpressionError: it can never be sent."""
    plan = _plan(mock)
    scope = _webhook_scope(mock, owed, moment)
    body, content_type = _body(plan.body, scope)
    return Content(_with_query(owed.webhook.to or "", render(plan.query, scope)), body, content_type)


def attempt(mock: Mock, owed: Owed, content: Content, moment: Moment) -> Outgoing:
    """One attempt at a webhook: the same content as at every other, the headers of this moment."""
    plan = _plan(mock)
    headers = _headers(plan.headers, plan.place, _webhook_scope(mock, owed, moment), content.content_type)
    return Outgoing(plan.method, content.url, headers, content.body, plan.timeout)


def after_attempt(mock: Mock, number: int, outcome: Outcome) -> tuple[State, float]:
    """The webhook's state after its attempt of this number, and the seconds until the next one if it is pending."""
    waits = _plan(mock).retry
    if outcome.status is not None and 200 <= outcome.status < 300:
        return State.DELIVERED, 0.0
    return (State.FAILED, 0.0) if number > len(waits) else (State.PENDING, waits[number - 1])


def _start(mock: Mock, plan: WebhookPlan, request: Request, scope: Mapping[str, Any], moment: Moment) -> Job:
    to = to_text(render(plan.to, scope)).strip()
    webhook = Webhook(
        id=new_uuid(moment.random),
        due=moment.clock + plan.after,
        to=to or None,
        state=State.PENDING if to else State.SKIPPED,
        reason=None if to else "its `to` is null",
    )
    kept = request if plan.reads_body else replace(request, body=None)
    return Job(scope["job"].id, mock.definition, moment.now, kept, (webhook,))


def _plan(mock: Mock) -> WebhookPlan:
    if mock.webhook is None:
        raise ValueError(f"{mock.place}: this mock owes no webhook")
    return mock.webhook


def _scope(mock: Mock, request: RequestView, moment: Moment) -> dict[str, Any]:
    return {**mock.scope, "request": request, "now": moment.now, "uuid": lambda: new_uuid(moment.random)}


def _webhook_scope(mock: Mock, owed: Owed, moment: Moment) -> dict[str, Any]:
    job = owed.job
    request = RequestView(job.request, mock.matcher.captures(job.request) or {})
    return {**_scope(mock, request, moment), "job": JobView(job.id, COMPLETED, job.created_at, request)}


def _respond(plan: ResponsePlan, method: str, scope: Mapping[str, Any]) -> Response:
    body, content_type = _body(plan.body, scope)
    if plan.status in (204, 304):
        body, content_type = b"", None
    headers = _headers(plan.headers, plan.place, scope, content_type)
    if plan.status not in (204, 304):
        headers = (*headers, ("content-length", str(len(body))))
    return Response(plan.status, headers, b"" if method == "HEAD" else body)


def _body(plan: BodyPlan | None, scope: Mapping[str, Any]) -> tuple[bytes, str | None]:
    if plan is None:
        return b"", None
    value = render(plan.value, scope)
    if plan.kind == "json":
        try:
            return encode_json(value), JSON
        except (ValueError, RecursionError) as error:
            raise ExpressionError(plan.place, f"this is not JSON: {error}") from None
    if plan.kind == "form":
        return urlencode(_pairs(value)).encode(), FORM
    return to_text(value).encode("utf-8", "surrogatepass"), TEXT


def _headers(plan: Mapping[str, Any], place: Place, scope: Mapping[str, Any], content_type: str | None) -> Headers:
    """The headers as written, and the body's content type unless they name one. A null header is left out."""
    headers = []
    for name, value in plan.items():
        for text in _texts(render(value, scope)):
            if any(mark in text for mark in "\r\n\0"):
                raise ExpressionError(place, f"headers.{name}: {text!r} has a line break, which no header may have")
            headers.append((name, text))
    if content_type is not None and not any(name.lower() == "content-type" for name in plan):
        headers.insert(0, ("content-type", content_type))
    return tuple(headers)


def _texts(value: Any) -> list[str]:
    if value is None:
        return []
    return [to_text(item) for item in value] if isinstance(value, list) else [to_text(value)]


def _pairs(fields: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values of a query or form: null is an empty value, a list is the name several times."""
    return [
        (name, to_text(item))
        for name, value in fields.items()
        for item in (value if isinstance(value, list) else [value])
    ]


def _with_query(url: str, fields: Mapping[str, Any]) -> str:
    """The URL with more parameters behind its own, which stay as they are."""
    if not fields:
        return url
    url, mark, fragment = url.partition("#")
    joint = "" if url.endswith(("?", "&")) else "&" if "?" in url else "?"
    return f"{url}{joint}{urlencode(_pairs(fields), quote_via=quote)}{mark}{fragment}"


def _unmatched(mocks: Mocks, request: Request) -> Response:
    """501: the request, and the mocks that came nearest with the first thing that did not match."""

    def distance(mock: Mock) -> tuple[int, float]:
        differs = mock.matcher.differs(request) or ""
        step = ("host", "port", "scheme", "method", "path").index(differs.partition(" ")[0])
        alike = difflib.SequenceMatcher(None, mock.matcher.text.partition(" ")[2], request.host + request.path).ratio()
        return -step, -alike

    nearest = [
        {
            "mock": mock.matcher.text,
            "at": f"{mock.place.file}:{mock.place.line}",
            "differs": mock.matcher.differs(request),
        }
        for mock in sorted(mocks.all, key=distance)[:NEAREST_SHOWN]
    ]
    return failure(501, "no mock matches this request", request, nearest=nearest)
