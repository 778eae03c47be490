"""PURE: what an expression sees of a request and its job."""

import random
import uuid
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl

from latehook import bodies
from latehook.expressions import Names
from latehook.model import Request
from latehook.sandbox import TextView, View

COMPLETED = "completed"  # the status of a job whose only stage is its webhook
PENDING = "pending"  # the status before the first stage


class HeadersView(Mapping[str, str]):
    """Headers without case; `headers.x_foo` is `x-foo`. One that came several times is joined by commas."""

    def __init__(self, fields: tuple[tuple[bytes, bytes], ...]) -> None:
        self._values: dict[str, str] = {}
        for raw_name, raw_value in fields:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("utf-8", "replace")
            self._values[name] = f"{self._values[name]}, {value}" if name in self._values else value

    def __getitem__(self, name: str) -> str:
        name = name.lower()
        return self._values[name] if name in self._values else self._values[name.replace("_", "-")]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class RequestView(View):
    """`request`: each member is read from the request when an expression first asks for it."""

    members = frozenset({"method", "url", "host", "path", "query", "headers", "json", "text", "size"})

    def __init__(self, request: Request, captures: Mapping[str, str]) -> None:
        self._request = request
        self._captures = captures
        self.method = request.method
        self.host = request.host
        self.size = request.size

    @cached_property
    def url(self) -> str:
        return self._request.url

    @cached_property
    def path(self) -> TextView:
        return TextView(self._request.path, self._captures)

    @cached_property
    def query(self) -> Mapping[str, str]:
        """The parameters; of one that came several times, the first."""
        return dict(reversed(parse_qsl(self._request.query, keep_blank_values=True)))

    @cached_property
    def headers(self) -> HeadersView:
        return HeadersView(self._request.headers)

    @cached_property
    def json(self) -> Any:
        return bodies.parse_json(self._request.body, self.size, self.headers.get("content-encoding", ""))

    @cached_property
    def text(self) -> str:
        headers = self.headers
        return bodies.text(
            self._request.body, self.size, headers.get("content-encoding", ""), headers.get("content-type", "")
        )


BODY_MEMBERS = frozenset({"json", "text"})


class JobView(View):
    """`job`: in a webhook its status is the webhook's own stage's."""

    members = frozenset({"id", "status", "created_at", "request"})

    def __init__(self, id: str, status: str, created_at: float, request: RequestView) -> None:
        self.id = id
        self.status = status
        self.created_at = created_at
        self.request = request


_REQUEST: Names = dict.fromkeys(RequestView.members)
_JOB: Names = {**dict.fromkeys(JobView.members), "request": _REQUEST}

AT_LOAD: Names = {"env": None}
WITHOUT_JOB: Names = {**AT_LOAD, "request": _REQUEST, "now": None, "uuid": None}
WITH_JOB: Names = {**WITHOUT_JOB, "job": _JOB}


def reads_body(roots: frozenset[str]) -> bool:
    """Whether expressions with these roots may ask for the request's body."""
    bare = {"request", "job", "job.request"}
    return any(root in bare or root.rpartition(".")[2] in BODY_MEMBERS for root in roots)


def new_uuid(source: random.Random) -> str:
    """A version 4 UUID out of the given random source."""
    return str(uuid.UUID(int=source.getrandbits(128), version=4))
