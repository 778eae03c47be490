"""What depends on the answers and the ends of earlier webhooks, through real processes that are killed meanwhile."""

import json
import threading

import latehook
from support.limits import LIMIT
from support.programs import curl
from support.receivers import Handler, Receiver, answer
from support.stored_jobs import Start
from support.waiting import wait_until

MOCKS = """
mocks:
  - match: POST api.slow.example/calls
    job: {id: "{{ request.form.id }}"}
    response:
      - {when: not job.webhooks.token.json.access_token, rejects: true, status: 422, json: {error: no token}}
      - {status: 201, json: {id: "{{ job.id }}"}}
    stages:
      - after: before-response
        webhook: {event: token, to: "{{ env.CALLBACK_URL }}/token", method: GET, retry: none}
      - {status: calling, webhook: {event: primary, to: "{{ env.CALLBACK_URL }}/primary", retry: none}}
      - after: {ended: primary, plus: 1h}
        status: "{{ 'answered' if job.webhooks.primary.state == 'delivered' else 'fallen back' }}"
        webhook:
          event: fallback
          to: "{{ env.CALLBACK_URL }}/{{ job.webhooks.primary.json.next }}"
          when: job.webhooks.primary.state == 'failed'
          headers: {authorization: "Bearer {{ job.webhooks.token.json.access_token }}"}
          form: {ErrorUrl: "{{ job.webhooks.primary.url }}", ErrorCode: "{{ job.webhooks.primary.status }}"}
      - {after: 5s, status: closed, webhook: {event: last, to: "{{ env.CALLBACK_URL }}/last", text: "{{ job.status }}"}}
"""


def test_a_webhook_that_waits_for_the_end_of_another_outlives_kills_and_is_decided_once(
    start_with_store: Start, sut: Receiver
) -> None:
    attempts, is_killed = threading.Event(), threading.Event()

    def behave(handler: Handler, number: int) -> None:
        path = sut.requests[number].path
        if path == "/token":
            answer(200, b'{"access_token": "{{ 7 * 7 }}"}', content_type="application/json")(handler, number)
        elif path == "/primary":
            attempts.set()
            is_killed.wait(LIMIT)
            answer(503, '{"next": "rück"}'.encode("latin-1"), content_type="text/json; charset=latin1")(handler, number)
        else:
            answer(200)(handler, number)

    sut.behave = behave
    proxy = start_with_store(mocks=MOCKS)
    made = curl("-x", proxy.url, "-d", "id=call-1", "http://api.slow.example/calls").stdout
    assert json.loads(made) == {"id": "call-1"}
    assert attempts.wait(LIMIT)
    with latehook.connect(proxy.port) as client:
        [last, fallback] = [client.webhooks(event=event)[0] for event in ("last", "fallback")]
        assert [(each.due_at, each.due_in, each.waits_for) for each in (last, fallback)] == [
            (None, None, "primary")
        ] * 2
        assert next(webhook.event for webhook in client.pending()) == "primary"
        [job] = client.jobs()
        assert [stage.waits_for for stage in job.stages] == [None, None, "primary", "primary"]
    proxy.kill()
    is_killed.set()

    proxy = start_with_store(mocks=MOCKS)
    with latehook.connect(proxy.port) as client:
        [primary] = client.wait_for(state="failed", event="primary")
        wait_until(lambda: client.webhooks(event="fallback")[0].due_at is not None, "the fallback has a time")
        [fallback] = client.webhooks(event="fallback")
        assert (fallback.url, fallback.waits_for, client.jobs()[0].status) == (None, None, "calling")
        assert [attempt.status for attempt in primary.attempts] == [503]
    proxy.kill()

    proxy = start_with_store(mocks=MOCKS)
    with latehook.connect(proxy.port) as client:
        client.advance("2h")
        [job] = client.jobs()
        assert [(stage.status, stage.error) for stage in job.stages][2:] == [("fallen back", None), ("closed", None)]
        assert (job.status, job.ended) == ("closed", True)
        assert client.pending() == []
    paths = [request.path for request in sut.requests]
    assert paths == ["/token", "/primary", "/primary", "/r%C3%BCck", "/last"]
    sent = sut.requests[3]
    assert sent.headers["authorization"] == "Bearer {{ 7 * 7 }}"
    assert sent.body.decode() == f"ErrorUrl=http%3A%2F%2F127.0.0.1%3A{sut.port}%2Fprimary&ErrorCode=503"


def test_a_registration_without_a_token_is_taken_back(start_with_store: Start, sut: Receiver) -> None:
    sut.behave = answer(200, b"[" * 100_000, content_type="application/json")
    proxy = start_with_store(mocks=MOCKS)

    refused = curl("-x", proxy.url, "-w", "%{http_code}", "-d", "id=call-2", "http://api.slow.example/calls").stdout

    assert refused.endswith("500")
    assert "the answer has more than 65,536 bytes" in refused
    with latehook.connect(proxy.port) as client:
        assert client.jobs() == []
