"""What decisions ask of a store that has to be waited for."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from latehook.base.model import Job, StoredWebhook
from latehook.delivery.progress import Progress
from latehook.mocks.context import Context
from latehook.store.protocol import Store


class Find(Struct, frozen=True):
    """The newest job with this id."""

    id: str

    async def ask(self, store: Store) -> Sequence[Job]:
        job = await store.find_job(self.id)
        return () if job is None else (job,)


class Repeated(Struct, frozen=True):
    """The newest job that the mock with this name has started for an idempotency key."""

    mock: str
    idempotency_key: str

    async def ask(self, store: Store) -> Sequence[Job]:
        job = await store.job_for_idempotency_key(self.mock, self.idempotency_key)
        return () if job is None else (job,)


class Webhooks(Struct, frozen=True):
    """The webhooks of the job with this key, by stage."""

    job: int

    async def ask(self, store: Store) -> Sequence[StoredWebhook]:
        job = await store.job(self.job)
        return () if job is None else await store.webhooks_of_jobs([job])


class All(Struct, frozen=True):
    """All jobs, the newest first."""

    async def ask(self, store: Store) -> Sequence[Job]:
        return await store.jobs()


Question = Find | Repeated | Webhooks | All


class Lacking(BaseException):
    """A decision needs the answer to a question first. Not an Exception: an expression that asks has not failed."""

    def __init__(self, question: Question) -> None:
        super().__init__(question)
        self.question = question


class Answers:
    """A context of decisions with the answers that the store has given so far. Raises Lacking for any other."""

    def __init__(self, context: Context, progress: Progress) -> None:
        self.redaction = context.redaction
        self._context = context
        self._progress = progress
        self._answers: dict[Question, Sequence[Any]] = {}

    async def ask(self, question: Question, store: Store) -> None:
        """Have the store answer a question. Raises StoreError."""
        self._answers[question] = await question.ask(store)

    @property
    def vars(self) -> Mapping[str, Any]:
        return self._context.vars

    def jobs(self) -> Sequence[Job]:
        return self._answer(All())

    def find_job(self, id: str) -> Job | None:
        return next(iter(self._answer(Find(id))), None)

    def job_for_idempotency_key(self, mock: str, key: str) -> Job | None:
        return next(iter(self._answer(Repeated(mock, key))), None)

    def webhooks(self, job: Job) -> Sequence[StoredWebhook]:
        return [self._progress.current(stored) for stored in self._answer(Webhooks(job.key))] if job.key else ()

    def answer_count(self, definition: str) -> int:
        return self._context.answer_count(definition)

    def fault_count(self, definition: str, stage: int | None = None, response: int = 0) -> int:
        return self._context.fault_count(definition, stage, response)

    def _answer(self, question: Question) -> Sequence[Any]:
        answer = self._answers.get(question)
        if answer is None:
            raise Lacking(question)
        return answer
