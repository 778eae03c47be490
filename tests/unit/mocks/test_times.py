"""Times that an expression gives: of stages, and of responses."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latehook.mocks.definitions import Mocks
from latehook.mocksfile.loading import load
from support.scenario import START, Scenario

JOBS = "https://api.slow.example/jobs"
MOCKS = """
mocks:
  - match: POST api.slow.example/jobs
    job: {vars: {unit: "{{ request.json.unit }}"}}
    response: {delay: "{{ request.json.wait | default(0) }}"}
    stages:
      - {after: 5s, status: a}
      - {after: "{{ request.json.delay }}{{ job.vars.unit }}", status: b}
      - {after: "{{ request.json.last | default('1h') }}", status: c}
"""


@pytest.fixture(scope="module")
def mocks(tmp_path_factory: pytest.TempPathFactory) -> Mocks:
    file: Path = tmp_path_factory.mktemp("times") / "mocks.yaml"
    file.write_text(MOCKS)
    return load([file], {})


def dues(mocks: Mocks, **document: Any) -> list[float]:
    """Return when each stage is due, in seconds after the request."""
    decision = Scenario(mocks).ask("POST", JOBS, json.dumps(document).encode())
    assert decision.started is not None, decision.response
    return [stage.due - START - 3600 for stage in decision.started.stages]


def error(mocks: Mocks, **document: Any) -> str:
    decision = Scenario(mocks).ask("POST", JOBS, json.dumps(document).encode())
    assert decision.started is None and decision.response is not None
    assert decision.response.status == 500
    message: str = json.loads(decision.response.body)["error"]
    return message


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"delay": 65}, 65),
        ({"delay": 65.5}, 65.5),
        ({"delay": "90"}, 90),
        ({"delay": "1m30s"}, 90),
        ({"delay": 3, "unit": "m"}, 180),
    ],
)
def test_an_expression_gives_seconds_or_a_duration(mocks: Mocks, document: dict[str, Any], expected: float) -> None:
    assert dues(mocks, **document) == [5, expected, 3600]


def test_a_stage_is_moved_behind_the_one_before_it_if_an_expression_gives_an_earlier_time(mocks: Mocks) -> None:
    assert dues(mocks, delay=1, last=0) == [5, 5, 5]
    assert dues(mocks, delay="2h", last="1m") == [5, 7200, 7200]


def test_the_delay_of_a_response_may_be_an_expression(mocks: Mocks) -> None:
    decision = Scenario(mocks).ask("POST", JOBS, b'{"delay": 0, "wait": "2s"}')

    assert decision.delay == 2


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"delay": "soon"}, 'mocks[0].stages[1].after: "soon" is not a duration: write 250ms, 65s, 1m30s, 2h, 5d or a'),
        ({"last": [1], "delay": 1}, "mocks[0].stages[2].after: [1] is not a duration"),
        ({"delay": 1, "last": -1}, "mocks[0].stages[2].after: -1 is not a duration"),
        ({"delay": 1, "last": True}, "mocks[0].stages[2].after: true is not a duration"),
        ({"delay": 1, "last": "x" * 200}, "mocks[0].stages[2].after: 202 characters of JSON is not a duration"),
        ({"delay": 1, "last": 10**400}, "mocks[0].stages[2].after: 401 characters of JSON is not a duration"),
        ({"delay": 1, "last": "9" * 70}, "is too long for a duration: 36500d is the longest"),
        ({"delay": 1, "last": "1d" + " " * 50_000 + "x"}, "50,005 characters of JSON is not a duration"),
        ({"delay": 1, "wait": "{{ 1 }}"}, 'mocks[0].response.delay: "{{ 1 }}" is not a duration'),
    ],
)
def test_what_is_no_duration_is_an_error_with_its_place(mocks: Mocks, document: dict[str, Any], problem: str) -> None:
    assert problem in error(mocks, **document)


def test_a_missing_time_is_an_error_that_names_the_default(scenario_of: Callable[..., Scenario]) -> None:
    scenario = scenario_of("""
mocks: [{match: POST api.slow.example/jobs, webhook: {after: "{{ request.json.none }}", to: "http://app.test/"}}]
""")

    decision = scenario.ask("POST", JOBS, b"{}")

    assert decision.response is not None
    assert (
        "mocks.yaml:2: mocks[0].webhook.after: null is not a duration: write 250ms, " in decision.response.body.decode()
    )
    assert "or a number of seconds (or a `default`)" in decision.response.body.decode()


values: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
) | (st.text(max_size=8) | st.from_regex(r"[0-9]{1,3}(ms|s|m|h|d| |\.5s)*", fullmatch=True) | st.just([]))


@given(values, values)
@settings(max_examples=60, deadline=None)
def test_every_value_gives_stages_in_order_or_one_error_with_its_place(mocks: Mocks, delay: Any, last: Any) -> None:
    decision = Scenario(mocks).ask("POST", JOBS, json.dumps({"delay": delay, "last": last}).encode())

    assert decision.response is not None
    if decision.started is None:
        assert "mocks.yaml:" in json.loads(decision.response.body)["error"]
        return
    after = [stage.due - START - 3600 for stage in decision.started.stages]
    assert after[0] == 5 and after == sorted(after) and after[-1] < 36_501 * 86_400
