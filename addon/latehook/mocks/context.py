"""PURE: What decisions and expressions need besides the request."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from latehook.base.model import Job, Moment, Request
from latehook.base.redaction import Redaction
from latehook.expressions.views import JobsView, RandomView, RequestView, new_uuid


class Context(Protocol):
    """What there is besides the request: the variables, what is not to be shown, and the jobs so far."""

    @property
    def vars(self) -> Mapping[str, Any]: ...

    redaction: Redaction

    def jobs(self) -> Sequence[Job]:
        """All jobs, the newest first."""

    def find_job(self, id: str) -> Job | None:
        """The newest job with this id."""

    def job_for_idempotency_key(self, mock: str, key: str) -> Job | None:
        """The job that a mock of this name has started for an idempotency key."""

    def answer_count(self, definition: str) -> int:
        """How many requests this mock has answered."""

    def fault_count(self, definition: str, stage: int | None = None) -> int:
        """How often the fault of this mock's response has happened, or that of the webhook of one of its stages."""


def scope_of(constants: Mapping[str, Any], request: Request, moment: Moment, context: Context) -> dict[str, Any]:
    """What every expression sees that has a request: `constants` are the mocks file's own."""
    return {
        **constants,
        "request": RequestView(request),
        "vars": context.vars,
        "jobs": JobsView(context.jobs, moment),
        "now": moment.now,
        "uuid": lambda: new_uuid(moment.random),
        "random": RandomView(moment.random),
    }
