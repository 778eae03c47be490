"""The client asks for the bodies that a list has only in part, and for nothing else."""

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from latehook.api import payloads
from latehook.api.models import Job, Webhook
from latehook.client import calls
from latehook.client.calls import ApiRequest, ApiResponse, Call
from latehook.control import examples

WHOLE = examples.WEBHOOK
CUT = replace(WHOLE, body='{"id', truncated=True)
CUT_ANSWER = replace(WHOLE, attempts=(replace(examples.ATTEMPT, body="o", truncated=True),))
CUT_JOB = replace(
    examples.JOB,
    request=replace(examples.JOB.request, body="", truncated=True),
    response=replace(examples.JOB.response, body="", truncated=True),  # type: ignore[type-var]
    webhooks=(CUT,),
)


def run[Result](call: Call[Result], *responses: Any) -> tuple[Result, list[ApiRequest]]:
    """Return a call's result and requests. The responses are structures, or a status."""
    asked = []
    answers = iter(responses)
    request = next(call)
    while True:
        asked.append(request)
        answer = next(answers)
        status, value = (answer, None) if isinstance(answer, int) else (200, answer)
        try:
            request = call.send(ApiResponse(status, msgspec.json.encode(value)))
        except StopIteration as ended:
            return ended.value, asked


@pytest.mark.parametrize("listed", [CUT, CUT_ANSWER], ids=["body", "answer"])
def test_a_webhook_with_a_truncated_body_is_asked_for_by_its_id(listed: Webhook) -> None:
    page = payloads.WebhookPage(items=(WHOLE, listed), next=None)

    webhooks, asked = run(calls.webhooks({}), page, WHOLE)
    assert webhooks == [WHOLE, WHOLE]
    assert [request.path for request in asked] == ["webhooks", f"webhooks/{WHOLE.id}"]


def test_a_webhook_keeps_the_state_in_which_it_was_listed() -> None:
    pending = replace(CUT, state=examples.PENDING.state, attempts=())

    [webhook], _ = run(calls.wait_for("pending", 1, "1s", {}), payloads.WebhookList((pending,)), WHOLE)
    assert webhook == replace(WHOLE, state=examples.PENDING.state, attempts=())


def test_a_job_with_a_truncated_body_is_asked_for_by_its_id_and_number() -> None:
    job = replace(CUT_JOB, id="a/b c")
    page = payloads.JobPage(items=(examples.JOB, job), next=None)

    jobs, asked = run(calls.jobs({}), page, replace(examples.JOB, id="a/b c"))
    assert jobs == [replace(examples.JOB, id="a/b c"), examples.JOB]
    assert [(request.path, request.query.get("number")) for request in asked[1:]] == [("jobs/a%2Fb%20c", "17")]


@pytest.mark.parametrize(
    ("call", "page", "listed"),
    [
        (calls.webhooks, payloads.WebhookPage(items=(CUT,), next=None), CUT),
        (calls.jobs, payloads.JobPage(items=(CUT_JOB,), next=None), CUT_JOB),
    ],
)
def test_what_was_deleted_meanwhile_stays_as_it_was_listed(call: Any, page: Any, listed: Webhook | Job) -> None:
    assert run(call({}), page, 404)[0] == [listed]


def test_a_list_of_small_bodies_takes_one_request() -> None:
    assert len(run(calls.webhooks({}), payloads.WebhookPage(items=(WHOLE,) * 50, next=None))[1]) == 1
    assert len(run(calls.jobs({}), payloads.JobPage(items=(examples.JOB,) * 50, next=None))[1]) == 1
