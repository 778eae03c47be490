"""Mocks without a proxy: requests are decided in memory, with a clock that the test sets and seeded random numbers."""

import json
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from msgspec.structs import replace

from latehook.base.hostnames import DEFAULT_PORTS
from latehook.base.messages import Outgoing, Request
from latehook.base.model import Content, Job, Moment, StoredWebhook, Webhook
from latehook.base.redaction import Redaction
from latehook.mocks import decide, rendering, responding
from latehook.mocks.decisions import Decision
from latehook.mocks.definitions import Mock, Mocks
from latehook.mocksfile.loading import load

START = 1_700_000_000.0
"""Unix seconds at which a scenario starts. Latehook's clock is one hour ahead."""


@dataclass
class Scenario:
    """Mocks and the jobs that requests have started. `elapsed` is the number of seconds since the start."""

    mocks: Mocks
    seed: int = 1
    elapsed: float = 0.0
    stored: list[Job] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    faults: Counter[tuple[str, int | None, int]] = field(default_factory=Counter)

    redaction: Redaction = field(default_factory=Redaction)

    def __post_init__(self) -> None:
        self.vars: dict[str, Any] = dict(self.mocks.vars)
        self.random = random.Random(self.seed)

    # The interface `Context` of the package mocks

    def jobs(self) -> list[Job]:
        return self.stored[::-1]

    def find_job(self, id: str) -> Job | None:
        return next((job for job in self.jobs() if job.id == id), None)

    def webhooks(self, job: Job) -> list[StoredWebhook]:
        return []

    def job_for_idempotency_key(self, mock: str, key: str) -> Job | None:
        return next((job for job in self.jobs() if (job.mock, job.idempotency_key) == (mock, key)), None)

    def answer_count(self, definition: str) -> int:
        return self.counts[definition]

    def fault_count(self, definition: str, stage: int | None = None, response: int = 0) -> int:
        return self.faults[definition, stage, response]

    # For tests

    @property
    def moment(self) -> Moment:
        now = START + self.elapsed
        return Moment(now + 3600, now, self.random)

    def ask(self, method: str, url: str, body: bytes = b"", **headers: str) -> Decision:
        """Decide a request; keep the job that it starts or changes. A delayed response is rendered at once."""
        decision = decide.decide(self.mocks, request(method, url, body, **headers), self.moment, self)
        if decision.mock is not None and decision.delayed is not None:
            decision = self._respond(decision.mock, decision)
        if decision.mock is not None:
            self.counts[decision.mock.definition] += 1
            self.faults[decision.mock.definition, None, decision.chosen] += decision.fault is not None
        if decision.started is not None:
            self.stored.append(replace(decision.started, key=len(self.stored) + 1))
        if decision.changed is not None:
            self.stored = [decision.changed if job.key == decision.changed.key else job for job in self.stored]
        return decision

    def _respond(self, mock: Mock, decision: Decision) -> Decision:
        """Return a decision with its delayed response, chosen and rendered now."""
        delayed, started = decision.delayed, decision.started
        assert delayed is not None
        if delayed.number is None:
            decision = responding.choose(mock, delayed, delayed.job, self.moment, self)
            delayed, started = decision.delayed, None if decision.rejects else started
        response = decision.response
        if delayed is not None:
            response = responding.render_delayed(mock, delayed, delayed.job, self.moment, self)
        started = started and replace(started, response=response, chosen=decision.chosen)
        return replace(decision, response=response, delayed=None, started=started)

    def content(self, decision: Decision, at: int = 0) -> Content:
        """Return the content of webhook number `at` of the job that a decision started or changed."""
        spec, stored = self._webhook(decision, at)
        return rendering.prepare_attempt(spec, decision.mock.constants, stored, self.moment, self)[0]

    def attempt(self, decision: Decision, at: int = 0, number: int = 1, content: Content | None = None) -> Outgoing:
        """Return attempt `number` at that webhook; `content` is what an earlier attempt sent."""
        spec, stored = self._webhook(decision, at)
        stored = replace(stored, attempts=number - 1, content=content)
        outgoing = rendering.prepare_attempt(spec, decision.mock.constants, stored, self.moment, self)[1]
        self.faults[stored.webhook.definition, stored.webhook.mock_stage, 0] += outgoing.fault is not None
        return outgoing

    def _webhook(self, decision: Decision, at: int) -> Any:
        job = decision.started or decision.changed
        assert job is not None
        webhook: Webhook = job.webhooks[at]
        return decision.mock.stages[webhook.mock_stage].webhook, StoredWebhook(1, webhook, job)


def new_scenario(tmp_path: Path, mocks: str, **env: str) -> Scenario:
    """Return a scenario with the mocks of a YAML text; `env` is the environment that it may read."""
    file = tmp_path / "mocks.yaml"
    file.write_text(mocks)
    return Scenario(load([file], env))


def request(method: str, url: str, body: bytes = b"", **headers: str) -> Request:
    """Return a request to an absolute URL. In names of headers `_` stands for `-`."""
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    fields = tuple((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())
    port = parts.port or DEFAULT_PORTS[parts.scheme]
    return Request(method, parts.scheme, parts.hostname or "", port, target, fields, body, len(body))


def json_body(decision: Decision) -> Any:
    """Return the JSON of a decision's response."""
    assert decision.response is not None
    return json.loads(decision.response.body)
