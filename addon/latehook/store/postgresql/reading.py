"""The queries of the store by key: jobs, webhooks, attempts and single values."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from latehook.base.errors import StoreError
from latehook.base.model import STORED_UNFINISHED, Attempt, Job, State, StoredWebhook
from latehook.store.damage import DAMAGED, damage
from latehook.store.postgresql.link import LONG_TIMEOUT
from latehook.store.postgresql.rows import Rows
from latehook.store.postgresql.together import Together
from latehook.store.postgresql.values import storable
from latehook.store.protocol import Due
from latehook.store.values import digest, read_due, read_redirects, read_value

DUES = """
SELECT w.key, w.due, w.value, w.job, w.stage, w.attempts, w.begun IS NOT NULL AND w.begun <> $2,
CASE WHEN w.stage > 0 AND w.ordered AND w.attempts = 0 THEN ARRAY(
    SELECT e.key FROM webhook e
    WHERE e.job = w.job AND e.stage < w.stage AND e.attempts = 0 AND e.ordered AND e.state = 'pending'
    ORDER BY e.key DESC
) ELSE '{}' END
FROM webhook w JOIN job j ON j.key = w.job AND j.owner = $2
WHERE w.key = ANY($1::bigint[]) AND w.state = 'pending'
"""

OPEN_JOBS = "SELECT key FROM job WHERE ends = 'Infinity' AND owner = $1"


class Reader(Rows):
    """Reads by key."""

    def __init__(self) -> None:
        self._by_id = Together(self._newest_by_id)
        self._by_idempotency_key = Together(self._by_digest)
        self._by_key = Together(self._stored_by_key)

    # Jobs

    async def job(self, key: int) -> Job | None:
        return next(iter(await self.jobs_by_key([key])), None)

    async def find_job(self, id: str) -> Job | None:
        try:
            return await self._by_id.get(storable(id))
        except UnicodeEncodeError:  # half of a surrogate pair, which nothing in the store has
            return None

    async def _newest_by_id(self, ids: Sequence[str]) -> Mapping[str, Job]:
        rows = await self._jobs("WHERE j.id = ANY($1::text[]) ORDER BY j.key", ids)
        return {storable(job.id): job for job in rows}

    async def job_for_idempotency_key(self, mock: str, idempotency_key: str) -> Job | None:
        return await self._by_idempotency_key.get(digest(mock, idempotency_key))

    async def _by_digest(self, digests: Sequence[str]) -> Mapping[str, Job]:
        sql = "SELECT key, idempotency_key FROM job WHERE idempotency_key = ANY($1::text[])"
        keys: dict[int, str] = dict(await self._fetch(sql, digests))
        return {keys[job.key]: job for job in await self.jobs_by_key(keys)}

    async def jobs(self) -> Sequence[Job]:
        return await self._jobs("ORDER BY j.key DESC")

    async def jobs_by_key(self, keys: Iterable[int]) -> Sequence[Job]:
        return await self._jobs("WHERE j.key = ANY($1::bigint[]) ORDER BY j.key DESC", list(keys))

    async def job_ids(self) -> list[str]:
        return [id for (id,) in await self._fetch("SELECT id FROM job ORDER BY key DESC", timeout=LONG_TIMEOUT)]

    async def open_jobs(self) -> list[int]:
        return [key for (key,) in await self._fetch(OPEN_JOBS, self._epoch)]

    async def count_jobs(self) -> int:
        return int((await self._fetch("SELECT count(*) FROM job"))[0][0])

    async def last_job_key(self) -> int:
        return int((await self._fetch("SELECT coalesce(max(key), 0) FROM job"))[0][0])

    # Webhooks and attempts

    async def dues(self, keys: Sequence[int]) -> list[Due | None]:
        rows = {key: self._due(key, *row) for key, *row in await self._fetch(DUES, keys, self._epoch)}
        return [rows.get(key) for key in keys]

    def _due(
        self, key: int, due: float, value: bytes, job: int, stage: int, attempts: int, elsewhere: bool, after: list[int]
    ) -> Due | None:
        try:
            return read_due(value, due, job, stage, tuple(after), attempts, elsewhere)
        except DAMAGED as error:
            self.give_up(key, damage(error))
            return None

    async def pending_webhook(self, key: int) -> StoredWebhook | None:
        stored = await self.webhook(key)
        return stored if stored is not None and stored.webhook.state is State.PENDING else None

    async def webhook(self, key: int) -> StoredWebhook | None:
        return await self._by_key.get(key)

    async def _stored_by_key(self, keys: Sequence[int]) -> Mapping[int, StoredWebhook]:
        return {stored.key: stored for stored in await self.webhooks_by_key(keys)}

    async def webhook_key(self, id: str) -> int | None:
        try:
            rows = await self._fetch("SELECT max(key) FROM webhook WHERE id = $1", storable(id))
        except UnicodeEncodeError:
            return None
        key: int | None = rows[0][0]
        return key

    async def webhooks(self, job: int | None = None, states: Iterable[State] = tuple(State)) -> list[StoredWebhook]:
        sql = "WHERE w.state = ANY($1::text[]) AND ($2::bigint IS NULL OR w.job = $2) ORDER BY w.due, w.key"
        return await self._webhooks(sql, list(states), job)

    async def webhooks_of_jobs(self, jobs: Sequence[Job]) -> list[StoredWebhook]:
        sql = "WHERE w.job = ANY($1::bigint[]) ORDER BY w.stage, w.key"
        return await self._webhooks(sql, [job.key for job in jobs])

    async def webhooks_by_key(self, keys: Iterable[int]) -> list[StoredWebhook]:
        return await self._webhooks("WHERE w.key = ANY($1::bigint[]) ORDER BY w.key DESC", list(keys))

    async def pending_dues(self) -> list[tuple[float, int]]:
        sql = """
            SELECT w.due, w.key FROM webhook w JOIN job j ON j.key = w.job AND j.owner = $1 WHERE w.state = 'pending'
        """
        return [(due, key) for due, key in await self._fetch(sql, self._epoch, timeout=LONG_TIMEOUT)]

    async def overdue(self, moment: float, limit: int) -> list[int]:
        sql = "SELECT key FROM webhook WHERE state = 'pending' AND due <= $1 LIMIT $2"
        return [key for (key,) in await self._fetch(sql, moment, limit)]

    async def attempts(self, webhooks: Iterable[int]) -> list[tuple[int, Attempt]]:
        sql = """
            SELECT webhook, number, started_at, ended_at, status, error, body, clock_at, redirects,
                content_type
            FROM attempt WHERE webhook = ANY($1::bigint[]) ORDER BY webhook, number
        """
        rows = await self._fetch(sql, list(webhooks))
        return [
            (key, replace(Attempt(*row), redirects=read_redirects(redirects), content_type=content_type))
            for key, *row, redirects, content_type in rows
        ]

    async def count_unfinished(self) -> int:
        sql = "SELECT count(*) FROM webhook WHERE state = ANY($1::text[])"
        return int((await self._fetch(sql, STORED_UNFINISHED, timeout=LONG_TIMEOUT))[0][0])

    async def count_states(self, keys: Iterable[int] | None = None) -> dict[State, int]:
        sql = """
            SELECT CASE WHEN begun IS NOT NULL AND state IN ('pending', 'held') THEN 'delivering' ELSE state END,
                count(*)
            FROM webhook WHERE $1::bigint[] IS NULL OR key = ANY($1::bigint[]) GROUP BY 1
        """
        counts = defaultdict[State, int](int)
        for state, count in await self._fetch(sql, None if keys is None else list(keys), timeout=LONG_TIMEOUT):
            counts[State(state) if state in State else State.FAILED] += count
        return counts

    # Definitions and single values

    async def definition(self, hash: str) -> bytes | None:
        rows = await self._fetch("SELECT written FROM definition WHERE hash = $1", hash)
        return bytes(rows[0][0]) if rows else None

    async def get_value[Value](self, name: str, kind: type[Value]) -> Value | None:
        rows = await self._fetch("SELECT value FROM meta WHERE name = $1", name)
        try:
            return msgspec.convert(read_value(rows[0][0]), kind) if rows else None
        except DAMAGED as error:
            raise StoreError(f"the store cannot read: its {name} is damaged: {error}") from error
