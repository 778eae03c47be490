"""What can be set with the control API: the clock, variables and mocks; and the files that it serves."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.control_api import ControlApi
from support.process import Proxy


def test_an_advance_of_one_job(control: ControlApi) -> None:
    control.order("a")
    control.order("b")
    answer = control.post("clock", advance="1h", job="a")

    assert answer["left"] == []
    assert control.states() == {"a": "delivered", "b": "pending"}
    assert control.post("clock", 404, advance="1h", job="none")["detail"] == "there is no job 'none'"


def test_the_speed_of_the_clock(control: ControlApi) -> None:
    control.order("a")
    control.post("clock", speed=60)
    assert control.get("status")["clock"]["speed"] == 60
    assert 0 < control.webhook("a")["due_in"] <= 60


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, 'write one of {"advance": "65s"} and {"speed": 60}'),
        ({"advance": "1s", "speed": 2}, "write one of"),
        ({"advance": "soon"}, "'soon' is not a duration: write 250ms"),
        ({"advance": -1}, "-1.0 is not a duration"),
        ({"advance": "99999999d"}, "an advance of '99999999d' is too long: at most 36,500d"),
        ({"speed": 0}, "speed 0: write a number more than 0, and at most 1,000,000"),
        ({"speed": 2, "job": "a"}, "the speed is that of all jobs"),
        ({"spede": 2}, "there is no parameter 'spede'; did you mean 'speed'?"),
    ],
)
def test_an_invalid_request_to_the_clock_gets_an_explanation(
    control: ControlApi, body: dict[str, Any], words: str
) -> None:
    assert control.post("clock", 400, **body)["detail"].startswith(words)


def test_variables_are_set_and_the_others_keep_their_values(control: ControlApi) -> None:
    assert control.http.put("vars", json={"verdict": "bad"}).json() == {"verdict": "bad"}
    control.order("a")
    control.post("clock", advance="1h")

    assert json.loads(control.sut.requests[0].body) == {"verdict": "bad"}
    assert control.get("vars") == {"verdict": "bad"}
    detail = control.problem(400, "PUT", "vars", json={"verdcit": 1})
    assert detail.startswith("there is no variable 'verdcit'; did you mean 'verdict'?")
    assert control.problem(400, "PUT", "vars", json=[1]) == "the body is [1]: send a JSON object"


POSTED = """
vars: {price: 7}
mocks:
  - name: orders
    match: POST api.slow.example/orders
    response: {json: {price: "{{ vars.price }}", verdict: "{{ vars.verdict }}"}}
  - match: GET new.example/
    response: {text: new}
"""


@pytest.mark.parametrize("media_type", ["application/yaml", "text/yaml; charset=utf-8"])
def test_posted_mocks_come_first_until_the_reset(control: ControlApi, media_type: str) -> None:
    got = control.http.post("mocks", content=POSTED, headers={"content-type": media_type})
    new = control.client.get("http://new.example/").text
    posted = control.order("a").json()
    newest = {"mocks": [{"match": "POST api.slow.example/orders", "response": {"json": {"price": 8}}}]}
    control.http.post("mocks", json=newest)
    first = control.order("a").json()
    control.post("reset")

    assert [mock["name"] for mock in got.json()["items"]] == ["orders", "GET new.example/"]
    assert got.json()["items"][0]["place"] == "posted mocks:4"
    assert (new, posted, first) == ("new", {"price": 7, "verdict": "good"}, {"price": 8})
    assert control.order("b").json() == {"id": "b"}
    assert control.get("vars") == {"verdict": "good"}
    assert control.client.get("http://new.example/").status_code == 501  # a host once mocked stays closed


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "mocks:\n  - mtach: GET new.example/\n",
            "posted mocks:2: mocks[0].mtach: the key 'mtach' is not known; did you mean 'match'?",
        ),
        (
            "mocks:\n  - {match: GET new.example/, when: vars.verdit}\n",
            "posted mocks:2: mocks[0].when: vars has no 'verdit'; did you mean 'verdict'?",
        ),
        ("[", "posted mocks:1: this is not YAML"),
        ("", "posted mocks:1: a mocks file is a map with the key `mocks`"),
    ],
)
def test_invalid_posted_mocks_get_an_explanation(control: ControlApi, text: str, words: str) -> None:
    before = control.get("status")["mocks"]

    detail = control.problem(400, "POST", "mocks", content=text, headers={"content-type": "application/yaml"})

    assert detail.startswith(words)
    assert control.get("status")["mocks"] == before


def test_posted_mocks_with_the_name_of_a_file(control: ControlApi, tmp_path: Path) -> None:
    file, yaml = str(tmp_path / "more.yaml"), {"content-type": "application/yaml"}
    mock = "mocks: [{match: GET beside.example/, response: {text: beside}}]"
    got = control.http.post("mocks", params={"file": file}, content=mock, headers=yaml)
    wrong = control.problem(400, "POST", "mocks", params={"file": file}, content="mocks: 1", headers=yaml)

    assert got.json()["items"][0]["place"] == f"{file}:1"
    assert control.client.get("http://beside.example/").text == "beside"
    assert wrong.startswith(f"{file}:1: mocks: 1 does not fit here")


@pytest.mark.parametrize("operation", ["hold", "release", "cancel", "resend", "reset"])
def test_filters_in_the_query_of_an_operation_are_an_error(control: ControlApi, operation: str) -> None:
    control.order("a")
    detail = control.problem(400, "POST", f"{operation}?job=a", json={})

    assert detail == "a POST takes nothing from the query 'job=a': send it as JSON"
    assert control.states() == {"a": "pending"}


def test_the_ca_and_the_ca_bundle_can_be_fetched(control: ControlApi) -> None:
    own, bundle = control.http.get("ca.pem"), control.http.get("ca-bundle.pem")

    assert own.text.strip() in Path(control.proxy.ca).read_text()
    assert own.text.strip() in bundle.text
    assert bundle.text.count("BEGIN CERTIFICATE") > 10


def test_the_start_does_not_import_the_api(start: Callable[..., Proxy]) -> None:
    proxy = start(env={"CALLBACK_URL": "http://app.test/", "PYTHONPROFILEIMPORTTIME": "1"})
    before = "starlette" in proxy.output
    status = httpx.get(f"{proxy.url}/_latehook/status", trust_env=False).status_code
    proxy.wait_for("starlette.applications")

    assert (before, status) == (False, 200)
