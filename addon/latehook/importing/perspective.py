"""PURE: what each message of a recording could be made of: the situation in which it was written."""

import hashlib
from collections.abc import Sequence

from latehook.base.model import PENDING
from latehook.importing.exchanges import Exchange
from latehook.importing.relations import Relations
from latehook.importing.situations import Situation
from latehook.importing.sources import Reader, Source, member
from latehook.importing.stages import Timeline


class Perspective:
    """Makes the situations of messages. `family` are the lives of jobs that the same request starts."""

    def __init__(self, reader: Reader, family: Sequence[Timeline] = (), relations: Relations | None = None) -> None:
        self._reader = reader
        self._relations = relations
        self._family = family
        self._statuses = dict.fromkeys(status for life in family for status, _ in life.reached)
        self._pool = {source.expression for life in family for source in reader.sources(life.job.creator)}

    def of_start(self, life: Timeline) -> Situation:
        """Return the situation of the response to the request that started a job."""
        creator = life.job.creator
        return self._situation(life, creator.ended, self._reader.sources(creator), life.status_at[creator], creator)

    def of_webhook(self, life: Timeline, webhook: Exchange, starter: Exchange, event: str | None) -> Situation:
        """Return the situation of a webhook that follows from the request `starter`."""
        status = life.status_at.get(webhook)
        sources = self._sources_of(life, starter)
        return self._situation(life, webhook.started, sources, status, starter, event, is_webhook=True)

    def of_answer(self, life: Timeline, exchange: Exchange) -> Situation:
        """Return the situation of the response to a request about a job."""
        return self._situation(
            life, exchange.ended, self._sources_of(life, exchange), life.status_at.get(exchange), None
        )

    def of_resource(self, life: Timeline, exchange: Exchange) -> Situation:
        """Return the situation of the first response of a job as if a later request had asked for it."""
        sources = self._reader.sources(life.job.creator, "job.request")
        return self._situation(life, exchange.ended, sources, life.status_at[life.job.creator], None)

    def of_listed(self, life: Timeline, exchange: Exchange) -> Situation:
        """Return the situation of an item about a job, in the response to a request that lists jobs."""
        status = next((status for status, time in reversed(life.reached) if time <= exchange.ended), PENDING)
        return self._situation(life, exchange.ended, self._sources_of(life, exchange), status, None)

    def of_plain(self, exchange: Exchange) -> Situation:
        """Return the situation of a response that has no job."""
        digest = hashlib.sha256(exchange.request.content).hexdigest() if exchange.request.content else None
        return Situation(at=exchange.ended, sources=self._reader.sources(exchange), digest=digest)

    def _sources_of(self, life: Timeline, exchange: Exchange) -> list[Source]:
        creator = life.job.creator
        if exchange is creator:
            return self._reader.sources(creator)
        return [*self._reader.sources(creator, "job.request"), *self._reader.sources(exchange)]

    def _situation(
        self,
        life: Timeline,
        at: float,
        sources: Sequence[Source],
        status: str | None,
        starter: Exchange | None,
        event: str | None = None,
        is_webhook: bool = False,
    ) -> Situation:
        job = life.job
        known = {text: member("job.vars", name) for text, name in job.vars.items()}
        if job.id is not None:
            known[str(job.id)] = "job.id"
        reached = [(member("job.at", name), time) for name, time in life.reached if time <= at + 0.5]
        unreached = [member("job.at", name) for name in self._statuses if member("job.at", name) not in dict(reached)]
        base = "request" if starter is job.creator else "job.request"
        present = {source.expression for source in sources}
        pool = {expression.replace("request", base, 1) for expression in self._pool}
        content = job.creator.request.content if starter is job.creator else b""
        return Situation(
            at=at,
            known=known,
            moments=[("job.created_at", job.creator.sent), *reached],
            unreached=unreached,
            status=status,
            event=event,
            sources=sources,
            absent=frozenset(pool - present),
            digest=hashlib.sha256(content).hexdigest() if content else None,
            is_webhook=is_webhook,
            related=self._relations.of(job.creator, base) if is_webhook and self._relations is not None else (),
        )
