"""What there is: one table of paths. The app and the OpenAPI document are made from it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from latehook.base.control_path import CONTROL_PATH
from latehook.control import actions, queries, schemas
from latehook.control.actions import Ids, one, several
from latehook.control.context import Here
from latehook.control.params import (
    YAML,
    ClockChange,
    Filters,
    Listed,
    ListedRequests,
    MocksFile,
    Nothing,
    PostedMocks,
    StatusAfter,
    Vars,
    Waited,
)
from latehook.control.responses import JSON
from latehook.control.schemas import Job, Mock, Request, Webhook
from latehook.engine.filters import JOBS
from latehook.engine.operations import Operations

PREFIX = f"{CONTROL_PATH}/"
HTML = "text/html"


@dataclass(frozen=True)
class Operation:
    """One method of one path: what it takes, does and answers. `answers` is a shape, or a media type.

    `takes` is the query of a GET, the body of all else, whose query is `and_query`: filters that stand in the wrong one
    would select nothing, and mean all.
    """

    method: str
    path: str
    summary: str
    does: Callable[[Here, Any, str], Awaitable[Any]]
    takes: Any
    answers: Any
    also: tuple[int, ...] = ()
    """Statuses of its own, besides those that any may have."""
    media_types: tuple[str, ...] = (JSON,)
    """Of the body."""
    and_query: type[Nothing] = Nothing

    @property
    def query(self) -> type[Nothing]:
        return self.and_query if self.writes else self.takes

    @property
    def writes(self) -> bool:
        return self.method != "GET"


_JOBS, _WEBHOOKS, _REQUESTS = schemas.Page[Job], schemas.Page[Webhook], schemas.Page[Request]
_MOCKS = schemas.Items[Mock]
_ONE = (404, 409)

OPERATIONS = (
    Operation("GET", "", "The page", queries.page, Nothing, HTML),
    Operation("GET", "status", "What is going on", queries.status, StatusAfter, schemas.Status),
    Operation("GET", "jobs", "Jobs, the newest first", queries.jobs, Listed, _JOBS),
    Operation("GET", "jobs/{id}", "The newest job with this id", queries.job, Nothing, Job, (404,)),
    Operation("GET", "webhooks", "Webhooks, the newest first", queries.webhooks, Listed, _WEBHOOKS),
    Operation("GET", "webhooks/{id}", "A webhook", queries.webhook, Nothing, Webhook, (404,)),
    Operation("GET", "requests", "The last requests to mocked hosts", queries.requests, ListedRequests, _REQUESTS),
    Operation("GET", "wait", "Wait for webhooks", queries.wait, Waited, schemas.Items[Webhook], (408,)),
    Operation("POST", "webhooks/{id}/fire", "Send it now", one(Operations.fire), Nothing, Webhook, _ONE),
    Operation("POST", "webhooks/{id}/hold", "It does not start", one(Operations.hold), Nothing, Webhook, _ONE),
    Operation("POST", "webhooks/{id}/release", "It may start", one(Operations.release), Nothing, Webhook, _ONE),
    Operation(
        "POST", "webhooks/{id}/cancel", "It is not sent any more", one(Operations.cancel), Nothing, Webhook, _ONE
    ),
    Operation(
        "POST", "webhooks/{id}/resend", "Send an ended one again", one(Operations.resend), Nothing, Webhook, _ONE
    ),
    Operation("POST", "hold", "Nothing starts, or not those selected", several(Operations.hold), Filters, Ids),
    Operation("POST", "release", "What was held goes out", several(Operations.release), Filters, Ids),
    Operation("POST", "cancel", "What is owed is not sent any more", several(Operations.cancel), Filters, Ids),
    Operation("POST", "resend", "Send ended ones again", several(Operations.resend), Filters, Ids),
    Operation(
        "POST", "reset", "As at the start, or forget the jobs selected", several(Operations.reset, JOBS), Filters, Ids
    ),
    Operation("POST", "clock", "Advance it, or set its speed", actions.clock, ClockChange, schemas.Advanced, (404,)),
    Operation("GET", "vars", "The variables", queries.vars, Nothing, Vars),
    Operation("PUT", "vars", "Set variables", actions.set_vars, Vars, Vars),
    Operation("POST", "mocks", "Put mocks in front", actions.add_mocks, PostedMocks, _MOCKS, (), YAML, MocksFile),
    Operation("GET", "ca.pem", "mitmproxy's certificate authority", queries.ca, Nothing, queries.PEM),
    Operation("GET", "ca-bundle.pem", "The system's authorities and it", queries.ca_bundle, Nothing, queries.PEM),
    Operation("GET", "openapi.json", "This API, for machines", queries.openapi, Nothing, Vars),
)
