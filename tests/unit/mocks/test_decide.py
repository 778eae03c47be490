"""The heart: which mock answers, with what, and what follows."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from latehook.base.errors import ExpressionError
from latehook.base.model import ResponseFault, State
from latehook.bodies import decoding
from support.scenario import START
from support.scenario import Scenario as Play
from support.scenario import new_scenario as play

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
def provider(tmp_path: Path) -> Play:
    return play(tmp_path, PROVIDER)


@pytest.fixture
def mocks(tmp_path: Path) -> Callable[..., Play]:
    return partial(play, tmp_path)


def body(answer: Any) -> Any:
    return json.loads(answer.response.body)


def create(provider: Play, **fields: str) -> Any:
    fields = {"audio_url": "https://a.example/", "webhook_url": "http://app.test/hook", **fields}
    return provider.ask("POST", JOBS, json.dumps(fields).encode())


def test_response_webhook_and_lookup_show_one_id_and_the_same_vars(provider: Play) -> None:
    created = create(provider, language_code="de")

    id = body(created)["id"]
    assert id.startswith("tr_")
    assert len(id) == 27
    assert body(created) == {"id": id, "status": "queued", "language": "de"}
    assert json.loads(provider.content(created).body) == {"transcript_id": id, "status": "completed", "language": "de"}
    assert body(provider.ask("GET", f"{JOBS}/{id}"))["id"] == id


def test_a_lookup_changes_at_the_very_moment_a_stage_is_due(provider: Play) -> None:
    id = body(create(provider))["id"]
    seen = []
    for provider.elapsed in (0, 9.999, 10, 64.999, 65, 1000):
        seen.append(body(provider.ask("GET", f"{JOBS}/{id}")))

    assert [job["status"] for job in seen] == ["queued", "queued", *["processing"] * 2, *["completed"] * 2]
    assert [job["done"] for job in seen] == [None] * 4 + ["2023-11-14T22:14:25.000Z"] * 2


def test_what_does_not_pass_when_is_the_next_mocks(provider: Play) -> None:
    refused = provider.ask("POST", JOBS, b"{}")

    assert refused.response is not None
    assert (refused.response.status, refused.started) == (422, None)


def test_a_lookup_that_finds_no_job_is_404_in_the_end(provider: Play) -> None:
    unknown = provider.ask("GET", f"{JOBS}/nobody")

    assert unknown.response is not None
    assert unknown.response.status == 404
    assert body(unknown)["error"] == "latehook: there is no job 'nobody'"


def test_a_lookups_stages_replace_those_the_job_has_not_reached(provider: Play) -> None:
    id = body(create(provider))["id"]
    provider.elapsed = 12

    canceled = provider.ask("POST", f"{JOBS}/{id}:cancel", b'{"why": "too slow"}')

    assert body(canceled) == {"status": "canceled"}
    assert canceled.changed is not None
    assert [stage.status for stage in canceled.changed.stages] == ["queued", "processing", "canceled"]
    assert canceled.kept_stages == 2
    [webhook] = canceled.changed.webhooks
    assert (webhook.to, webhook.due) == ("http://app.test/hook", START + 3600 + 12)
    assert json.loads(provider.content(canceled).body) == {"id": id, "why": "too slow"}
    provider.elapsed = 100
    assert body(provider.ask("GET", f"{JOBS}/{id}"))["status"] == "canceled"


def test_a_lookup_may_have_a_when_about_its_job(provider: Play) -> None:
    id = body(create(provider))["id"]
    provider.elapsed = 65

    late = provider.ask("POST", f"{JOBS}/{id}:cancel")

    assert late.response is not None
    assert (late.response.status, body(late)) == (409, {"error": "it is completed"})


def test_jobs_are_all_jobs_the_newest_first(provider: Play) -> None:
    ids = [body(create(provider))["id"] for _ in range(3)]

    assert body(provider.ask("GET", JOBS)) == {"jobs": ids[::-1]}


def test_the_dials_decide_at_the_request(provider: Play) -> None:
    provider.vars["verdict"] = "error"
    created = create(provider)
    provider.vars["verdict"] = "completed"
    provider.elapsed = 65

    assert json.loads(provider.content(created).body)["status"] == "error"
    assert body(provider.ask("GET", f"{JOBS}/{body(created)['id']}"))["status"] == "error"


@pytest.mark.parametrize(
    ("request_body", "method", "path", "differs"),
    [
        (b"", "PUT", "/jobs", "method is PUT, not POST"),
        (b"", "POST", "/job", "path is /job"),
        (b"{}", "POST", "/upload", "when is false: request.json.file is string"),
    ],
)
def test_an_unmatched_request_is_told_the_nearest_mocks(
    mocks: Callable[..., Play], request_body: bytes, method: str, path: str, differs: str
) -> None:
    file = """
mocks:
  - {name: the upload, match: POST api.slow.example/upload, when: request.json.file is string}
  - {match: POST api.slow.example/jobs}
  - {match: GET api.other.example/}
"""
    answer = mocks(file).ask(method, f"https://api.slow.example{path}", request_body)

    assert answer.response is not None
    assert answer.response.status == 501
    told = body(answer)
    assert told["request"] == {"method": method, "url": f"https://api.slow.example{path}"}
    assert told["nearest"][0]["differs"] == differs
    assert told["nearest"][0]["at"].endswith(("mocks.yaml:3", "mocks.yaml:4"))
    assert len(told["nearest"]) == 2


def test_after_so_many_times_the_next_mock_is_tried(mocks: Callable[..., Play]) -> None:
    game = mocks("""
mocks:
  - {match: GET api.slow.example/, times: 2, response: {status: 503}}
  - {match: GET api.slow.example/, response: {status: 200}}
""")

    answers = [game.ask("GET", "https://api.slow.example/") for _ in range(4)]

    assert [answer.response.status for answer in answers if answer.response] == [503, 503, 200, 200]


def test_a_key_that_was_seen_gets_the_same_response_and_no_new_job(mocks: Callable[..., Play]) -> None:
    game = mocks("""
mocks:
  - match: POST api.slow.example/pay
    job: {idempotency_key: "{{ request.headers.idempotency_key }}"}
    response: {json: {id: "{{ job.id }}"}}
""")
    url = "https://api.slow.example/pay"

    first, again, other = (game.ask("POST", url, Idempotency_Key=key) for key in "aab")
    without = [game.ask("POST", url) for _ in range(2)]

    assert (first.response, again.started) == (again.response, None)
    assert body(other) != body(first)
    assert body(without[0]) != body(without[1])
    assert len(game.stored) == 4


def test_head_is_answered_by_a_get_mock_without_body_or_job(mocks: Callable[..., Play]) -> None:
    game = mocks("""
mocks: [{match: GET api.slow.example/, response: {json: {id: "{{ job.id }}"}}, webhook: {to: "http://app.test/"}}]
""")

    head = game.ask("HEAD", "https://api.slow.example/")

    assert head.response is not None
    assert (head.response.status, head.started) == (200, None)  # the body stays behind where it would be sent
    assert dict(head.response.headers)["content-length"] == "45"


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
def test_bodies_and_the_content_type_that_follows(
    mocks: Callable[..., Play], tmp_path: Path, webhook: str, content_type: str, sent: bytes
) -> None:
    (tmp_path / "report.csv").write_text("a,b\n")
    game = mocks(f"""
mocks:
  - match: POST api.slow.example/
    webhook:
      to: http://app.test/
      {webhook}
""")

    attempt = game.attempt(game.ask("POST", "https://api.slow.example/", b'{"n": 1}'))

    assert {name.lower(): value for name, value in attempt.headers}["content-type"] == content_type
    assert attempt.body == sent


def test_a_multipart_body_has_fields_and_files(mocks: Callable[..., Play], tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF\r\n")
    game = mocks("""
mocks:
  - match: POST api.slow.example/
    webhook: {to: "http://app.test/", multipart: {id: "{{ job.id }}", doc: {file: a.pdf, filename: "r \\"1\\".pdf"}}}
""")
    answer = game.ask("POST", "https://api.slow.example/")

    attempt = game.attempt(answer)

    kind = dict(attempt.headers)["content-type"]
    boundary = kind.partition("boundary=")[2]
    assert answer.started is not None
    assert kind.startswith("multipart/form-data; ")
    assert attempt.body.decode() == (
        f'--{boundary}\r\nContent-Disposition: form-data; name="id"\r\n\r\n{answer.started.id}\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="doc"; filename="r %221%22.pdf"\r\n'
        f"Content-Type: application/pdf\r\n\r\n%PDF\r\n\r\n--{boundary}--\r\n"
    )


def test_a_query_is_added_to_the_urls_own_beside_any_body(mocks: Callable[..., Play]) -> None:
    game = mocks("""
mocks:
  - match: POST api.slow.example/
    webhook:
      to: "{{ request.query.cb }}"
      query: {b: "x y&z", none: "{{ request.json.none }}", left_out: null}
      text: body
""")

    attempt = game.attempt(game.ask("POST", "https://api.slow.example/?cb=http://app.test/p%2561th?a%3D1%23top"))

    assert attempt.url == "http://app.test/p%61th?a=1&b=x%20y%26z&none=#top"
    assert attempt.body == b"body"


def test_a_null_header_is_left_out_and_a_list_is_sent_several_times(mocks: Callable[..., Play]) -> None:
    game = mocks("""
defaults: {webhook: {headers: {x-gone: default, x-kept: default}}}
mocks:
  - match: POST api.slow.example/
    webhook: {to: "http://app.test/", headers: {x-gone: null, x-null: "{{ request.json.none }}", x-list: [a, b]}}
""")

    attempt = game.attempt(game.ask("POST", "https://api.slow.example/"))

    assert attempt.headers == (("x-kept", "default"), ("x-list", "a"), ("x-list", "b"))


def test_a_header_cannot_be_split(mocks: Callable[..., Play]) -> None:
    game = mocks("""
mocks: [{match: POST api.slow.example/, response: {headers: {x-echo: "{{ request.json.a }}"}}}]
""")

    answer = game.ask("POST", "https://api.slow.example/", b'{"a": "x\\r\\nset-cookie: y"}')

    assert answer.response is not None
    assert answer.response.status == 500
    assert "mocks.yaml:2: mocks[0].response: headers.x-echo:" in body(answer)["error"]


def test_an_expression_that_fails_is_a_500_with_its_place_and_no_job(mocks: Callable[..., Play]) -> None:
    game = mocks("""
mocks:
  - match: POST api.slow.example/
    response: {json: {n: "{{ request.json.n + 1 }}"}}
    webhook: {to: "http://app.test/"}
""")

    answer = game.ask("POST", "https://api.slow.example/")

    assert answer.response is not None
    assert (answer.response.status, answer.started) == (500, None)
    assert "mocks.yaml:4: mocks[0].response.json.n: the expression failed: " in body(answer)["error"]


@pytest.mark.parametrize(
    ("to", "state", "reason"),
    [
        ('"{{ request.json.none }}"', State.SKIPPED, "its `to` is null"),
        ('"{{ request.json.bad }}"', State.FAILED, "its `to` is 'app:8000', which is not a URL"),
        ('"http://app.test/"\n      when: request.json.none', State.SKIPPED, "its `when` is false"),
    ],
)
def test_a_webhook_with_nowhere_to_go_says_why(mocks: Callable[..., Play], to: str, state: State, reason: str) -> None:
    game = mocks(f"""
mocks:
  - match: POST api.slow.example/
    webhook:
      to: {to}
""")

    answer = game.ask("POST", "https://api.slow.example/", b'{"bad": "app:8000"}')

    assert answer.started is not None
    [webhook] = answer.started.webhooks
    assert webhook.state is state
    assert (webhook.reason or "").startswith(reason)


def test_each_of_several_targets_has_its_own_webhook(mocks: Callable[..., Play]) -> None:
    game = mocks("""
mocks: [{match: POST api.slow.example/, webhook: {to: "{{ request.json.urls }}", event: done}}]
""")

    answer = game.ask("POST", "https://api.slow.example/", b'{"urls": ["http://a.test/", null, "http://b.test/"]}')

    assert answer.started is not None
    webhooks = answer.started.webhooks
    assert [webhook.to for webhook in webhooks] == ["http://a.test/", None, "http://b.test/"]
    assert [webhook.event for webhook in webhooks] == ["done"] * 3
    assert len({webhook.id for webhook in webhooks}) == 3


def test_a_stage_says_what_differs_from_the_mocks_webhook(mocks: Callable[..., Play]) -> None:
    game = mocks("""
defaults: {webhook: {timeout: 3s, headers: {x-a: default}}}
mocks:
  - match: POST api.slow.example/
    webhook: {to: "http://app.test/", headers: {x-b: base}, json: {status: "{{ job.status }}"}}
    stages:
      - {status: started, webhook: true}
      - {after: 5s, status: done, webhook: {method: PUT, headers: {x-b: stage}, form: {e: "{{ webhook.event }}"}}}
""")
    answer = game.ask("POST", "https://api.slow.example/")

    first, second = game.attempt(answer, 0), game.attempt(answer, 1)

    assert (first.method, first.timeout, first.body) == ("POST", 3.0, b'{"status":"started"}')
    assert (second.method, second.timeout, second.body) == ("PUT", 3.0, b"e=done")
    assert dict(first.headers)["x-b"] == "base"
    assert dict(second.headers) == {
        "content-type": "application/x-www-form-urlencoded",
        "x-a": "default",
        "x-b": "stage",
    }


def test_the_defaults_may_be_all_that_a_stages_webhook_needs(mocks: Callable[..., Play]) -> None:
    game = mocks("""
defaults: {webhook: {to: "http://app.test/", json: {status: "{{ job.status }}"}}}
mocks: [{match: POST api.slow.example/, stages: [{status: started, webhook: true}, {status: done, webhook: true}]}]
""")
    answer = game.ask("POST", "https://api.slow.example/")

    assert [game.attempt(answer, at).body for at in (0, 1)] == [b'{"status":"started"}', b'{"status":"done"}']


def test_the_request_may_say_with_which_method_it_wants_its_webhook(mocks: Callable[..., Play]) -> None:
    game = mocks("""
mocks:
  - match: POST api.slow.example/
    webhook: {to: "http://app.test/", method: "{{ request.json.method | default('POST') }}"}
""")

    def method(body: bytes) -> str:
        return game.attempt(game.ask("POST", "https://api.slow.example/", body)).method

    assert [method(b'{"method": "put"}'), method(b"{}")] == ["PUT", "POST"]
    with pytest.raises(ExpressionError, match="method is 'P UT': it must be GET"):
        method(b'{"method": "P UT"}')


def test_delays_are_drawn_at_the_request_and_no_stage_is_before_the_last(mocks: Callable[..., Play]) -> None:
    game = mocks("""
mocks:
  - match: POST api.slow.example/
    response: {delay: {uniform: [1s, 2s]}}
    stages:
      - {after: {uniform: [5s, 10s]}, status: a}
      - {after: {lognormal: {median: 60s, sigma: 0.3}}, status: b}
      - {after: 1s, status: c}
""")

    answers = [game.ask("POST", "https://api.slow.example/") for _ in range(20)]
    dues = [[stage.due - START - 3600 for stage in answer.started.stages] for answer in answers if answer.started]

    assert all(1 <= answer.delay <= 2 for answer in answers)
    assert all(5 <= a <= 10 and a <= b == c for a, b, c in dues)
    assert len({b for _, b, _ in dues}) == 20


def test_before_response_is_due_at_once(mocks: Callable[..., Play]) -> None:
    game = mocks("""
mocks: [{match: POST api.slow.example/, webhook: {after: before-response, to: "http://app.test/"}}]
""")

    answer = game.ask("POST", "https://api.slow.example/")

    assert answer.started is not None
    assert [(webhook.before_response, webhook.due) for webhook in answer.started.webhooks] == [(True, START + 3600)]


@pytest.mark.parametrize(
    ("source", "content_type", "sent"),
    [
        ("request.json.cb.url", "application/json", b'{"cb": {"url": "http://app.test/"}}'),
        (
            "request.form['cb[url]'] or request.form.cb.url",
            "application/x-www-form-urlencoded",
            b"cb[url]=http://app.test/",
        ),
        ("request.query.cb", "text/plain", b""),
        ("request.headers.x_callback", "text/plain", b""),
        (
            "(request.form.payload | from_json).url",
            "application/x-www-form-urlencoded",
            b'payload={"url":"http://app.test/"}',
        ),
        (
            "request.form.cb",
            "multipart/form-data; boundary=b",
            b'--b\r\ncontent-disposition: form-data; name="f"; filename="a"\r\n\r\n...\r\n'
            b'--b\r\ncontent-disposition: form-data; name="cb"\r\n\r\nhttp://app.test/\r\n--b--\r\n',
        ),
    ],
)
def test_a_callback_url_may_come_from_anywhere_in_the_request(
    mocks: Callable[..., Play], source: str, content_type: str, sent: bytes
) -> None:
    game = mocks(f"""
mocks:
  - match: POST api.slow.example/
    webhook: {{to: "{{{{ {source} }}}}"}}
""")

    answer = game.ask(
        "POST",
        "https://api.slow.example/?cb=http://app.test/",
        sent,
        Content_Type=content_type,
        X_Callback="http://app.test/",
    )

    assert answer.started is not None
    assert [webhook.to for webhook in answer.started.webhooks] == ["http://app.test/"]


def test_a_callback_url_may_come_from_an_earlier_request(mocks: Callable[..., Play]) -> None:
    game = mocks("""
mocks:
  - {match: POST api.slow.example/hooks, name: register, job: {}}
  - match: POST api.slow.example/jobs
    webhook: {to: "{{ jobs | selectattr('request.path', 'equalto', '/hooks') | map(attribute='request.json.url') | list }}"}
""")
    for url in (b'{"url": "http://a.test/"}', b'{"url": "http://b.test/"}'):
        game.ask("POST", "https://api.slow.example/hooks", url)

    answer = game.ask("POST", JOBS)

    assert answer.started is not None
    assert [webhook.to for webhook in answer.started.webhooks] == ["http://b.test/", "http://a.test/"]


def test_files_are_known_by_name_size_and_hash(mocks: Callable[..., Play]) -> None:
    game = mocks("""
mocks:
  - match: POST api.slow.example/
    response: {json: "{{ request.files.doc }}"}
""")
    sent = (
        b'--b\r\nContent-Disposition: form-data; name="doc"; filename="a \xc3\xab.pdf"\r\nContent-Type: application/pdf\r\n'
        b"\r\nabc\r\n--b--\r\n"
    )

    answer = game.ask("POST", "https://api.slow.example/", sent, Content_Type="multipart/form-data; boundary=b")

    assert body(answer) == {
        "filename": "a ë.pdf",
        "type": "application/pdf",
        "size": 3,
        "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    }


def test_a_job_keeps_a_body_that_is_not_small_only_if_something_will_ask_for_it(mocks: Callable[..., Play]) -> None:
    plain = """
mocks: [{match: POST api.slow.example/, webhook: {to: "{{ request.json.url }}", json: {id: "{{ job.id }}"}}}]
"""
    asking = plain.replace('id: "{{ job.id }}"', 'n: "{{ request.json.n }}"')
    sent = b'{"url": "http://app.test/", "n": "%s"}' % (b"n" * decoding.SMALL_BODY_SIZE)
    small = b'{"url": "http://app.test/", "n": 1}'

    keeps_small = mocks(plain).ask("POST", "https://api.slow.example/", small)
    forgets = mocks(plain).ask("POST", "https://api.slow.example/", sent)
    keeps = mocks(asking).ask("POST", "https://api.slow.example/", sent)

    assert forgets.started is not None
    assert keeps.started is not None
    assert keeps_small.started is not None
    assert keeps_small.started.request.body == small
    assert (forgets.started.request.body, forgets.started.request.size) == (None, len(sent))
    assert keeps.started.request.body == sent


def test_every_attempt_says_the_same_with_headers_of_its_own(mocks: Callable[..., Play]) -> None:
    game = mocks("""
mocks:
  - match: POST api.slow.example/
    webhook:
      to: http://app.test/
      headers: {x-attempt: "{{ webhook.attempt }}", x-id: "{{ webhook.id }}", x-now: "{{ now | unix }}"}
      json: {now: "{{ now }}", nonce: "{{ uuid() }}"}
      sign: {scheme: stripe, secret: s}
""")
    answer = game.ask("POST", "https://api.slow.example/")
    content = game.content(answer)

    first = game.attempt(answer, number=1, content=content)
    game.elapsed = 60
    second = game.attempt(answer, number=2, content=content)

    assert first.body == second.body == content.body
    headers = [dict(first.headers), dict(second.headers)]
    assert [h["x-attempt"] for h in headers] == ["1", "2"]
    assert [int(h["x-now"]) - START for h in headers] == [0, 60]
    assert headers[0]["x-id"] == headers[1]["x-id"]
    assert headers[0]["Stripe-Signature"] != headers[1]["Stripe-Signature"]


def test_the_same_seed_and_requests_give_the_same_bytes(tmp_path: Path) -> None:
    def run(seed: int) -> list[bytes]:
        game = play(tmp_path, PROVIDER)
        game.random.seed(seed)
        answers = [create(game) for _ in range(3)]
        return [*(answer.response.body for answer in answers), *(game.content(answer).body for answer in answers)]

    assert run(7) == run(7)
    assert run(7) != run(8)


def test_a_head_that_starts_a_job_leaves_its_response_whole_for_the_same_key(mocks: Callable[..., Play]) -> None:
    game = mocks("""
mocks:
  - match: GET|HEAD api.slow.example/
    job: {idempotency_key: request.headers.idempotency_key}
    response: {json: {id: "{{ job.id }}"}}
""")

    _, again, other = (
        game.ask(method, "https://api.slow.example/", Idempotency_Key=key)
        for method, key in (("HEAD", "a"), ("GET", "a"), ("GET", "b"))
    )

    assert body(again)["id"] != body(other)["id"]


def test_a_dial_may_be_of_the_environment(mocks: Callable[..., Play]) -> None:
    game = mocks("""
vars: {verdict: "{{ env.NOT_SET_ANYWHERE | default('refused') }}"}
mocks: [{match: GET api.slow.example/, response: {json: "{{ vars.verdict }}"}}]
""")

    assert body(game.ask("GET", "https://api.slow.example/")) == "refused"


def test_what_differs_is_never_the_case_of_the_host(mocks: Callable[..., Play]) -> None:
    answer = mocks("mocks: [{match: GET api.slow.example/jobs}]").ask("GET", "https://API.Slow.Example./job")

    assert body(answer)["nearest"][0]["differs"] == "path is /job"


@pytest.mark.parametrize("value", [r'"\ud800"', r'["\ud83d"]', r'{"\udc00": 1}'])
@pytest.mark.parametrize(
    "kind", ["form: {x: '{{ request.json }}'}", "headers: {x: '{{ request.json }}'}", "json: '{{ request.json }}'"]
)
def test_half_a_character_is_the_replacement_character(mocks: Callable[..., Play], kind: str, value: str) -> None:
    game = mocks(
        f"mocks: [{{match: POST api.slow.example/, response: {{{kind}}}, job: {{vars: {{x: '{{{{ request.json }}}}'}}}}}}]"
    )

    response = game.ask("POST", "https://api.slow.example/", value.encode()).response

    assert response is not None
    assert response.status == 200
    assert b"\\ud" not in response.body
    assert all(value.encode() for _, value in response.headers)


def test_a_request_is_parsed_once_for_its_response_and_all_its_stages(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    parsed: list[bytes] = []
    parse = decoding.parse_json
    monkeypatch.setattr(decoding, "parse_json", lambda body, *more: parsed.append(body) or parse(body, *more))
    world = play(
        tmp_path,
        """
mocks:
  - match: POST a.test/
    when: request.json.to
    job: {vars: {to: "{{ request.json.to }}"}}
    response: {json: "{{ job.request.json.to }}"}
    stages: [{status: one, webhook: true}, {after: 1s, status: two, webhook: true}]
    webhook: {to: "{{ job.request.json.to }}"}
""",
    )

    answer = world.ask("POST", "http://a.test/", b'{"to": "http://app.test/"}')

    assert answer.response.body == b'"http://app.test/"'
    assert [webhook.to for webhook in answer.started.webhooks] == ["http://app.test/"] * 2
    assert parsed == [b'{"to": "http://app.test/"}']


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


def test_a_fault_goes_with_the_answer_and_its_job_starts_all_the_same(mocks: Callable[..., Play]) -> None:
    answer = mocks(FAULTY.replace("FAULT", "reset")).ask("POST", JOBS)

    assert answer.fault is ResponseFault.RESET
    assert answer.started is not None
    assert body(answer) == {"id": answer.started.id}


@pytest.mark.parametrize("fault", ["null", "{kind: empty, chance: 0}"])
def test_a_fault_may_be_none(mocks: Callable[..., Play], fault: str) -> None:
    assert mocks(FAULTY.replace("FAULT", fault)).ask("POST", JOBS).fault is None


def test_the_chance_of_a_response_is_drawn_at_each_request_and_changes_nothing_else(mocks: Callable[..., Play]) -> None:
    def run(fault: str, seed: int = 1) -> list[Any]:
        game = mocks(FAULTY.replace("FAULT", fault))
        game.random.seed(seed)
        return [game.ask("POST", JOBS) for _ in range(500)]

    def faults(answers: list[Any]) -> list[Any]:
        return [answer.fault for answer in answers]

    some = faults(run("{kind: empty, chance: 0.2}"))

    assert 70 < some.count(ResponseFault.EMPTY) < 130
    assert some.count(None) == 500 - some.count(ResponseFault.EMPTY)
    assert some == faults(run("{kind: empty, chance: 0.2}"))
    assert some != faults(run("{kind: empty, chance: 0.2}", seed=2))
    assert [body(answer) for answer in run("reset")] == [body(answer) for answer in run("null")]


def test_a_fault_happens_at_most_count_times_and_those_are_the_first(mocks: Callable[..., Play]) -> None:
    game = mocks(FAULTY.replace("FAULT", "{kind: hang, count: 2}"))
    rarely = mocks(FAULTY.replace("FAULT", "{kind: hang, chance: 0.3, count: 2}"))

    assert [game.ask("POST", JOBS).fault for _ in range(4)] == ["hang", "hang", None, None]
    assert [rarely.ask("POST", JOBS).fault for _ in range(50)].count(ResponseFault.HANG) == 2


def test_a_request_repeated_after_a_fault_gets_the_first_ones_job(mocks: Callable[..., Play]) -> None:
    game = mocks(FAULTY.replace("FAULT", "{kind: empty, count: 1}"))

    lost, again = game.ask("POST", JOBS, key="a"), game.ask("POST", JOBS, key="a")

    assert (lost.fault, again.fault, again.started) == ("empty", None, None)
    assert again.response == lost.response


def test_a_failure_of_latehooks_own_has_no_fault(mocks: Callable[..., Play]) -> None:
    game = mocks(FAULTY.replace("FAULT", "reset").replace("job.id", "1 / request.json.n"))

    answer = game.ask("POST", JOBS)

    assert answer.response is not None
    assert (answer.response.status, answer.fault) == (500, None)


def faulty(mocks: Callable[..., Play], fault: str) -> Play:
    return mocks(FAULTY.replace("FAULT", "null").replace("      to:", f"      fault: {fault}\n      to:"))


@pytest.mark.parametrize("fault", ["drop", "duplicate"])
def test_what_is_done_with_a_whole_attempt_goes_with_it(mocks: Callable[..., Play], fault: str) -> None:
    attempts = [game.attempt(game.ask("POST", JOBS)) for game in (faulty(mocks, fault), faulty(mocks, "null"))]

    assert [attempt.fault for attempt in attempts] == [fault, None]
    assert attempts[0].body == attempts[1].body
    assert attempts[0].headers == attempts[1].headers


def test_a_corrupt_body_is_as_long_as_the_right_one_and_has_its_signature(mocks: Callable[..., Play]) -> None:
    wrong, right = (
        game.attempt(game.ask("POST", JOBS)) for game in (faulty(mocks, "corrupt-body"), faulty(mocks, "null"))
    )

    assert (wrong.body[:1], wrong.body[1:]) == (b"~", right.body[1:])
    assert wrong.headers == right.headers


@pytest.mark.parametrize(("text", "sent"), [("~1", b"!1"), ("{{ none }}", b"~")])
def test_whatever_the_body_is_it_can_be_corrupt(mocks: Callable[..., Play], text: str, sent: bytes) -> None:
    game = mocks(f"""
mocks: [{{match: POST api.slow.example/jobs, webhook: {{to: "http://app.test/", text: "{text}", fault: corrupt-body}}}}]
""")

    assert game.attempt(game.ask("POST", JOBS)).body == sent


def test_a_corrupt_signature_is_beside_the_right_body(mocks: Callable[..., Play]) -> None:
    wrong, right = (
        game.attempt(game.ask("POST", JOBS)) for game in (faulty(mocks, "corrupt-signature"), faulty(mocks, "null"))
    )

    assert wrong.body == right.body
    assert [name for name, value in wrong.headers if (name, value) not in right.headers] == ["X-Hub-Signature-256"]


def test_the_chance_of_a_webhook_is_each_attempts_own_whatever_comes_between(mocks: Callable[..., Play]) -> None:
    def run(attempts: list[int]) -> list[Any]:
        game = faulty(mocks, "{kind: drop, chance: 0.5}")
        jobs = [game.ask("POST", JOBS) for _ in range(20)]
        return [game.attempt(job, number=number).fault for number in attempts for job in jobs]

    straight, reversed = run([1, 2]), run([2, 1])

    assert {"drop", None} == set(straight)
    assert straight == reversed[20:] + reversed[:20]
    assert straight[:20] != straight[20:]


def test_the_stages_of_a_mock_count_their_faults_apart(mocks: Callable[..., Play]) -> None:
    game = mocks("""
mocks:
  - match: POST api.slow.example/jobs
    webhook: {to: "http://app.test/", fault: {kind: drop, count: 1}}
    stages: [{webhook: true}, {webhook: true}, {webhook: {fault: null}}]
""")
    jobs = [game.ask("POST", JOBS) for _ in range(2)]

    assert [[game.attempt(job, at).fault for at in (0, 1, 2)] for job in jobs] == [["drop", "drop", None], [None] * 3]


LIMITED = """
mocks:
  - match: POST api.slow.example/jobs
    job: {id: "{{ request.json.id }}", idempotency_key: "{{ request.json.key }}"}
    webhook: {to: "{{ request.json.to }}", event: "{{ request.json.event }}"}
"""


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"id": "x" * 1001}, "job.id has 1,001 characters, and may have 1,000"),
        ({"id": "1", "key": "x" * 2000}, "job.idempotency_key has 2,000 characters, and may have 1,000"),
        ({"id": "1", "event": "x" * 1001}, "webhook.event has 1,001 characters, and may have 1,000"),
        ({"id": "1", "to": [None] * 1001}, "`to` is a list of 1,001 URLs, and may have 1,000"),
    ],
)
def test_what_a_request_may_make_of_a_job_is_bounded(
    mocks: Callable[..., Play], document: dict[str, Any], problem: str
) -> None:
    answer = mocks(LIMITED).ask("POST", "https://api.slow.example/jobs", json.dumps(document).encode())

    assert answer.response is not None and answer.started is None
    error = json.loads(answer.response.body)["error"]
    assert answer.response.status == 500
    assert problem in error and len(error) < 1500


def test_a_url_has_at_most_8000_characters(mocks: Callable[..., Play]) -> None:
    to = ["http://app.test/" + "x" * (length - 16) for length in (8000, 8001)]
    play = mocks(LIMITED)
    answer = play.ask("POST", "https://api.slow.example/jobs", json.dumps({"id": "1", "to": to}).encode())

    assert answer.started is not None
    fits, long = answer.started.webhooks
    assert (fits.to, fits.state) == (to[0], State.PENDING)
    assert (long.state, long.reason[:60]) == (
        State.FAILED,
        "its `to` has 8,001 characters, and a URL may have 8,000: htt",
    )


def test_a_form_has_bounds(mocks: Callable[..., Play]) -> None:
    play = mocks("mocks: [{match: POST api.slow.example/forms, response: {json: '{{ request.form }}'}}]")

    def form(body: bytes, kind: str = "application/x-www-form-urlencoded") -> Any:
        answer = play.ask("POST", "https://api.slow.example/forms", body, content_type=kind)
        assert answer.response is not None
        return json.loads(answer.response.body)

    part = '--b\r\ncontent-disposition: form-data; name="{}"\r\n\r\n1\r\n'
    multipart = "".join(part.format(number) for number in range(1001)).encode()
    assert len(form(b"".join(b"%d=1&" % number for number in range(2000)))) == 1000
    assert len(form(multipart, "multipart/form-data; boundary=b")) == 1000
    assert form(multipart, f"multipart/form-data; boundary={'b' * 300}") == {}
    assert form(b"a" + b"[b]" * 32 + b"=1")["a"]["b"]["b"]
    assert form(b"a" + b"[b]" * 33 + b"=1") == {"a" + "[b]" * 33: "1"}
    assert len(form(b"a=" + b"1" * 4_000_000)["a"]) == 4_000_000
    assert "has 5,000,002 bytes, and may have 4,194,304: use multipart" in form(b"a=" + b"1" * 5_000_000)["error"]
