"""Properties of decisions that hold for every request."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from latehook.base.errors import ExpressionError
from latehook.base.model import reached_stages, status_of
from latehook.mocks.decide import decide
from latehook.mocks.decisions import Decision
from latehook.mocks.definitions import Mocks
from latehook.mocksfile.loading import load
from support.scenario import Scenario, request

MOCKS = """
vars: {variable: 1}
mocks:
  - match: ANY api.slow.example/echo/{a}/**
    when: request.size >= 0
    job: {vars: {echo: "{{ request.json.x }}", q: "{{ request.query.q }}"}}
    response:
      headers: {x-type: "{{ request.headers.content_type | b64encode }}"}
      json: {all: ["{{ request.json }}", "{{ request.form }}", "{{ request.path.a }}", "{{ request.files }}"]}
    stages:
      - {after: {uniform: [0s, 3s]}, status: a}
      - {after: {lognormal: {median: 2s, sigma: 2}}, status: b}
      - {after: {uniform: [0s, 9s]}, status: "{{ request.json.x.y | default('c') }}", webhook: true}
    webhook:
      to: "{{ request.json.to or request.query.q or request.form.to }}"
      json: {echo: "{{ job.vars.echo }}", text: "<{{ request.text }}>", n: "{{ request.json.n + 1 }}"}
"""


@pytest.fixture(scope="session")
def mocks(tmp_path_factory: pytest.TempPathFactory) -> Mocks:
    file: Path = tmp_path_factory.mktemp("properties") / "mocks.yaml"
    file.write_text(MOCKS)
    return load([file], {})


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.just("{{ 7*7 }}"),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["x", "y", "n", "to"]), inner, max_size=3)
    ),
    max_leaves=8,
)
bodies = st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode())
segments = st.text(
    st.characters(codec="latin-1", exclude_characters="/?#", exclude_categories=["Cc", "Zs"]), min_size=1
)


@dataclass(frozen=True)
class Sample:
    """What varies between the requests."""

    segment: str
    query: str
    body: bytes
    content_type: str


samples = st.builds(
    Sample,
    segments,
    st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=20),
    bodies,
    st.sampled_from(
        [
            *("application/json", "text/plain; charset=nonsense", "multipart/form-data; boundary=b"),
            *("multipart/form-data", "application/x-www-form-urlencoded", ""),
        ]
    ),
)


def ask(mocks: Mocks, sample: Sample, seed: int = 1) -> tuple[Scenario, Decision]:
    scenario = Scenario(mocks, seed)
    sent = request("POST", "https://api.slow.example/", sample.body, content_type=sample.content_type)
    target = f"/echo/{sample.segment}/?q={sample.query}"
    return scenario, decide(mocks, replace(sent, target=target), scenario.moment, scenario)


@given(samples)
@settings(max_examples=50, deadline=None)
def test_every_request_gets_a_response_or_one_error_with_its_place(mocks: Mocks, sample: Sample) -> None:
    _, decision = ask(mocks, sample)

    assert decision.response is not None
    if decision.response.status == 500:
        assert "mocks.yaml:" in json.loads(decision.response.body)["error"]
        assert decision.started is None
    else:
        assert decision.response.status == 200
        assert decision.started is not None
        json.loads(decision.response.body)


@given(samples)
@settings(max_examples=40, deadline=None)
def test_every_webhook_gets_its_content_or_one_error_with_its_place(mocks: Mocks, sample: Sample) -> None:
    scenario, decision = ask(mocks, sample)
    if decision.started is None:
        return

    for at, _ in enumerate(decision.started.webhooks):
        try:
            content = scenario.content(decision, at)
        except ExpressionError as error:
            assert str(error).partition(": ")[0].rpartition("/")[2].startswith("mocks.yaml:")
        else:
            json.loads(content.body)


@given(samples, st.lists(st.floats(0, 30), min_size=2, max_size=8))
@settings(max_examples=40, deadline=None)
def test_a_job_goes_through_its_stages_in_order(mocks: Mocks, sample: Sample, moments: list[float]) -> None:
    scenario, decision = ask(mocks, sample)
    if decision.started is None:
        return
    stages = decision.started.stages

    seen = [len(reached_stages(stages, scenario.moment.now + moment)) for moment in sorted(moments)]

    assert seen == sorted(seen)
    assert [stage.due for stage in stages] == sorted(stage.due for stage in stages)
    assert status_of(stages) == stages[-1].status


@given(json_values)
@settings(max_examples=40, deadline=None)
def test_an_interpolated_value_is_never_evaluated(mocks: Mocks, value: Any) -> None:
    _, decision = ask(mocks, Sample("a", "", json.dumps({"x": value}).encode(), "application/json"))
    if decision.started is None or "Infinity" in json.dumps(value):  # which is no JSON
        return

    assert decision.response is not None
    assert json.loads(decision.response.body)["all"][0] == json.loads(json.dumps({"x": value}))
    assert b"49" not in decision.response.body or "49" in json.dumps(value)


@given(st.lists(samples, max_size=4), st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_the_same_seed_and_requests_give_the_same_bytes(mocks: Mocks, requests: list[Sample], seed: int) -> None:
    assert [ask(mocks, one, seed)[1] for one in requests] == [ask(mocks, one, seed)[1] for one in requests]
