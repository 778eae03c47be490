"""PURE: the views that expressions read: request, response, job, jobs and webhook."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, overload

from latehook.base.errors import BodyError
from latehook.base.hostnames import canonical_host
from latehook.base.json_text import LONE_SURROGATE
from latehook.base.messages import FormParts, Request, Response
from latehook.base.model import Job, Stage, reached_stages, status_of
from latehook.bodies import decoding, forms
from latehook.expressions.answers import AnsweredWebhookView, ReadWebhooks, by_event
from latehook.expressions.body_members import BODY_MEMBERS
from latehook.expressions.fields import first_values, nested
from latehook.expressions.headers import HeadersView
from latehook.expressions.octets import Octets
from latehook.expressions.values import AnnotatedText, View


class RequestView(View):
    """`request`. A member that needs the body raises BodyError where the body was not kept or cannot be decoded."""

    members = frozenset(
        {"method", "url", "host", "host_header", "path", "query", "headers", "content_type", "size", *BODY_MEMBERS}
    )

    def __init__(self, request: Request) -> None:
        self._request = request
        self.method = request.method
        self.size = request.size

    @cached_property
    def url(self) -> str:
        return self._request.url

    @cached_property
    def host(self) -> str:
        """Return the host in the form in which hosts are compared: lower case, ASCII, no dot at the end."""
        return canonical_host(self._request.host)

    @cached_property
    def host_header(self) -> str:
        """Return the host, and perhaps the port, as the client wrote them: in `Host`, or in `:authority` of HTTP/2."""
        return self.headers.get("host") or self._request.authority or self._request.host

    @cached_property
    def content_type(self) -> AnnotatedText | None:
        return self.headers.get("content-type")

    @cached_property
    def path(self) -> AnnotatedText:
        for name, value in self._request.captures:
            if not value.isascii() and LONE_SURROGATE.search(value):
                raise BodyError(f"the part {name!r} of the path is not utf-8 text")
        return AnnotatedText(self._request.path, dict(self._request.captures))

    @cached_property
    def query(self) -> Mapping[str, str]:
        return first_values(forms.parse_urlencoded(self._request.query, "the query"))

    @cached_property
    def headers(self) -> HeadersView:
        return HeadersView(self._request.headers)

    @cached_property
    def json(self) -> Any:
        return decoding.parse_json(self._request.body, self.size, self._codings, self._content_type)

    @cached_property
    def xml(self) -> Any:
        return decoding.parse_xml(self._request.body, self.size, self._codings, self._content_type)

    @cached_property
    def text(self) -> str:
        return decoding.decode_text(self._request.body, self.size, self._codings, self._content_type)

    @cached_property
    def bytes(self) -> Octets:
        """Return the body as it was sent, with its content codings."""
        return Octets(decoding.decode(self._request.body, self.size))

    @cached_property
    def form(self) -> Mapping[str, Any]:
        return nested(self._parts.fields)

    @cached_property
    def files(self) -> Mapping[str, Any]:
        return {
            file.field: {"filename": file.filename, "type": file.type, "size": file.size, "sha256": file.sha256}
            for file in reversed(self._parts.files)
        }

    @cached_property
    def sha256(self) -> str:
        """Return the hash of the body as it was sent, in hexadecimal."""
        return self._request.sha256 or hashlib.sha256(decoding.decode(self._request.body, self.size)).hexdigest()

    @cached_property
    def _parts(self) -> FormParts:
        parts = self._request.parts
        if parts is None:
            body = decoding.decode(self._request.body, self.size, self._codings)
            parts = forms.parse_form(body, self._content_type)
        if parts.error is not None:
            raise BodyError(parts.error)
        return parts

    @property
    def _codings(self) -> list[str]:
        return _values_of(self._request.headers, b"content-encoding")

    @property
    def _content_type(self) -> str:
        return next(iter(_values_of(self._request.headers, b"content-type")), "")


def _values_of(headers: Sequence[tuple[bytes, bytes]], wanted: bytes) -> list[str]:
    """Return the values of one header, without building the map of all."""
    return [value.decode("latin-1") for name, value in headers if name.lower() == wanted]


class ResponseView(View):
    """`job.response`: the response to the request that started the job."""

    members = frozenset({"status", "headers", "json", "xml", "text"})

    def __init__(self, response: Response) -> None:
        self._response = response
        self.status = response.status

    @cached_property
    def headers(self) -> HeadersView:
        return HeadersView([(name.encode(), value.encode()) for name, value in self._response.headers])

    @cached_property
    def json(self) -> Any:
        body = self._response.body
        return decoding.parse_json(body, len(body), self._header("content-encoding"), self._content_type)

    @cached_property
    def xml(self) -> Any:
        body = self._response.body
        return decoding.parse_xml(body, len(body), self._header("content-encoding"), self._content_type)

    @cached_property
    def text(self) -> str:
        body = self._response.body
        return decoding.decode_text(body, len(body), self._header("content-encoding"), self._content_type)

    @property
    def _content_type(self) -> str:
        return next(iter(self._header("content-type")), "")

    def _header(self, wanted: str) -> list[str]:
        return [value for name, value in self._response.headers if name.lower() == wanted]


class JobView(View):
    """`job` as it is at the time `now` of its clock, or at one of its stages: in a webhook, the webhook's own.

    `request` is a view of the job's request that exists already; with it nothing of the request is parsed twice.
    `webhooks` reads the job's webhooks; None where none was sent yet.
    """

    members = frozenset({"id", "mock", "status", "vars", "created_at", "at", "request", "response", "webhooks"})

    def __init__(
        self,
        job: Job,
        now: float,
        stage: int | None = None,
        request: RequestView | None = None,
        webhooks: ReadWebhooks | None = None,
    ) -> None:
        self._job = job
        self._now = now
        self._stage = stage
        self._read_webhooks = webhooks
        self.id = job.id
        self.mock = job.mock
        self.vars = job.vars
        self.created_at = job.created_at
        if request is not None:
            self.request = request

    @cached_property
    def status(self) -> str:
        return status_of(self._reached)

    @cached_property
    def at(self) -> dict[str, float]:
        """Return each status that was reached with the time of the job's clock when it first was, in Unix seconds."""
        at: dict[str, float] = {}
        for stage in self._reached:
            if stage.status is not None and stage.status not in at:
                at[stage.status] = stage.due
        return at

    @cached_property
    def request(self) -> RequestView:
        return RequestView(self._job.request)

    @cached_property
    def response(self) -> ResponseView | None:
        return None if self._job.response is None else ResponseView(self._job.response)

    @cached_property
    def webhooks(self) -> Mapping[str, AnsweredWebhookView]:
        """Return the job's webhooks by their events, as they are when this is first read."""
        if self._read_webhooks is None:
            raise ValueError("job.webhooks has no webhook here: this is decided at the request, before one is sent")
        return by_event(self._read_webhooks(self._job), self._now - self._job.ahead)

    def data(self) -> Mapping[str, Any]:
        """Return the members by name, for JSON, without the webhooks."""
        return {name: getattr(self, name) for name in sorted(self.members - {"webhooks"})}

    @cached_property
    def _reached(self) -> Sequence[Stage]:
        if self._stage is not None:
            return self._job.stages[: self._stage + 1]
        return reached_stages(self._job.stages, self._now)


class JobsView(Sequence[JobView]):
    """`jobs`: all jobs, the newest first, each as it is at the time `now` of Latehook's clock.

    They are read from the store when an expression first uses them.
    """

    def __init__(self, jobs: Callable[[], Sequence[Job]], now: float, webhooks: ReadWebhooks) -> None:
        self._read = jobs
        self._now = now
        self._read_webhooks = webhooks

    @cached_property
    def _jobs(self) -> list[JobView]:
        return [JobView(job, self._now + job.ahead, webhooks=self._read_webhooks) for job in self._read()]

    @overload
    def __getitem__(self, at: int) -> JobView: ...
    @overload
    def __getitem__(self, at: slice) -> list[JobView]: ...
    def __getitem__(self, at: int | slice) -> JobView | list[JobView]:
        return self._jobs[at]

    def __len__(self) -> int:
        return len(self._jobs)


class WebhookView(View):
    """`webhook`, in the messages of a webhook: its id, its event, its URL, and the number of the attempt, from 1.

    `url` is that of `to`, without the webhook's own `query`.
    """

    members = frozenset({"id", "attempt", "event", "url"})

    def __init__(self, id: str, attempt: int, event: str | None, url: str | None) -> None:
        self.id = id
        self.attempt = attempt
        self.event = event
        self.url = url
