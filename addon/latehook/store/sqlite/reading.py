"""The queries of the store by key: jobs, webhooks, attempts and single values."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec
from msgspec.structs import replace

from latehook.base.model import STORED_UNFINISHED, Attempt, Job, State, StoredWebhook
from latehook.store.damage import DAMAGED, damage
from latehook.store.protocol import Due
from latehook.store.sqlite.lists import as_list
from latehook.store.sqlite.rows import Rows
from latehook.store.values import digest, read_due, read_redirects, read_value


class JobsInSqlite(Rows):
    """The jobs that decisions ask for."""

    def all(self) -> list[Job]:
        return [self._read_job(key, value) for key, value in self._rows("SELECT key, value FROM job ORDER BY key DESC")]

    def find(self, id: str) -> Job | None:
        return self._job("SELECT key, value FROM job WHERE id = ? ORDER BY key DESC LIMIT 1", (id,))

    def webhooks_of(self, job: Job) -> list[StoredWebhook]:
        return self._webhooks_of_jobs([job])

    def _webhooks_of_jobs(self, jobs: Sequence[Job]) -> list[StoredWebhook]:
        condition = "w.job IN (SELECT value FROM json_each(?)) ORDER BY w.stage, w.key"
        return self._webhooks_with_jobs(condition, [job.key for job in jobs], {job.key: job for job in jobs})

    def repeated(self, mock: str, idempotency_key: str) -> Job | None:
        sql = "SELECT key, value FROM job WHERE idempotency_key = ? ORDER BY key DESC LIMIT 1"
        return self._job(sql, (digest(mock, idempotency_key),))


class Reader(JobsInSqlite):
    """Reads by key. Nothing is waited for: each read has its result when it is awaited."""

    # Jobs

    async def job(self, key: int) -> Job | None:
        return self._job("SELECT key, value FROM job WHERE key = ?", (key,))

    async def find_job(self, id: str) -> Job | None:
        return self.find(id)

    async def job_for_idempotency_key(self, mock: str, idempotency_key: str) -> Job | None:
        return self.repeated(mock, idempotency_key)

    async def jobs(self) -> Sequence[Job]:
        return self.all()

    async def job_ids(self) -> list[str]:
        return [id for (id,) in self._rows("SELECT id FROM job ORDER BY key DESC")]

    async def open_jobs(self) -> list[int]:
        return [key for (key,) in self._rows("SELECT key FROM job WHERE ends = 9e999")]

    async def count_jobs(self) -> int:
        return int(self._rows("SELECT count(*) FROM job")[0][0])

    async def last_job_key(self) -> int:
        return self._last_job_key()

    def _last_job_key(self) -> int:
        return int(self._rows("SELECT coalesce(max(key), 0) FROM job")[0][0])

    # Webhooks and attempts

    async def dues(self, keys: Sequence[int]) -> list[Due | None]:
        sql = """
            SELECT key, due, value, job, stage, ordered, attempts FROM webhook
            WHERE key IN (SELECT value FROM json_each(?)) AND state = ?
        """
        rows = {key: row for key, *row in self._rows(sql, (as_list(keys), State.PENDING))}
        return [self._due(key, *rows[key]) if key in rows else None for key in keys]

    def _due(self, key: int, due: float, value: bytes, job: int, stage: int, ordered: int, attempts: int) -> Due | None:
        try:
            after = self._unattempted_before(job, stage) if stage > 0 and ordered and attempts == 0 else ()
            return read_due(value, due, job, stage, after, attempts)
        except DAMAGED as error:
            self.give_up(key, damage(error))
            return None

    def _unattempted_before(self, job: int, stage: int) -> list[int]:
        """Return the webhooks of earlier stages whose first attempt is still to come, the last one first."""
        sql = "SELECT key FROM webhook WHERE job = ? AND stage < ? AND attempts = 0 AND ordered AND state = ?"
        return [key for (key,) in self._rows(f"{sql} ORDER BY key DESC", (job, stage, State.PENDING))]

    async def pending_webhook(self, key: int) -> StoredWebhook | None:
        stored = await self.webhook(key)
        return stored if stored is not None and stored.webhook.state is State.PENDING else None

    async def webhook(self, key: int) -> StoredWebhook | None:
        rows = self._webhooks("w.key = ?", (key,))
        return rows[0] if rows else None

    async def webhook_key(self, id: str) -> int | None:
        key: int | None = self._rows("SELECT max(key) FROM webhook WHERE id = ?", (id,))[0][0]
        return key

    async def webhooks(self, job: int | None = None, states: Iterable[State] = tuple(State)) -> list[StoredWebhook]:
        states = tuple(states)
        marks = ", ".join("?" * len(states))
        condition = f"w.state IN ({marks})" + ("" if job is None else " AND w.job = ?")
        return self._webhooks(condition, states if job is None else (*states, job))

    async def webhooks_of_jobs(self, jobs: Sequence[Job]) -> list[StoredWebhook]:
        return self._webhooks_of_jobs(jobs)

    async def webhooks_by_key(self, keys: Iterable[int]) -> list[StoredWebhook]:
        return self._webhooks_with_jobs("w.key IN (SELECT value FROM json_each(?)) ORDER BY w.key DESC", keys, {})

    async def jobs_by_key(self, keys: Iterable[int]) -> list[Job]:
        return self._some_jobs(keys)

    async def pending_dues(self) -> list[tuple[float, int]]:
        sql = "SELECT key, due FROM webhook WHERE state = ? AND typeof(due) != 'real'"
        for key, due in self._rows(sql, (State.PENDING,)):
            self.give_up(key, damage(TypeError(f"it is due at {due!r}")))
        return self._rows("SELECT due, key FROM webhook WHERE state = ?", (State.PENDING,))

    async def overdue(self, moment: float, limit: int) -> list[int]:
        sql = "SELECT key FROM webhook WHERE state = ? AND due <= ? LIMIT ?"
        return [key for (key,) in self._rows(sql, (State.PENDING, moment, limit))]

    async def attempts(self, webhooks: Iterable[int]) -> list[tuple[int, Attempt]]:
        sql = """
            SELECT webhook, number, started_at, ended_at, status, error, body, coalesce(clock_at, started_at),
                redirects, content_type
            FROM attempt WHERE webhook IN (SELECT value FROM json_each(?)) ORDER BY webhook, number
        """
        rows = self._rows(sql, (as_list(webhooks),))
        return [
            (key, replace(Attempt(*row), redirects=read_redirects(redirects), content_type=_text_or_none(content_type)))
            for key, *row, redirects, content_type in rows
        ]

    async def count_unfinished(self) -> int:
        sql = "SELECT count(*) FROM webhook WHERE state IN (?, ?)"
        return int(self._rows(sql, STORED_UNFINISHED)[0][0])

    async def count_states(self, keys: Iterable[int] | None = None) -> dict[State, int]:
        where, values = (
            ("", ()) if keys is None else ("WHERE key IN (SELECT value FROM json_each(?))", (as_list(keys),))
        )
        counts = defaultdict[State, int](int)
        for state, count in self._rows(f"SELECT state, count(*) FROM webhook {where} GROUP BY state", values):
            counts[State(state) if state in State else State.FAILED] += count
        return counts

    # Definitions and single values

    async def definition(self, hash: str) -> bytes | None:
        rows = self._rows("SELECT written FROM definition WHERE hash = ?", (hash,))
        return bytes(rows[0][0]) if rows else None

    def _definition_hashes(self) -> set[str]:
        return {hash for (hash,) in self._rows("SELECT hash FROM definition")}

    async def get_value[Value](self, name: str, kind: type[Value]) -> Value | None:
        rows = self._rows("SELECT value FROM meta WHERE name = ?", (name,))
        try:
            return msgspec.convert(read_value(rows[0][0]), kind) if rows else None
        except DAMAGED as error:
            raise self.failure("read", ValueError(f"its {name} is damaged: {error}")) from error


def _text_or_none(value: object) -> str | None:
    """Return a text; None for anything else, in a column that is damaged."""
    return value if isinstance(value, str) else None
