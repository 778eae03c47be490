"""What there is: one table of paths. The app and the OpenAPI document are made from it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from latehook.control import reading, shapes
from latehook.control.answers import JSON
from latehook.control.asking import Listed, ListedRequests, Nothing, StatusAfter, Waited
from latehook.control.here import Here

PREFIX = "/_latehook/"
HTML = "text/html"


@dataclass(frozen=True)
class Operation:
    """One method of one path: what it takes, does and answers. `answers` is a shape, or a media type.

    `takes` are the query's parameters of a GET, the members of the JSON body of all else.
    """

    method: str
    path: str
    summary: str
    does: Callable[[Here, Any, str], Awaitable[Any]]
    takes: type[Nothing]
    answers: Any
    also: tuple[int, ...] = ()
    """Statuses of its own, besides those that any may have."""
    media_types: tuple[str, ...] = (JSON,)
    """Of the body."""

    @property
    def writes(self) -> bool:
        return self.method != "GET"


OPERATIONS = (
    Operation("GET", "", "The page", reading.page, Nothing, HTML),
    Operation(
        "GET",
        "status",
        "What is going on; with `after`, once it is another",
        reading.status,
        StatusAfter,
        shapes.Status,
    ),
    Operation("GET", "jobs", "Jobs, the newest first", reading.jobs, Listed, shapes.Page[shapes.Job]),
    Operation("GET", "jobs/{id}", "The newest job with this id", reading.job, Nothing, shapes.Job, (404,)),
    Operation("GET", "webhooks", "Webhooks, the newest first", reading.webhooks, Listed, shapes.Page[shapes.Webhook]),
    Operation("GET", "webhooks/{id}", "A webhook", reading.webhook, Nothing, shapes.Webhook, (404,)),
    Operation(
        "GET",
        "requests",
        "The last requests to mocked hosts",
        reading.requests,
        ListedRequests,
        shapes.Page[shapes.Request],
    ),
    Operation(
        "GET", "wait", "Wait for webhooks of a state", reading.wait, Waited, shapes.Items[shapes.Webhook], (408,)
    ),
    Operation("GET", "vars", "The dials", reading.vars, Nothing, dict[str, Any]),
    Operation("GET", "ca.pem", "mitmproxy's certificate authority", reading.ca, Nothing, reading.PEM),
    Operation(
        "GET", "ca-bundle.pem", "The system's authorities and mitmproxy's", reading.ca_bundle, Nothing, reading.PEM
    ),
)
