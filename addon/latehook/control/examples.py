"""Examples for the OpenAPI document: one job of an imaginary service, and what the API answers about it."""

from typing import Any

from latehook.api import models, payloads
from latehook.base.model import State
from latehook.control.params import Variables

_AT = 1_767_225_600.0  # 2026-01-01, midnight in UTC

ATTEMPT = models.Attempt(
    number=1, at=_AT + 65, ended_at=_AT + 65.02, clock_at=_AT + 65, status=200, error=None, size=2, body="ok"
)

WEBHOOK = models.Webhook(
    id="90c1a3de-6c2b-4f0e-8a57-2f4f2d1c7b60",
    job="4a3a6ff5",
    mock="create transcript",
    event="completed",
    state=State.DELIVERED,
    reason=None,
    url="http://app.test/hook",
    stage=0,
    due_at=_AT + 65,
    due_in=None,
    method="POST",
    content_type="application/json",
    size=38,
    body='{"id":"4a3a6ff5","status":"completed"}',
    attempts=(ATTEMPT,),
    ahead=0.0,
)

PENDING = models.Webhook(
    id="90c1a3de-6c2b-4f0e-8a57-2f4f2d1c7b61",
    job="4a3a6ff6",
    mock="create transcript",
    event="completed",
    state=State.PENDING,
    reason=None,
    url="http://app.test/hook",
    stage=0,
    due_at=_AT + 70,
    due_in=60.0,
    method=None,
    content_type=None,
    size=None,
    body=None,
    attempts=(),
    ahead=0.0,
)

JOB = models.Job(
    id="4a3a6ff5",
    number=17,
    mock="create transcript",
    distinction=None,
    status="completed",
    created_at=_AT,
    ended=True,
    vars={},
    request=models.JobRequest(
        method="POST",
        url="https://api.slow.example/transcripts",
        headers=(("content-type", "application/json"),),
        size=39,
        body='{"callback_url":"http://app.test/hook"}',
    ),
    response=models.JobResponse(
        status=200, headers=(("content-type", "application/json"),), size=17, body='{"id":"4a3a6ff5"}'
    ),
    stages=(models.Stage(status="completed", due_at=_AT + 65, reached=True),),
    webhooks=(WEBHOOK,),
    ahead=0.0,
)

REQUEST = models.Request(
    number=2,
    at=_AT + 1,
    method="POST",
    url="https://api.slow.example/transcript",
    status=501,
    matched=False,
    mock=None,
    job=None,
    why=(
        models.NearMiss(
            mock="create transcript", place="mocks.yaml:2", differs="path is /transcript, not /transcripts"
        ),
    ),
    suggestion="mocks:\n  - match: POST https://api.slow.example/transcript\n    response: {json: {status: done}}\n",
    problems=(),
)

OTHER = models.OtherRequest(number=1, at=_AT + 2, method="CONNECT", url="other.example:443")

CLOCK = payloads.Clock(now=_AT + 65, real=_AT + 5, speed=1.0)
MOCK = payloads.Mock(
    name="create transcript", match="POST https://api.slow.example/transcripts", place="mocks.yaml:2", when=None
)

STATUS = payloads.Status(
    version="0.1.0",
    ready=True,
    clock=CLOCK,
    holding=False,
    vars={"verdict": "completed"},
    counts=payloads.Counts(
        jobs=1, webhooks={state: int(state is State.DELIVERED) for state in State}, requests=2, unmatched=1
    ),
    mocks=(MOCK,),
    revision=17,
    waiting=0,
    problems=(),
)

MOCKS = {"mocks": [{"match": "GET api.slow.example/health", "response": {"text": "ok"}}]}
MOCKS_TEXT = """\
mocks:
  - match: GET api.slow.example/health
    response: {text: ok}
"""
"""The same in YAML."""
MOCKS_WITH_FILES = {
    "mocks": "mocks: [{match: GET api.slow.example/report, response: {file: report.txt}}]",
    "files": {"report.txt": "b2s="},
}

RESULTS: dict[Any, Any] = {
    models.Job: JOB,
    models.Webhook: WEBHOOK,
    payloads.JobPage: payloads.JobPage(items=(JOB,), next=None),
    payloads.WebhookPage: payloads.WebhookPage(items=(WEBHOOK,), next="4711"),
    payloads.RequestPage: payloads.RequestPage(items=(REQUEST,), next=None),
    payloads.OtherPage: payloads.OtherPage(items=(OTHER,), next=None),
    payloads.WebhookList: payloads.WebhookList((WEBHOOK,)),
    payloads.IdList: payloads.IdList((WEBHOOK.id,)),
    payloads.MockList: payloads.MockList((MOCK,)),
    payloads.Status: STATUS,
    payloads.Advanced: payloads.Advanced(clock=CLOCK, left=()),
    Variables: {"verdict": "completed"},
}
"""An example of each type of result."""

PROBLEMS = {
    400: ("A parameter or the body is wrong.", "there is no parameter 'stat'; did you mean 'state'?"),
    401: ("The client is on another machine, and its token is missing or wrong.", "a token is needed: send the header"),
    403: (
        "The client is on another machine and `mock_token` is not set, or a page of another site sent the request.",
        "192.0.2.7 is not this machine: start with --set mock_token=TOKEN to permit others",
    ),
    404: ("Nothing has this id.", "there is no job '4a3a6ff5'"),
    408: ("The time is over. The answer has what did happen.", "within 10s 0 of 1 webhook delivered; …"),
    409: (
        "The webhook is in a state in which this cannot be done.",
        "webhook 90c1a3de is canceled: this needs one that is pending or held or delivering",
    ),
    413: ("The body is too large.", "the body is too large"),
    415: (
        "The body's content type is missing or not supported.",
        "there is no content type: send the header `content-type: application/json`",
    ),
    500: ("An internal error. The log has more.", "an internal error: KeyError; the log has the traceback"),
    503: ("The store cannot be written. Nothing has changed.", "the store cannot be written: disk full"),
}
"""What each status of a problem means, and an example of `detail`."""

WAIT_PROBLEM = payloads.WaitProblem(
    title="Request Timeout",
    status=408,
    detail="within 10s 0 of 1 webhook delivered; webhook 90c1a3de of job 4a3a6ff6 is pending, due in 60.0 s; "
    "2 requests came, 1 of them matched no mock",
    found=(),
    webhooks=(PENDING,),
    requests=(REQUEST,),
    unmatched=(REQUEST,),
)
