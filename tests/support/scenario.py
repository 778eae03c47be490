"""Mocks without a proxy: requests are decided in memory, with a clock that the test sets and seeded random numbers."""

import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from msgspec.structs import replace

from latehook.base.model import Content, Job, Moment, Outgoing, Request, StoredWebhook, Webhook
from latehook.base.redaction import Redaction
from latehook.mocks import decide, rendering
from latehook.mocks.decide import Decision
from latehook.mocks.definitions import Mocks
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
    faults: Counter[tuple[str, int | None]] = field(default_factory=Counter)

    redaction: Redaction = field(default_factory=Redaction)

    def __post_init__(self) -> None:
        self.vars: dict[str, Any] = dict(self.mocks.vars)
        self.random = random.Random(self.seed)

    # The interface `Context` of the package mocks

    def jobs(self) -> list[Job]:
        return self.stored[::-1]

    def find_job(self, id: str) -> Job | None:
        return next((job for job in self.jobs() if job.id == id), None)

    def job_for_idempotency_key(self, mock: str, key: str) -> Job | None:
        return next((job for job in self.jobs() if (job.mock, job.idempotency_key) == (mock, key)), None)

    def answer_count(self, definition: str) -> int:
        return self.counts[definition]

    def fault_count(self, definition: str, stage: int | None = None) -> int:
        return self.faults[definition, stage]

    # For tests

    @property
    def moment(self) -> Moment:
        now = START + self.elapsed
        return Moment(now, now + 3600, self.random, lambda clock: clock - 3600)

    def ask(self, method: str, url: str, body: bytes = b"", **headers: str) -> Decision:
        """Decide a request; keep the job that it starts or changes."""
        answer = decide.decide(self.mocks, request(method, url, body, **headers), self.moment, self)
        if answer.mock is not None:
            self.counts[answer.mock.definition] += 1
            self.faults[answer.mock.definition, None] += answer.fault is not None
        if answer.started is not None:
            self.stored.append(replace(answer.started, key=len(self.stored) + 1))
        if answer.changed is not None:
            self.stored = [answer.changed if job.key == answer.changed.key else job for job in self.stored]
        return answer

    def content(self, answer: Decision, at: int = 0) -> Content:
        """Return the content of the webhook number `at` of the job that `answer` started or changed."""
        plan, owed = self._owed(answer, at)
        return rendering.prepare_attempt(plan, answer.mock.constants, owed, self.moment, self)[0]

    def attempt(self, answer: Decision, at: int = 0, number: int = 1, content: Content | None = None) -> Outgoing:
        """Return attempt `number` at that webhook; `content` is what an earlier attempt sent."""
        plan, owed = self._owed(answer, at)
        owed = replace(owed, attempts=number - 1, content=content)
        outgoing = rendering.prepare_attempt(plan, answer.mock.constants, owed, self.moment, self)[1]
        self.faults[owed.webhook.definition, owed.webhook.mock_stage] += outgoing.fault is not None
        return outgoing

    def _owed(self, answer: Decision, at: int) -> Any:
        job = answer.started or answer.changed
        assert job is not None
        webhook: Webhook = job.webhooks[at]
        return answer.mock.stages[webhook.mock_stage].webhook, StoredWebhook(1, webhook, job)


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
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    return Request(method, parts.scheme, parts.hostname or "", port, target, fields, body, len(body))
