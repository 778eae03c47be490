"""`sign` in a mocks file: its errors, and what it sends."""

import base64
import hmac
from pathlib import Path

import pytest

from latehook.base.errors import ExpressionError, MocksError
from support.scenario import START, new_scenario
from support.signing import URL


def mock(sign: str) -> str:
    return f"""
mocks:
  - match: POST api.slow.example/
    webhook:
      to: {URL}
      json: {{id: "{{{{ job.id }}}}"}}
      sign: {sign}
"""


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (
            "{scheme: strpe, secret: s}",
            "sign.scheme: 'strpe' is not a scheme; did you mean 'stripe'?",
        ),
        (
            "{algorithm: hmac-sha257, secret: s, headers: {x: '{signature}'}}",
            ":7: mocks[0].webhook.sign.algorithm: 'hmac-sha257' is not a value of `algorithm`; did you mean 'hmac-sha256'?",
        ),
        (
            "{scheme: github, secret: s, encoding: base46}",
            "'base46' is not a value of `encoding`; did you mean 'base64'?",
        ),
        (
            "{scheme: github, secret: s, secret_encoding: utf-8}",
            "'utf-8' is not a value of `secret_encoding`; did you mean 'utf8'?",
        ),
        (
            "{scheme: github, secret: s, timestamp_format: second}",
            "'second' is not a value of `timestamp_format`; did you mean 'seconds'?",
        ),
        ("{scheme: github, secret: s, message: '{timestmp}.{body}'}", "sign.message: {timestmp} is not known"),
        ("{scheme: github, secret: s, message: '{timestmp}'}", "{timestmp} is not known; did you mean 'timestamp'?"),
        ("{scheme: github, secret: s, message: '{signature}'}", "sign.message: {signature} is not known"),
        ("{secret: s, headers: {x: '{signatur}'}}", "sign.headers.x: {signatur} is not known"),
        ("{secret: s, fields: {/a: '{json}'}}", "sign.fields./a: {json} is not known"),
        ("{scheme: github, secret: s, message: '{Body}'}", "{Body} is not known; did you mean 'body'?"),
        ("{secret: s, headers: {x: '{signature.0}'}}", "sign.headers.x: {signature.0} is not known"),
        ("{secret: s}", "the signature is sent nowhere: write `headers`, `fields` or a `scheme`"),
        ("{scheme: github}", "the key 'secret' is missing"),
        ("{scheme: github, secret: s, skw: 5s}", "the key 'skw' is not known; did you mean 'skew'?"),
        ("{scheme: github, secret: s, skew: soon}", "'soon' is not a duration"),
    ],
)
def test_a_mistake_in_sign_is_an_error_at_load(tmp_path: Path, given: str, error: str) -> None:
    with pytest.raises(MocksError) as raised:
        new_scenario(tmp_path, mock(given))

    assert error in str(raised.value)


def test_given_keys_override_those_of_the_scheme(tmp_path: Path) -> None:
    scenario = new_scenario(
        tmp_path, mock("{scheme: github, secret: s, encoding: base64, headers: {X-Sig: '{signature}'}}")
    )

    attempt = scenario.attempt(scenario.ask("POST", "https://api.slow.example/"))

    expected = base64.b64encode(hmac.new(b"s", attempt.body, "sha256").digest()).decode()
    assert {name: value for name, value in attempt.headers if name != "content-type"} == {"X-Sig": expected}


@pytest.mark.parametrize(("skew", "off"), [("10m", 600), ("-10m", -600), ("-1.5", -1), ("0", 0)])
def test_skew_moves_the_signed_time(tmp_path: Path, skew: str, off: int) -> None:
    scenario = new_scenario(tmp_path, mock(f"{{scheme: stripe, secret: s, skew: {skew}}}"))

    attempt = scenario.attempt(scenario.ask("POST", "https://api.slow.example/"))

    stamp = int(dict(attempt.headers)["Stripe-Signature"].partition(",")[0][2:])
    assert stamp - START in (off, off - 1)


def test_a_header_of_the_mock_is_not_overwritten(tmp_path: Path) -> None:
    text = mock("{scheme: standard-webhooks, secret: c2VjcmV0}").replace(
        "      json:", "      headers: {Webhook-Id: evt_mine}\n      json:"
    )
    scenario = new_scenario(tmp_path, text)

    attempt = scenario.attempt(scenario.ask("POST", "https://api.slow.example/"))

    headers = [(name.lower(), value) for name, value in attempt.headers]
    assert [value for name, value in headers if name == "webhook-id"] == ["evt_mine"]
    assert "webhook-signature" in dict(headers)


def test_an_invalid_secret_is_an_error_that_does_not_contain_it(tmp_path: Path) -> None:
    scenario = new_scenario(tmp_path, mock("{scheme: svix, secret: '{{ request.json.secret }}'}"))
    decision = scenario.ask("POST", "https://api.slow.example/", b'{"secret": "s3cret!"}')

    with pytest.raises(ExpressionError, match=r"mocks.yaml:7: .*sign: the secret is not base64") as error:
        scenario.attempt(decision)

    assert "s3cret" not in str(error.value)
