"""PURE: what decisions and expressions need besides the request."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from latehook.base.messages import Request
from latehook.base.model import Job, Moment, StoredWebhook
from latehook.base.redaction import Redaction
from latehook.expressions.random_values import RandomView, new_uuid
from latehook.expressions.views import JobsView, RequestView


class Context(Protocol):
    """The variables, the secrets, the jobs so far, and counts. `definition` identifies a mock, as in `Mock`."""

    @property
    def vars(self) -> Mapping[str, Any]: ...

    redaction: Redaction

    def jobs(self) -> Sequence[Job]:
        """Return all jobs, the newest first."""

    def find_job(self, id: str) -> Job | None:
        """Return the newest job with this id."""

    def webhooks(self, job: Job) -> Sequence[StoredWebhook]:
        """Return the webhooks of a job as they are now, by stage; none for a job that is not stored."""

    def job_for_idempotency_key(self, mock: str, key: str) -> Job | None:
        """Return the job that a mock of this name has started for an idempotency key."""

    def answer_count(self, definition: str) -> int:
        """Return how many requests the mock has answered."""

    def fault_count(self, definition: str, stage: int | None = None, response: int = 0) -> int:
        """Return how often a fault of the mock has happened: of the webhook of a stage, or of a response."""


def scope_of(constants: Mapping[str, Any], request: Request, moment: Moment, context: Context) -> dict[str, Any]:
    """Return the scope of expressions that may read a request. `constants` are those of the mocks file's compiler."""
    return {
        **constants,
        "request": RequestView(request),
        "vars": context.vars,
        "jobs": JobsView(context.jobs, moment.now, context.webhooks),
        "now": moment.now,
        "real_now": moment.real_now,
        "uuid": lambda: new_uuid(moment.random),
        "random": RandomView(moment.random),
    }
