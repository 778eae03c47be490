"""PURE: what the control API answers, as frozen values. A member that is not named here is passed over."""

import base64
from typing import Any

import msgspec
from msgspec import Struct


class _Bodied(Struct, frozen=True, kw_only=True):
    """`body` is text; where the bytes are none, `body_base64` has them."""

    body: str | None = None
    body_base64: str | None = None

    @property
    def content(self) -> bytes:
        """The body, byte for byte."""
        return (self.body or "").encode() if self.body_base64 is None else base64.b64decode(self.body_base64)

    def json(self) -> Any:
        """The body, read as JSON."""
        return msgspec.json.decode(self.content)


class Attempt(_Bodied, frozen=True, kw_only=True):
    """One try to deliver a webhook. `body` is the beginning of what the receiver answered; times are Unix seconds.

    `ended_at` is None while it is under way, `status` where no answer came: then `error` says why.
    """

    number: int
    at: float
    ended_at: float | None
    status: int | None
    error: str | None


class Webhook(_Bodied, frozen=True, kw_only=True):
    """A webhook as it stands. `body` is None before its first attempt; `due_in` is in seconds of real time."""

    id: str
    job: str
    mock: str
    event: str | None
    state: str
    reason: str | None
    url: str | None
    stage: int
    due_at: float
    due_in: float | None
    method: str | None
    content_type: str | None
    attempts: tuple[Attempt, ...]


class Stage(Struct, frozen=True):
    """A moment in a job's life."""

    status: str | None
    due_at: float
    reached: bool


class JobRequest(_Bodied, frozen=True, kw_only=True):
    """The request that started a job."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    size: int


class JobResponse(_Bodied, frozen=True, kw_only=True):
    """What it was answered."""

    status: int
    headers: tuple[tuple[str, str], ...]


class Job(Struct, frozen=True):
    """What one request started, as it stands. `ended`: its last stage is reached and nothing is owed."""

    id: str
    mock: str
    status: str
    created_at: float
    ended: bool
    vars: dict[str, Any]
    request: JobRequest
    response: JobResponse | None
    stages: tuple[Stage, ...]
    webhooks: tuple[Webhook, ...]


class Near(Struct, frozen=True):
    """A mock that a request came near to, and the first thing that differs."""

    mock: str
    place: str
    differs: str


class Request(Struct, frozen=True):
    """A request to a mocked host. `job` is the one that it started or asked for; `why` says why no mock took it."""

    number: int
    at: float
    method: str
    url: str
    status: int | None
    matched: bool
    mock: str | None
    job: str | None
    why: tuple[Near, ...] | None


class Page[Item](Struct, frozen=True):
    """A part of a list, the newest first; `next` asks for the part after it."""

    items: tuple[Item, ...]
    next: str | None = None  # a wait's list has no parts


class Advanced(Struct, frozen=True):
    """What an advance answers: the webhooks that have not happened."""

    left: tuple[Webhook, ...]


class Missed(Struct, frozen=True):
    """What a wait answers that was in vain: what did happen."""

    found: tuple[Webhook, ...]
    webhooks: tuple[Webhook, ...]
    requests: tuple[Request, ...]
    unmatched: tuple[Request, ...]


class Problem(Struct, frozen=True):
    """Why the control API did not do something."""

    detail: str
