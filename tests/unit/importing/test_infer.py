"""What is inferred from recordings: jobs, stages, echoes, times, conditions. Each file that is made is loaded and used."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from latehook.cli import main
from latehook.importing import reading
from latehook.mocksfile.loading import load
from support.recordings import HOOK, START, Form, Tape, mocks_of, scenario

API = "https://api.slow.example/v1/jobs"
ID, OTHER_ID = "job_8Kx2mQ7pL0vN4tRw", "job_3Zb9cD1eF5gH7jYk"


def job(tape: Tape, id: str = ID, order: str = "order-17", after: float = 12.0, outcome: str = "done") -> Tape:
    """Record a job: it is started, polled, done, and polled again."""
    created = iso(tape.now)
    start = {"id": id, "order": order, "status": "queued", "created_at": created, "result": None}
    tape.request("POST", API, {"order": order, "callback": HOOK}, 201, start)
    tape.request("GET", f"{API}/{id}", answer=start).wait(after - 0.2)
    done = {**start, "status": outcome, "result": "42 pages"}
    tape.webhook({"job": done, "type": f"job.{outcome}"}).wait(1)
    return tape.request("GET", f"{API}/{id}", answer=done)


def iso(moment: float) -> str:
    from latehook.base.timestamps import iso8601

    return iso8601(moment)


def test_a_job_with_a_webhook_and_polls(made: Callable[..., str]) -> None:
    post, get = mocks_of(made(job(Tape())))

    assert post["match"] == f"POST {API}"
    assert post["job"] == {"id": "job_{{ random.base62(16) }}"}
    assert post["response"] == {
        "status": 201,
        "json": {
            "id": "{{ job.id }}",
            "order": "{{ request.json.order }}",
            "status": "{{ job.status }}",
            "created_at": "{{ job.created_at | iso8601 }}",
            "result": None,
        },
    }
    assert post["stages"] == [{"status": "queued"}, {"after": "12s", "status": "done", "webhook": True}]
    assert post["webhook"]["to"] == "{{ request.json.callback }}"
    assert post["webhook"]["json"]["type"] == "job.{{ job.status }}"
    assert (get["match"], get["lookup"]) == (f"GET {API}/{{id}}", "request.path.id")
    assert get["response"]["json"]["result"] == "{{ none if job.status == 'queued' else '42 pages' }}"


def test_the_mocks_give_what_was_recorded(made: Callable[..., str], tmp_path: Path) -> None:
    played = scenario(made(job(Tape())), tmp_path)

    asked = {"order": "o-99", "callback": "http://127.0.0.1:1/other"}
    posted = played.ask("POST", API, json.dumps(asked).encode())
    assert posted.response is not None and posted.started is not None
    started = json.loads(posted.response.body)
    assert (started["order"], started["status"], started["result"]) == ("o-99", "queued", None)
    played.elapsed = 12.5
    [webhook] = posted.started.webhooks
    assert webhook.to == asked["callback"]
    sent = json.loads(played.content(posted).body)
    polled = played.ask("GET", f"{API}/{started['id']}").response
    assert polled is not None
    assert sent["job"] == json.loads(polled.body) == {**started, "status": "done", "result": "42 pages"}


def test_the_same_input_gives_the_same_bytes(made: Callable[..., str]) -> None:
    assert made(job(Tape()), job(Tape(), OTHER_ID, "o-18")) == made(job(Tape()), job(Tape(), OTHER_ID, "o-18"))


def test_a_second_recording_settles_what_one_leaves_open(made: Callable[..., str]) -> None:
    def recording(trace_id: str, region: str, note: str) -> Tape:
        tape = Tape()
        answer = {"id": f"{trace_id}-job", "trace_id": trace_id, "region": region, "note": note}
        return tape.request("POST", API, {"text": note}, answer=answer)

    first = recording("4f0c9a7be21d4c55", "eu-west", "hello world")
    [alone] = mocks_of(made(first))
    [both] = mocks_of(made(first, recording("9be1d04477aa20cf", "eu-west", "another text")))

    assert alone["response"]["json"]["region"] == both["response"]["json"]["region"] == "eu-west"
    assert both["response"]["json"]["trace_id"] == "{{ random.hex(16) }}"
    assert both["response"]["json"]["note"] == "{{ request.json.text }}"
    assert "second recording" in made(first)
    assert "# guessed" not in made(first, recording("9be1d04477aa20cf", "eu-west", "another text"))


def test_a_value_that_nothing_explains_is_said_by_its_field(made: Callable[..., str]) -> None:
    tapes = [Tape().request("POST", API, {"a": 1}, answer={"price": price}) for price in (17, 23)]

    text = made(*tapes)

    assert "# guessed: differs between messages without a visible reason, the first value stays: price" in text


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"customer": {"id": "cus_1", "city": "x"}}, {"customer": "{{ request.json.customer }}"}),
        ({"amount": 2000}, {"amount": "{{ request.json.amount }}"}),
        ({"total": 2000}, {"total": 2000}),
        ({"ref": "order-17"}, {"ref": "{{ request.json.order }}"}),
        ({"text": "no echo"}, {"text": "no echo"}),
        ({"braces": "{{ job.id }}"}, {"braces": "{{ '{{' }} job.id }}"}),
        ({"empty": {}, "none": None, "flag": True, "list": [1, "b"]}, {"empty": {}, "none": None, "flag": True, "list": [1, "b"]}),
    ],
    ids=lambda value: next(iter(value)),
)  # fmt: skip
def test_what_is_an_echo_of_the_request(made: Callable[..., str], answer: Any, expected: Any) -> None:
    asked = {"order": "order-17", "amount": 2000, "customer": {"id": "cus_1", "city": "x"}}

    [mock] = mocks_of(made(Tape().request("POST", API, asked, answer=answer)))

    assert mock["response"]["json"] == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (iso(START), "{{ now | iso8601 }}"),
        ("2027-01-15T08:00:00Z", "{{ now | strftime('%Y-%m-%dT%H:%M:%SZ') }}"),
        ("Fri, 15 Jan 2027 08:00:00 GMT", "{{ now | strftime('%a, %d %b %Y %H:%M:%S GMT') }}"),
        (int(START), "{{ now | unix }}"),
        (int(START * 1000), "{{ (now * 1000) | int }}"),
        (str(int(START)), "{{ now | unix | string }}"),
        ("2019-03-01T00:00:00Z", "2019-03-01T00:00:00Z"),
        (200, 200),
    ],
)
def test_times_in_every_form(made: Callable[..., str], written: Any, expected: Any) -> None:
    [mock] = mocks_of(made(Tape().request("GET", API, answer={"at": written})))

    assert mock["response"]["json"] == {"at": expected}


@pytest.mark.parametrize(
    ("id", "expected"),
    [
        ("5f0f9f7e-8d35-4c51-9f0a-5a8b3e9c1d20", None),
        ("0123456789abcdef0123456789abcdef", "{{ random.hex(32) }}"),
        ("pi_3MtwBwLkdIwHu7ix28a3tqPa", "pi_{{ random.base62(24) }}"),
        (18291128385, "{{ random.int(10**10, 10**11 - 1) }}"),
        ("18291128385", "{{ random.int(10**10, 10**11 - 1) | string }}"),
        (4, "{{ random.int(10**5, 10**6 - 1) }}"),
    ],
)
def test_new_ids_have_the_shape_of_the_recorded_one(made: Callable[..., str], id: Any, expected: str | None) -> None:
    tape = Tape().request("POST", API, {"a": 1}, 201, {"id": id}).request("GET", f"{API}/{id}", answer={"id": id})

    post, get = mocks_of(made(tape))

    assert post.get("job", {}).get("id") == expected
    assert post["response"]["json"]["id"] == get["response"]["json"]["id"]
    assert post["response"]["json"]["id"] == ("{{ job.id }}" if isinstance(id, str) else "{{ job.id | int }}")


@pytest.mark.parametrize(
    ("refused", "accepted", "condition"),
    [
        ({"json": {"a": 1}}, {"json": {"a": 1, "url": "https://x.example/"}}, "not request.json.url"),
        ({"json": {"mode": "slow"}}, {"json": {"mode": "fast"}}, "request.json.mode == 'slow'"),
        ({"json": {}}, {"json": {"a": {"b": [1]}}}, "not request.json.a"),
        ({"form": {"To": "x"}}, {"form": {"To": "x", "Body": "y"}}, "not request.form.Body"),
    ],
)  # fmt: skip
def test_what_tells_two_answers_apart_becomes_a_condition(
    made: Callable[..., str], refused: Any, accepted: Any, condition: str
) -> None:
    def body(given: Any) -> Any:
        return Form(given["form"]) if "form" in given else given["json"]

    tape = Tape().request("POST", API, body(refused), 400, {"error": "no"})
    tape.request("POST", API, body(accepted), 200, {"fine": True})

    bad, good = mocks_of(made(tape))

    assert (bad["when"], bad["response"]["status"]) == (condition, 400)
    assert "when" not in good


def test_answers_that_nothing_tells_apart_are_left_out_and_said(made: Callable[..., str]) -> None:
    tape = (
        Tape().request("POST", API, {"a": 1}, 500, {"error": "no"}).request("POST", API, {"a": 1}, 200, {"fine": True})
    )

    text = made(tape)

    assert len(mocks_of(text)) == 1
    assert f"# left out: POST {API}: it was answered in another way, and nothing in the request tells why" in text


def test_numbers_and_gzip_come_back_as_they_were_sent(made: Callable[..., str]) -> None:
    tape = Tape().request("GET", API, answer='{"price": 10.00, "large": 12345678901234567.89}')
    tape.flows[0].response.headers["content-type"] = "application/json"  # type: ignore[union-attr]
    tape.flows[0].response.encode("gzip")  # type: ignore[union-attr]

    assert "json: {price: 10.00, large: 12345678901234567.89}" in made(tape)


def test_an_id_that_does_not_exist_has_a_mock_behind(made: Callable[..., str], tmp_path: Path) -> None:
    tape = job(Tape()).request("GET", f"{API}/nobody", status=404, answer={"error": "no such job"})

    played = scenario(made(tape), tmp_path)

    response = played.ask("GET", f"{API}/unknown").response
    assert response is not None and json.loads(response.body) == {"error": "no such job"}


def test_a_cancel_replaces_the_stages_and_its_late_webhooks_stay_where_they_belong(made: Callable[..., str]) -> None:
    tape = Tape().request("POST", API, {"callback": HOOK}, 201, {"id": ID, "status": "queued"})
    tape.request("POST", f"{API}/{ID}/cancel", answer={"id": ID, "status": "canceled"})
    tape.webhook({"id": ID, "status": "queued"}).webhook({"id": ID, "status": "canceled"})  # the first one is late

    post, cancel = mocks_of(made(tape))

    assert post["stages"] == [{"status": "queued", "webhook": True}]
    assert (cancel["lookup"], cancel["stages"]) == ("request.path.id", [{"status": "canceled", "webhook": True}])
    assert cancel["webhook"]["to"] == "{{ job.request.json.callback }}"


def test_a_webhook_without_an_id_is_tied_by_its_url_or_by_a_text(made: Callable[..., str]) -> None:
    by_url = Tape().request("POST", API, {"callback": HOOK}, 204).wait(5).webhook({"fine": True})
    by_text = Tape().request("POST", API, {"ref": "feature/17"}, 204).wait(5).webhook({"branch": "feature/17"})

    assert mocks_of(made(by_url))[0]["webhook"]["to"] == "{{ request.json.callback }}"
    [mock] = mocks_of(made(by_text))
    assert mock["webhook"] == {
        "after": "5s",
        "to": "{{ env.CALLBACK_URL }}",
        "json": {"branch": "{{ request.json.ref }}"},
    }
    assert "only a text of the request ties this webhook to it" in made(by_text)


def test_a_webhook_that_two_requests_may_have_led_to_is_left_out(made: Callable[..., str]) -> None:
    tape = Tape().request("POST", API, {"ref": "feature/17"}, 204).request("POST", API, {"ref": "feature/17"}, 204)

    text = made(tape.webhook({"branch": "feature/17"}))

    assert "left out: a webhook: 2 requests could have led to this webhook" in text


def test_repeated_attempts_and_repeated_keys_are_one(made: Callable[..., str]) -> None:
    tape = Tape().request("POST", API, {"callback": HOOK}, 201, {"id": ID}, Idempotency_Key="k-1")
    tape.request("POST", API, {"callback": HOOK}, 201, {"id": ID}, Idempotency_Key="k-1").wait(5)
    tape.webhook({"id": ID}, status=500).wait(5).webhook({"id": ID})

    [mock] = mocks_of(made(tape))

    assert mock["job"]["idempotency_key"] == "{{ request.headers.idempotency_key }}"
    assert mock["webhook"]["after"] == "5s"


def test_a_webhook_before_the_response(made: Callable[..., str]) -> None:
    tape = Tape().request("POST", API, {"callback": HOOK}, 201, {"registered": True})
    tape.now = START + 0.03  # the response came at 0.06 s
    tape.webhook(None, f"{HOOK}?challenge=Kx2mQ7pL0vN4tRw8", "GET")

    [mock] = mocks_of(made(tape))

    assert mock["webhook"] == {
        "after": "before-response",
        "to": "{{ request.json.callback }}",
        "method": "GET",
        "query": {"challenge": "{{ random.base62(16) }}"},
    }


def test_a_signature_is_recognised_and_verified(made: Callable[..., str]) -> None:
    import hashlib
    import hmac

    body = json.dumps({"id": ID})
    signature = hmac.new(b"hook-secret-1", body.encode(), "sha256").hexdigest()
    tape = Tape().request("POST", API, {"a": 1}, 201, {"id": ID}).wait(5)
    tape.webhook({"id": ID}, X_Acme_Signature=f"sha256={signature}", User_Agent="Acme-Hooks/1.0")

    verified = made(tape, secrets={"hook-secret-1": "ACME_SECRET"})

    [mock] = mocks_of(verified)
    assert mock["webhook"]["headers"] == {"User-Agent": "Acme-Hooks/1.0"}
    assert mock["webhook"]["sign"] == {
        "secret": "{{ env.ACME_SECRET | default('test-secret') }}",
        "headers": {"X-Acme-Signature": "sha256={signature}"},
    }
    assert "not verified" not in verified
    assert "signature not verified (give its secret with --secret-env): sign" in made(tape)
    assert hashlib.sha256(body.encode()).hexdigest() not in verified and "hook-secret-1" not in verified


# The command


def test_the_command_writes_a_file_and_says_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tape = job(Tape()).request("GET", "https://other.example/x", answer={"a": 1})
    recording, output = tape.write(tmp_path / "slow.flow"), tmp_path / "mocks.yaml"

    status = main(["infer", str(recording), "--host", "api.slow.example", "-o", str(output)])

    assert status == 0
    assert load([output], {}).all
    said = capsys.readouterr().err
    assert said.startswith(f"{output}: 2 mocks of 3 requests and 1 webhook, ")
    assert "not looked at: 1 request to 1 other host\n" in said
    assert main(["infer", str(recording), "--host", "api.slow.example", "-o", str(output)]) == 1
    assert "is not written over" in capsys.readouterr().err


def test_the_command_prints_without_an_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["infer", str(job(Tape()).write(tmp_path / "slow.flow"))]) == 0

    assert len(mocks_of(capsys.readouterr().out)) == 2


@pytest.mark.parametrize(
    ("content", "arguments", "problem"),
    [
        (b"mocks: []", [], "is no flow file of mitmproxy and no HAR file"),
        (b"", [], "has no HTTP requests: did the system under test use the proxy?"),
        (None, [], "cannot be read: No such file or directory"),
        ("two hosts", [], "requests to 2 hosts: api.slow.example (3), other.example (1). Name those to convert with --host"),
        ("two hosts", ["--host", "nobody.example"], "It has requests to api.slow.example (3), other.example (1): name the host"),
        ("two hosts", ["--secret-env", "NO_SUCH_VARIABLE"], "--secret-env NO_SUCH_VARIABLE: the environment variable is not set"),
    ],
)  # fmt: skip
def test_each_error_is_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | str | None, arguments: list[str], problem: str
) -> None:
    file = tmp_path / "slow.flow"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        job(Tape()).request("GET", "https://other.example/x", answer={"a": 1}).write(file)

    assert main(["infer", str(file), *arguments]) == 1

    [line] = capsys.readouterr().err.splitlines()
    assert problem in line


def test_har_has_webhooks_at_the_urls_that_requests_named(tmp_path: Path) -> None:
    from mitmproxy.addons.savehar import SaveHar

    file = tmp_path / "slow.har"
    file.write_text(json.dumps(SaveHar().make_har(job(Tape()).flows)))

    [recording] = reading.read([file], ["api.slow.example"])

    assert [exchange.inbound for exchange in recording.exchanges] == [False, False, True, False]


@pytest.mark.parametrize("form", ["flow", "har"])
def test_a_receiver_may_have_the_host_of_the_third_party(tmp_path: Path, form: str) -> None:
    from mitmproxy.addons.savehar import SaveHar

    api, hook = "http://127.0.0.1:8080/v1/jobs", "http://127.0.0.1:9000/hook"
    tape = Tape().request("POST", api, {"callback": hook}, 201, {"id": ID}).wait(12)
    tape.webhook({"id": ID}, hook).request("GET", f"{api}/{ID}", answer={"id": ID})
    file = tape.write(tmp_path / "slow.flow")
    if form == "har":
        file.write_text(json.dumps(SaveHar().make_har(tape.flows)))

    [recording] = reading.read([file], ["127.0.0.1"])

    assert [exchange.inbound for exchange in recording.exchanges] == [False, True, False]


@pytest.mark.parametrize(
    ("waits", "retry"),
    [([5.0], ["5s"]), ([5.2, 299.0, 1805.0], "standard-webhooks"), ([7.0, 7.0, 70.0], ["7s", "7s", "70s"])],
)
def test_a_webhook_that_was_sent_again_has_the_waits(
    made: Callable[..., str], tmp_path: Path, waits: list[float], retry: Any
) -> None:
    tape = Tape().request("POST", API, {"order": "order-17", "callback": HOOK}, 201, {"id": ID}).wait(30)
    start = tape.now
    for number, wait in enumerate([0, *waits]):
        start = tape.now = start + wait
        tape.webhook({"id": ID, "state": "done"}, status=200 if number == len(waits) else 503)

    text = made(tape)

    [mock] = mocks_of(text)
    assert mock["webhook"]["retry"] == retry
    assert "# guessed: these waits were seen; without a failure there may be more: retry" in text
    assert len(scenario(text, tmp_path).ask("POST", API, b'{"callback": "http://app.test/hook"}').started.webhooks) == 1  # type: ignore[union-attr]


def test_a_repeated_field_of_the_body_is_the_idempotency_key(made: Callable[..., str]) -> None:
    asked = {"transaction_id": "1f0c2d4e-7a53-4b8e-9d21-0c5e8b7a6f43", "amount": 7, "callback": HOOK}
    tape = Tape().request("POST", API, asked, 201, {"id": ID}).request("POST", API, asked, 201, {"id": ID})
    tape.wait(12).webhook({"id": ID, "state": "done"})

    [mock] = mocks_of(made(tape))

    assert mock["job"]["idempotency_key"] == "{{ request.json.transaction_id }}"


def test_a_token_that_the_request_gave_comes_back_in_a_header(made: Callable[..., str]) -> None:
    asked = {"callback": HOOK, "credential": {"accessToken": "t0ken"}}
    tape = Tape().request("POST", API, asked, 201, {"id": ID}).wait(12)
    tape.webhook({"id": ID}, authorization="Bearer t0ken", x_key="k3y-of-the-provider")

    text = made(tape, secrets={"k3y-of-the-provider": "PROVIDER_KEY"})

    [mock] = mocks_of(text)
    assert {name.lower(): value for name, value in mock["webhook"]["headers"].items()} == {
        "authorization": "Bearer {{ request.json.credential.accessToken }}",
        "x-key": "{{ env.PROVIDER_KEY | default('test-secret') }}",
    }
    assert "t0ken" not in text and "k3y" not in text


def test_requests_to_one_path_are_told_apart_by_the_action_that_they_name(made: Callable[..., str]) -> None:
    """As APIs of the kind of AWS's have it: POST / with a form, and XML as the answer."""
    tape = Tape()
    for action in ("CreateTopic", "Subscribe", "Publish"):
        answer = f"<{action}Response><Id>7f3c</Id></{action}Response>"
        tape.request("POST", "http://api.slow.example/", Form(Action=action, Version="1"), answer=answer)

    mocks = mocks_of(made(tape))

    assert {mock.get("when"): mock["response"]["text"].partition("Response")[0] for mock in mocks} in (
        {
            "request.form.Action == 'CreateTopic'": "<CreateTopic",
            "request.form.Action == 'Subscribe'": "<Subscribe",
            None: "<Publish",
        },
    )


def test_a_time_that_only_the_last_status_has_is_that_of_the_status(made: Callable[..., str], tmp_path: Path) -> None:
    tape = Tape().request("POST", API, {"callback": HOOK}, 201, {"id": ID, "status": "sent"})
    for status, wait in (("sent", 0.0), ("delivered", 20.0), ("completed", 0.0)):
        tape.wait(wait)
        tape.webhook({"id": ID, "status": status, "done_at": iso(tape.now) if status == "completed" else None})

    text = made(tape)

    assert "done_at: \"{{ (job.at.completed | iso8601) if job.status == 'completed' else none }}\"" in text
