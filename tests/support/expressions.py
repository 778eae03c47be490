"""Evaluate expressions for one fixed request and job."""

import random
import time
from typing import Any, ClassVar

from latehook.base.errors import Place
from latehook.base.messages import Request
from latehook.base.model import Job, Moment, Stage, StoredWebhook
from latehook.expressions.compiler import Compiler
from latehook.expressions.expression import render
from latehook.expressions.names import AT_REQUEST, JOB
from latehook.expressions.sandbox import Sandbox
from latehook.expressions.views import JobView
from latehook.mocks.context import scope_of

NAMES = {**AT_REQUEST, **JOB, "vars": {"verdict": None}}
PLACE = Place("mocks.yaml", 7, "mocks[0].response.json")
BODY = b'{"n": 3, "none": null, "list": [1, null, "x"], "deep": {"items": "a key", "get": 1}, "text": "{{ 7*7 }}", "yes": true}'


class NoJobs:
    """A context with one variable and no jobs."""

    vars: ClassVar = {"verdict": "good"}

    def jobs(self) -> list[Job]:
        return []

    def find_job(self, id: str) -> None:
        return None

    def job_for_idempotency_key(self, mock: str, key: str) -> None:
        return None

    def webhooks(self, job: Job) -> list[StoredWebhook]:
        return []

    def answer_count(self, definition: str) -> int:
        return 0


def evaluate(
    text: str,
    body: bytes | None = BODY,
    target: str = "/jobs/7?a=1&a=2&empty=",
    env: dict[str, str] | None = None,
    sandbox: Sandbox | None = None,
) -> Any:
    """Compile and evaluate one expression. `body` and `target` are the request's, `env` is the environment."""
    compiler = Compiler(env or {}, sandbox=sandbox)
    return render(compiler.compile(text, PLACE, NAMES), scope(compiler, body, target))


def scope(compiler: Compiler, body: bytes | None, target: str = "/jobs/7?a=1&a=2&empty=") -> dict[str, Any]:
    headers = ((b"Content-Type", b"application/json"), (b"X-Foo", b"bar"), (b"X-Foo", b"baz"))
    request = Request(
        "POST", "https", "api.slow.example", 443, target, headers, body, len(body or BODY), captures=(("id", "7"),)
    )
    moment = Moment(1700000001.25, 1690000000.0, random.Random(1))
    stages = (Stage(1700000000.5, "queued"), Stage(1700000060.0, "done"))
    job = Job("j1", "a mock", 1700000000.5, request, stages, {"kind": "a"})
    return scope_of(compiler.constants(), request, moment, NoJobs()) | {"job": JobView(job, moment.now)}


def busy_sandbox(seconds: float) -> Sandbox:
    """Return a sandbox with the filter `busy`: it uses so much processor time, and returns its value."""

    def busy(value: Any) -> Any:
        end = time.thread_time() + seconds
        while time.thread_time() < end:
            pass
        return value

    sandbox = Sandbox()
    sandbox.filters["busy"] = busy
    return sandbox
