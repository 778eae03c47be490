"""Several responses, of which one is chosen."""

import json
from collections.abc import Callable

import pytest

from support.scenario import Scenario, json_body

JOBS = "https://api.slow.example/jobs"
MOCKS = """
mocks:
  - match: POST api.slow.example/jobs
    job: {id: "{{ request.json.id }}", idempotency_key: "{{ request.headers.key }}"}
    response:
      - {when: not request.json.url, status: 400, rejects: true, json: {error: "{{ job.id }}"}}
      - {when: request.json.slow, status: 202, delay: "{{ request.json.slow }}", fault: {kind: reset, count: 1}}
      - {when: request.json.by, status: "{{ 200 // request.json.by }}"}
      - {status: 201, json: {id: "{{ job.id }}"}, fault: {kind: empty, count: 1}}
    webhook: {to: "{{ request.json.url }}"}
  - match: GET api.slow.example/jobs/{id}
    lookup: request.path.id
    response: [{when: "job.status == 'pending'", status: 202}, {json: {status: "{{ job.status }}"}}]
  - match: GET api.slow.example/simple
    response: [{when: request.query.a, text: a}, {text: b}]
"""


@pytest.fixture
def scenario(scenario_of: Callable[..., Scenario]) -> Scenario:
    return scenario_of(MOCKS)


def status(scenario: Scenario, method: str = "POST", asked: str = JOBS, **document: object) -> int:
    decision = scenario.ask(method, asked, json.dumps(document).encode())
    assert decision.response is not None
    return decision.response.status


def test_the_first_response_whose_condition_holds_is_given_else_the_last(scenario: Scenario) -> None:
    assert status(scenario, id="a", url="http://app.test/") == 201
    assert status(scenario, id="b", url="http://app.test/", slow="2s") == 202
    assert status(scenario, "GET", "https://api.slow.example/simple?a=1") == 200
    texts = [scenario.ask("GET", f"https://api.slow.example/simple?{query}").response for query in ("a=1", "a=")]
    assert [response and response.body for response in texts] == [b"a", b"b"]
    assert status(scenario, "GET", f"{JOBS}/a") == 200
    assert [job.chosen for job in scenario.stored] == [3, 1]


def test_a_response_that_rejects_starts_no_job(scenario: Scenario) -> None:
    decision = scenario.ask("POST", JOBS, b'{"id": "a"}')

    assert decision.response is not None and decision.response.status == 400
    assert json_body(decision) == {"error": "a"}
    assert (decision.started, decision.job_id, scenario.stored) == (None, None, [])
    assert status(scenario, "GET", f"{JOBS}/a") == 404


def test_each_response_has_its_delay_and_counts_its_own_faults(scenario: Scenario) -> None:
    slow = [scenario.ask("POST", JOBS, b'{"id": "a", "url": "http://a.test/", "slow": "2s"}') for _ in range(2)]
    fast = [scenario.ask("POST", JOBS, b'{"id": "a", "url": "http://a.test/"}') for _ in range(2)]

    assert [(one.delay, one.fault) for one in slow] == [(2, "reset"), (2, None)]
    assert [(one.delay, one.fault) for one in fast] == [(0, "empty"), (0, None)]


def test_a_repeated_request_gets_the_response_that_was_chosen(scenario: Scenario) -> None:
    first = scenario.ask("POST", JOBS, b'{"id": "a", "url": "http://a.test/", "slow": "2s"}', key="k")
    second = scenario.ask("POST", JOBS, b'{"id": "b", "url": "", "slow": "3s"}', key="k")

    assert first.response is not None
    assert second.response == first.response
    assert (second.delay, second.chosen) == (3, 1)
    assert len(scenario.stored) == 1


def test_an_expression_that_fails_gives_a_500_and_no_job(scenario: Scenario) -> None:
    assert status(scenario, id="a", url="http://app.test/", by="x") == 500
    assert scenario.stored == []


def test_a_response_after_the_webhooks_before_it_is_not_chosen_at_the_request(
    scenario_of: Callable[..., Scenario],
) -> None:
    scenario = scenario_of("""
mocks:
  - match: POST api.slow.example/jobs
    response: [{when: request.json.a, status: 400, rejects: true}, {status: 201}]
    webhook: {after: before-response, to: "http://app.test/"}
""")

    assert status(scenario, a=1) == 400
    assert scenario.stored == []
    assert status(scenario) == 201
    assert [job.chosen for job in scenario.stored] == [1]
