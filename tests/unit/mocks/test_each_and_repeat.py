"""How many webhooks a stage sends: for each item of a list, and again and again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latehook.mocks.decisions import Decision
from latehook.mocks.definitions import Mocks
from latehook.mocksfile.loading import load
from support.scenario import START, Scenario

JOBS = "https://api.slow.example/jobs"
REPEATED = """
mocks:
  - match: POST api.slow.example/jobs
    stages:
      - after: "{{ request.json.first | default(5) }}"
        status: progress
        webhook: true
        repeat: {every: "{{ request.json.every | default(10) }}", times: "{{ request.json.times }}"}
      - {after: "{{ request.json.done | default(0) }}", status: done, webhook: {json: done}}
    webhook: {to: "http://app.test/{{ index }}", event: "{{ job.status }}", json: ["{{ index }}", "{{ job.status }}"]}
"""
UNTIL_NEXT = REPEATED.replace(', times: "{{ request.json.times }}"', "")


def ask(scenario: Scenario, document: Any) -> Decision:
    return scenario.ask("POST", JOBS, json.dumps(document).encode())


def webhooks(decision: Decision) -> list[tuple[float, str | None, str | None]]:
    """Return the webhooks of the started job: seconds after the request, URL, event."""
    assert decision.started is not None, decision.response
    return [(round(one.due - START - 3600, 3), one.to, one.event) for one in decision.started.webhooks]


def error(decision: Decision) -> str:
    assert decision.started is None and decision.response is not None
    assert decision.response.status == 500
    message: str = json.loads(decision.response.body)["error"]
    return message


# each

EACH = """
mocks:
  - match: POST api.slow.example/jobs
    webhook:
      to: "{{ item.url or 'http://app.test/' }}"
      when: item.amount != 0
      event: "sent.{{ index }}"
      headers: {x-index: "{{ index }}"}
      json: {amount: "{{ item.amount }}", of: "{{ request.json.all | length }}"}
    each: request.json.all
"""


def test_each_item_of_a_list_gets_a_webhook_that_sees_it(scenario_of: Callable[..., Scenario]) -> None:
    scenario = scenario_of(EACH)
    decision = scenario.ask("POST", JOBS, b'{"all": [{"amount": 10.00, "url": "http://a.test/"}, {"amount": 0}, null]}')

    assert [(to, event) for _, to, event in webhooks(decision)] == [
        ("http://a.test/", "sent.0"),
        ("http://app.test/", "sent.1"),
        ("http://app.test/", "sent.2"),
    ]
    assert decision.started is not None
    assert [webhook.state for webhook in decision.started.webhooks] == ["pending", "skipped", "pending"]
    assert len({webhook.id for webhook in decision.started.webhooks}) == 3
    assert [scenario.content(decision, at).body for at in (0, 2)] == [
        b'{"amount":10.00,"of":3}',
        b'{"amount":null,"of":3}',
    ]
    assert dict(scenario.attempt(decision, 2).headers)["x-index"] == "2"


@pytest.mark.parametrize("document", [{"all": []}, {}])
def test_an_empty_list_or_null_sends_nothing(scenario_of: Callable[..., Scenario], document: Any) -> None:
    decision = ask(scenario_of(EACH), document)

    assert webhooks(decision) == []
    assert decision.started is not None and len(decision.started.stages) == 1


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"all": {"a": 1}}, 'mocks.yaml:10: mocks[0].each: {"a":1} is not a list: `each` needs one'),
        ({"all": "abc"}, 'mocks.yaml:10: mocks[0].each: "abc" is not a list'),
        ({"all": [1] * 1001}, "mocks.yaml:10: mocks[0].each: the list has 1,001 items, and may have 1,000"),
    ],
)
def test_what_is_no_list_or_too_long_is_an_error(
    scenario_of: Callable[..., Scenario], document: Any, problem: str
) -> None:
    assert problem in error(ask(scenario_of(EACH), document))


def test_a_stage_has_the_each_of_its_mock_or_its_own(scenario_of: Callable[..., Scenario]) -> None:
    scenario = scenario_of("""
mocks:
  - match: POST api.slow.example/jobs
    webhook: {to: "http://app.test/{{ item }}"}
    each: [a, b]
    stages:
      - {status: one, webhook: true}
      - {status: two, webhook: {method: PUT}, each: "{{ request.json.all }}"}
      - {status: three}
""")

    decision = ask(scenario, {"all": ["c"]})

    assert [(to, event) for _, to, event in webhooks(decision)] == [
        ("http://app.test/a", "one"),
        ("http://app.test/b", "one"),
        ("http://app.test/c", "two"),
    ]


def test_all_webhooks_of_each_and_to_together_have_a_limit(scenario_of: Callable[..., Scenario]) -> None:
    scenario = scenario_of(EACH.replace("\"{{ item.url or 'http://app.test/' }}\"", '"{{ item.urls }}"'))
    urls = ["http://app.test/"] * 500

    assert len(webhooks(ask(scenario, {"all": [{"urls": urls}] * 2}))) == 1000
    assert "mocks.yaml:4: mocks[0].webhook: with `each` or `repeat`, a job has at most 1,000 webhooks" in error(
        ask(scenario, {"all": [{"urls": urls}] * 1000})
    )


# repeat


def test_a_stage_repeats_its_webhook_and_the_next_one_comes_after_the_last(
    scenario_of: Callable[..., Scenario],
) -> None:
    scenario = scenario_of(REPEATED.replace("{json: done}", '{to: "http://app.test/", json: done}'))
    decision = ask(scenario, {"times": "3", "done": 7})

    assert webhooks(decision) == [
        (5, "http://app.test/0", "progress"),
        (15, "http://app.test/1", "progress"),
        (25, "http://app.test/2", "progress"),
        (25, "http://app.test/", "done"),
    ]
    assert decision.started is not None
    assert [stage.status for stage in decision.started.stages] == ["progress", None, None, "done"]
    assert [scenario.content(decision, at).body for at in range(4)] == [
        b'[0,"progress"]',
        b'[1,"progress"]',
        b'[2,"progress"]',
        b'"done"',
    ]


@pytest.mark.parametrize(
    ("document", "dues"),
    [
        ({"done": 35}, [5, 15, 25]),
        ({"done": 35.001}, [5, 15, 25, 35]),
        ({"first": 0.1, "every": 0.1, "done": 0.7}, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]),
        ({"first": "1m", "done": 3}, [60]),
        ({"first": 0, "every": 1, "done": 1000}, [*range(1000)]),
    ],
)
def test_without_times_a_stage_repeats_its_webhook_until_the_next_one(
    scenario_of: Callable[..., Scenario], document: Any, dues: list[float]
) -> None:
    decision = ask(scenario_of(UNTIL_NEXT.replace("{json: done}", "false")), document)

    assert [due for due, _, _ in webhooks(decision)] == dues


def test_a_stage_may_be_repeated_0_times(scenario_of: Callable[..., Scenario]) -> None:
    decision = ask(scenario_of(REPEATED.replace("{json: done}", "false")), {"times": 0})

    assert webhooks(decision) == []
    assert decision.started is not None
    assert [stage.status for stage in decision.started.stages] == ["progress", "done"]


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({}, "mocks.yaml:8: mocks[0].stages[0].repeat.times: null is not a number of webhooks: it must be a whole"),
        ({"times": 1001}, "repeat.times: 1001 is not a number of webhooks: it must be a whole number from 0 to 1,000"),
        ({"times": -1}, "repeat.times: -1 is not a number of webhooks"),
        ({"times": 1.5}, "repeat.times: 1.5 is not a number of webhooks"),
        ({"times": 10**400}, "repeat.times: 401 characters of JSON is not a number of webhooks"),
        (
            {"times": 2, "every": 0},
            "mocks.yaml:8: mocks[0].stages[0].repeat.every: the time between two webhooks is 0 s",
        ),
        ({"times": 2, "every": "never"}, 'mocks[0].stages[0].repeat.every: "never" is not a duration'),
        ({"times": 1000, "done": "1h"}, "a job has at most 1,000 webhooks"),
    ],
)
def test_what_is_no_repetition_is_an_error(scenario_of: Callable[..., Scenario], document: Any, problem: str) -> None:
    scenario = scenario_of(REPEATED.replace("{json: done}", '{to: "http://app.test/", json: done}, each: [1]'))

    assert problem in error(ask(scenario, document))


def test_a_repetition_that_would_hardly_end_is_an_error(scenario_of: Callable[..., Scenario]) -> None:
    scenario = scenario_of(UNTIL_NEXT.replace("{json: done}", "false"))

    assert (
        "mocks[0].stages[0].repeat: 1,000 webhooks are not enough until the next stage, and no more are possible"
        in (error(ask(scenario, {"every": "1ms", "done": "100d"})))
    )


def test_each_and_repeat_together_send_each_item_each_time(scenario_of: Callable[..., Scenario]) -> None:
    scenario = scenario_of("""
mocks:
  - match: POST api.slow.example/jobs
    stages:
      - {webhook: {to: "http://app.test/{{ item }}/{{ index }}"}, each: [a, b], repeat: {every: 1s, times: 2}}
""")

    assert [(due, to) for due, to, _ in webhooks(ask(scenario, {}))] == [
        (0, "http://app.test/a/0"),
        (0, "http://app.test/b/0"),
        (1, "http://app.test/a/1"),
        (1, "http://app.test/b/1"),
    ]


def test_a_lookup_replaces_the_repetitions_that_are_not_reached(scenario_of: Callable[..., Scenario]) -> None:
    scenario = scenario_of(
        REPEATED.replace("{json: done}", "false").replace("/jobs\n", "/jobs\n    job: {id: a}\n")
        + """
  - match: DELETE api.slow.example/jobs
    lookup: "'a'"
    stages: [{status: gone, webhook: {to: "http://app.test/"}}]
"""
    )
    ask(scenario, {"times": 5})
    scenario.elapsed = 16

    decision = scenario.ask("DELETE", JOBS)

    assert decision.kept_stages == 2
    assert decision.changed is not None
    assert [stage.status for stage in decision.changed.stages] == ["progress", None, "gone"]


# Laws

numbers = (
    st.none() | st.integers(-1, 1100) | st.floats(0, 30, allow_subnormal=False) | st.text("0123456789", max_size=3)
)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[Mocks]:
    """The mocks with `times`, and those without."""
    file: Path = tmp_path_factory.mktemp("laws") / "mocks.yaml"
    loaded = []
    for text in (REPEATED, UNTIL_NEXT):
        file.write_text(text.replace("{json: done}", "{to: 'http://app.test/', json: done}"))
        loaded.append(load([file], {}))
    return loaded


@given(st.booleans(), st.fixed_dictionaries({}, optional=dict.fromkeys(("first", "every", "times", "done"), numbers)))
@settings(max_examples=80, deadline=None)
def test_a_job_owes_finitely_many_webhooks_in_order_or_the_request_fails(
    both: list[Mocks], until_next: bool, document: dict[str, Any]
) -> None:
    decision = ask(Scenario(both[until_next]), document)

    if decision.started is None:
        assert "mocks.yaml:" in error(decision)
        return
    job = decision.started
    assert len(job.webhooks) <= 1000
    assert len({webhook.id for webhook in job.webhooks}) == len(job.webhooks)
    assert [stage.due for stage in job.stages] == sorted(stage.due for stage in job.stages)
    assert [webhook.stage for webhook in job.webhooks] == sorted(webhook.stage for webhook in job.webhooks)
    assert all(webhook.due == job.stages[webhook.stage].due for webhook in job.webhooks)
    repeated = [webhook.index for webhook in job.webhooks if webhook.mock_stage == 0]
    assert repeated == [*range(len(repeated))]
    assert len(repeated) == int(document["times"]) if not until_next else repeated
