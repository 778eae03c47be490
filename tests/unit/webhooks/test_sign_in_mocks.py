"""`sign` in a mocks file: its errors, and what it sends."""

import base64
import gzip
import hashlib
import hmac
import json
from pathlib import Path

import jwt
import pytest

from latehook.base.errors import ExpressionError, MocksError
from support.keys import pem, public_pem, rsa_key
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
        ("{scheme: plaid, secret: s}", "sign.jwt.header.kid: {key_id} stands for `key_id`, which is missing: write it"),
        ("{scheme: paypal, secret: s}", "sign.message: {key_id} stands for `key_id`, which is missing: write it"),
        ("{scheme: wise, secret: s}", "sign.secret: the secret is not an RSA key"),
        (
            "{secret: s, jwt: {}, message: x, headers: {x: '{jwt}'}}",
            "sign.message: it has no effect, because `jwt` says what is signed",
        ),
        (
            "{secret: s, jwt: {}, algorithm: sha1, headers: {x: '{jwt}'}}",
            "sign.algorithm: it has no effect, because `jwt`",
        ),
        (
            "{secret: s, jwt: {algorithm: RS265}, headers: {x: '{jwt}'}}",
            "jwt.algorithm: 'RS265' is not an algorithm of a JWT; did you mean 'RS256'?",
        ),
        (
            "{secret: s, jwt: {claim: {}}, headers: {x: '{jwt}'}}",
            "the key 'claim' is not known; did you mean 'claims'?",
        ),
        (
            "{secret: s, jwt: {claims: {a: ['{sha257}']}}, headers: {x: '{jwt}'}}",
            "sign.jwt.claims.a: {sha257} is not known; did you mean 'sha256'?",
        ),
        ("{secret: s, jwt: {claims: {a: '{jwt}'}}, headers: {x: '{jwt}'}}", "sign.jwt.claims.a: {jwt} is not known"),
        ("{secret: s, headers: {x: '{jwt}'}}", "sign.headers.x: {jwt} is not known"),
        ("{secret: s, headers: {x: '{sha256:base63}'}}", "sign.headers.x: {sha256:base63} is not known"),
        ("{secret: s, headers: {x: '{timestamp+soon}'}}", "sign.headers.x: {timestamp+soon} is not known"),
        ("{secret: s, headers: {x: '{signature_input}'}}", "sign.headers.x: {signature_input} is not known"),
        (
            "{scheme: http-message-signatures, secret: s, components: [Date]}",
            "sign.components[0]: 'Date' is not a component: write the name of a header in lower case",
        ),
        (
            "{scheme: http-message-signatures, secret: s, components: ['@method', date, '@method']}",
            "sign.components[2]: '@method' is there twice: remove one of them",
        ),
        ("{scheme: http-message-signatures, secret: s, components: []}", "sign.components: the list is empty"),
        (
            "{scheme: http-message-signatures, secret: s, algorithm: hmac-sha1}",
            "sign.algorithm: an HTTP message signature has one of hmac-sha256, rsa-sha256, rsa-pss-sha512, ecdsa-p256, ecdsa-p384, ed25519, not hmac-sha1",
        ),
        (
            "{scheme: github, secret: s, parameters: {tag: x}}",
            "sign.parameters: they belong to an HTTP message signature: write `components` too",
        ),
        (
            "{scheme: github, secret: s, message: '{% if 1 %}{body}{% endif %}'}",
            "sign.message: a statement cannot stand here: write an expression, {{ … if … else … }}",
        ),
        (
            "{scheme: github, secret: s, message: '{{ requst.method }}{body}'}",
            "sign.message: there is no 'requst' here; did you mean 'request'?",
        ),
        ("{scheme: github, secret: s, message: '{{ request.method }'}", "sign.message: "),
        ("{scheme: github, secret: {file: none.pem}}", "none.pem' cannot be read: No such file or directory"),
        ("{scheme: github, secret: {fil: none.pem}}", "'fil'"),
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


def header_of(tmp_path: Path, sign: str, name: str = "x", body: bytes = b"{}", **env: str) -> str:
    """Return a header of the attempt at the webhook that this body's request starts."""
    scenario = new_scenario(tmp_path, mock(sign), **env)
    attempt = scenario.attempt(scenario.ask("POST", "https://api.slow.example/", body, x_tenant="{body} t"))
    return dict(attempt.headers)[name]


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("{{ request.headers.x_tenant }}|{method}", "{body} t|POST"),
        ("{{ request.json.a }}", "1"),
        ("{{ request.json.none }}.{{ webhook.attempt }}", ".1"),
        ("{{ webhook.url }}", URL),
        ("{{ env.FORMAT }}", "POST x"),
        ("a{# a comment #}b", "ab"),
        ("{{ {'a': 1} | tojson }} {not} { a token }", '{"a":1} {not} { a token }'),
    ],
)
def test_the_value_of_an_expression_in_a_template_is_no_template(tmp_path: Path, template: str, filled: str) -> None:
    sign = "{secret: s, algorithm: none, message: %s, headers: {x: %s, y: '{signature}'}}"
    quoted = json.dumps(template)
    if "{not}" in template:
        with pytest.raises(MocksError, match=r"\{not\} is not known"):
            header_of(tmp_path, sign % (quoted, quoted))
        template, filled = template.replace(" {not}", ""), filled.replace(" {not}", "")
        quoted = json.dumps(template)

    assert header_of(tmp_path, sign % (quoted, quoted), body=b'{"a": 1}', FORMAT="{method} x") == filled
    raw = header_of(tmp_path, sign % (quoted, quoted), name="y", body=b'{"a": 1}', FORMAT="{method} x")
    assert bytes.fromhex(raw).decode() == filled


def test_claims_keep_the_types_of_expressions(tmp_path: Path) -> None:
    sign = """
        secret: a-secret-of-at-least-thirty-two-bytes
        key_id: "{{ request.json.kid }}"
        headers: {x: "{jwt}"}
        jwt:
          header: {cty: "{{ request.json.cty }}"}
          claims: {n: "{{ request.json.n }}", list: ["{{ request.json.list }}"], iat: "{timestamp}", at: "at {timestamp}",
                   text: "{{ request.json.text }}", none: null, nothing: "{{ request.json.nothing }}", one: 1}"""

    token = header_of(
        tmp_path, sign, body=b'{"kid": "{id}", "n": 2.5, "list": ["{sha256}"], "text": "{sha256}", "cty": "x"}'
    )

    claims = jwt.decode(token, "a-secret-of-at-least-thirty-two-bytes", ["HS256"], options={"verify_iat": False})
    assert claims == {
        "n": 2.5,
        "list": [["{sha256}"]],
        "iat": int(START),
        "at": f"at {int(START)}",
        "text": "{sha256}",
        "one": 1,
    }
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT", "kid": "{id}", "cty": "x"}


def test_claims_are_merged_with_those_of_the_scheme(tmp_path: Path) -> None:
    sign = "{scheme: vonage, secret: a-secret-of-at-least-thirty-two-bytes, key_id: key, jwt: {claims: {application_id: app, iss: null}}}"

    token = header_of(tmp_path, sign, "Authorization").removeprefix("Bearer ")

    claims = jwt.decode(token, "a-secret-of-at-least-thirty-two-bytes", ["HS256"], options={"verify_iat": False})
    assert claims.keys() == {"iat", "jti", "payload_hash", "api_key", "application_id"}


def test_each_endpoint_has_a_secret_of_its_own(tmp_path: Path) -> None:
    text = """
mocks:
  - {match: POST api.slow.example/hooks, job: {}}
  - match: POST api.slow.example/events
    webhook:
      to: "{{ jobs | selectattr('request.path', 'equalto', '/hooks') | map(attribute='request.json.url') | list }}"
      text: x
      sign:
        scheme: github
        secret: "{{ (jobs | selectattr('request.json.url', 'equalto', webhook.url) | first).request.json.secret }}"
"""
    scenario = new_scenario(tmp_path, text)
    secrets = {"http://a.test/": b"first", "http://b.test/": b"second"}
    for url, secret in secrets.items():
        scenario.ask(
            "POST", "https://api.slow.example/hooks", json.dumps({"url": url, "secret": secret.decode()}).encode()
        )
    decision = scenario.ask("POST", "https://api.slow.example/events")

    for at in range(2):
        attempt = scenario.attempt(decision, at)
        expected = hmac.new(secrets[attempt.url], b"x", "sha256").hexdigest()
        assert dict(attempt.headers)["X-Hub-Signature-256"] == f"sha256={expected}"


def test_a_secret_in_a_file_or_with_escaped_line_breaks_in_the_environment(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text(pem(rsa_key()))

    from_file = header_of(tmp_path, "{scheme: wise, secret: {file: key.pem}}", "X-Signature-SHA256")
    named = header_of(tmp_path, "{scheme: wise, secret: [{file: '{{ env.F }}'}]}", "X-Signature-SHA256", F="key.pem")
    in_env = "{scheme: wise, secret: '{{ env.KEY }}'}"
    from_env = header_of(tmp_path, in_env, "X-Signature-SHA256", KEY=pem(rsa_key()).replace("\n", "\\n"))

    assert len(base64.b64decode(from_file)) == len(base64.b64decode(named)) == len(base64.b64decode(from_env)) == 256


def test_a_secret_in_a_file_is_a_secret(tmp_path: Path) -> None:
    (tmp_path / "key.txt").write_text("secret-in-a-file")
    scenario = new_scenario(tmp_path, mock("{scheme: github, secret: {file: key.txt}}"))

    assert "secret-in-a-file" in scenario.mocks.secrets
    assert "key.txt" not in scenario.mocks.secrets
    changed = tmp_path / "changed"
    changed.mkdir()
    (changed / "key.txt").write_text("another-secret-in-a-file")
    other = new_scenario(changed, mock("{scheme: github, secret: {file: key.txt}}"))
    assert scenario.mocks.all[0].definition != other.mocks.all[0].definition


def test_what_a_signature_reads_of_the_request_is_kept(tmp_path: Path) -> None:
    text = mock(
        "{secret: s, message: '{{ request.json.a }}', key_id: '{{ request.text }}', headers: {x: '{signature}'}}"
    )

    assert new_scenario(tmp_path, text).mocks.all[0].kept_members >= {"json", "text"}


def test_a_key_that_is_wrong_at_an_attempt_fails_the_webhook_without_showing_it(tmp_path: Path) -> None:
    public = json.dumps(public_pem(rsa_key()))
    scenario = new_scenario(tmp_path, mock("{scheme: wise, secret: '{{ request.text }}'}"))
    decision = scenario.ask("POST", "https://api.slow.example/", json.loads(public).encode())

    with pytest.raises(ExpressionError, match="sign: the secret is a public key, which only verifies"):
        scenario.attempt(decision)


def test_an_http_message_signature_covers_the_body_as_it_is_sent(tmp_path: Path) -> None:
    text = mock("{scheme: http-message-signatures, secret: s}").replace(
        "      json:", "      headers: {content-encoding: gzip}\n      json:"
    )
    scenario = new_scenario(tmp_path, text)

    attempt = scenario.attempt(scenario.ask("POST", "https://api.slow.example/"))

    digest = base64.b64encode(hashlib.sha256(attempt.body).digest()).decode()
    assert gzip.decompress(attempt.body).startswith(b'{"id":')
    assert dict(attempt.headers)["Content-Digest"] == f"sha-256=:{digest}:"
