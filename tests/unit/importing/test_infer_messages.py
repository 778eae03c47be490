"""What is inferred from messages of other kinds: XML, ids in headers, redirects, long polls, requests about other jobs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.recordings import HOOK, Form, Tape, mocks_of, scenario

API = "https://api.slow.example/v1/jobs"
ID, OTHER_ID = "job_8Kx2mQ7pL0vN4tRw", "job_3Zb9cD1eF5gH7jYk"

ORDER = """<?xml version="1.0"?><e:Envelope xmlns:e="urn:envelope"><e:Header><ReplyTo>{hook}</ReplyTo></e:Header>
<e:Body><Order priority="high"><Reference>{reference}</Reference></Order></e:Body></e:Envelope>"""
REPLY = """<?xml version="1.0"?><s:Envelope xmlns:s="urn:envelope"><s:Body><Status xmlns="urn:status">
<Id>{id}</Id><Of>{reference}</Of></Status></s:Body></s:Envelope>"""


def test_xml_has_expressions_inside_and_keeps_its_namespaces(made: Callable[..., str]) -> None:
    tapes = []
    for id, reference in ((ID, "Müller & Söhne"), (OTHER_ID, "another one")):
        escaped = reference.replace("&", "&amp;")
        reply, order = REPLY.format(id=id, reference=escaped), ORDER.format(hook=HOOK, reference=escaped)
        xml = {"content_type": "application/soap+xml"}
        tape = Tape().request("POST", API, order, 202, reply, response_headers={"content-type": "text/xml"}, **xml)
        tapes.append(tape.wait(12).webhook(reply, **xml).request("POST", API, "<a/>", 500, "no", **xml))

    bad, good = mocks_of(made(*tapes))

    status = {
        "@xmlns": "urn:status",
        "Id": "{{ job.id }}",
        "Of": "{{ request.xml.Envelope.Body.Order.Reference }}",
    }
    expected = {"s:Envelope": {"@xmlns:s": "urn:envelope", "s:Body": {"Status": status}}}
    assert good["response"]["xml"] == good["webhook"]["xml"] == expected
    assert good["webhook"]["to"] == "{{ request.xml.Envelope.Header.ReplyTo }}"
    assert good["response"]["headers"] == {"Content-Type": "text/xml"}
    assert bad["when"] == "not request.xml.Envelope"


@pytest.mark.parametrize("text", ["<!DOCTYPE html><html><body>Hello</body></html>", "<a>not closed", "no XML"])
def test_what_is_called_xml_and_cannot_be_read_stays_text(made: Callable[..., str], text: str) -> None:
    tape = Tape().request("GET", API, answer=text, response_headers={"content-type": "application/xhtml+xml"})

    [mock] = mocks_of(made(tape))

    assert mock["response"] == {"headers": {"Content-Type": "application/xhtml+xml"}, "text": text}


@pytest.mark.parametrize("value", ["http://[", "https://", "http://a:b:c/", "eyJhbGciOlsxXX0.e30.AAAA"])
def test_values_that_only_look_like_urls_or_tokens(made: Callable[..., str], value: str) -> None:
    tape = Tape().request("POST", API, {"url": value}, 201, {"id": ID}, X_Url=value).wait(5)

    [mock] = mocks_of(made(tape.webhook({"id": ID, "of": value}, X_Acme_Verification=value)))

    assert mock["webhook"]["json"]["id"] == "{{ job.id }}"


def test_an_id_in_a_header_of_the_response_ties_webhooks(made: Callable[..., str]) -> None:
    tape = Tape().request("POST", API, {"a": 1}, 202, response_headers={"X-Message-Id": "Hd7XyzP2mQ9vL0rT"})
    tape.wait(12).webhook([{"message": "Hd7XyzP2mQ9vL0rT.filter1"}])

    [mock] = mocks_of(made(tape))

    assert mock["job"] == {"id": "{{ random.base62(16) }}"}
    assert mock["response"]["headers"] == {"X-Message-Id": "{{ job.id }}"}
    assert mock["webhook"]["json"] == [{"message": "{{ job.id }}.filter1"}]


def test_the_id_of_a_mail_is_no_address_and_stands_without_its_brackets(made: Callable[..., str]) -> None:
    mail = "20270115080000.4f0c9a7be21d4c55@mail.example"
    tape = Tape().request(
        "POST", "https://api.slow.example/mail/send", Form(to="a@b.example"), answer={"id": f"<{mail}>"}
    )
    tape.wait(12).webhook({"message-id": mail})

    [mock] = mocks_of(made(tape))

    assert mock["match"] == "POST https://api.slow.example/mail/send"
    assert mock["job"]["id"].endswith(".{{ random.hex(16) }}@mail.example")
    assert mock["response"]["json"] == {"id": "<{{ job.id }}>"}
    assert mock["webhook"]["json"] == {"message-id": "{{ job.id }}"}


def test_a_request_about_a_job_that_gets_an_id_of_its_own_is_a_job_too(made: Callable[..., str]) -> None:
    tape = Tape().request("POST", API, {"a": 1}, 201, {"reference": "GQXNF2WTJDXNNJCA"})
    tape.request("POST", f"{API}/GQXNF2WTJDXNNJCA/refunds", {}, 201, {"reference": "WCAEFQDKMAKLORSN"})
    tape.wait(12).webhook({"event": "refund", "reference": "WCAEFQDKMAKLORSN", "of": "GQXNF2WTJDXNNJCA"})
    tape.webhook({"event": "paid", "reference": "GQXNF2WTJDXNNJCA"})

    payment, refund = mocks_of(made(tape))

    assert payment["webhook"]["json"] == {"event": "paid", "reference": "{{ job.id }}"}
    assert refund["match"] == f"POST {API}/{{id}}/refunds"
    assert refund["webhook"]["json"] == {"event": "refund", "reference": "{{ job.id }}", "of": "{{ request.path.id }}"}


@pytest.mark.parametrize("status", [301, 307, 308])
def test_a_webhook_that_was_redirected_counts_once(made: Callable[..., str], status: int) -> None:
    tape = Tape().request("POST", API, {"callback": HOOK}, 201, {"id": ID}).wait(12)
    method = "GET" if status == 301 else "POST"
    tape.webhook({"id": ID}, status=status).webhook({"id": ID} if method == "POST" else None, f"{HOOK}/new", method)
    tape.flows[1].response.headers["location"] = "/hook/new"  # type: ignore[union-attr]

    [mock] = mocks_of(made(tape))

    assert mock["webhook"] == {
        "after": "12s",
        "to": "{{ request.json.callback }}",
        "json": {"id": "{{ job.id }}"},
        "redirects": 1,
    }


@pytest.mark.parametrize("broken", ["location", "host", "in the request"])
def test_a_url_that_is_none_is_no_error(made: Callable[..., str], broken: str) -> None:
    body = {"callback": HOOK, **({"site": "http://["} if broken == "in the request" else {})}
    tape = Tape().request("POST", API, body, 201, {"id": ID}).wait(12)
    tape.webhook({"id": ID}, status=302 if broken == "location" else 200)
    if broken == "location":
        tape.flows[1].response.headers["location"] = "http://["  # type: ignore[union-attr]
    if broken == "host":
        tape.flows[1].request.headers["host"] = "["

    [mock] = mocks_of(made(tape))

    assert mock["webhook"]["json"] == {"id": "{{ job.id }}"}


def test_a_response_that_waited_for_the_end_of_the_job_is_a_long_poll(made: Callable[..., str]) -> None:
    tape = Tape().request("POST", API, {"callback": HOOK}, 201, {"id": ID, "status": "queued"})
    tape.request("GET", f"{API}/{ID}/result", answer={"id": ID, "status": "done"})
    tape.flows[1].response.timestamp_end = tape.now + 12.02  # type: ignore[union-attr]
    tape.wait(12).webhook({"id": ID, "status": "done"})

    post, poll = mocks_of(made(tape))

    assert post["stages"] == [{"status": "queued"}, {"after": "12s", "status": "done", "webhook": True}]
    assert (poll["response"]["until"], poll["response"]["delay"]) == ("job.status == 'done'", "5m")


@pytest.mark.parametrize("place", ["query", "header", "body"])
def test_a_webhook_may_go_below_the_url_that_the_request_names(made: Callable[..., str], place: str) -> None:
    """As in the document of OpenAPI's own callback example: `{$request.query.callbackUrl}/data`."""
    url = f"{API}?callbackUrl={HOOK}" if place == "query" else API
    headers = {"X_Callback_Url": HOOK} if place == "header" else {}
    tape = Tape().request("POST", url, {"url": HOOK} if place == "body" else None, 201, {"fine": True}, **headers)
    tape.wait(5).webhook({"userData": "some data"}, f"{HOOK}/data")

    [mock] = mocks_of(made(tape))

    named = {"query": "query.callbackUrl", "header": "headers.x_callback_url", "body": "json.url"}[place]
    assert mock["webhook"]["to"] == f"{{{{ request.{named} }}}}/data"


def test_a_key_of_the_request_that_comes_back_as_a_value(made: Callable[..., str]) -> None:
    def recording(name: str) -> Tape:
        asked = {"tasks": {"first": {"do": "read"}, name: {"do": "write"}}}
        return Tape().request("POST", API, asked, answer={"name": name})

    [mock] = mocks_of(made(recording("export-my-file"), recording("a")))

    assert mock["response"]["json"] == {"name": "{{ (request.json.tasks | list | last) }}"}


@pytest.mark.parametrize(
    ("value", "is_random"),
    [("GQXNF2WTJDXNNJCA", True), ("WCAEFQDKMAKLORSN", True), ("E5C0D8B2-1F33-4C7A-9D21-0C5E8B7A6F43", True)]
    + [(word, False) for word in ("requires_confirmation", "SHA256withRSA", "documentModels", "longrunningrecognize")]
    + [(word, False) for word in ("prebuilt-invoice", "AUTHORISATION", "application/octet-stream", "transcription")],
)
def test_words_and_random_texts(value: str, is_random: bool) -> None:
    from latehook.importing.shapes import is_opaque

    assert is_opaque(value) is is_random


@pytest.mark.parametrize("path", ["signature_request/send", "token/revoke", "address/validate", "card/list-all"])
def test_a_word_behind_the_name_of_a_secret_stays_in_the_path(made: Callable[..., str], path: str) -> None:
    [mock] = mocks_of(made(Tape().request("POST", f"https://api.slow.example/{path}", {"a": 1}, answer={"b": 2})))

    assert mock["match"] == f"POST https://api.slow.example/{path}"


def test_paths_that_are_captured_for_different_reasons_have_one_match(made: Callable[..., str]) -> None:
    tape = Tape().request("POST", API, {"a": 1}, 201, {"id": ID}).request("GET", f"{API}/{ID}", answer={"id": ID})
    tape.request("GET", f"{API}/0a1b2c3d4e5f6a7b", status=200, answer={"id": "0a1b2c3d4e5f6a7b", "other": True})

    matches = {mock["match"] for mock in mocks_of(made(tape))}

    assert matches == {f"POST {API}", f"GET {API}/{{id}}"}


def test_certificates_and_the_word_bearer_are_no_secrets(made: Callable[..., str]) -> None:
    certificate = (
        "-----BEGIN CERTIFICATE-----\nMIIDAzCCAeugAwIBAgIBATANBgkqhkiG9w0BAQsFADBE\n-----END CERTIFICATE-----\n"
    )
    tape = Tape().request("POST", API, {"a": 1}, answer={"token_type": "Bearer"}, authorization="Bearer t0ken-of-mine")
    tape.request(
        "GET",
        "https://api.slow.example/cert",
        answer=certificate,
        response_headers={"content-type": "application/x-pem-file"},
    )

    texts: list[Any] = [mock["response"].get("text") or mock["response"]["json"] for mock in mocks_of(made(tape))]

    assert sorted(map(json.dumps, texts)) == sorted(map(json.dumps, ({"token_type": "Bearer"}, certificate)))


def test_two_fields_that_tell_the_state_are_one_status(made: Callable[..., str], tmp_path: Path) -> None:
    tape = Tape()
    for id, outcome in ((ID, "success"), (OTHER_ID, "failure")):
        tape.request("POST", API, {"order": f"o-{id}"}, 201, {"id": id, "status": "queued", "conclusion": None})
        done = {"id": id, "status": "completed", "conclusion": outcome}
        tape.wait(12).webhook(done).request("GET", f"{API}/{id}", answer=done)

    text = made(tape)

    get = mocks_of(text)[-1]
    assert get["response"]["json"]["conclusion"] == (
        "{{ {'failure': 'failure', 'success': 'success', 'queued': none}[job.status] }}"
    )
    assert get["response"]["json"]["status"] == "{{ 'queued' if job.status == 'queued' else 'completed' }}"


def test_a_list_has_the_jobs_that_there_are(made: Callable[..., str], tmp_path: Path) -> None:
    tape = Tape()
    for id, order in ((ID, "order-17"), (OTHER_ID, "order-18")):
        tape.request("POST", API, {"order": order}, 201, {"id": id, "status": "queued"})
        tape.request("GET", f"{API}/{id}", answer={"id": id, "status": "queued"})
    items = [
        {"id": OTHER_ID, "order": "order-18", "link": f"/jobs/{OTHER_ID}"},
        {"id": ID, "order": "order-17", "link": f"/jobs/{ID}"},
    ]
    tape.request("GET", API, answer={"total": 2, "jobs": items, "next": None})

    text = made(tape)

    played = scenario(text, tmp_path)
    ids = [json.loads(played.ask("POST", API, b'{"order": "another"}').response.body)["id"] for _ in range(3)]  # type: ignore[union-attr]
    answer = json.loads(played.ask("GET", API).response.body)  # type: ignore[union-attr]
    expected = [{"id": id, "order": "another", "link": f"/jobs/{id}"} for id in reversed(ids)]
    assert answer == {"total": 3, "jobs": expected, "next": None}
    assert "# guessed: it lists jobs of another mock: only by the parameters that were seen: response" in text
