"""PURE: ties exchanges to jobs: which request starts one, its id, and what belongs to it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from latehook.importing.exchanges import Exchange, KeyPath, leaves, mentions
from latehook.importing.links import (
    is_below,
    is_in_path,
    named_urls,
    only_refers,
    possible_ids,
    request_leaves,
    same_host,
    same_url,
    says_another,
    segment_words,
    suffix_of,
)
from latehook.importing.retrying import content_of, without_retries
from latehook.importing.scrubbing import snake
from latehook.importing.shapes import is_id_key, is_opaque
from latehook.importing.times import read_time

MIN_ECHO = 6
"""Characters of a text of the request that ties a webhook to it where no id does."""

MAX_DEPTH_OF_OWN = 2
"""Keys that lead to the id of what a request about another job started: a deeper one is of a part of that job."""


@dataclass(eq=False)
class Trace:
    """A job in a recording: the request that started it, its id, and the exchanges that belong to it, in order of time.

    `id` is None where nothing names the job later. `id_path` is the id's place in the response to the request.
    `by_echo` are the webhooks that only a text of the request ties to the job. `vars` has other values of the job that
    the provider repeats, as text → name.
    """

    creator: Exchange
    id: Any = None
    id_path: KeyPath | None = None
    linked: list[Exchange] = field(default_factory=list)
    by_echo: list[Exchange] = field(default_factory=list)
    vars: dict[str, str] = field(default_factory=dict)

    @property
    def all(self) -> list[Exchange]:
        return [self.creator, *self.linked]

    @property
    def webhooks(self) -> list[Exchange]:
        return [exchange for exchange in self.linked if exchange.inbound]


@dataclass
class Traces:
    """The jobs of a recording, and the exchanges that were left out, with the reason.

    `checks` are the refused requests during which a webhook came, with that webhook.
    """

    jobs: list[Trace] = field(default_factory=list)
    checks: list[tuple[Exchange, Exchange]] = field(default_factory=list)
    left_out: list[tuple[Exchange, str]] = field(default_factory=list)

    def job_of(self, exchange: Exchange) -> Trace | None:
        return next((job for job in self.jobs if exchange in job.all), None)


def trace(exchanges: Sequence[Exchange]) -> Traces:
    """Tie the exchanges of one recording to jobs."""
    exchanges = without_retries(exchanges)
    tracer = _Tracer(exchanges)
    for exchange in exchanges:
        if not exchange.inbound:
            tracer.start(exchange)
    for exchange in exchanges:
        tracer.link(exchange)
    for exchange in exchanges:
        if exchange.inbound and not tracer.is_linked(exchange):
            tracer.link_without_id(exchange)
    for job in tracer.traces.jobs:
        job.linked.sort(key=lambda linked: linked.said)
    return tracer.traces


class _Tracer:
    def __init__(self, exchanges: Sequence[Exchange]) -> None:
        self.exchanges = exchanges
        self.traces = Traces()
        self._linked: dict[Exchange, Trace] = {}
        webhooks = [exchange for exchange in exchanges if exchange.inbound]
        urls = {url for one in exchanges if not one.inbound for url in named_urls(one)}
        self._starting = {(one.method, one.path) for one in exchanges if not one.inbound and only_refers(one)}
        """Methods and paths of requests that start something of their own: refused ones are about no other job."""
        self._hosts_are_kept = any(same_host(url, webhook) for webhook in webhooks for url in urls)

    def is_linked(self, exchange: Exchange) -> bool:
        return exchange in self._linked

    # Creators

    def start(self, exchange: Exchange) -> None:
        """Start a job if the response has a value that no earlier message had, and a later one has."""
        if exchange.method in ("GET", "HEAD", "OPTIONS") or not exchange.is_success:
            return
        about = self._job_in_path(exchange)
        scored = [
            (self._score(exchange, path, value), -order, path, value)
            for order, (path, value) in enumerate(possible_ids(exchange))
        ]
        scored = [one for one in scored if one[0] >= (50 if about and len(one[2]) > MAX_DEPTH_OF_OWN else 20)]
        if not scored:
            return
        _, _, path, value = max(scored, key=lambda one: one[:2])
        self.add(Trace(exchange, value, path))

    def add(self, job: Trace) -> None:
        self.traces.jobs.append(job)
        self._linked[job.creator] = job

    def _job_in_path(self, exchange: Exchange) -> bool:
        segments = segment_words(exchange)
        return any(job.id is not None and str(job.id) in segments for job in self.traces.jobs)

    def _score(self, creator: Exchange, path: KeyPath, value: Any) -> int:
        """Return how well a value ties later messages to this one, 0 if it does not."""
        if mentions(creator.request_words, value):
            return 0
        score = 0
        for other in self.exchanges:
            if other is creator:
                continue
            if other.started < creator.started or (not other.inbound and other.started < creator.ended):
                if mentions(other.given_words | other.request_words, value):
                    return 0
            elif other.inbound:
                score = max(score, 20 if mentions(other.request_words, value) else 0)
            elif is_in_path(other, value):
                score = max(score, 50 if is_opaque(value) or is_below(other, creator) else 0)
            elif is_opaque(value) and mentions(other.request_words, value):
                score = max(score, 40)
        key = next((snake(part) for part in reversed(path) if isinstance(part, str)), "")
        return score + (5 if key in ("id", "sid") else 2 if is_id_key(key) else 0) - min(len(path), 4) if score else 0

    # Links

    def link(self, exchange: Exchange) -> None:
        """Tie an exchange to the job whose id it has: first in its path, then anywhere; the newest job counts."""
        if exchange in self._linked:
            return
        earlier = [job for job in self.traces.jobs if job.id is not None and job.creator.started <= exchange.started]
        in_path = [job for job in earlier if not exchange.inbound and is_in_path(exchange, job.id)]
        anywhere = [job for job in earlier if mentions(exchange.request_words, job.id)]
        if not in_path and not exchange.inbound:
            refers = (exchange.method, exchange.path) in self._starting or only_refers(exchange)
            anywhere = [
                job for job in anywhere if is_opaque(job.id) and not refers and not says_another(exchange, job.id)
            ]
        if found := in_path or anywhere:
            self._add_to(found[-1], exchange)

    def _add_to(self, job: Trace, exchange: Exchange) -> None:
        if exchange in self._linked:
            return
        job.linked.append(exchange)
        self._linked[exchange] = job

    def link_without_id(self, webhook: Exchange) -> None:
        """Tie a webhook to the request whose other value it has, that named its URL, or whose text it repeats."""
        if (refused := self._refused_during(webhook)) is not None:
            self.traces.checks.append((refused, webhook))
            return
        for found in (self._by_value(webhook), self._by_url(webhook)):
            if len(found) == 1:
                self._add_to(self._job_of(found[0], webhook), webhook)
                return
        found = self._by_echo(webhook)
        if not found:
            self.traces.left_out.append(
                (webhook, "no request leads to this webhook: no id, no URL and no text is in both")
            )
        elif len(found) > 1:
            places = " and ".join(f"{one.method} {one.path}" for one in found[:2])
            self.traces.left_out.append(
                (webhook, f"{len(found)} requests could have led to this webhook ({places}): record one alone")
            )
        else:
            job = self._job_of(found[0], webhook)
            job.by_echo.append(webhook)
            self._add_to(job, webhook)

    def _refused_during(self, webhook: Exchange) -> Exchange | None:
        """Return the request that named the URL of a webhook, and was refused when that had come."""
        running = [
            one
            for one in self.exchanges
            if not one.inbound
            and one.started <= webhook.started <= one.ended
            and any(same_url(url, webhook) for url in named_urls(one))
        ]
        return running[0] if running and not any(one.is_success for one in running) else None

    def _by_value(self, webhook: Exchange) -> list[Exchange]:
        """Return the creators of jobs with another opaque value of which the webhook has a copy."""
        found = []
        for job in self.traces.jobs:
            given = [value for path, value in possible_ids(job.creator) if is_opaque(value)]
            if any(
                mentions(webhook.request_words, value) and not mentions(job.creator.request_words, value)
                for value in given
            ):
                found.append(job.creator)
        return found

    def _starters(self, webhook: Exchange) -> Iterator[Exchange]:
        """Yield the requests that may have started the job of a webhook, the newest first."""
        for exchange in reversed(self.exchanges):
            if (
                not exchange.inbound
                and exchange.started <= webhook.started
                and exchange.method != "GET"
                and exchange.is_success
            ):
                yield exchange

    def _by_url(self, webhook: Exchange) -> list[Exchange]:
        starters = list(self._starters(webhook))
        naming = [one for one in starters if any(same_url(url, webhook) for url in named_urls(one))]
        exact = [
            one for one in naming if any(same_url(url, webhook) and same_host(url, webhook) for url in named_urls(one))
        ]
        below = [one for one in starters if any(suffix_of(url, webhook) for url in named_urls(one))]
        if not exact and not below and self._hosts_are_kept:
            return []  # the path is the same, but the URL names another receiver
        naming = exact or below or naming
        running = [one for one in naming if one.ended >= webhook.started]
        return running if len(running) == 1 else naming

    def _by_echo(self, webhook: Exchange) -> list[Exchange]:
        said = {value for _, value in request_leaves(webhook) if isinstance(value, str)}
        found: list[Exchange] = []
        for exchange in self._starters(webhook):
            texts = {
                value for _, value in request_leaves(exchange) if isinstance(value, str) and len(value) >= MIN_ECHO
            }
            if {text for text in texts if "://" not in text} & said:
                job = self._linked.get(exchange)
                if job is None or not any(content_of(webhook) == content_of(one) for one in job.linked):
                    found.append(exchange)
        same = [one for one in found if one.path == found[0].path]
        return found[:1] if len(same) == 1 else same

    def _job_of(self, creator: Exchange, webhook: Exchange) -> Trace:
        """Return the job that a request started; a new one, with the id that the webhook gives it, if it had none."""
        job = self._linked.get(creator)
        if job is not None:
            return job
        job = Trace(creator)
        for _, value in leaves(webhook.request.body.value):
            if (
                (is_opaque(value) or type(value) is int)
                and not mentions(creator.request_words, value)
                and read_time(value, webhook.started) is None
            ):
                later = [
                    one
                    for one in self.exchanges
                    if not one.inbound and one.started > webhook.started and is_in_path(one, value)
                ]
                if later:
                    job.id = value
                    break
        self.add(job)
        if job.id is not None:
            for exchange in self.exchanges:
                if (
                    exchange.started > creator.started
                    and exchange not in self._linked
                    and mentions(exchange.request_words, job.id)
                ):
                    self._add_to(job, exchange)
        return job
