"""What the control API lists: jobs, webhooks, attempts and requests, as frozen values.

The docstring below a field is its description in the OpenAPI document too. Members that are not named here are ignored
when an answer is decoded.
"""

import base64
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from latehook.base.json_text import read_json
from latehook.base.model import State


class _Message(Protocol):
    @property
    def body(self) -> str | None: ...
    @property
    def body_base64(self) -> str | None: ...


def _content(message: _Message) -> bytes:
    if message.body_base64 is not None:
        return base64.b64decode(message.body_base64)
    return (message.body or "").encode()


class _WithBody(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message with `body`, `size`, `truncated` and `body_base64`. Each subclass declares them, for their order."""

    @property
    def content(self: _Message) -> bytes:
        """The body, byte for byte. Empty where `body` is None."""
        return _content(self)

    def json(self: _Message) -> Any:
        """Return the body, decoded from JSON. Raises `msgspec.DecodeError` where it is not JSON."""
        try:
            return read_json(_content(self))
        except ValueError as error:
            raise msgspec.DecodeError(str(error)) from None


class Redirect(Struct, frozen=True, kw_only=True):
    """An answer that an attempt has followed to another URL."""

    status: int
    """The HTTP status of the answer: 301, 302, 303, 307 or 308."""
    url: str
    """The URL that it led to, without user name and password."""


class Attempt(_WithBody, frozen=True, kw_only=True):
    """One try to deliver a webhook."""

    number: int
    """The number of this attempt of its webhook, from 1."""
    at: float
    """When the attempt began: real time, in Unix seconds."""
    ended_at: float | None
    """When the attempt ended: real time, in Unix seconds. Null while it is in progress."""
    clock_at: float
    """When the attempt began, by the job's clock, in Unix seconds."""
    status: int | None
    """The HTTP status of the receiver's answer. Null where there was none."""
    error: str | None
    """Why there was no answer. Null where there was one."""
    size: int
    """The size in bytes of what is kept of the receiver's answer: at most its first 64 KiB."""
    body: str
    """What is kept of the receiver's answer, decompressed, as text. In lists, at most its first 4 KiB."""
    content_type: str | None = None
    """The content type of the receiver's answer. Only there where it has one."""
    truncated: bool = False
    """Whether `body` is only the first part. Only there where it is; the webhook by its id has all of it."""
    body_base64: str | None = None
    """The bytes of `body` in base64. Only there where they are not UTF-8."""
    redirects: tuple[Redirect, ...] = ()
    """The redirects of the attempt, in order. Only there where it has followed some. If the last one led to where no
    webhook may go, `error` says so."""


class Webhook(_WithBody, frozen=True, kw_only=True):
    """A request that is owed to the system under test at a stage of a job, as it stands now."""

    id: str
    """The webhook's id, a UUID."""
    job: str
    """The id of the webhook's job."""
    mock: str
    """The name of the mock that started the job."""
    event: str | None
    """The webhook's event: `event` of the mocks file, or else the status of its stage."""
    state: State
    """The webhook's state."""
    reason: str | None
    """Why the webhook is failed, canceled or skipped, where its attempts do not say it. Or why this state is not in the
    store yet."""
    url: str | None
    """The URL that it is sent to. Null where the mock's `to` gave none: the webhook is skipped then. Null also where
    `to` reads `job.webhooks`, until the webhook's turn comes."""
    stage: int
    """The place of the webhook's stage among the job's `stages`, from 0."""
    due_at: float | None
    """When the webhook, or its next attempt, is due, by the job's clock, in Unix seconds. Null where that is not known
    yet: see `waits_for`."""
    due_in: float | None
    """Seconds of real time until then. Null where it is not known yet, and where the webhook is held or has ended."""
    method: str | None
    """The HTTP method. Null before the first attempt, as are `content_type` and `body`: they are rendered for it."""
    content_type: str | None
    """The media type of the body. Null before the first attempt, and where there is no body."""
    size: int | None
    """The size of the body in bytes. Null before the first attempt."""
    body: str | None
    """The body that is sent, as text. Null before the first attempt. In lists, at most its first 4 KiB."""
    attempts: tuple[Attempt, ...]
    """The attempts to deliver the webhook so far, in order."""
    ahead: float
    """By how many seconds the job's clock is ahead of Latehook's: advances of this job alone."""
    waits_for: str | None = None
    """The event of the webhook that must end before it is known when this one is due. Only there while it waits."""
    index: int | None = None
    """Its number, from 0, among those that `each` or `repeat` of the mock makes. Only there where the mock has them."""
    truncated: bool = False
    """Whether `body` is only the first part. Only there where it is; the webhook by its id has all of it."""
    body_base64: str | None = None
    """The bytes of `body` in base64. Only there where they are not UTF-8."""


class JobRequest(_WithBody, frozen=True, kw_only=True):
    """The request that started a job."""

    method: str
    """The HTTP method."""
    url: str
    """The whole URL, with its query."""
    headers: tuple[tuple[str, str], ...]
    """The headers as pairs of name and value, in the order in which they came."""
    size: int
    """The size of the body in bytes."""
    body: str | None
    """The body, as text. Null where it was not kept because of its size. In lists, at most its first 4 KiB."""
    truncated: bool = False
    """Whether `body` is only the first part. Only there where it is; the job by its id has all of it."""
    body_base64: str | None = None
    """The bytes of `body` in base64. Only there where they are not UTF-8."""


class JobResponse(_WithBody, frozen=True, kw_only=True):
    """The response that a job's request got."""

    status: int
    """The HTTP status."""
    headers: tuple[tuple[str, str], ...]
    """The headers as pairs of name and value, in the order in which they were sent."""
    size: int
    """The size of the body in bytes."""
    body: str
    """The body, as text. In lists, at most its first 4 KiB."""
    truncated: bool = False
    """Whether `body` is only the first part. Only there where it is; the job by its id has all of it."""
    body_base64: str | None = None
    """The bytes of `body` in base64. Only there where they are not UTF-8."""


class Stage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A moment in a job's life: a time after its request, and the status from then on."""

    status: str | None
    """The job's status from this stage on. Null where the stage leaves it as it was, and where the status reads
    `job.webhooks`, until the stage is reached."""
    due_at: float | None
    """When the stage is, or was, reached, by the job's clock, in Unix seconds. Null where that is not known yet: see
    `waits_for`."""
    reached: bool
    """Whether the stage is reached."""
    waits_for: str | None = None
    """The event of the webhook that must end before it is known when this stage is reached. Only there while it waits.
    """
    error: str | None = None
    """Why the status could not be computed. Only there where it could not."""


class Job(Struct, frozen=True, kw_only=True):
    """What one accepted request started, as it stands now. Its times are by its own clock: Latehook's, plus `ahead`."""

    id: str
    """The job's id, as its mock makes it. Several jobs may have the same."""
    number: int
    """A number that only this job has. It grows from job to job."""
    mock: str
    """The name of the mock that started the job."""
    distinction: str | None
    """What tells this mock from others of the same name: its `when`, or file and line. Null if there are no others."""
    status: str
    """The job's status: that of the last stage reached, or `pending` before the first."""
    created_at: float
    """When the request came, by the job's clock, in Unix seconds."""
    ended: bool
    """Whether the job's last stage is reached and none of its webhooks is still owed."""
    vars: dict[str, Any]
    """The job's variables, as `job.vars` of the mock computed them."""
    request: JobRequest
    """The request that started the job."""
    response: JobResponse | None
    """The response to that request. Null until it is there."""
    stages: tuple[Stage, ...]
    """The job's stages, in order."""
    webhooks: tuple[Webhook, ...]
    """The job's webhooks, in the order of their stages."""
    ahead: float
    """By how many seconds the job's clock is ahead of Latehook's: advances of this job alone."""


class NearMiss(Struct, frozen=True, kw_only=True):
    """A mock that almost matched a request (a near miss)."""

    mock: str
    """The mock's name."""
    place: str
    """Where the mock is written: file and line."""
    differs: str
    """The first thing in which the request differs from what the mock asks for, in words."""


class Request(Struct, frozen=True, kw_only=True):
    """A request to a mocked host, as the request journal keeps it."""

    number: int
    """The request's number since the start or the last reset, from 1."""
    at: float
    """When the request came: real time, in Unix seconds."""
    method: str
    """The HTTP method."""
    url: str
    """The whole URL, with its query."""
    status: int | None
    """The HTTP status of the response. Null where the request was forwarded to the real service."""
    matched: bool
    """Whether a mock matched the request."""
    mock: str | None
    """The name of the mock that matched the request. Null where none did."""
    job: str | None
    """The id of the job that the request started or asked for. Null where there is none."""
    why: tuple[NearMiss, ...] | None
    """The near misses, nearest first. Null where a mock matched the request."""
    suggestion: str | None
    """The text of a mocks file with one mock that takes the request: a beginning to copy. Null where a mock matched the
    request, and where no mock can take it."""
    problems: tuple[str, ...]
    """In what the request does not fit the OpenAPI document of its mock (`validate`), each in one line."""


class OtherRequest(Struct, frozen=True, kw_only=True):
    """A request, or a connection, that left for a host that no mock names."""

    number: int
    """The number since the start or the last reset, from 1."""
    at: float
    """When it left: real time, in Unix seconds."""
    method: str
    """The HTTP method. Of a connection: `CONNECT`, or the protocol beneath, such as `TCP`."""
    url: str
    """The whole URL, with its query. Of a connection: host and port."""
