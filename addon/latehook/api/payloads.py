"""What the control API answers around its lists: pages, the status, what an advance has left, and problems.

The docstring below a field is its description in the OpenAPI document too.
"""

from typing import Any

from msgspec import Struct

from latehook.api.models import Job, OtherRequest, Request, Webhook
from latehook.base.model import State


class Page[Item](Struct, frozen=True, kw_only=True):
    """A page of a list."""

    items: tuple[Item, ...]
    """The items of this page, newest first."""
    next: str | None
    """The value of `after` that asks for the next page. Null on the last page."""


class JobPage(Page[Job], frozen=True, kw_only=True):
    """A page of the list of jobs."""


class WebhookPage(Page[Webhook], frozen=True, kw_only=True):
    """A page of the list of webhooks."""


class RequestPage(Page[Request], frozen=True, kw_only=True):
    """A page of the request journal."""


class OtherPage(Page[OtherRequest], frozen=True, kw_only=True):
    """A page of the list of what left for hosts that no mock names."""


class WebhookList(Struct, frozen=True):
    """The webhooks that were waited for."""

    items: tuple[Webhook, ...]
    """The webhooks, oldest first."""


class IdList(Struct, frozen=True):
    """What an operation on several has changed."""

    items: tuple[str, ...]
    """The ids of the webhooks that were changed; of a reset, the ids of the jobs that were forgotten."""


class Clock(Struct, frozen=True, kw_only=True):
    """Latehook's clock, by which webhooks and stages are due."""

    now: float
    """The time of Latehook's clock, in Unix seconds: real time, until it is advanced or its speed is changed."""
    real: float
    """Real time, in Unix seconds."""
    speed: float
    """How many seconds of Latehook's clock pass in one second of real time."""


class Counts(Struct, frozen=True, kw_only=True):
    """How many jobs, webhooks and requests there are."""

    jobs: int
    """The number of jobs."""
    webhooks: dict[State, int]
    """The number of webhooks in each state."""
    requests: int
    """The number of requests to mocked hosts since the start or the last reset."""
    unmatched: int
    """The number of those that no mock matched."""


class Mock(Struct, frozen=True, kw_only=True):
    """A mock in use."""

    name: str
    """The mock's name."""
    match: str
    """The mock's `match`: the requests that it is for."""
    place: str
    """Where the mock is written: file and line."""
    when: str | None
    """The mock's `when`. Null where it has none."""


class MockList(Struct, frozen=True):
    """The mocks that were added."""

    items: tuple[Mock, ...]
    """The mocks, in the order of the file."""


class Status(Struct, frozen=True, kw_only=True):
    """The state of Latehook as a whole."""

    version: str
    """Latehook's version."""
    ready: bool
    """Always true: Latehook answers once it is ready."""
    clock: Clock
    """Latehook's clock."""
    holding: bool
    """Whether all webhooks are held: none starts until a release."""
    vars: dict[str, Any]
    """The variables and their values."""
    counts: Counts
    """How many jobs, webhooks and requests there are."""
    mocks: tuple[Mock, ...]
    """The mocks in use, in the order in which requests are tried against them."""
    revision: int
    """A number that grows with every change to anything that the API shows."""
    waiting: int
    """How many clients wait for a change."""
    problems: tuple[str, ...]
    """What is wrong with the store, each in one line: it cannot write, or others have changed its files."""


class Advanced(Struct, frozen=True, kw_only=True):
    """The clock after a change."""

    clock: Clock
    """Latehook's clock."""
    left: tuple[Webhook, ...]
    """Webhooks that an advance made due and that were not done when its time limit was over, at most 1,000."""


class Problem(Struct, frozen=True, kw_only=True):
    """Why a request was not carried out (RFC 9457)."""

    type: str = "about:blank"
    """Always `about:blank`: the status says what kind of problem it is."""
    title: str
    """The name of the HTTP status."""
    status: int
    """The HTTP status."""
    detail: str
    """What is wrong and what to do about it, in one line."""


class FileProblem(Problem, frozen=True, kw_only=True):
    """Mocks name a file whose content was not sent with them."""

    file: str
    """The name of the file, as the mocks have it."""


class WaitProblem(Problem, frozen=True, kw_only=True):
    """What did happen while a client waited in vain."""

    found: tuple[Webhook, ...]
    """The webhooks that were as wanted: fewer than `count`."""
    webhooks: tuple[Webhook, ...]
    """Other webhooks that the filters select, in whatever state, newest first, at most 20."""
    requests: tuple[Request, ...]
    """The last requests to mocked hosts, newest first, at most 20."""
    unmatched: tuple[Request, ...]
    """The last requests that no mock matched, newest first, at most 20."""
