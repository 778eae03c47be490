"""Rows of the database, read into values."""

from typing import Any

from msgspec.structs import replace

from latehook.base.model import FINISHED, Job, State, StoredWebhook
from latehook.store.damage import DAMAGED, damage, damaged_job, damaged_webhook
from latehook.store.values import read_content, read_job, read_webhook

JOB = "j.key, j.value, j.id, j.mock, j.created_at"
"""The columns that `job_of` reads."""

WEBHOOK = (
    f"w.key, w.value, w.due, w.state, w.reason, w.attempts, w.content, w.id, w.stage, w.url, w.begun, w.job, {JOB}"
)
"""The columns that `Rows.webhooks` reads."""


class Rows:
    """Reads rows, also damaged ones. Raises StoreError where a read fails."""

    @property
    def _epoch(self) -> int:
        """The number of this process among all that have used the schema."""
        raise NotImplementedError

    async def _fetch(self, sql: str, *values: Any, timeout: float | None = None) -> list[Any]:
        """Return the rows of a query, within `timeout` seconds. It sees what was written before."""
        raise NotImplementedError

    def give_up(self, key: int, reason: str) -> None:
        """Write that the webhook with this key has failed, because its row is damaged."""
        raise NotImplementedError

    async def _jobs(self, rest: str, *values: Any) -> list[Job]:
        """Return the jobs that the rest of a query selects, behind its FROM."""
        return [job_of(*row) for row in await self._fetch(f"SELECT {JOB} FROM job j {rest}", *values)]

    async def _webhooks(self, rest: str, *values: Any) -> list[StoredWebhook]:
        """Return the webhooks that the rest of a query selects, behind its FROM. Each job is made once."""
        sql = f"SELECT {WEBHOOK} FROM webhook w LEFT JOIN job j ON j.key = w.job {rest}"
        jobs: dict[int, Job] = {}
        return [self._webhook(jobs, *row) for row in await self._fetch(sql, *values)]

    def _webhook(
        self,
        jobs: dict[int, Job],
        key: int,
        value: bytes,
        due: float,
        state: str,
        reason: str | None,
        attempts: int,
        content: bytes | None,
        id: str,
        stage: int,
        url: str | None,
        begun: int | None,
        job_key: int,
        *job_columns: Any,
    ) -> StoredWebhook:
        job = jobs.get(job_key)
        try:
            job = job or replace(read_job(job_columns[1]), key=job_key)
            webhook = replace(read_webhook(value), due=due, state=State(state), reason=reason)
            read = None if content is None else read_content(content)
        except DAMAGED as error:
            if state not in FINISHED:
                state, reason = State.FAILED, damage(error)
                self.give_up(key, reason)
            job = job or (damaged_job(job_key, "", "", 0.0) if job_columns[0] is None else job_of(*job_columns))
            return StoredWebhook(key, damaged_webhook((id, stage, url), due, State(state), reason), job)
        jobs[job_key] = job
        return StoredWebhook(key, webhook, job, attempts, read, begun is not None)


def job_of(key: int, value: bytes, id: str, mock: str, created_at: float) -> Job:
    """Return a job from its columns."""
    try:
        return replace(read_job(value), key=key)
    except DAMAGED:
        return damaged_job(key, id, mock, created_at)
