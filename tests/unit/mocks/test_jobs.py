"""What a job consists of: its stages, its webhooks and their targets, the request that it keeps."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from latehook.base.model import State
from latehook.bodies import decoding
from support.scenario import START, Scenario

JOBS = "https://api.slow.example/jobs"


@pytest.mark.parametrize(
    ("to", "state", "reason"),
    [
        ('"{{ request.json.none }}"', State.SKIPPED, "its `to` is null"),
        ('"{{ request.json.bad }}"', State.FAILED, "its `to` is 'app:8000', which is not a URL"),
        ('"http://app.test/"\n      when: request.json.none', State.SKIPPED, "its `when` is false"),
    ],
)
def test_a_webhook_without_a_target_has_the_reason(
    scenario_of: Callable[..., Scenario], to: str, state: State, reason: str
) -> None:
    scenario = scenario_of(f"""
mocks:
  - match: POST api.slow.example/
    webhook:
      to: {to}
""")

    decision = scenario.ask("POST", "https://api.slow.example/", b'{"bad": "app:8000"}')

    assert decision.started is not None
    [webhook] = decision.started.webhooks
    assert webhook.state is state
    assert (webhook.reason or "").startswith(reason)


def test_each_of_several_targets_gets_a_webhook_of_its_own(scenario_of: Callable[..., Scenario]) -> None:
    scenario = scenario_of("""
mocks: [{match: POST api.slow.example/, webhook: {to: "{{ request.json.urls }}", event: done}}]
""")

    decision = scenario.ask(
        "POST", "https://api.slow.example/", b'{"urls": ["http://a.test/", null, "http://b.test/"]}'
    )

    assert decision.started is not None
    webhooks = decision.started.webhooks
    assert [webhook.to for webhook in webhooks] == ["http://a.test/", None, "http://b.test/"]
    assert [webhook.event for webhook in webhooks] == ["done"] * 3
    assert len({webhook.id for webhook in webhooks}) == 3


def test_delays_are_drawn_at_the_request_and_stages_stay_in_order(scenario_of: Callable[..., Scenario]) -> None:
    scenario = scenario_of("""
mocks:
  - match: POST api.slow.example/
    response: {delay: {uniform: [1s, 2s]}}
    stages:
      - {after: {uniform: [5s, 10s]}, status: a}
      - {after: {lognormal: {median: 60s, sigma: 0.3}}, status: b}
      - {after: 1s, status: c}
""")

    decisions = [scenario.ask("POST", "https://api.slow.example/") for _ in range(20)]
    dues = [
        [stage.due - START - 3600 for stage in decision.started.stages] for decision in decisions if decision.started
    ]

    assert all(1 <= decision.delay <= 2 for decision in decisions)
    assert all(5 <= a <= 10 and a <= b == c for a, b, c in dues)
    assert len({b for _, b, _ in dues}) == 20


def test_a_webhook_without_stages_gives_the_job_its_status(scenario_of: Callable[..., Scenario]) -> None:
    scenario = scenario_of("""
mocks:
  - name: orders
    match: POST api.slow.example/
    webhook: {after: 5s, status: "{{ request.query.end }}", to: "http://app.test/", json: "{{ job.mock }} {{ job.status }}"}
""")

    decision = scenario.ask("POST", "https://api.slow.example/?end=refunded")

    assert decision.started is not None
    assert [stage.status for stage in decision.started.stages] == ["refunded"]
    assert [webhook.event for webhook in decision.started.webhooks] == ["refunded"]
    assert scenario.content(decision).body == b'"orders refunded"'


def test_a_webhook_before_the_response_is_due_at_once(scenario_of: Callable[..., Scenario]) -> None:
    scenario = scenario_of("""
mocks: [{match: POST api.slow.example/, webhook: {after: before-response, to: "http://app.test/"}}]
""")

    decision = scenario.ask("POST", "https://api.slow.example/")

    assert decision.started is not None
    assert [(webhook.before_response, webhook.due) for webhook in decision.started.webhooks] == [(True, START + 3600)]


def test_a_target_may_come_from_an_earlier_request(scenario_of: Callable[..., Scenario]) -> None:
    scenario = scenario_of("""
mocks:
  - {match: POST api.slow.example/hooks, name: register, job: {}}
  - match: POST api.slow.example/jobs
    webhook: {to: "{{ jobs | selectattr('request.path', 'equalto', '/hooks') | map(attribute='request.json.url') | list }}"}
""")
    for url in (b'{"url": "http://a.test/"}', b'{"url": "http://b.test/"}'):
        scenario.ask("POST", "https://api.slow.example/hooks", url)

    decision = scenario.ask("POST", JOBS)

    assert decision.started is not None
    assert [webhook.to for webhook in decision.started.webhooks] == ["http://b.test/", "http://a.test/"]


def test_a_job_keeps_a_large_body_only_if_a_later_message_reads_it(scenario_of: Callable[..., Scenario]) -> None:
    not_reading = """
mocks: [{match: POST api.slow.example/, webhook: {to: "{{ request.json.url }}", json: {id: "{{ job.id }}"}}}]
"""
    reading = not_reading.replace('id: "{{ job.id }}"', 'n: "{{ request.json.n }}"')
    large = b'{"url": "http://app.test/", "n": "%s"}' % (b"n" * decoding.SMALL_BODY_SIZE)
    small = b'{"url": "http://app.test/", "n": 1}'

    def kept(mocks: str, body: bytes) -> tuple[bytes | None, int]:
        decision = scenario_of(mocks).ask("POST", "https://api.slow.example/", body)
        assert decision.started is not None
        return decision.started.request.body, decision.started.request.size

    assert kept(not_reading, small) == (small, len(small))
    assert kept(not_reading, large) == (None, len(large))
    assert kept(reading, large) == (large, len(large))


LIMITED = """
mocks:
  - match: POST api.slow.example/jobs
    job: {id: "{{ request.json.id }}", idempotency_key: "{{ request.json.key }}"}
    webhook: {to: "{{ request.json.to }}", event: "{{ request.json.event }}"}
"""


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"id": "x" * 1001}, "job.id has 1,001 characters, and may have 1,000"),
        ({"id": "1", "key": "x" * 2000}, "job.idempotency_key has 2,000 characters, and may have 1,000"),
        ({"id": "1", "event": "x" * 1001}, "webhook.event has 1,001 characters, and may have 1,000"),
        ({"id": "1", "to": [None] * 1001}, "`to` is a list of 1,001 URLs, and may have 1,000"),
    ],
)
def test_names_and_targets_have_limits(
    scenario_of: Callable[..., Scenario], document: dict[str, Any], problem: str
) -> None:
    decision = scenario_of(LIMITED).ask("POST", JOBS, json.dumps(document).encode())

    assert decision.response is not None and decision.started is None
    error = json.loads(decision.response.body)["error"]
    assert decision.response.status == 500
    assert problem in error and len(error) < 1500


def test_a_url_has_at_most_8000_characters(scenario_of: Callable[..., Scenario]) -> None:
    to = ["http://app.test/" + "x" * (length - 16) for length in (8000, 8001)]
    scenario = scenario_of(LIMITED)
    decision = scenario.ask("POST", JOBS, json.dumps({"id": "1", "to": to}).encode())

    assert decision.started is not None
    allowed, long = decision.started.webhooks
    assert (allowed.to, allowed.state) == (to[0], State.PENDING)
    assert (long.state, long.reason[:60]) == (
        State.FAILED,
        "its `to` has 8,001 characters, and a URL may have 8,000: htt",
    )
