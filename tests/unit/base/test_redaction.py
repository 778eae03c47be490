"""Secrets are redacted in every form; and which values of a mocks file are secrets."""

import base64
import html
import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latehook.base import logs
from latehook.base.errors import MocksError
from latehook.base.redaction import Redaction
from latehook.mocksfile.loading import load

ODD = "p@ss wörd/'1\"\\+x"
PEM = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2Vw\n-----END PRIVATE KEY-----"


def test_without_secrets_nothing_changes() -> None:
    assert Redaction().redact("anything") == "anything"


@pytest.mark.parametrize(("secret", "shown"), [("abcdef", "x=***"), ("abcde", "x=abcde"), ("", "x=")])
def test_secrets_of_six_characters_and_more_are_redacted(secret: str, shown: str) -> None:
    assert Redaction([secret]).redact(f"x={secret}") == shown


ESCAPES: dict[str, Callable[[str], str]] = {
    "in a path": quote,
    "in a query": lambda text: quote(text, safe=""),
    "in a form": quote_plus,
    "every byte, in small hex digits": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "in ASCII JSON": lambda text: json.dumps(text)[1:-1],
    "in JSON": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "in JSON as PHP writes it": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "in JSON as Go writes it": lambda text: json.dumps(text)[1:-1].replace("&", "\\u0026").replace("<", "\\u003c"),
    "quoted by Python": lambda text: repr(text)[1:-1],
    "quoted by Python in ASCII": lambda text: ascii(text)[1:-1],
    "in HTML": html.escape,
    "in HTML, by numbers": lambda text: "".join(f"&#{ord(character)};" for character in text),
    "in ASCII XML": lambda text: html.escape(text).encode("ascii", "xmlcharrefreplace").decode(),
}
ENCODINGS: dict[str, Callable[[str], str]] = {
    "itself": lambda text: text,
    "in one line": lambda text: " ".join(text.split()),
    "in hexadecimal": lambda text: text.encode().hex(),
    "in HEXADECIMAL": lambda text: text.encode().hex().upper(),
    "in Latin-1": lambda text: text.encode("latin-1").decode("utf-8", "replace"),
    "UTF-8 read as Latin-1": lambda text: text.encode().decode("latin-1"),
}


@pytest.mark.parametrize("secret", [ODD, PEM], ids=["odd", "several lines"])
@pytest.mark.parametrize("form", [*ENCODINGS.values(), *ESCAPES.values()], ids=[*ENCODINGS, *ESCAPES])
def test_a_secret_is_redacted_in_every_form(secret: str, form: Callable[[str], str]) -> None:
    assert Redaction([secret]).redact(f"<{form(secret)}>") == "<***>"


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), max_size=12)


@given(TEXT, TEXT, st.lists(st.sampled_from(sorted(ESCAPES)), max_size=3))
@settings(max_examples=100, deadline=None)
def test_a_secret_is_redacted_in_escapes_of_escapes(before: str, after: str, kinds: list[str]) -> None:
    secret = escaped = f"{before}s3cret{after}"
    for kind in kinds:
        escaped = ESCAPES[kind](escaped)

    shown = Redaction([secret]).redact(f"<{escaped}>")
    assert shown.startswith("<***") and shown.endswith(">")
    rest = re.sub("amp;|%(25)*5C", "", shown)  # a backslash at the secret's end may stay, with its escapes
    assert not re.search(r"[^\W\d_a-fnqtx]|\d{4}", rest)


@given(TEXT, st.sampled_from(sorted(ESCAPES)), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_escaped_base64_is_redacted(before: str, kind: str, offset: int) -> None:
    secret = f"{before}s3cret-value"
    encoded = base64.b64encode(b"u" * offset + secret.encode()).decode()

    assert "***" in Redaction([secret]).redact(ESCAPES[kind](encoded))


@given(TEXT, st.lists(st.sampled_from(sorted(ESCAPES)), max_size=2))
@settings(max_examples=60, deadline=None)
def test_other_text_stays(text: str, kinds: list[str]) -> None:
    for kind in kinds:
        text = ESCAPES[kind](text)

    assert Redaction(["another-secret"]).redact(text) == text


@pytest.mark.parametrize(
    ("secret", "part"),
    [
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        ("Bearer abcdef-123", "abcdef-123"),
        ("basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
    ],
)
def test_a_secret_without_its_prefix_is_redacted(secret: str, part: str) -> None:
    assert Redaction([secret]).redact(f"{secret} {part} {quote(part)}") == "*** *** ***"


def test_what_stands_around_an_escaped_secret_stays() -> None:
    text = r'{"url": "http:\/\/a\/?key=p%40ss%2Fword&next=%2Fpath\u00e9"}'

    assert Redaction(["p@ss/word"]).redact(text) == r'{"url": "http:\/\/a\/?key=***&next=%2Fpath\u00e9"}'


@given(TEXT, st.integers(0, 60))
@settings(max_examples=100, deadline=None)
def test_a_cut_leaves_no_part_of_a_secret(escaped: str, end: int) -> None:
    secret = f"{escaped}s3cret"
    text = f"before {quote(secret)} between {json.dumps(secret)[1:-1]} after"
    redaction = Redaction([secret])

    at = redaction.cut(text, end)
    assert at <= end
    assert redaction.redact(text[:at]) + redaction.redact(text[at:]) == redaction.redact(text)


def test_data_is_redacted_at_any_depth() -> None:
    data = {"secret": ["a secret", ("secret", 1)], "other": {"nested": [["secret"]]}}

    redacted = {"secret": ["a ***", ("***", 1)], "other": {"nested": [["***"]]}}
    assert Redaction(["secret"]).redact(data) == redacted


@pytest.mark.parametrize("user", ["", "a", "ab", "abc"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_base64_of_a_secret_is_redacted(user: str, encode: Any) -> None:
    """The user's name and a few bits of a character at each end remain."""
    shown = Redaction([ODD]).redact(encode(f"{user}:{ODD}".encode()).decode())

    before, hidden, after = shown.partition("***")
    assert hidden
    assert len(before) <= len(encode(f"{user}:".encode()))
    assert len(after.rstrip("=")) <= 1


def test_a_secret_that_begins_with_another_is_redacted_as_a_whole() -> None:
    assert Redaction(["secret", "secret-two"]).redact("secret-two, secret") == "***, ***"


def test_added_secrets_are_redacted_besides_the_others() -> None:
    redaction = Redaction(["first-one"])
    redaction.add(["second-one"])

    assert redaction.redact("first-one second-one") == "*** ***"


def test_plain_data_keeps_its_structure_and_keys() -> None:
    data = {"method": ["GET", 1, None, {"url": "http://a/?method"}], "body": b"\xff method"}

    assert Redaction(["method"]).redact(data) == {
        "method": ["GET", 1, None, {"url": "http://a/?***"}],
        "body": b"\xff ***",
    }


def test_log_lines_and_tracebacks_have_no_secrets(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger(logs.LOGGER)
    hiding = logs.RedactingFilter(Redaction(["s3cret-value"]))
    log.addFilter(hiding)
    try:
        raise ValueError("not s3cret-value")
    except ValueError:
        log.exception("failed: %s, 100%%", "s3cret-value")
    finally:
        log.removeFilter(hiding)

    assert "failed: ***, 100%" in caplog.text
    assert "ValueError: not ***" in caplog.text
    assert "s3cret-value" not in caplog.text


# Which values of a file are secrets

FILE = """
vars: {rotating: variable-secret, harmless: harmless-variable}
x-base: &base {sign: {scheme: github, secret: anchor-secret}}
defaults: {webhook: {sign: {scheme: basic, secret: "user-name:pass-word"}}}
mocks:
  - match: POST a.example/
    webhook:
      to: http://app.test/
      sign: {scheme: stripe, secret: [literal-secret, "{{ env.SIGN_WITH }}", "{{ env.NONE | default('default-secret') }}"]}
  - match: GET a.example/
    webhook: {to: http://app.test/, sign: {scheme: bearer, secret: "{{ vars.rotating }}"}}
  - match: PUT a.example/
    webhook: {<<: *base, to: http://app.test/}
  - match: DELETE a.example/
    webhook: {to: http://app.test/, sign: {scheme: github, secret: "{{ request.headers.x_key }}"}}
"""
ENV = {
    **{"SIGN_WITH": "signing-value", "MY_SECRET_1": "of-secret", "token": "of-token", "APIKEY": "of-api-key"},
    **{"Db_Password": "of-password", "HOME": "of-home", "CALLBACK_URL": "of-url"},
}


def test_signing_secrets_and_variables_named_as_secrets_are_secrets(tmp_path: Path) -> None:
    file = tmp_path / "mocks.yaml"
    file.write_text(FILE)

    mocks = load([file], ENV)

    assert mocks.secrets == {
        *("literal-secret", "signing-value", "default-secret", "anchor-secret", "variable-secret"),
        *("user-name:pass-word", "pass-word", "of-secret", "of-token", "of-api-key", "of-password"),
    }
    assert mocks.secret_vars == {"rotating"}


@pytest.mark.parametrize(
    ("secret", "says"),
    [
        ("{a: m-y-secret}", "the key 'a' is not known; the keys here are file"),
        ("{file: [m-y-secret]}", "['***'] does not fit here"),
        ("1234567", "*** does not fit here"),
        ("\"{{ 'm-y-secret' | x }}\"", 'there is no filter `x` (in "***")'),
        ("m-y-secret, algorithm: m-y-secret", "'***' is not a value of `algorithm` (possible values: hmac-sha1"),
    ],
)
def test_an_error_of_a_file_does_not_show_a_signing_secret(tmp_path: Path, secret: str, says: str) -> None:
    webhook = f"{{to: null, sign: {{scheme: github, secret: {secret}}}}}"

    error = error_of(tmp_path, f"[{{match: GET a.example/, webhook: {webhook}}}]")

    assert says in error
    assert not re.search("m-y-secret|1234567", error)


@pytest.mark.parametrize(
    ("mock", "says"),
    [
        ("response: {status: '{{ env.API_KEY }}'}", "'***' is not a status"),
        ("webhook: {to: '{{ env.API_KEY }}'}", "'***' is not a URL"),
    ],
)
def test_an_error_of_a_file_does_not_show_a_secret_of_the_environment(tmp_path: Path, mock: str, says: str) -> None:
    error = error_of(tmp_path, f"[{{match: GET a.example/, {mock}}}]")

    assert says in error
    assert "of-api-key" not in error


def error_of(tmp_path: Path, mocks: str) -> str:
    file = tmp_path / "mocks.yaml"
    file.write_text(f"mocks: {mocks}")
    with pytest.raises(MocksError) as error:
        load([file], {"API_KEY": "of-api-key"})
    return str(error.value)


def test_an_error_of_two_files_does_not_show_a_secret_variable(tmp_path: Path) -> None:
    one, other = tmp_path / "one.yaml", tmp_path / "other.yaml"
    one.write_text(FILE)
    other.write_text("vars: {rotating: other-secret}\nmocks: []")

    with pytest.raises(MocksError, match=r"sets the variable 'rotating' to '\*\*\*', this one to '\*\*\*'"):
        load([one, other], ENV)
