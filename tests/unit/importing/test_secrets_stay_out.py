"""No secret and no personal value of a recording is in the mocks file, its comments, or what the command prints."""

import base64
import random
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from latehook.cli import main
from support.recordings import HOOK, Form, Tape

SOURCE = random.Random(17)
HOST = "https://api.slow.example"


def word(length: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    return "".join(SOURCE.choices(alphabet, k=length))


def phrase() -> str:
    """Return a secret that does not look random."""
    words = ("tiger", "lantern", "copper", "meadow", "violet", "anchor", "pepper", "harbor")
    return "-".join(SOURCE.sample(words, 3))


SECRET_KEYS = (
    *("client_secret", "apiKey", "api_key", "access_token", "refreshToken", "password", "passphrase", "private_key"),
    *(
        "webhook_secret",
        "signature",
        "authorization",
        "session_id",
        "credential",
        "signing_key",
        "bearer",
        "sessionToken",
    ),
)
PERSONAL: dict[str, str] = {
    "email": "rosalind.kvist@corp-mail.test",
    "emailAddress": "o.brennan+billing@acme-corp.io",
    "phone_number": "+4930901820771",
    "mobile": "00447700900123",
    "first_name": "Rosalind",
    "lastName": "Kvistgaard",
    "full_name": "Oluwaseun Brennan",
    "address_line1": "14 Marlowe Terrace",
    "street": "Kastanienallee 77b",
    "city": "Wolverhampton",
    "postal_code": "WV1 4QR",
    "date_of_birth": "1984-07-19",
    "ssn": "421-37-8856",
    "iban": "GB29NWBK60161331926819",
    "card_number": "5555555555554444",
    "account_number": "31926819442",
    "ip_address": "84.113.77.201",
}
IN_TEXT = {
    "a JSON Web Token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJyb3NhIn0.dozjgNryP4J3jVmNHl0w5N",
    "an AWS key": "AKIAIOSFODNN7KKAYBQ2",
    "a Stripe key": "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
    "a GitHub token": "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "a Slack token": "xoxb-2444333222111-AbCdEfGhIjKlMnOp",
    "an e-mail address": "tamsin.oyelaran@private-post.example",
    "a phone number": "+1 415 867 5309",
    "a US phone number": "(415) 867-5310",
    "a card number": "4012 8888 8888 1881",
    "an IBAN": "DE44 5001 0517 5407 3249 31",
    "an address": "203.0.114.9",
}


def planted() -> Iterator[tuple[str, str]]:
    """Yield 200 and more names of fields with a value each."""
    for key in SECRET_KEYS:
        for _ in range(5):
            yield key, word(32)
            yield key, phrase()
    yield from PERSONAL.items()
    for number in range(30):
        yield "email", f"person{number}.{word(8, string.ascii_lowercase)}@mail{number}.example"


def flows(fields: list[tuple[str, str]]) -> Tape:
    """Record jobs that have the fields in every place where a message has values."""
    tape = Tape()
    chunks = [fields[at : at + 8] for at in range(0, len(fields), 8)]
    for number, chunk in enumerate(chunks):
        id = f"job_{word(16)}"
        data = {f"part{at}": {key: value} for at, (key, value) in enumerate(chunk)}
        query = "&".join(
            f"{key}={value.replace(' ', '%20')}" for key, value in chunk if "@" not in value and "+" not in value
        )
        secret = word(40)
        SENT.append(secret)
        headers = {"authorization": f"Bearer {secret}", "x_api_key": word(30), "cookie": f"sid={word(24)}"}
        SENT.extend([headers["x_api_key"], headers["cookie"][4:]])
        answer = {"id": id, "status": "queued", "nested": [data], "note": " / ".join(value for _, value in chunk)}
        tape.request(
            "POST", f"{HOST}/v1/jobs{number % 3}?{query}", {"callback": HOOK, "other": number}, 201, answer, **headers
        )
        tape.wait(5).webhook({"id": id, "status": "done", "data": data}, x_acme_token=secret)
        tape.request("GET", f"{HOST}/v1/jobs{number % 3}/{id}", answer={**answer, "status": "done"})
        tape.request(
            "POST", f"{HOST}/v1/form", Form({f"{number}{key}": value for key, value in chunk}), answer={"ok": data}
        )
    for value in IN_TEXT.values():
        answer = {"message": f"Dear customer, we have seen {value} in your file.", "items": [value], value: 1}
        tape.request("GET", f"{HOST}/v1/texts/{value.replace(' ', '')}", answer=answer)
    signed = f"https://bucket.s3.amazonaws.com/a.pdf?X-Amz-Credential={word(20)}&X-Amz-Signature={word(64)}&plain=1"
    SENT.extend(part.partition("=")[2] for part in signed.split("?")[1].split("&")[:2])
    return tape.request(
        "GET", f"{HOST}/v1/file", answer={"url": signed, "callback": f"https://me:{word(12)}@hooks.example/x"}
    )


SENT: list[str] = []
"""Other secrets that `flows` puts into headers and URLs."""


def test_no_planted_value_is_in_any_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = list(planted())
    assert len(fields) + len(IN_TEXT) >= 200
    recording = flows(fields).write(tmp_path / "slow.flow")
    monkeypatch.setenv("ACME_SECRET", "plain-word-in-the-answer")
    output = tmp_path / "mocks.yaml"

    assert (
        main(["infer", str(recording), "--host", "api.slow.example", "--secret-env", "ACME_SECRET", "-o", str(output)])
        == 0
    )

    text = output.read_text() + "".join(capsys.readouterr())
    values = {value for _, value in fields} | set(IN_TEXT.values()) | set(SENT)
    leaked = {value for value in values if value in text or base64.b64encode(value.encode()).decode() in text}
    assert leaked == set()


@pytest.mark.parametrize("place", ["answer", "key", "text", "header", "path", "webhook"])
def test_a_secret_of_the_environment_is_nowhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    secret = "Sesam, open 17"
    monkeypatch.setenv("ACME_SECRET", secret)
    answer: Any = {"answer": {"a": secret}, "key": {secret: 1}, "text": {"a": f"it is {secret}!"}}.get(place, {"a": 1})
    headers = {"response_headers": {"location": f"/x/{secret}"}} if place == "header" else {}
    path = "/v1/" + (secret.replace(" ", "%20") if place == "path" else "x")
    tape = Tape().request("POST", HOST + path, {"callback": HOOK}, answer=answer, **headers)
    tape.webhook({"said": secret} if place == "webhook" else {"a": 2})
    output = tmp_path / "mocks.yaml"

    arguments = ["infer", str(tape.write(tmp_path / "slow.flow")), "--host", "api.slow.example"]
    assert main([*arguments, "--secret-env", "ACME_SECRET", "-o", str(output)]) == 0

    text = output.read_text() + "".join(capsys.readouterr())
    assert secret not in text and secret.replace(" ", "%20") not in text
