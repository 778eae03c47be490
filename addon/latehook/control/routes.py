"""The table of operations. The application and the OpenAPI document are made from it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from latehook.api import payloads
from latehook.api.defaults import MOCKS_WITH_FILES
from latehook.api.models import Job, Webhook
from latehook.control import actions, queries
from latehook.control.actions import one, several
from latehook.control.context import HandlerContext
from latehook.control.params import (
    ClockChange,
    Filters,
    JobQuery,
    ListQuery,
    MocksQuery,
    NoParameters,
    PageQuery,
    PostedMocks,
    RequestsQuery,
    StatusQuery,
    Variables,
    WaitQuery,
)
from latehook.control.responses import JSON
from latehook.engine.filters import JOBS
from latehook.engine.operations import Operations

YAML = ("application/yaml", "application/x-yaml", "text/yaml", JSON, MOCKS_WITH_FILES)
"""Media types of mocks. A page of another site cannot send one of them without asking first (CORS preflight)."""

HTML = "text/html"


@dataclass(frozen=True)
class Operation:
    """A method of a path (below PREFIX): its documentation, its parameters, its handler and its result.

    `body` is the type of the JSON body, None for a GET. `result` is the type of the JSON response, or the media type of
    another response. `problems` are the statuses of its own, besides those that every operation may have.
    """

    method: str
    path: str
    id: str
    tag: str
    summary: str
    description: str
    handler: Callable[[HandlerContext, Any, str], Awaitable[Any]] = field(repr=False)
    result: Any
    query: type[NoParameters] = NoParameters
    body: Any = None
    example: Any = None
    problems: tuple[int, ...] = ()
    media_types: tuple[str, ...] = (JSON,)

    @property
    def writes(self) -> bool:
        return self.method != "GET"


def _on_one(
    name: str, operation: Callable[[Operations, str], Awaitable[object]], summary: str, description: str
) -> Operation:
    """Return an operation on the webhook with an id."""
    return Operation(
        "POST", f"webhooks/{{id}}/{name}", f"{name}_webhook", "webhooks", summary, description,
        one(operation), Webhook, body=NoParameters, example={}, problems=(404, 409),
    )  # fmt: skip


def _on_several(
    name: str, operation: Callable[[Operations, Any], Awaitable[list[str]]], summary: str, description: str
) -> Operation:
    """Return an operation on the webhooks that filters select."""
    return Operation(
        "POST", name, f"{name}_webhooks", "webhooks", summary, description,
        several(operation), payloads.IdList, body=Filters, example={"job": "4a3a6ff5"},
    )  # fmt: skip


OPERATIONS = (
    Operation(
        "GET", "", "get_page", "files", "Get the page",
        "Return the page that shows jobs, webhooks and requests in a browser.",
        queries.page, HTML,
    ),
    Operation(
        "GET", "status", "get_status", "status", "Get the status, or wait for a change",
        "Return the version, the clock, the variables, the mocks and counts. With `after`, wait until the revision is "
        "another one, or until `timeout` is over.",
        queries.status, payloads.Status, query=StatusQuery,
    ),
    Operation(
        "GET", "jobs", "list_jobs", "jobs", "List jobs",
        "Return a page of the jobs that the filters select, newest first, each with its request, response, stages and "
        "webhooks, and with the first 4 KiB of each body.",
        queries.jobs, payloads.JobPage, query=ListQuery,
    ),
    Operation(
        "GET", "jobs/{id}", "get_job", "jobs", "Get a job",
        "Return the newest job with this id, or the one with this `number`, with the whole bodies.",
        queries.job, Job, query=JobQuery, problems=(404,),
    ),
    Operation(
        "GET", "webhooks", "list_webhooks", "webhooks", "List webhooks",
        "Return a page of the webhooks that the filters select, newest first, each with what was sent and the "
        "answer to each attempt, and with the first 4 KiB of each body.",
        queries.webhooks, payloads.WebhookPage, query=ListQuery,
    ),
    Operation(
        "GET", "webhooks/{id}", "get_webhook", "webhooks", "Get a webhook",
        "Return the webhook with this id, with the whole bodies.",
        queries.webhook, Webhook, problems=(404,),
    ),
    Operation(
        "GET", "requests", "list_requests", "requests", "List requests to mocked hosts",
        "Return a page of the request journal, newest first: the last 1,000 requests to mocked hosts, each with its "
        "response's status, the mock that matched it, or the near misses.",
        queries.requests, payloads.RequestPage, query=RequestsQuery,
    ),
    Operation(
        "GET", "others", "list_others", "requests", "List what left for other hosts",
        "Return a page of the last 1,000 requests and connections that left for hosts that no mock names, newest "
        "first.",
        queries.others, payloads.OtherPage, query=PageQuery,
    ),
    Operation(
        "GET", "wait", "wait_for_webhooks", "webhooks", "Wait for webhooks",
        "Wait until `count` of the webhooks that the filters select are in the state, and return those that are. When "
        "`timeout` is over, answer 408 with what did happen.",
        queries.wait, payloads.WebhookList, query=WaitQuery, problems=(408,),
    ),
    _on_one(
        "fire", Operations.fire, "Send a webhook now",
        "Send a pending or held webhook at once, and move its job to the webhook's stage. Return the webhook.",
    ),
    _on_one(
        "hold", Operations.hold, "Hold a webhook",
        "Start no attempt at the webhook until it is released or fired. Return the webhook.",
    ),
    _on_one(
        "release", Operations.release, "Release a webhook",
        "Send a held webhook when it is due, or at once if that time is past. Return the webhook.",
    ),
    _on_one(
        "cancel", Operations.cancel, "Cancel a webhook",
        "Do not send the webhook any more. An attempt in progress is ended. Return the webhook.",
    ),
    _on_one(
        "resend", Operations.resend, "Send a webhook again",
        "Send a webhook that has ended once more, now: the same content, the next attempt number. Return the webhook.",
    ),
    _on_several(
        "hold", Operations.hold, "Hold webhooks",
        "Start no attempt at the webhooks that the filters select; without filters, at any webhook, also of later "
        "jobs. Return the ids of those that are held.",
    ),
    _on_several(
        "release", Operations.release, "Release webhooks",
        "Send the held webhooks that the filters select, or all, when they are due, or at once if that time is past. "
        "Return their ids.",
    ),
    _on_several(
        "cancel", Operations.cancel, "Cancel webhooks",
        "Do not send the webhooks that the filters select any more; without filters, any. Attempts in progress are "
        "ended. Return their ids.",
    ),
    _on_several(
        "resend", Operations.resend, "Send webhooks again",
        "Send those of the webhooks that the filters select once more that have ended; without filters, all that have. "
        "Return their ids.",
    ),
    Operation(
        "POST", "reset", "reset", "jobs", "Reset all, or forget jobs",
        "Without filters, set everything back to the start: no jobs, no requests, no added mocks, nothing held; clock "
        "and variables as at the start. With filters, forget only the jobs that they select. Return the ids of the "
        "jobs that are gone.",
        several(Operations.reset, JOBS), payloads.IdList, body=Filters, example={"job": "4a3a6ff5"},
    ),
    Operation(
        "POST", "clock", "advance_clock", "status", "Advance the clock, or set its speed",
        "With `advance`, let everything happen now that becomes due in this time, in order, retries included; return "
        "when it has happened, or after 10 s with what is left. With `speed`, let the clock run faster or slower.",
        actions.change_clock, payloads.Advanced, body=ClockChange, example={"advance": "65s"}, problems=(404,),
    ),
    Operation(
        "GET", "vars", "get_variables", "variables", "Get the variables",
        "Return all variables and their values.",
        queries.variables, Variables,
    ),
    Operation(
        "PUT", "vars", "set_variables", "variables", "Set variables",
        "Set the variables that the body names, and keep the others. A mocks file must have them under `vars`. Return "
        "all variables.",
        actions.set_variables, Variables, body=Variables, example={"verdict": "failed"},
    ),
    Operation(
        "POST", "mocks", "add_mocks", "mocks", "Add mocks",
        "Take the text of a mocks file, and try requests against its mocks before all others, until the next reset. "
        "Return the added mocks. Files that the mocks name are sent with them, as "
        f"`{MOCKS_WITH_FILES}`: the proxy reads none. A 400 for one that was not sent has its name in `file`.",
        actions.add_mocks, payloads.MockList, query=MocksQuery, body=PostedMocks, media_types=YAML,
    ),
    Operation(
        "GET", "ca.pem", "get_ca_certificate", "files", "Get the CA certificate",
        "Return the certificate of mitmproxy's certificate authority, which signs the certificates of mocked hosts.",
        queries.ca, queries.PEM,
    ),
    Operation(
        "GET", "ca-bundle.pem", "get_ca_bundle", "files", "Get a CA bundle",
        "Return the certificates of the system's authorities and mitmproxy's: what a client of the proxy should trust.",
        queries.ca_bundle, queries.PEM,
    ),
    Operation(
        "GET", "openapi.json", "get_openapi", "files", "Get this document",
        "Return the description of this API in OpenAPI 3.1.",
        queries.openapi, Variables,
    ),
)  # fmt: skip
