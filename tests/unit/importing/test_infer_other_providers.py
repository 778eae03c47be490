"""Kinds of messages that the providers of the gallery do not have."""

import hmac
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from latehook.importing.exchanges import decode_body
from support.recordings import HOOK, Form, Tape, mocks_of, scenario

API = "https://api.slow.example/v1/jobs"
ID, OTHER = "job_8Kx2mQ7pL0vN4tRw", "job_3Zb9cD1fG5hJ7kLm"
PART, OTHER_PART = "prt_Qw8eR2tY6uI0oP4a", "prt_zX9vB3nM7aS1dF5g"


def condition_of(text: str, status: int) -> str | None:
    return next(
        one.get("when")
        for one in mocks_of(text)
        if isinstance(one.get("response"), dict) and one["response"].get("status") == status
    )


def test_a_value_of_a_job_stays_the_same_though_a_list_has_it_too(made: Callable[..., str]) -> None:
    job = {"id": ID, "part": PART, "status": "queued"}
    tape = Tape().request("POST", API, {"order": "a-17"}, answer=job).wait(3)
    tape.webhook({**job, "status": "done"}).request("GET", API, answer={"jobs": [{**job, "status": "done"}]})

    post, get = mocks_of(made(tape))

    assert post["job"]["vars"] == {"part": "prt_{{ random.base62(16) }}"}
    assert post["response"]["json"]["part"] == post["webhook"]["json"]["part"] == "{{ job.vars.part }}"
    assert "job.vars.part" in get["response"]["text"]


def test_what_several_jobs_have_is_a_constant(made: Callable[..., str]) -> None:
    tape = Tape()
    for id in (ID, OTHER):
        tape.request("POST", API, {"order": "a-17"}, answer={"id": id, "account_id": PART, "status": "queued"})
        tape.wait(2).webhook({"id": id, "account_id": PART, "status": "done"})

    [post] = mocks_of(made(tape))

    assert post["response"]["json"]["account_id"] == post["webhook"]["json"]["account_id"] == PART
    assert "vars" not in post["job"]


def test_a_refused_request_that_names_another_job_is_not_about_that_job(made: Callable[..., str]) -> None:
    people = "https://api.slow.example/v1/people"
    tape = Tape().request("POST", people, {"name": "Ada"}, 201, {"id": PART, "name": "Ada"})
    tape.request("POST", API, {"person": PART, "kind": "none"}, 400, {"error": "kind is not valid"})
    tape.request("POST", API, {"person": OTHER_PART, "kind": "full"}, 404, {"message": "not found"})
    tape.request("POST", API, {"person": PART, "kind": "full"}, 201, {"id": ID, "person": PART, "status": "queued"})
    tape.wait(3).webhook({"id": ID, "person": PART, "status": "done"})

    text = made(tape)

    assert condition_of(text, 400) == "request.json.kind == 'none'"
    unknown = condition_of(text, 404)
    assert unknown is not None
    assert unknown.startswith(f"not (jobs | selectattr('mock', 'equalto', 'POST {people}')")
    assert OTHER_PART not in text


def test_a_request_without_credentials_is_told_by_their_absence(made: Callable[..., str]) -> None:
    tape = Tape().request("POST", API, {"order": "a-17"}, 201, {"id": ID, "status": "queued"}, authorization="Key q")
    tape.request("GET", f"{API}/{ID}", answer={"id": ID, "status": "queued"}, authorization="Key q")
    tape.request("GET", f"{API}/{OTHER}", status=404, answer={"error": "not found"}, authorization="Key q")
    tape.request("GET", f"{API}/{OTHER}", status=401, answer={"error": "who are you?"})

    text = made(tape)

    assert condition_of(text, 401) == "not request.headers.authorization"
    assert condition_of(text, 404) is None


def test_a_field_may_come_as_json_and_as_a_form(made: Callable[..., str]) -> None:
    tape = Tape().request("POST", API, {"text": "x"}, 422, {"error": "to is required"})
    tape.request("POST", API, {"text": "x", "to": "ada"}, 201, {"id": ID, "status": "queued"})
    tape.request("POST", API, Form(text="x", to="ada"), 201, {"id": OTHER, "status": "queued"})
    for id in (ID, OTHER):
        tape.request("GET", f"{API}/{id}", answer={"id": id, "status": "queued"})

    assert condition_of(made(tape), 422) == "not (request.json or request.form).to"


def test_errors_of_one_form_have_a_condition_each(made: Callable[..., str]) -> None:
    tape = Tape().request("POST", API, {"format": "png"}, 422, {"code": 10, "message": "file is missing"})
    tape.request("POST", API, {"file": "a.gif", "format": "xyz"}, 422, {"code": 11, "message": "format is not valid"})
    tape.request("POST", API, {"file": "a.gif", "format": "png"}, 201, {"id": ID, "status": "queued"})
    tape.request("GET", f"{API}/{ID}", answer={"id": ID, "status": "queued"})

    conditions = [one.get("when") for one in mocks_of(made(tape))]

    assert conditions == ["not request.json.file", "request.json.format == 'xyz'", None, None]


def test_a_parameter_that_asks_for_more_fields_has_a_mock_of_its_own(made: Callable[..., str], tmp_path: Path) -> None:
    plain = {"id": ID, "status": "done"}
    tape = Tape().request("POST", API, {"order": "a-17"}, 201, {"id": ID, "status": "queued"}).wait(3).webhook(plain)
    tape.request("GET", f"{API}/{ID}", answer=plain)
    tape.request("GET", f"{API}/{ID}?include=log", answer={**plain, "log": ["all is well"]})

    text = made(tape)

    assert [one.get("when") for one in mocks_of(text)][1:] == ["request.query.include", None]
    played = scenario(text, tmp_path)
    id = json.loads(played.ask("POST", API, b"{}").response.body)["id"]  # type: ignore[union-attr]
    answers = [json.loads(played.ask("GET", f"{API}/{id}{query}").response.body) for query in ("", "?include=log")]  # type: ignore[union-attr]
    assert [one.get("log") for one in answers] == [None, ["all is well"]]


@pytest.mark.parametrize(
    ("given", "said", "expected"),
    [
        ({"at": "2027-01-16T10:00:00Z"}, {"at": "2027-01-16T10:00:00Z"}, {"at": "{{ request.json.at }}"}),
        ({"city": "Berlin town"}, {"city": "BERLIN TOWN"}, {"city": "{{ request.json.city | upper }}"}),
        ({}, {"due": "2027-01-20"}, {"due": "{{ (job.created_at + 432000) | strftime('%Y-%m-%d') }}"}),
        ({}, {"day": "2027-01-15"}, {"day": "{{ job.created_at | strftime('%Y-%m-%d') }}"}),
        (
            {"tos": "4915112345678,49152"},
            {"to": 49152},
            {"to": "{{ ((request.json.tos | split(','))[1] | default('0')) | int }}"},
        ),
    ],
)
def test_what_one_recording_explains(made: Callable[..., str], given: Any, said: Any, expected: Any) -> None:
    tape = Tape().request("POST", API, {"order": "a-17", **given}, 201, {"id": ID, "status": "queued", **said})
    tape.request("GET", f"{API}/{ID}", answer={"id": ID, "status": "queued"})

    response = mocks_of(made(tape))[0]["response"]["json"]

    assert {key: response[key] for key in said} == expected


def test_what_differs_between_recordings_may_be_a_yes_or_a_word_of_the_request(made: Callable[..., str]) -> None:
    tapes = []
    for id, count, is_fast in ((ID, 2, True), (OTHER, 3, False)):
        tape = Tape().request("POST", API, {"count": count, "fast": is_fast}, 201, {"id": id, "fast": is_fast})
        tapes.append(tape.wait(3).webhook({"id": id, "message": f"made {count} copies"}))

    [post] = mocks_of(made(*tapes))

    assert post["response"]["json"]["fast"] == "{{ request.json.fast }}"
    assert post["webhook"]["json"]["message"] == "made {{ request.json.count }} copies"


def test_short_numbers_that_are_ids_of_parts_become_variables(made: Callable[..., str], tmp_path: Path) -> None:
    tape = Tape()
    for id, part, order in ((15, 16, "a-17"), (21, 22, "b-17")):
        tape.request("POST", API, {"order": order}, 201, {"id": id, "file": {"id": part}, "cost": 15, "files": []})
        done = {"id": id, "file": {"id": part}, "cost": 15, "files": [{"id": part + 1}]}
        tape.wait(3).request("GET", f"{API}/{id}", answer=done)
        tape.request("GET", f"https://api.slow.example/v1/files/{part + 1}", answer={"name": "a.png"})

    text = made(tape)

    post, *_ = mocks_of(text)
    assert post["response"]["json"]["file"]["id"] == "{{ job.vars.file_id | int }}"
    assert post["response"]["json"]["cost"] == 15
    assert [one["match"].rpartition("/")[2] for one in mocks_of(text)] == ["jobs", "{id}", "{file}"]


def test_files_of_a_form_come_back_by_name_and_size(made: Callable[..., str]) -> None:
    part = 'Content-Disposition: form-data; name="source"; filename="portrait.gif"\r\nContent-Type: image/gif'
    body = f"--q\r\n{part}\r\n\r\n{'G' * 120}\r\n--q--\r\n"
    said = {"id": ID, "status": "queued", "source": {"name": "portrait.gif", "size": 120}}
    tape = Tape().request("POST", API, body, 201, said, content_type="multipart/form-data; boundary=q")
    tape.request("GET", f"{API}/{ID}", answer=said)

    post, *_ = mocks_of(made(tape))

    file = {"name": "{{ request.files.source.filename }}", "size": "{{ request.files.source.size }}"}
    assert post["response"]["json"]["source"] == file


def test_a_page_that_an_id_only_begins_says_nothing_about_its_job(made: Callable[..., str]) -> None:
    tape = Tape()
    for id, status in ((ID, "done"), (OTHER, "queued")):
        tape.request("POST", API, {"order": "a-17"}, 201, {"id": id, "status": "queued"})
        tape.wait(3).request("GET", f"{API}/{id}", answer={"id": id, "status": status})
    tape.request("GET", f"{API}?after={OTHER}", answer={"data": [{"id": ID, "status": "done"}]})

    assert "lookup: request.query.after" not in made(tape)


def test_stages_of_recordings_are_paired_by_event_and_status(made: Callable[..., str]) -> None:
    tapes = []
    for id, late in ((ID, 0.2), (OTHER, 3.0)):  # the network may make the first webhook late
        tape = Tape().request("POST", API, {"order": "a-17"}, 201, {"id": id, "status": "queued"}).wait(late)
        tape.webhook({"id": id, "event": "made", "status": "queued"}).wait(6 - late)
        tapes.append(tape.webhook({"id": id, "event": "ended", "status": "done"}))

    for pair in (tapes, tapes[::-1]):
        [post] = mocks_of(made(*pair))
        told = [(one.get("status"), (one.get("webhook") or {}).get("event")) for one in post["stages"]]
        assert [one for one in told if one[1]] == [("queued", "made"), ("done", "ended")]


def test_basic_credentials_of_a_webhook_stay_basic_ones(made: Callable[..., str]) -> None:
    tape = Tape().request("POST", API, {"hook": HOOK}, 201, {"id": ID, "status": "queued"}).wait(3)
    tape.webhook({"id": ID, "status": "done"}, authorization="Basic dTpwYXNzd29yZC1vZi10aGUtaG9vaw==")

    text = made(tape)

    assert mocks_of(text)[0]["webhook"]["headers"] == {
        "authorization": "Basic {{ env.AUTHORIZATION | default('test-secret') }}"
    }
    assert "dTpwYXNz" not in text


def test_numbers_of_receivers_are_personal(made: Callable[..., str]) -> None:
    tape = Tape().request("POST", API, {"order": "a-17"}, 201, {"id": ID, "items": [{"recipient": 31612345678}]})
    tape.request("GET", f"{API}/{ID}", answer={"id": ID, "to": "31612345678"})

    assert "31612345678" not in made(tape)


def multipart(fields: dict[str, str]) -> str:
    parts = [f'--q\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n' for name, text in fields.items()]
    return "".join(parts) + "--q--\r\n"


def test_a_multipart_webhook_has_json_with_a_hash_of_its_fields(made: Callable[..., str], tmp_path: Path) -> None:
    secret = "the-key-of-the-account"

    def event(id: str, name: str, at: float) -> str:
        made = hmac.digest(secret.encode(), f"{int(at)}{name}".encode(), "sha256").hex()
        head = {"event_time": str(int(at)), "event_type": name, "event_hash": made}
        return multipart({"json": json.dumps({"event": head, "request": {"id": id, "status": name}})})

    tape = Tape().request("POST", API, {"hook": HOOK}, 201, {"id": ID, "status": "queued"})
    for name in ("sent", "signed"):
        tape.wait(3)
        tape.webhook(event(ID, name, tape.now), content_type="multipart/form-data; boundary=q")

    text = made(tape, secrets={secret: "KEY"})

    assert secret not in text
    assert "left out" not in text
    played = scenario(text, tmp_path)
    decision = played.ask("POST", API, json.dumps({"hook": HOOK}).encode())
    told = decode_body(*[(one := played.attempt(decision, 1)).body, dict(one.headers)["content-type"], ""])
    said = json.loads(told.value["json"])
    assert decision.started is not None
    assert said["request"] == {"id": decision.started.id, "status": "signed"}
    head = said["event"]
    expected = hmac.digest(b"test-secret", f"{head['event_time']}signed".encode(), "sha256").hex()
    assert (head["event_type"], head["event_hash"]) == ("signed", expected)


def test_names_with_hyphens_are_echoed_and_personal(made: Callable[..., str]) -> None:
    fields = {"name-first": "Ada", "street-type": "lane"}
    said = {"id": ID, "status": "queued", "first": {"name-first": "Ada"}, "street-type": "lane"}
    tape = Tape().request("POST", API, {"data": fields}, 201, said)
    tape.request("GET", f"{API}/{ID}", answer={"id": ID, "status": "queued", "name-first": "Grace"})

    text = made(tape)

    response = mocks_of(text)[0]["response"]["json"]
    assert response["street-type"] == "{{ request.json.data['street-type'] }}"
    assert response["first"] == "{{ request.json.data['name-first'] }}" or "Ada" not in text
    assert "Grace" not in text
