"""Faults of responses and of attempts, their chance and their count."""

from collections.abc import Callable
from typing import Any

import pytest

from latehook.base.messages import ResponseFault
from support.scenario import Scenario, json_body

JOBS = "https://api.slow.example/jobs"


FAULTY = """
mocks:
  - match: POST api.slow.example/jobs
    job: {idempotency_key: "{{ request.headers.key }}"}
    response: {json: {id: "{{ job.id }}"}, fault: FAULT}
    webhook:
      to: http://app.test/
      json: {id: "{{ job.id }}", drawn: "{{ uuid() }}"}
      sign: {scheme: github, secret: s}
"""


def test_a_job_starts_though_its_response_has_a_fault(scenario_of: Callable[..., Scenario]) -> None:
    decision = scenario_of(FAULTY.replace("FAULT", "reset")).ask("POST", JOBS)

    assert decision.fault is ResponseFault.RESET
    assert decision.started is not None
    assert json_body(decision) == {"id": decision.started.id}


@pytest.mark.parametrize("fault", ["null", "{kind: empty, chance: 0}"])
def test_a_fault_of_null_or_without_a_chance_never_happens(scenario_of: Callable[..., Scenario], fault: str) -> None:
    assert scenario_of(FAULTY.replace("FAULT", fault)).ask("POST", JOBS).fault is None


def test_a_chance_is_drawn_for_each_response_and_changes_nothing_else(scenario_of: Callable[..., Scenario]) -> None:
    def run(fault: str, seed: int = 1) -> list[Any]:
        scenario = scenario_of(FAULTY.replace("FAULT", fault))
        scenario.random.seed(seed)
        return [scenario.ask("POST", JOBS) for _ in range(500)]

    def faults(decisions: list[Any]) -> list[Any]:
        return [decision.fault for decision in decisions]

    some = faults(run("{kind: empty, chance: 0.2}"))

    assert 70 < some.count(ResponseFault.EMPTY) < 130
    assert some.count(None) == 500 - some.count(ResponseFault.EMPTY)
    assert some == faults(run("{kind: empty, chance: 0.2}"))
    assert some != faults(run("{kind: empty, chance: 0.2}", seed=2))
    assert [json_body(decision) for decision in run("reset")] == [json_body(decision) for decision in run("null")]


def test_a_fault_happens_the_first_count_times(scenario_of: Callable[..., Scenario]) -> None:
    scenario = scenario_of(FAULTY.replace("FAULT", "{kind: hang, count: 2}"))
    rarely = scenario_of(FAULTY.replace("FAULT", "{kind: hang, chance: 0.3, count: 2}"))

    assert [scenario.ask("POST", JOBS).fault for _ in range(4)] == ["hang", "hang", None, None]
    assert [rarely.ask("POST", JOBS).fault for _ in range(50)].count(ResponseFault.HANG) == 2


def test_a_request_repeated_after_a_fault_gets_the_first_response(scenario_of: Callable[..., Scenario]) -> None:
    scenario = scenario_of(FAULTY.replace("FAULT", "{kind: empty, count: 1}"))

    lost, again = scenario.ask("POST", JOBS, key="a"), scenario.ask("POST", JOBS, key="a")

    assert (lost.fault, again.fault, again.started) == ("empty", None, None)
    assert again.response == lost.response


def test_an_error_response_has_no_fault(scenario_of: Callable[..., Scenario]) -> None:
    scenario = scenario_of(FAULTY.replace("FAULT", "reset").replace("job.id", "1 / request.json.n"))

    decision = scenario.ask("POST", JOBS)

    assert decision.response is not None
    assert (decision.response.status, decision.fault) == (500, None)


def faulty(scenario_of: Callable[..., Scenario], fault: str) -> Scenario:
    return scenario_of(FAULTY.replace("FAULT", "null").replace("      to:", f"      fault: {fault}\n      to:"))


@pytest.mark.parametrize("fault", ["drop", "duplicate"])
def test_drop_and_duplicate_leave_the_attempt_as_it_is(scenario_of: Callable[..., Scenario], fault: str) -> None:
    attempts = [
        scenario.attempt(scenario.ask("POST", JOBS))
        for scenario in (faulty(scenario_of, fault), faulty(scenario_of, "null"))
    ]

    assert [attempt.fault for attempt in attempts] == [fault, None]
    assert attempts[0].body == attempts[1].body
    assert attempts[0].headers == attempts[1].headers


def test_a_corrupt_body_has_the_length_and_signature_of_the_right_one(scenario_of: Callable[..., Scenario]) -> None:
    wrong, right = (
        scenario.attempt(scenario.ask("POST", JOBS))
        for scenario in (faulty(scenario_of, "corrupt-body"), faulty(scenario_of, "null"))
    )

    assert (wrong.body[:1], wrong.body[1:]) == (b"~", right.body[1:])
    assert wrong.headers == right.headers


@pytest.mark.parametrize(("text", "sent"), [("~1", b"!1"), ("{{ none }}", b"~")])
def test_every_body_can_be_corrupted(scenario_of: Callable[..., Scenario], text: str, sent: bytes) -> None:
    scenario = scenario_of(f"""
mocks: [{{match: POST api.slow.example/jobs, webhook: {{to: "http://app.test/", text: "{text}", fault: corrupt-body}}}}]
""")

    assert scenario.attempt(scenario.ask("POST", JOBS)).body == sent


def test_a_corrupt_signature_leaves_the_body_as_it_is(scenario_of: Callable[..., Scenario]) -> None:
    wrong, right = (
        scenario.attempt(scenario.ask("POST", JOBS))
        for scenario in (faulty(scenario_of, "corrupt-signature"), faulty(scenario_of, "null"))
    )

    assert wrong.body == right.body
    assert [name for name, value in wrong.headers if (name, value) not in right.headers] == ["X-Hub-Signature-256"]


def test_the_fault_of_an_attempt_does_not_depend_on_the_order_of_attempts(scenario_of: Callable[..., Scenario]) -> None:
    def run(attempts: list[int]) -> list[Any]:
        scenario = faulty(scenario_of, "{kind: drop, chance: 0.5}")
        jobs = [scenario.ask("POST", JOBS) for _ in range(20)]
        return [scenario.attempt(job, number=number).fault for number in attempts for job in jobs]

    straight, reversed = run([1, 2]), run([2, 1])

    assert {"drop", None} == set(straight)
    assert straight == reversed[20:] + reversed[:20]
    assert straight[:20] != straight[20:]


def test_each_stage_of_a_mock_counts_its_own_faults(scenario_of: Callable[..., Scenario]) -> None:
    scenario = scenario_of("""
mocks:
  - match: POST api.slow.example/jobs
    webhook: {to: "http://app.test/", fault: {kind: drop, count: 1}}
    stages: [{webhook: true}, {webhook: true}, {webhook: {fault: null}}]
""")
    jobs = [scenario.ask("POST", JOBS) for _ in range(2)]

    assert [[scenario.attempt(job, at).fault for at in (0, 1, 2)] for job in jobs] == [
        ["drop", "drop", None],
        [None] * 3,
    ]
