"""Which mock answers a request, and with which job."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.scenario import START, Scenario, json_body, new_scenario

JOBS = "https://api.slow.example/jobs"


PROVIDER = """
vars: {verdict: completed}
mocks:
  - name: create
    match: POST https://api.slow.example/jobs
    when: request.json.audio_url is string
    job:
      id: "tr_{{ random.base62(24) }}"
      vars: {language: "{{ request.json.language_code | default('en') }}"}
    response:
      headers: {x-request-id: "{{ uuid() }}"}
      json: {id: "{{ job.id }}", status: "{{ job.status }}", language: "{{ job.vars.language }}"}
    stages:
      - {after: 0s, status: queued}
      - {after: 10s, status: processing}
      - {after: 65s, status: "{{ vars.verdict }}", webhook: true}
    webhook:
      to: "{{ request.json.webhook_url }}"
      json: {transcript_id: "{{ job.id }}", status: "{{ job.status }}", language: "{{ job.vars.language }}"}
  - match: POST https://api.slow.example/jobs
    response: {status: 422, json: {error: audio_url is required}}
  - match: GET https://api.slow.example/jobs/{id}
    lookup: request.path.id
    response: {json: {id: "{{ job.id }}", status: "{{ job.status }}", done: "{{ job.at.completed | iso8601 }}"}}
  - match: POST https://api.slow.example/jobs/{id}:cancel
    lookup: request.path.id
    when: job.status != 'completed'
    stages:
      - after: 0s
        status: canceled
        webhook: {to: "{{ job.request.json.webhook_url }}", json: {id: "{{ job.id }}", why: "{{ request.json.why }}"}}
    response: {json: {status: "{{ job.status }}"}}
  - match: POST https://api.slow.example/jobs/{id}:cancel
    lookup: request.path.id
    response: {status: 409, json: {error: "it is {{ job.status }}"}}
  - match: GET https://api.slow.example/jobs
    response: {json: {jobs: "{{ jobs | map(attribute='id') | list }}"}}
"""


@pytest.fixture
def provider(tmp_path: Path) -> Scenario:
    return new_scenario(tmp_path, PROVIDER)


def create(provider: Scenario, **fields: str) -> Any:
    fields = {"audio_url": "https://a.example/", "webhook_url": "http://app.test/hook", **fields}
    return provider.ask("POST", JOBS, json.dumps(fields).encode())


def test_response_webhook_and_lookup_show_the_same_id_and_vars(provider: Scenario) -> None:
    created = create(provider, language_code="de")

    id = json_body(created)["id"]
    assert id.startswith("tr_")
    assert len(id) == 27
    assert json_body(created) == {"id": id, "status": "queued", "language": "de"}
    assert json.loads(provider.content(created).body) == {"transcript_id": id, "status": "completed", "language": "de"}
    assert json_body(provider.ask("GET", f"{JOBS}/{id}"))["id"] == id


def test_a_lookup_shows_a_stage_from_the_moment_it_is_due(provider: Scenario) -> None:
    id = json_body(create(provider))["id"]
    seen = []
    for provider.elapsed in (0, 9.999, 10, 64.999, 65, 1000):
        seen.append(json_body(provider.ask("GET", f"{JOBS}/{id}")))

    assert [job["status"] for job in seen] == ["queued", "queued", *["processing"] * 2, *["completed"] * 2]
    assert [job["done"] for job in seen] == [None] * 4 + ["2023-11-14T23:14:25.000Z"] * 2


def test_the_next_mock_answers_where_when_is_false(provider: Scenario) -> None:
    refused = provider.ask("POST", JOBS, b"{}")

    assert refused.response is not None
    assert (refused.response.status, refused.started) == (422, None)


def test_a_lookup_without_a_job_is_404_if_no_other_mock_answers(provider: Scenario) -> None:
    unknown = provider.ask("GET", f"{JOBS}/nobody")

    assert unknown.response is not None
    assert unknown.response.status == 404
    assert json_body(unknown)["error"] == "latehook: there is no job 'nobody'"


def test_stages_of_a_lookup_replace_those_that_the_job_has_not_reached(provider: Scenario) -> None:
    id = json_body(create(provider))["id"]
    provider.elapsed = 12

    canceled = provider.ask("POST", f"{JOBS}/{id}:cancel", b'{"why": "too slow"}')

    assert json_body(canceled) == {"status": "canceled"}
    assert canceled.changed is not None
    assert [stage.status for stage in canceled.changed.stages] == ["queued", "processing", "canceled"]
    assert canceled.kept_stages == 2
    [webhook] = canceled.changed.webhooks
    assert (webhook.to, webhook.due) == ("http://app.test/hook", START + 3600 + 12)
    assert json.loads(provider.content(canceled).body) == {"id": id, "why": "too slow"}
    provider.elapsed = 100
    assert json_body(provider.ask("GET", f"{JOBS}/{id}"))["status"] == "canceled"


def test_when_of_a_lookup_may_read_its_job(provider: Scenario) -> None:
    id = json_body(create(provider))["id"]
    provider.elapsed = 65

    late = provider.ask("POST", f"{JOBS}/{id}:cancel")

    assert late.response is not None
    assert (late.response.status, json_body(late)) == (409, {"error": "it is completed"})


def test_jobs_are_all_jobs_the_newest_first(provider: Scenario) -> None:
    ids = [json_body(create(provider))["id"] for _ in range(3)]

    assert json_body(provider.ask("GET", JOBS)) == {"jobs": ids[::-1]}


def test_variables_are_read_at_the_request(provider: Scenario) -> None:
    provider.vars["verdict"] = "error"
    created = create(provider)
    provider.vars["verdict"] = "completed"
    provider.elapsed = 65

    assert json.loads(provider.content(created).body)["status"] == "error"
    assert json_body(provider.ask("GET", f"{JOBS}/{json_body(created)['id']}"))["status"] == "error"


def test_a_variable_may_be_set_from_the_environment(scenario_of: Callable[..., Scenario]) -> None:
    scenario = scenario_of("""
vars: {verdict: "{{ env.NOT_SET_ANYWHERE | default('refused') }}"}
mocks: [{match: GET api.slow.example/, response: {json: "{{ vars.verdict }}"}}]
""")

    assert json_body(scenario.ask("GET", "https://api.slow.example/")) == "refused"


@pytest.mark.parametrize(
    ("request_body", "method", "path", "differs"),
    [
        (b"", "PUT", "/jobs", "method is PUT, not POST"),
        (b"", "POST", "/job", "path is /job"),
        (b"{}", "POST", "/upload", "when is false: request.json.file is string"),
    ],
)
def test_an_unmatched_request_gets_the_nearest_mocks(
    scenario_of: Callable[..., Scenario], request_body: bytes, method: str, path: str, differs: str
) -> None:
    file = """
mocks:
  - {name: the upload, match: POST api.slow.example/upload, when: request.json.file is string}
  - {match: POST api.slow.example/jobs}
  - {match: GET api.other.example/}
"""
    decision = scenario_of(file).ask(method, f"https://api.slow.example{path}", request_body)

    assert decision.response is not None
    assert decision.response.status == 501
    error = json_body(decision)
    assert error["request"] == {"method": method, "url": f"https://api.slow.example{path}"}
    assert error["nearest"][0]["differs"] == differs
    assert error["nearest"][0]["at"].endswith(("mocks.yaml:3", "mocks.yaml:4"))
    assert len(error["nearest"]) == 2


def test_hosts_are_compared_in_any_case(scenario_of: Callable[..., Scenario]) -> None:
    decision = scenario_of("mocks: [{match: GET api.slow.example/jobs}]").ask("GET", "https://API.Slow.Example./job")

    assert json_body(decision)["nearest"][0]["differs"] == "path is /job"


def test_the_next_mock_answers_after_times_requests(scenario_of: Callable[..., Scenario]) -> None:
    scenario = scenario_of("""
mocks:
  - {match: GET api.slow.example/, times: 2, response: {status: 503}}
  - {match: GET api.slow.example/, response: {status: 200}}
""")

    decisions = [scenario.ask("GET", "https://api.slow.example/") for _ in range(4)]

    assert [decision.response.status for decision in decisions if decision.response] == [503, 503, 200, 200]


def test_a_repeated_idempotency_key_gets_the_same_response_and_no_new_job(scenario_of: Callable[..., Scenario]) -> None:
    scenario = scenario_of("""
mocks:
  - match: POST api.slow.example/pay
    job: {idempotency_key: "{{ request.headers.idempotency_key }}"}
    response: {json: {id: "{{ job.id }}"}}
""")
    url = "https://api.slow.example/pay"

    first, again, other = (scenario.ask("POST", url, Idempotency_Key=key) for key in "aab")
    without = [scenario.ask("POST", url) for _ in range(2)]

    assert (first.response, again.started) == (again.response, None)
    assert json_body(other) != json_body(first)
    assert json_body(without[0]) != json_body(without[1])
    assert len(scenario.stored) == 4


def test_a_get_with_the_idempotency_key_of_a_head_gets_the_whole_response(scenario_of: Callable[..., Scenario]) -> None:
    scenario = scenario_of("""
mocks:
  - match: GET|HEAD api.slow.example/
    job: {idempotency_key: request.headers.idempotency_key}
    response: {json: {id: "{{ job.id }}"}}
""")

    _, again, other = (
        scenario.ask(method, "https://api.slow.example/", Idempotency_Key=key)
        for method, key in (("HEAD", "a"), ("GET", "a"), ("GET", "b"))
    )

    assert json_body(again)["id"] != json_body(other)["id"]


def test_a_get_mock_answers_head_without_starting_a_job(scenario_of: Callable[..., Scenario]) -> None:
    scenario = scenario_of("""
mocks: [{match: GET api.slow.example/, response: {json: {id: "{{ job.id }}"}}, webhook: {to: "http://app.test/"}}]
""")

    head = scenario.ask("HEAD", "https://api.slow.example/")

    assert head.response is not None
    assert (head.response.status, head.started) == (200, None)
    assert dict(head.response.headers)["content-length"] == "45"


def test_an_expression_that_fails_is_a_500_with_its_place_and_no_job(scenario_of: Callable[..., Scenario]) -> None:
    scenario = scenario_of("""
mocks:
  - match: POST api.slow.example/
    response: {json: {n: "{{ request.json.n + 1 }}"}}
    webhook: {to: "http://app.test/"}
""")

    decision = scenario.ask("POST", "https://api.slow.example/")

    assert decision.response is not None
    assert (decision.response.status, decision.started) == (500, None)
    assert "mocks.yaml:4: mocks[0].response.json.n: the expression failed: " in json_body(decision)["error"]


def test_the_same_seed_and_requests_give_the_same_bytes(tmp_path: Path) -> None:
    def run(seed: int) -> list[bytes]:
        scenario = new_scenario(tmp_path, PROVIDER)
        scenario.random.seed(seed)
        decisions = [create(scenario) for _ in range(3)]
        return [
            *(decision.response.body for decision in decisions),
            *(scenario.content(decision).body for decision in decisions),
        ]

    assert run(7) == run(7)
    assert run(7) != run(8)


def test_a_request_is_parsed_once_for_its_response_and_all_its_stages(scenario_of: Callable[..., Scenario]) -> None:
    scenario = scenario_of("""
mocks:
  - match: POST a.test/
    when: request.json.to
    response: {json: "{{ job.request.json is sameas request.json }}"}
    stages:
      - {status: "{{ job.request.json is sameas request.json }}", webhook: true}
      - {after: 1s, status: "{{ job.request.json is sameas request.json }}", webhook: true}
    webhook: {to: "http://app.test/{{ job.request.json is sameas request.json }}"}
""")

    decision = scenario.ask("POST", "http://a.test/", b'{"to": "http://app.test/"}')

    assert json_body(decision) is True
    assert decision.started is not None
    assert [stage.status for stage in decision.started.stages] == ["true"] * 2
    assert [webhook.to for webhook in decision.started.webhooks] == ["http://app.test/true"] * 2
