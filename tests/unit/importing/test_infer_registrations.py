"""What is inferred from registrations: checks of a receiver's URL, and requests that depend on them."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from latehook.cli import main
from support.recordings import HOOK, Form, Tape, mocks_of, scenario

HOOKS, JOBS = "https://api.slow.example/v1/hooks", "https://api.slow.example/v1/jobs"
ID = "job_8Kx2mQ7pL0vN4tRw"
CHALLENGES = ("Kx2mQ7pL0vN4tRw8", "Zb9cD1eF5gH7jYk3")


def registration(
    tape: Tape, challenge: str, answer: Any, status: int, is_accepted: bool, refusal: int = 400, **asked: Any
) -> None:
    """Record a registration. Before its response comes a webhook, which the receiver answers with this."""
    code, body = (201, {"ok": True}) if is_accepted else (refusal, {"error": "no echo"})
    start = tape.now
    tape.request("POST", HOOKS, {"callback": HOOK, **asked}, code, body)
    tape.now = start + 0.02
    tape.webhook({"challenge": challenge, "kind": "check"}, status=status)
    answered = tape.flows[-1].response
    assert answered is not None
    if isinstance(answer, dict):
        answered.headers["content-type"] = "application/json"
    answered.text = json.dumps(answer) if isinstance(answer, dict) else answer


def test_a_refusal_may_have_the_status_200(made: Callable[..., str]) -> None:
    tape = Tape()
    registration(tape, CHALLENGES[0], "hello", 200, is_accepted=False, refusal=200)
    registration(tape.wait(1), CHALLENGES[1], CHALLENGES[1], 200, is_accepted=True)

    [mock] = mocks_of(made(tape))

    when = "job.webhooks.validation.text != job.vars.challenge"
    refused, accepted = mock["response"]
    assert refused == {"when": when, "rejects": True, "json": {"error": "no echo"}}
    assert accepted == {"status": 201, "json": {"ok": True}}


@pytest.mark.parametrize(
    ("good", "bad", "when"),
    [
        ("{}", "hello", "job.webhooks.validation.text != job.vars.challenge"),
        ({"token": {"back": "{}"}}, {"token": {"back": "hello"}}, "job.webhooks.validation.json.token.back != job.vars.challenge"),
        ("", 500, "job.webhooks.validation.status not in [200]"),
    ],
    ids=["text", "json", "status"],
)  # fmt: skip
def test_a_receiver_has_to_pass_the_check(
    made: Callable[..., str], tmp_path: Path, good: Any, bad: Any, when: str
) -> None:
    def with_challenge(value: Any) -> Any:
        return json.loads(json.dumps(value).replace("{}", CHALLENGES[1])) if not isinstance(value, int) else ""

    tape = Tape()
    registration(tape, CHALLENGES[0], with_challenge(bad), bad if isinstance(bad, int) else 200, is_accepted=False)
    registration(tape.wait(1), CHALLENGES[1], with_challenge(good), 200, is_accepted=True)

    text = made(tape)

    [mock] = mocks_of(text)
    refused, accepted = mock["response"]
    assert (refused["when"], refused["rejects"], refused["status"], refused["json"]) == (
        when,
        True,
        400,
        {"error": "no echo"},
    )
    assert accepted == {"status": 201, "json": {"ok": True}}
    assert mock["webhook"]["event"] == "validation" and "left out" not in text
    (tmp_path / "made.yaml").write_text(text)
    assert main(["verify", str(tmp_path / "made.yaml"), str(tape.write(tmp_path / "again.flow"))]) == 0


def test_jobs_need_a_registration_whose_secret_signs_their_webhooks(made: Callable[..., str], tmp_path: Path) -> None:
    asked = {"callback": HOOK, "order": "order-17"}
    body = json.dumps({"id": ID})
    signature = hmac.new(b"a-secret-of-mine", body.encode(), hashlib.sha256).hexdigest()
    tape = Tape().request("POST", JOBS, asked, 400, {"error": "register first"})
    registration(tape, CHALLENGES[0], CHALLENGES[0], 200, is_accepted=True, hook_secret="a-secret-of-mine")
    tape.wait(1).request("POST", JOBS, asked, 201, {"id": ID})
    tape.wait(12).webhook({"id": ID}, X_Acme_Signature=signature)

    text = made(tape)

    registered = f"(jobs | selectattr('mock', 'equalto', 'POST {HOOKS}') | selectattr('request.json.callback', 'equalto', request.json.callback) | first)"  # fmt: skip
    mocks = mocks_of(text)
    [refused] = [mock for mock in mocks if mock["match"] == f"POST {JOBS}" and "when" in mock]
    [accepted] = [mock for mock in mocks if mock["match"] == f"POST {JOBS}" and "when" not in mock]
    assert refused["when"] == f"not {registered}"
    assert accepted["webhook"]["sign"]["secret"] == f"{{{{ {registered}.request.json.hook_secret }}}}"
    assert "not verified" not in text and "a-secret-of-mine" not in text
    played = scenario(text, tmp_path)
    asking = json.dumps(asked).encode()
    before, _, after = (played.ask("POST", url, asking) for url in (JOBS, HOOKS, JOBS))
    assert [one.response.status for one in (before, after) if one.response is not None] == [400, 201]


@pytest.mark.parametrize("encoding", ["hex", "base64"])
def test_a_receiver_has_to_give_the_hmac_of_the_challenge(made: Callable[..., str], encoding: str) -> None:
    def keyed(secret: str) -> str:
        raw = hmac.digest(secret.encode(), CHALLENGES[0].encode(), "sha256")
        return "sha256=" + (raw.hex() if encoding == "hex" else base64.b64encode(raw).decode())

    tape = Tape()
    registration(tape, CHALLENGES[0], {"token": keyed("another")}, 200, is_accepted=False)
    registration(tape.wait(1), CHALLENGES[0], {"token": keyed("hook-secret-1")}, 200, is_accepted=True)

    [mock] = mocks_of(made(tape, secrets={"hook-secret-1": "ACME"}))

    expected = f"(job.vars.challenge | hmac(env.ACME | default('test-secret'), 'sha256', '{encoding}'))"
    assert mock["response"][0]["when"] == f"job.webhooks.validation.json.token != 'sha256=' ~ {expected}"


def test_the_url_of_a_registration_may_be_in_json_in_a_form(made: Callable[..., str]) -> None:
    manifest = json.dumps({"settings": {"url": HOOK}})
    tape = Tape().request("POST", HOOKS, Form(manifest=manifest), 201, {"ok": True}).wait(5).webhook({"kind": "hello"})

    [mock] = mocks_of(made(tape))

    assert mock["webhook"]["to"] == "{{ (request.form.manifest | from_json).settings.url }}"
