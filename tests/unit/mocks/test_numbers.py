"""Numbers of requests and of mocks files reach the other side as they were written."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from latehook.base.errors import MocksError
from latehook.mocksfile.loading import load, load_text
from support.scenario import Scenario, json_body

NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)


@given(NUMBERS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
def test_a_number_comes_back_as_it_was_written(scenario_of: Callable[..., Scenario], number: str) -> None:
    scenario = scenario_of(f"""
vars: {{v: {number}}}
mocks:
  - match: POST api.slow.example/
    job: {{vars: {{n: "{{{{ request.json.n }}}}"}}}}
    response:
      headers: {{x-request: "{{{{ request.json.n }}}}", x-file: {number}}}
      json:
        {{request: "{{{{ request.json.n }}}}", all: "{{{{ request.json }}}}", file: {number}, vars: "{{{{ vars.v }}}}",
        deep: [{{n: {number}}}], text: "<{{{{ request.json.n }}}}>", json: "{{{{ request.json | tojson }}}}",
        parsed: "{{{{ '[{number}]' | from_json }}}}", literal: "{{{{ {number.lstrip("-")} }}}}"}}
    webhook: {{to: "http://app.test/", form: {{n: "{{{{ job.vars.n }}}}", f: {number}}}, query: {{q: {number}}}}}
""")

    decision = scenario.ask("POST", "https://api.slow.example/", f'{{"n": {number}}}'.encode())

    assert decision.response is not None
    positive = number.lstrip("-")
    assert decision.response.body.decode() == (
        f'{{"request":{number},"all":{{"n":{number}}},"file":{number},"vars":{number},"deep":[{{"n":{number}}}],'
        f'"text":"<{number}>","json":"{{\\"n\\":{number}}}","parsed":[{number}],"literal":{positive}}}'
    )
    assert dict(decision.response.headers)["x-request"] == dict(decision.response.headers)["x-file"] == number
    form = number.replace("+", "%2B")
    assert scenario.content(decision).body.decode() == f"n={form}&f={form}"
    assert scenario.content(decision).url == f"http://app.test/?q={form}"


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("request.json.n == 10", True),
        ("request.json.n == 10.0", True),
        ("request.json.n > 9.99", True),
        ("request.json.n + 1", 11),
        ("request.json.n | int", 10),
        ("request.json.n is number", True),
        ("request.json.n is float", True),
        ("request.json.n is string", False),
        ("'%.1f' | format(request.json.n)", "10.0"),
        ("'%s' | format(request.json.n)", "10.00"),
        ("request.json.large == 12345678901234567.89", True),
        ("request.json.large == 12345678901234567.90", False),
        ("request.json.large > 12345678901234567", True),
        ("[request.json.n, 9.5, 11] | sort", [9.5, 10, 11]),
        ("[request.json.n, 1] | sum", 11),
        ("request.json.n in [10]", True),
    ],
)
def test_a_number_compares_and_computes(scenario_of: Callable[..., Scenario], expression: str, value: object) -> None:
    scenario = scenario_of(f"""
mocks: [{{match: POST api.slow.example/, response: {{json: {{v: "{{{{ {expression} }}}}"}}}}}}]
""")

    decision = scenario.ask("POST", "https://api.slow.example/", b'{"n": 10.00, "large": 12345678901234567.89}')

    assert json_body(decision) == {"v": value}


@pytest.mark.parametrize("number", ["012", "1_000", "0x10", "0o17", "0b11", "+5", ".5", "5.", "1_0.5", "-012"])
def test_a_number_that_json_cannot_write_is_an_error_with_its_place(number: str) -> None:
    text = f"mocks:\n  - match: GET api.slow.example/\n    response:\n      json: {{a: {number}}}\n"

    with pytest.raises(
        MocksError, match=r"^posted mocks:4: .*is not written as in JSON: write .*, or quotes around it"
    ):
        load_text(text, None, {}, {})
    load_text(text.replace(number, f"'{number}'"), None, {}, {})


@pytest.mark.parametrize("number", [".nan", ".inf", "-.inf"])
def test_a_number_that_is_not_finite_is_an_error_at_load(number: str) -> None:
    with pytest.raises(MocksError, match=rf"^mocks\.yaml:2: .*JSON has no number {number}: write a finite number"):
        load_text(f"mocks:\n  - {{match: POST a.example/, response: {{json: [{number}]}}}}", "mocks.yaml", {}, {})


@pytest.mark.parametrize("body", ["[1e308 * 10]", "{'a': -1e308 * 10}", "'nan' | float"])
def test_a_value_that_is_not_finite_is_an_error_and_not_null(scenario_of: Callable[..., Scenario], body: str) -> None:
    expression = f'{{"a": "{{{{ now }}}}", "b": [null, "{{{{ {body} if now }}}}"]}}'
    scenario = scenario_of(f"mocks:\n  - {{match: POST a.example/, response: {{json: {expression}}}}}")

    decision = scenario.ask("POST", "https://a.example/")

    assert decision.response is not None
    assert decision.response.status == 500
    assert "is not a number that JSON can hold" in json_body(decision)["error"]


def test_keys_that_take_a_number_take_it_in_every_spelling() -> None:
    text = """
mocks:
  - match: POST api.slow.example/
    response: {delay: 1.50, fault: {kind: reset, chance: 0.50}}
    stages: [{after: {uniform: [1e0, 2.50]}}, {after: {lognormal: {median: 1.0e1, sigma: 0.10}}}, {after: 1.0e2, webhook: true}]
    webhook: {to: "http://app.test/", timeout: 2.50, retry: {waits: [1.50, 2e0]}, json: {n: 2.50}}
"""
    [mock] = load_text(text, None, {}, {}).all

    webhook = mock.stages[2].webhook
    assert webhook is not None
    assert (webhook.timeout, webhook.retry.waits, str(webhook.body.value["n"])) == (2.5, (1.5, 2.0), "2.50")


def test_two_files_with_one_number_in_two_spellings_contradict_each_other(tmp_path: Path) -> None:
    files = [tmp_path / "a.yaml", tmp_path / "b.yaml"]
    for file, number in zip(files, ("1.0", "1.00"), strict=True):
        file.write_text(f"vars: {{n: {number}}}\nmocks: []\n")
    with pytest.raises(MocksError, match=r"another file sets the variable 'n' to 1.0, this one to 1.00"):
        load(files, {})
