"""Responses and attempts as they are sent: bodies, headers, URLs."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from latehook.base.errors import ExpressionError
from support.scenario import START, Scenario, json_body


@pytest.mark.parametrize(
    ("webhook", "content_type", "sent"),
    [
        ("json: {a: [1, null, 'x']}", "application/json", b'{"a":[1,null,"x"]}'),
        ("json: '{{ request.json }}'", "application/json", b'{"n":1}'),
        ("form: {a: 1, b: [x, y], c: '{{ none }}', d: null}", "application/x-www-form-urlencoded", b"a=1&b=x&b=y&c="),
        ("form: '{{ request.json }}'", "application/x-www-form-urlencoded", b"n=1"),
        ("text: 'n is {{ request.json.n }}'", "text/plain; charset=utf-8", b"n is 1"),
        ("file: report.csv", "text/csv", b"a,b\n"),
        ("json: 1\n      headers: {Content-Type: application/cloudevents+json}", "application/cloudevents+json", b"1"),
    ],
)
def test_each_kind_of_body_has_its_content_type(
    scenario_of: Callable[..., Scenario], tmp_path: Path, webhook: str, content_type: str, sent: bytes
) -> None:
    (tmp_path / "report.csv").write_text("a,b\n")
    scenario = scenario_of(f"""
mocks:
  - match: POST api.slow.example/
    webhook:
      to: http://app.test/
      {webhook}
""")

    attempt = scenario.attempt(scenario.ask("POST", "https://api.slow.example/", b'{"n": 1}'))

    assert {name.lower(): value for name, value in attempt.headers}["content-type"] == content_type
    assert attempt.body == sent


def test_a_multipart_body_has_fields_and_files(scenario_of: Callable[..., Scenario], tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF\r\n")
    scenario = scenario_of("""
mocks:
  - match: POST api.slow.example/
    webhook: {to: "http://app.test/", multipart: {id: "{{ job.id }}", doc: {file: a.pdf, filename: "r \\"1\\".pdf"}}}
""")
    decision = scenario.ask("POST", "https://api.slow.example/")

    attempt = scenario.attempt(decision)

    content_type = dict(attempt.headers)["content-type"]
    boundary = content_type.partition("boundary=")[2]
    assert decision.started is not None
    assert content_type.startswith("multipart/form-data; ")
    assert attempt.body.decode() == (
        f'--{boundary}\r\nContent-Disposition: form-data; name="id"\r\n\r\n{decision.started.id}\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="doc"; filename="r %221%22.pdf"\r\n'
        f"Content-Type: application/pdf\r\n\r\n%PDF\r\n\r\n--{boundary}--\r\n"
    )


def test_a_query_is_added_to_that_of_the_url(scenario_of: Callable[..., Scenario]) -> None:
    scenario = scenario_of("""
mocks:
  - match: POST api.slow.example/
    webhook:
      to: "{{ request.query.cb }}"
      query: {b: "x y&z", none: "{{ request.json.none }}", left_out: null}
      text: body
""")

    attempt = scenario.attempt(
        scenario.ask("POST", "https://api.slow.example/?cb=http://app.test/p%2561th?a%3D1%23top")
    )

    assert attempt.url == "http://app.test/p%61th?a=1&b=x%20y%26z&none=#top"
    assert attempt.body == b"body"


def test_a_null_header_is_left_out_and_a_list_is_sent_several_times(scenario_of: Callable[..., Scenario]) -> None:
    scenario = scenario_of("""
defaults: {webhook: {headers: {x-gone: default, x-kept: default}}}
mocks:
  - match: POST api.slow.example/
    webhook: {to: "http://app.test/", headers: {x-gone: null, x-null: "{{ request.json.none }}", x-list: [a, b]}}
""")

    attempt = scenario.attempt(scenario.ask("POST", "https://api.slow.example/"))

    assert attempt.headers == (("x-kept", "default"), ("x-list", "a"), ("x-list", "b"))


def test_a_header_with_a_line_break_is_an_error(scenario_of: Callable[..., Scenario]) -> None:
    scenario = scenario_of("""
mocks: [{match: POST api.slow.example/, response: {headers: {x-echo: "{{ request.json.a }}"}}}]
""")

    decision = scenario.ask("POST", "https://api.slow.example/", b'{"a": "x\\r\\nset-cookie: y"}')

    assert decision.response is not None
    assert decision.response.status == 500
    assert "mocks.yaml:2: mocks[0].response: headers.x-echo:" in json_body(decision)["error"]


def test_a_stages_webhook_overrides_parts_of_the_mocks_webhook(scenario_of: Callable[..., Scenario]) -> None:
    scenario = scenario_of("""
defaults: {webhook: {timeout: 3s, headers: {x-a: default}}}
mocks:
  - match: POST api.slow.example/
    webhook: {to: "http://app.test/", headers: {x-b: base}, json: {status: "{{ job.status }}"}}
    stages:
      - {status: started, webhook: true}
      - {after: 5s, status: done, webhook: {method: PUT, headers: {x-b: stage}, form: {e: "{{ webhook.event }}"}}}
""")
    decision = scenario.ask("POST", "https://api.slow.example/")

    first, second = scenario.attempt(decision, 0), scenario.attempt(decision, 1)

    assert (first.method, first.timeout, first.body) == ("POST", 3.0, b'{"status":"started"}')
    assert (second.method, second.timeout, second.body) == ("PUT", 3.0, b"e=done")
    assert dict(first.headers)["x-b"] == "base"
    assert dict(second.headers) == {
        "content-type": "application/x-www-form-urlencoded",
        "x-a": "default",
        "x-b": "stage",
    }


def test_defaults_alone_may_describe_the_webhook_of_a_stage(scenario_of: Callable[..., Scenario]) -> None:
    scenario = scenario_of("""
defaults: {webhook: {to: "http://app.test/", json: {status: "{{ job.status }}"}}}
mocks: [{match: POST api.slow.example/, stages: [{status: started, webhook: true}, {status: done, webhook: true}]}]
""")
    decision = scenario.ask("POST", "https://api.slow.example/")

    assert [scenario.attempt(decision, at).body for at in (0, 1)] == [b'{"status":"started"}', b'{"status":"done"}']


def test_the_method_may_come_from_the_request(scenario_of: Callable[..., Scenario]) -> None:
    scenario = scenario_of("""
mocks:
  - match: POST api.slow.example/
    webhook: {to: "http://app.test/", method: "{{ request.json.method | default('POST') }}"}
""")

    def method(body: bytes) -> str:
        return scenario.attempt(scenario.ask("POST", "https://api.slow.example/", body)).method

    assert [method(b'{"method": "put"}'), method(b"{}")] == ["PUT", "POST"]
    with pytest.raises(ExpressionError, match="method is 'P UT': it must be GET"):
        method(b'{"method": "P UT"}')


def test_all_attempts_have_the_same_content_and_their_own_headers(scenario_of: Callable[..., Scenario]) -> None:
    scenario = scenario_of("""
mocks:
  - match: POST api.slow.example/
    webhook:
      to: http://app.test/
      headers: {x-attempt: "{{ webhook.attempt }}", x-id: "{{ webhook.id }}", x-now: "{{ now | unix }}", x-real: "{{ real_now | unix }}"}
      json: {now: "{{ now }}", nonce: "{{ uuid() }}"}
      sign: {scheme: stripe, secret: s}
""")
    decision = scenario.ask("POST", "https://api.slow.example/")
    content = scenario.content(decision)

    first = scenario.attempt(decision, number=1, content=content)
    scenario.elapsed = 60
    second = scenario.attempt(decision, number=2, content=content)

    assert first.body == second.body == content.body
    headers = [dict(first.headers), dict(second.headers)]
    assert [h["x-attempt"] for h in headers] == ["1", "2"]
    assert [int(h["x-now"]) - START for h in headers] == [3600, 3660]
    assert [int(h["x-real"]) - START for h in headers] == [0, 60]
    assert [int(re.findall(r"t=(\d+)", h["Stripe-Signature"])[0]) - START for h in headers] == [0, 60]
    assert headers[0]["x-id"] == headers[1]["x-id"]
    assert headers[0]["Stripe-Signature"] != headers[1]["Stripe-Signature"]


@pytest.mark.parametrize("value", [r'"\ud800"', r'["\ud83d",1.50]', r'{"\udc00":1}'])
@pytest.mark.parametrize(
    "kind",
    [
        "form: {x: '{{ request.json }}'}",
        "text: '{{ request.json }}<'",
        "headers: {x: '{{ request.json | string }}'}",
        "multipart: {x: '{{ request.json }}'}",
    ],
)
def test_half_of_a_surrogate_pair_is_sent_in_json_and_is_an_error_elsewhere(
    scenario_of: Callable[..., Scenario], kind: str, value: str
) -> None:
    scenario = scenario_of(f"""
mocks:
  - {{match: PUT api.slow.example/, response: {{{kind}}}}}
  - {{match: POST api.slow.example/, response: {{json: '{{{{ request.json }}}}'}}}}
""")

    response = scenario.ask("POST", "https://api.slow.example/", value.encode()).response
    assert response is not None
    assert response.body.decode() == value
    response = scenario.ask("PUT", "https://api.slow.example/", value.encode()).response
    assert response is not None
    if value.startswith('"'):  # a list or map is written as JSON, which has escapes
        assert (response.status, b"mocks.yaml:3" in response.body) == (500, True)
