"""PURE: the requests that each method of the client sends, and how it reads the responses. A transport sends them.

A call is a generator: it yields a request, is sent its response, and returns the result. Lists are in order of time.
"""

from collections.abc import Generator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Struct

from latehook.api.defaults import LONGEST_PAGE, MOCKS_WITH_FILES
from latehook.api.models import Job, OtherRequest, Request, Webhook
from latehook.api.payloads import (
    Advanced,
    FileProblem,
    JobPage,
    OtherPage,
    Page,
    Problem,
    RequestPage,
    WaitProblem,
    WebhookList,
    WebhookPage,
)
from latehook.base.durations import parse_duration
from latehook.base.errors import ControlError
from latehook.base.json_text import encode_json, read_json_as
from latehook.base.model import UNFINISHED
from latehook.client import failures
from latehook.client.mocks import MocksText
from latehook.client.whole_bodies import complete_job, complete_webhook, lacks_some

__tracebackhide__ = failures.hides_frames

LIMIT = 30.0
"""Seconds that a response may take, beyond what the request waits for. The server ends an advance before."""

STRICT_ROUNDS = 10
"""How often a strict check waits for a change (at most a second each time) while attempts are in progress."""


class ApiRequest(Struct, frozen=True):
    """A request to the control API. `path` is relative to its prefix; `timeout` is in seconds.

    `doing` says on a terminal what goes on, if the response takes long.
    """

    method: str
    path: str
    query: Mapping[str, str] = {}
    content: bytes | None = None
    content_type: str = "application/json"
    timeout: float = LIMIT
    doing: str = ""


class ApiResponse(Struct, frozen=True):
    """A response of the control API."""

    status: int
    content: bytes


type Call[Result] = Generator[ApiRequest, ApiResponse, Result]


def webhooks(filters: Mapping[str, Any], limit: int | None = None) -> Call[list[Webhook]]:
    listed = yield from _list("webhooks", WebhookPage, filters, limit)
    return (yield from _with_whole_bodies(listed))


def jobs(filters: Mapping[str, Any], limit: int | None = None) -> Call[list[Job]]:
    listed = yield from _list("jobs", JobPage, filters, limit)
    return (yield from _jobs_with_whole_bodies(listed))


def requests(
    matched: bool | None, filters: Mapping[str, Any], limit: int | None = None, valid: bool | None = None
) -> Call[list[Request]]:
    return (yield from _list("requests", RequestPage, {"matched": matched, "valid": valid, **filters}, limit))


def others(limit: int | None = None) -> Call[list[OtherRequest]]:
    return (yield from _list("others", OtherPage, {}, limit))


def pending(filters: Mapping[str, Any]) -> Call[list[Webhook]]:
    """List the webhooks that are still to be delivered, in the order in which they are due."""
    unfinished = yield from webhooks({"state": UNFINISHED, **filters})
    return sorted(unfinished, key=_due)


def _due(webhook: Webhook) -> float:
    """Return when a webhook is due by Latehook's clock; those of which that is not known yet come last."""
    return float("inf") if webhook.due_at is None else webhook.due_at - webhook.ahead


def wait_for(
    state: str | Sequence[str], count: int, timeout: str | float, filters: Mapping[str, Any]
) -> Call[list[Webhook]]:
    query = _query({**filters, "state": state, "count": count, "timeout": timeout})
    doing = f"waiting for {count} webhook{'s'[: count - 1]} to be {query['state']}"
    response = yield ApiRequest("GET", "wait", query, timeout=_seconds(timeout) + LIMIT, doing=doing)
    if response.status == 408:
        problem = msgspec.json.decode(response.content, type=WaitProblem)
        raise failures.WaitTimeout(failures.describe_wait(filters, count, query["state"], timeout, problem))
    return (yield from _with_whole_bodies(_decode(response, WebhookList).items))


def advance(duration: str | float, job: str | None) -> Call[None]:
    doing = f"advancing the clock by {duration}"
    response = yield _post("clock", {"advance": duration, "job": job}, doing)
    if left := _decode(response, Advanced).left:
        raise failures.AdvanceTimeout(failures.describe_advance(duration, left))


def one(operation: str, webhook: str | Webhook) -> Call[Webhook]:
    """Apply an operation to one webhook. Return the webhook as it is then."""
    id = webhook.id if isinstance(webhook, Webhook) else webhook
    response = yield _post(f"webhooks/{id}/{operation}", {})
    return _decode(response, Webhook)


def several(operation: str, webhook: str | Webhook | None, filters: Mapping[str, Any]) -> Call[None]:
    """Apply an operation to one webhook, or to those that the filters select: without any, to all."""
    if webhook is not None:
        yield from one(operation, webhook)
    else:
        _check((yield _post(operation, filters)))


def load(mocks: MocksText) -> Call[None]:
    """Add mocks. The proxy says which files they name: these are read here, and sent along."""
    query = {} if mocks.file is None else {"file": str(mocks.file.resolve())}
    content, content_type = mocks.content.encode(), mocks.content_type
    files: dict[str, bytes] = {}
    while True:
        response = yield ApiRequest("POST", "mocks", query=query, content=content, content_type=content_type)
        problem = _file_problem(response)
        if problem is None or problem.file in files:
            _check(response)
            return
        files[problem.file] = mocks.read_file(problem.file, problem.detail)
        content = msgspec.json.encode({"mocks": mocks.content, "files": files})
        content_type = MOCKS_WITH_FILES


def get_variables() -> Call[dict[str, Any]]:
    return _decode((yield ApiRequest("GET", "vars")), dict[str, Any])


def set_variables(values: Mapping[str, Any]) -> Call[dict[str, Any]]:
    """Set variables. Return all of them."""
    return _decode((yield ApiRequest("PUT", "vars", content=encode_json(values))), dict[str, Any])


def ca_bundle() -> Call[bytes]:
    response = yield ApiRequest("GET", "ca-bundle.pem")
    _check(response)
    return response.content


def strict() -> Call[None]:
    """Raise StrictCheckFailed if something is pending, failed, unmatched or not valid, or has left.

    Attempts in progress may end first.
    """
    for _ in range(STRICT_ROUNDS):
        revision = _decode((yield ApiRequest("GET", "status")), dict[str, Any])["revision"]
        if not (yield from webhooks({"state": "delivering"}, limit=1)):
            break
        yield ApiRequest("GET", "status", {"after": str(revision), "timeout": "1s"})
    unfinished = yield from _list("webhooks", WebhookPage, {"state": UNFINISHED}, None)
    failed = yield from _list("webhooks", WebhookPage, {"state": "failed"}, None)
    unmatched = yield from requests(False, {})
    invalid = yield from requests(None, {}, valid=False)
    left = yield from others()
    if text := failures.describe_strict(unfinished, failed, unmatched, invalid, left):
        raise failures.StrictCheckFailed(text)


def _list[Item](path: str, kind: type[Page[Item]], filters: Mapping[str, Any], limit: int | None) -> Call[list[Item]]:
    """Read a list page by page, or its newest `limit` items. The API has the newest first, the result the oldest."""
    items: list[Item] = []
    after = None
    while True:
        size = LONGEST_PAGE if limit is None else min(limit - len(items), LONGEST_PAGE)
        page = _decode((yield ApiRequest("GET", path, _query({**filters, "limit": size, "after": after}))), kind)
        items += page.items
        after = page.next
        if after is None or len(items) == limit:
            return items[::-1]


def _with_whole_bodies(listed: Sequence[Webhook]) -> Call[list[Webhook]]:
    """Return the webhooks of a list with all of their bodies. Those of which the list has not all are asked for."""
    webhooks: list[Webhook] = []
    for webhook in listed:
        if lacks_some(webhook):
            response = yield ApiRequest("GET", f"webhooks/{webhook.id}")
            if response.status != 404:  # else it was deleted meanwhile
                webhook = complete_webhook(webhook, _decode(response, Webhook))
        webhooks.append(webhook)
    return webhooks


def _jobs_with_whole_bodies(listed: Sequence[Job]) -> Call[list[Job]]:
    """Return the jobs of a list with all of their bodies. Those of which the list has not all are asked for."""
    jobs: list[Job] = []
    for job in listed:
        if lacks_some(job):
            response = yield ApiRequest("GET", f"jobs/{quote(job.id, safe='')}", {"number": str(job.number)})
            if response.status != 404:
                job = complete_job(job, _decode(response, Job))
        jobs.append(job)
    return jobs


def _post(path: str, body: Mapping[str, Any], doing: str = "") -> ApiRequest:
    given = {name: value for name, value in body.items() if value is not None}
    return ApiRequest("POST", path, content=msgspec.json.encode(given), doing=doing)


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


def _decode[Result](response: ApiResponse, type: type[Result]) -> Result:
    _check(response)
    return read_json_as(response.content, type)


def _check(response: ApiResponse) -> None:
    if response.status >= 400:
        raise ControlError(_detail(response))


def _file_problem(response: ApiResponse) -> FileProblem | None:
    """Return the problem if a file is missing."""
    if response.status != 400:
        return None
    try:
        return msgspec.json.decode(response.content, type=FileProblem)
    except msgspec.MsgspecError:
        return None


def _detail(response: ApiResponse) -> str:
    try:
        return msgspec.json.decode(response.content, type=Problem).detail
    except msgspec.MsgspecError:
        return f"the server there is not Latehook: {response.status} {response.content[:200]!r}"
