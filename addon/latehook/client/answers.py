"""PURE: what the control API answers, as frozen values. A member that is not named here is passed over."""

import base64
from typing import Any

import msgspec
from msgspec import Struct


class Attempt(Struct, frozen=True):
    """One try to deliver a webhook. `body` is the beginning of what the receiver answered; times are Unix seconds.

    `ended_at` is None while it is under way, `status` where no answer came: then `error` says why.
    """

    number: int
    at: float
    ended_at: float | None = None
    status: int | None = None
    error: str | None = None
    body: str | None = None


class Webhook(Struct, frozen=True):
    """A webhook as it stands. `body` is None before its first attempt; `due_in` is in seconds of real time."""

    id: str
    job: str
    state: str
    mock: str = ""
    event: str | None = None
    reason: str | None = None
    url: str | None = None
    stage: int = 0
    due_at: float = 0.0
    due_in: float | None = None
    method: str | None = None
    content_type: str | None = None
    body: str | None = None
    body_base64: str | None = None
    attempts: tuple[Attempt, ...] = ()

    @property
    def content(self) -> bytes:
        """The body, byte for byte."""
        return (self.body or "").encode() if self.body_base64 is None else base64.b64decode(self.body_base64)

    def json(self) -> Any:
        """The body, read as JSON."""
        return msgspec.json.decode(self.content)


class Stage(Struct, frozen=True):
    """A moment in a job's life."""

    status: str | None
    due_at: float
    reached: bool


class Message(Struct, frozen=True):
    """A job's request, or its response."""

    method: str | None = None
    url: str | None = None
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: str | None = None
    size: int | None = None

    def json(self) -> Any:
        """The body, read as JSON."""
        return msgspec.json.decode(self.body or "")


class Job(Struct, frozen=True):
    """What one request started, as it stands. `ended`: its last stage is reached and nothing is owed."""

    id: str
    mock: str
    status: str
    created_at: float
    ended: bool
    request: Message
    response: Message | None = None
    vars: dict[str, Any] = {}
    stages: tuple[Stage, ...] = ()
    webhooks: tuple[Webhook, ...] = ()


class NearMiss(Struct, frozen=True):
    """A mock that a request came near to, and what differs."""

    mock: str
    differs: str
    place: str = ""


class Request(Struct, frozen=True):
    """A request to a mocked host. `job` is the one that it started or asked for."""

    number: int
    at: float
    method: str
    url: str
    matched: bool
    status: int | None = None
    mock: str | None = None
    job: str | None = None
    why: tuple[NearMiss, ...] | None = None


class Page[Item](Struct, frozen=True):
    """A part of a list, the newest first; `next` asks for the part after it."""

    items: tuple[Item, ...]
    next: str | None = None


class Advanced(Struct, frozen=True):
    """What an advance answers: the webhooks that have not happened."""

    left: tuple[Webhook, ...] = ()


class Missed(Struct, frozen=True):
    """What a wait answers that was in vain: what did happen."""

    found: tuple[Webhook, ...] = ()
    webhooks: tuple[Webhook, ...] = ()
    requests: tuple[Request, ...] = ()
    unmatched: tuple[Request, ...] = ()


class Problem(Struct, frozen=True):
    """Why the control API did not do something."""

    detail: str
