"""PURE: the names that an expression may use, and what each is in one evaluation."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from latehook.expressions import Names
from latehook.model import Job, Moment, Request
from latehook.redaction import Redaction
from latehook.views import JobsView, JobView, RandomView, RequestView, ResponseView, WebhookView, new_uuid

_REQUEST: Names = dict.fromkeys(RequestView.members)
_RESPONSE: Names = dict.fromkeys(ResponseView.members)
_JOB: Names = {**dict.fromkeys(JobView.members), "request": _REQUEST, "response": _RESPONSE}

AT_LOAD: Names = {"env": None}
AT_REQUEST: Names = {
    **AT_LOAD,
    "request": _REQUEST,
    "jobs": None,
    "now": None,
    "uuid": None,
    "random": dict.fromkeys(RandomView.members),
}
REQUEST: Names = {"request": _REQUEST}
JOB: Names = {"job": _JOB}
WEBHOOK: Names = {"webhook": dict.fromkeys(WebhookView.members)}

_OF_BODY = frozenset({"json", "text", "form", "files", "sha256"})


def body_members(roots: frozenset[str], of: str = "request") -> frozenset[str]:
    """Which members of `request` (or `job.request`) that need its body are read by expressions with these roots."""
    read = {root.removeprefix(f"{of}.").partition(".")[0] for root in roots if root.startswith(f"{of}.")}
    return _OF_BODY if of in roots else _OF_BODY & read


class World(Protocol):
    """What there is besides the request: the dials, what is not to be shown, and the jobs so far."""

    @property
    def vars(self) -> Mapping[str, Any]: ...

    redaction: Redaction

    def jobs(self) -> Sequence[Job]:
        """All jobs, the newest first."""

    def find(self, id: str) -> Job | None:
        """The newest job with this id."""

    def repeated(self, mock: str, key: str) -> Job | None:
        """The job that a mock of this name has started for an idempotency key."""

    def answered(self, definition: str) -> int:
        """How many requests this mock has answered."""

    def faulted(self, definition: str, stage: int | None = None) -> int:
        """How often the fault of this mock's response has happened, or that of the webhook of one of its stages."""


def scope_of(constants: Mapping[str, Any], request: Request, moment: Moment, world: World) -> dict[str, Any]:
    """What every expression sees that has a request: `constants` are the mocks file's own."""
    return {
        **constants,
        "request": RequestView(request),
        "vars": world.vars,
        "jobs": JobsView(world.jobs, moment),
        "now": moment.now,
        "uuid": lambda: new_uuid(moment.random),
        "random": RandomView(moment.random),
    }
