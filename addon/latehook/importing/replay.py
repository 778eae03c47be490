"""Plays the requests of a recording to mocks, in memory and in virtual time, and compares what comes back."""

import asyncio
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from latehook.base.clock import Clock
from latehook.base.messages import Outgoing, Request, Response
from latehook.base.redaction import Redaction
from latehook.base.urls import path_of
from latehook.engine.engine import Engine
from latehook.importing import virtual_time
from latehook.importing.comparing import Comparison, Difference, Translation
from latehook.importing.exchanges import Exchange, Message, Recording
from latehook.importing.replay_sender import ReplaySender, checks_of, message_of
from latehook.importing.retrying import without_retries
from latehook.importing.scrubbing import Scrubber, snake
from latehook.importing.situations import STATUS_KEY
from latehook.importing.times import duration
from latehook.mocks.definitions import Mock, Mocks
from latehook.mocksfile import loading
from latehook.store.sqlite import SqliteStore

AFTER_END = 5.0
"""Seconds after the last recorded message in which webhooks may still come."""

UNLIKE = 100
"""The distance of two webhooks that have nothing to do with each other: another kind of message, or another job."""

MAX_LATER = 60.0
"""Seconds that a poll may be made later than in the recording, until the job has the recorded status."""


@dataclass
class Replayed:
    """What came of a replay: how much was compared, and what differs."""

    requests: int = 0
    webhooks: int = 0
    differences: list[Difference] = field(default_factory=list)


def replay(mocks: Mocks, recording: Recording, scrubber: Scrubber, env: Mapping[str, str]) -> Replayed:
    """Play a recording to these mocks. `env` is the environment that they were loaded with."""
    return virtual_time.run(_Replay(mocks, recording, scrubber, env).play())


class _Replay:
    def __init__(self, mocks: Mocks, recording: Recording, scrubber: Scrubber, env: Mapping[str, str]) -> None:
        self._exchanges = without_retries(recording.exchanges)
        self._start = self._exchanges[0].started
        self._mocks = mocks
        self._env = env
        self._checks = checks_of(self._exchanges)
        self._sender = ReplaySender(self._checks)
        self._translation = Translation()
        self._comparison = Comparison(scrubber, self._translation)
        self._counts: dict[str, int] = {}
        self._waited_in_vain: set[str] = set()

    async def play(self) -> Replayed:
        loop = asyncio.get_running_loop()
        clock = Clock(lambda: self._start + loop.time(), loop.time)
        source = random.Random(1)
        engine = Engine(self._mocks, SqliteStore(), self._sender, clock, source, self._restore, self._load_mocks)
        result = Replayed()
        webhooks = [exchange for exchange in self._exchanges if exchange.inbound]
        for exchange in self._exchanges:
            await asyncio.sleep(max(exchange.started - self._start - loop.time(), 0.0))
            if not exchange.inbound:
                self._learn(webhooks, exchange.started)
                result.requests += 1
                result.differences += await self._ask(engine, exchange)
        await asyncio.sleep(AFTER_END)
        result.webhooks = len(webhooks)
        result.differences += self._webhooks(webhooks)
        await engine.close(0.0)
        return result

    def _restore(self, excerpt: bytes) -> Mock:
        return loading.restore(excerpt, self._env, Redaction())

    def _load_mocks(
        self, text: str, file: str | None, variables: Mapping[str, Any], files: Mapping[str, bytes]
    ) -> Mocks:
        return loading.load_text(text, file, self._env, variables, files)

    # Requests

    async def _ask(self, engine: Engine, exchange: Exchange) -> list[Difference]:
        """Make a request, and return what differs in its response.

        The mocks' times are rounded, so a poll may come a little early: it is made again while the status differs. If
        that did not help, later polls of this path are made once: each wait makes all later requests late.
        """
        where = self._named(f"{exchange.method} {self._comparison.clean(exchange.path)}")
        waited, limit = 0.0, min(max(2.0, 0.2 * (exchange.started - self._start)), MAX_LATER)
        while True:
            decision = await engine.accept(self._request(exchange))
            differences = list(self._response(where, exchange, decision.response))
            is_early = any(STATUS_KEY.search(snake(one.field.rpartition(".")[2])) for one in differences)
            if exchange.method != "GET" or not is_early or exchange.path in self._waited_in_vain:
                return differences
            if waited >= limit:
                self._waited_in_vain.add(exchange.path)
                return differences
            waited += 0.5
            await asyncio.sleep(0.5)

    def _request(self, exchange: Exchange) -> Request:
        """Return a recorded request, with the ids that the mocks have made."""
        body = exchange.request.body.raw or exchange.request.content
        if exchange.request.body.kind in ("json", "xml", "form", "text"):
            body = self._translation.apply(body.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
        left_out = ("content-encoding", "content-length")
        headers = [pair for pair in exchange.request.headers if pair[0].lower() not in left_out]
        return Request(
            method=exchange.method,
            scheme=exchange.scheme,
            host=exchange.host,
            port=exchange.port,
            target=self._translation.apply(exchange.target),
            headers=tuple((name.encode("latin-1", "replace"), value.encode()) for name, value in headers),
            body=body,
            size=len(body),
        )

    def _response(self, where: str, exchange: Exchange, response: Response | None) -> Iterator[Difference]:
        if response is None:
            yield Difference(where, "response", str(exchange.status), "nothing: it is forwarded")
            return
        mocked = Message(response.headers, response.body)
        if response.status != exchange.status:
            yield Difference(where, "status", str(exchange.status), str(response.status))
            self._translation.learn(exchange.response.body.value, mocked.body.value)
            return
        yield from self._comparison.messages(where, exchange.response, mocked, exchange.ended)

    def _named(self, name: str) -> str:
        """Return a name with the number of its occurrence, from the second on."""
        self._counts[name] = count = self._counts.get(name, 0) + 1
        return name if count == 1 else f"{name} (number {count})"

    # Webhooks

    def _learn(self, webhooks: Sequence[Exchange], before: float) -> None:
        """Learn the ids that only webhooks say, from those that came before a time."""
        sent = list(self._sender.sent)
        for webhook in webhooks:
            if webhook.started < before and sent:
                best = min(sent, key=lambda one: self._distance(webhook, one))
                if self._distance(webhook, best)[0] >= UNLIKE:
                    continue
                sent.remove(best)
                self._translation.learn(webhook.request.body.value, message_of(best[1]).body.value)

    def _webhooks(self, webhooks: Sequence[Exchange]) -> Iterator[Difference]:
        """Yield what differs in the webhooks: those that resemble each other most are compared."""
        sent = self._sender.sent
        pairs = [
            (self._distance(webhook, one), at, number)
            for at, webhook in enumerate(webhooks)
            for number, one in enumerate(sent)
        ]
        partner: dict[int, int] = {}
        for (distance, _), at, number in sorted(pairs):
            if distance < UNLIKE and at not in partner and number not in partner.values():
                partner[at] = number
        for at, webhook in enumerate(webhooks):
            where = self._named(f"webhook {webhook.method} {self._comparison.clean(webhook.path)}")
            if at in partner:
                yield from self._webhook(where, webhook, *sent[partner[at]])
            else:
                yield Difference(where, "webhook", "sent", "missing")
        for number, (_, outgoing) in enumerate(sent):
            if number not in partner.values():
                where = f"webhook {outgoing.method} {self._comparison.clean(path_of(outgoing.url))}"
                yield Difference(where, "webhook", "not sent", "sent")

    def _webhook(self, where: str, webhook: Exchange, time: float, outgoing: Outgoing) -> Iterator[Difference]:
        recorded, mocked = webhook.started - self._start, time
        if webhook not in self._checks and abs(recorded - mocked) > max(2.0, 0.2 * recorded):
            shown = [f"{duration(moment) or '0s'} after the first request" for moment in (recorded, mocked)]
            yield Difference(where, "time", *shown)
        path = path_of(outgoing.url) or "/"
        if self._translation.apply(webhook.path) != path:
            clean = self._comparison.clean
            yield Difference(where, "path", clean(webhook.path), clean(path))
        yield from self._comparison.bodies(where, webhook.request, message_of(outgoing), webhook.started)

    def _distance(self, webhook: Exchange, sent: tuple[float, Outgoing]) -> tuple[int, float]:
        """Return how much a sent webhook differs from a recorded one: the number of differences, then the seconds."""
        translation = Translation()
        translation.merge(self._translation)
        comparison = Comparison(self._comparison.scrubber, translation)
        count = sum(1 for _ in comparison.bodies("", webhook.request, message_of(sent[1]), webhook.started))
        if webhook.method != sent[1].method or webhook.request.body.kind != message_of(sent[1]).body.kind:
            return UNLIKE, 0.0
        other_path = self._translation.apply(webhook.path) != (path_of(sent[1].url) or "/")
        count += (UNLIKE // 2) * other_path  # two webhooks may differ in their path only
        wrong_id = self._translation.contradicts(webhook.request.body.value, message_of(sent[1]).body.value)
        return UNLIKE * wrong_id + min(count, UNLIKE - 1), abs(webhook.started - self._start - sent[0])


def as_json(result: Replayed) -> dict[str, Any]:
    """Return the result as plain data."""
    names = ("where", "field", "recorded", "mocked")
    differences = [{name: getattr(one, name) for name in names} for one in result.differences]
    return {"requests": result.requests, "webhooks": result.webhooks, "differences": differences}
