"""Laws of the heart, for any request whatever."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from latehook.base.durations import parse_duration
from latehook.base.model import reached_stages, status_of
from latehook.base.timestamps import iso8601
from latehook.bodies.decoding import parse_json
from latehook.mocks import decide
from latehook.mocksfile.loading import load
from support.scenario import Scenario as Play
from support.scenario import request

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
def mocks(tmp_path_factory: pytest.TempPathFactory) -> decide.Mocks:
    file: Path = tmp_path_factory.mktemp("laws") / "mocks.yaml"
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
class Asked:
    segment: str
    query: str
    body: bytes
    content_type: str


requests = st.builds(
    Asked,
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


def ask(mocks: decide.Mocks, asked: Asked, seed: int = 1) -> tuple[Play, decide.Decision]:
    play = Play(mocks, seed)
    sent = request("POST", "https://api.slow.example/", asked.body, content_type=asked.content_type)
    target = f"/echo/{asked.segment}/?q={asked.query}"
    return play, decide.decide(mocks, replace(sent, target=target), play.moment, play)


@given(requests)
@settings(max_examples=150, deadline=None)
def test_every_request_gets_a_value_or_one_named_error(mocks: decide.Mocks, asked: Asked) -> None:
    _, answer = ask(mocks, asked)

    assert answer.response is not None
    if answer.response.status == 500:
        assert "mocks.yaml:" in json.loads(answer.response.body)["error"]
        assert answer.started is None
    else:
        assert answer.response.status == 200
        assert answer.started is not None
        json.loads(answer.response.body)


@given(requests)
@settings(max_examples=100, deadline=None)
def test_every_webhook_gets_its_content_or_one_named_error(mocks: decide.Mocks, asked: Asked) -> None:
    play, answer = ask(mocks, asked)
    if answer.started is None:
        return

    for at, _ in enumerate(answer.started.webhooks):
        try:
            content = play.content(answer, at)
        except decide.ExpressionError as error:
            assert str(error).partition(": ")[0].rpartition("/")[2].startswith("mocks.yaml:")
        else:
            json.loads(content.body)


@given(requests, st.lists(st.floats(0, 30), min_size=2, max_size=8))
@settings(max_examples=100, deadline=None)
def test_a_jobs_status_goes_forward_through_its_stages(mocks: decide.Mocks, asked: Asked, moments: list[float]) -> None:
    play, answer = ask(mocks, asked)
    if answer.started is None:
        return
    stages = answer.started.stages

    seen = [len(reached_stages(stages, play.moment.clock + moment)) for moment in sorted(moments)]

    assert seen == sorted(seen)
    assert [stage.due for stage in stages] == sorted(stage.due for stage in stages)
    assert status_of(stages) == stages[-1].status


@given(json_values)
@settings(max_examples=100, deadline=None)
def test_an_interpolated_value_is_never_evaluated(mocks: decide.Mocks, value: Any) -> None:
    _, answer = ask(mocks, Asked("a", "", json.dumps({"x": value}).encode(), "application/json"))
    if answer.started is None or "Infinity" in json.dumps(value):  # which is no JSON
        return

    assert answer.response is not None
    assert json.loads(answer.response.body)["all"][0] == json.loads(json.dumps({"x": value}))
    assert b"49" not in answer.response.body or "49" in json.dumps(value)


@given(st.lists(requests, max_size=4), st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_the_same_seed_and_requests_give_the_same_bytes(mocks: decide.Mocks, asked: list[Asked], seed: int) -> None:
    assert [ask(mocks, one, seed)[1] for one in asked] == [ask(mocks, one, seed)[1] for one in asked]


@given(st.integers(0, 9999), st.sampled_from(["ms", "s", "m", "h", "d"]))
def test_a_duration_is_its_number_times_its_unit(number: int, unit: str) -> None:
    sizes = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}

    assert parse_duration(f"{number}{unit}") == pytest.approx(number * sizes[unit])


@given(st.floats(0, 2**33))
def test_a_moment_is_written_as_datetime_writes_it(moment: float) -> None:
    written = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")

    assert iso8601(moment) == written.replace("+00:00", "Z")


@given(bodies | json_values.map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")))
def test_json_is_what_pythons_own_reader_makes_of_it(body: bytes) -> None:
    try:
        expected = json.loads(body, parse_constant=int)  # NaN and Infinity are no JSON
    except ValueError:
        expected = None

    assert repr(parse_json(body, len(body), "")) == repr(expected)  # 1 is not 1.0, nor true
