"""Signatures on the wire: the vendors' own verifiers accept what a receiver got."""

import base64
import hashlib
import hmac
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

import jwt
import pytest
import requests
import standardwebhooks
import stripe
from http_message_signatures import HTTPMessageVerifier, MappingKeyResolver, algorithms
from slack_sdk.signature import SignatureVerifier
from twilio.request_validator import RequestValidator

from support.keys import ec_key, pem, public_pem, rsa_key
from support.process import mitmdump
from support.receivers import Received, receiver

MOCKS = """
x-body: &body {id: "{{ job.id }}", text: "ünï → 🎉", n: 1.0, none: null}
mocks:
  - {match: POST api.slow.example/stripe, webhook: {to: "{{ request.json.to }}", json: *body,
     sign: {scheme: stripe, secret: [whsec_old, whsec_new]}}}
  - {match: POST api.slow.example/skewed, webhook: {to: "{{ request.json.to }}", json: *body,
     sign: {scheme: stripe, secret: whsec_new, skew: -10m}}}
  - {match: POST api.slow.example/standard, webhook: {to: "{{ request.json.to }}", json: *body,
     sign: {scheme: standard-webhooks, secret:
       [whsec_b2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xk, whsec_bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3]}}}
  - {match: POST api.slow.example/svix, webhook: {to: "{{ request.json.to }}", json: *body,
     sign: {scheme: svix, secret: whsec_bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3}}}
  - {match: POST api.slow.example/slack, webhook: {to: "{{ request.json.to }}", form: *body,
     sign: {scheme: slack, secret: 8f742231b10e8888abcd99yyyzzz85a5}}}
  - {match: POST api.slow.example/twilio-form, webhook: {to: "{{ request.json.to }}", query: {q: "a b"},
     form: {b: [2, 1, 2], a: "x y&", c: ""}, sign: {scheme: twilio, secret: token}}}
  - {match: POST api.slow.example/twilio-json, webhook: {to: "{{ request.json.to }}", json: *body,
     query: {q: "a b"}, sign: {scheme: twilio, secret: token}}}
  - {match: POST api.slow.example/twilio-get, webhook: {to: "{{ request.json.to }}", method: GET, query: {q: "a b"},
     sign: {scheme: twilio, secret: token}}}
  - {match: POST api.slow.example/shopify, webhook: {to: "{{ request.json.to }}", file: body.json,
     sign: {scheme: shopify, secret: s}}}
  - match: POST api.slow.example/plaid
    webhook: {to: "{{ request.json.to }}", json: *body, sign: {scheme: plaid, key_id: key-1, secret: {file: ec.pem}}}
  - match: POST api.slow.example/http-message-signature
    webhook:
      to: "{{ request.json.to }}"
      json: *body
      headers: {x-trace: "{{ job.id }}"}
      sign:
        scheme: http-message-signatures
        components: ["@method", "@target-uri", "@authority", content-type, content-length, x-trace, content-digest]
        algorithm: rsa-pss-sha512
        secret: "{{ env.RSA_KEY }}"
        key_id: key-1
  - match: POST api.slow.example/detached
    webhook:
      to: "{{ request.json.to }}"
      json: *body
      sign: {jwt: {algorithm: RS256, header: {b64: false, crit: [b64]}}, secret: "{{ env.RSA_KEY }}",
             headers: {x-jws: "{jwt.detached}"}}
  - {match: POST api.slow.example/multipart, webhook: {to: "{{ request.json.to }}", multipart: {json: "{}"},
     sign: {scheme: github, secret: s}}}
"""


@pytest.fixture(scope="module")
def receive(confdir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """`receive(path)` returns the webhook of the mock with this path, and the URL that it was sent to."""
    folder = tmp_path_factory.mktemp("signatures")
    (folder / "body.json").write_bytes(b'{"a":  1}\r\n\xff')
    (folder / "mocks.yaml").write_text(MOCKS)
    (folder / "ec.pem").write_text(pem(ec_key()))
    env = {"RSA_KEY": pem(rsa_key()).replace("\n", "\\n")}
    with mitmdump(confdir, "--set", f"mock_file={folder / 'mocks.yaml'}", env=env) as proxy, receiver() as server:

        def receive(path: str) -> tuple[Received, str]:
            count = len(server.requests)
            to = f"{server.url}/hook%2F1?own=1"
            url = f"http://api.slow.example/{path}"
            assert requests.post(url, json={"to": to}, proxies={"http": proxy.url}).status_code == 200
            got = server.wait(count + 1)[-1]
            return got, f"{server.url}{got.path}"

        yield receive


def test_stripe_accepts_either_secret(receive: Any) -> None:
    got, _ = receive("stripe")

    for secret in ("whsec_old", "whsec_new"):
        event = stripe.Webhook.construct_event(got.body, got.headers["stripe-signature"], secret)
        assert event["text"] == "ünï → 🎉"
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(got.body, got.headers["stripe-signature"], "whsec_other")


def test_stripe_rejects_an_old_timestamp(receive: Any) -> None:
    got, _ = receive("skewed")

    with pytest.raises(stripe.SignatureVerificationError, match="outside the tolerance"):
        stripe.Webhook.construct_event(got.body, got.headers["stripe-signature"], "whsec_new")
    stripe.Webhook.construct_event(got.body, got.headers["stripe-signature"], "whsec_new", tolerance=700)


def test_standard_webhooks_accepts_either_secret(receive: Any) -> None:
    got, _ = receive("standard")

    for secret in ("old" * 8, "new" * 8):
        key = f"whsec_{base64.b64encode(secret.encode()).decode()}"
        assert standardwebhooks.Webhook(key).verify(got.body, got.headers)["none"] is None
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook("b3RoZXI=").verify(got.body, got.headers)


def test_svix_accepts_its_signature(receive: Any) -> None:
    import svix  # takes a second: here, only the worker that runs this test imports it

    got, _ = receive("svix")

    svix.webhooks.Webhook(f"whsec_{base64.b64encode(b'new' * 8).decode()}").verify(got.body, got.headers)
    with pytest.raises(svix.webhooks.WebhookVerificationError):
        svix.webhooks.Webhook("b3RoZXI=").verify(got.body, got.headers)


def test_slack_accepts_its_signature(receive: Any) -> None:
    got, _ = receive("slack")

    assert SignatureVerifier("8f742231b10e8888abcd99yyyzzz85a5").is_valid_request(got.body, got.headers)
    assert not SignatureVerifier("other").is_valid_request(got.body, got.headers)


class MultiDict(dict[str, list[str]]):
    """A form as web frameworks give it to Twilio's validator."""

    getall = dict.__getitem__


def test_twilio_accepts_a_form(receive: Any) -> None:
    got, url = receive("twilio-form")

    form = MultiDict(parse_qs(got.body.decode(), keep_blank_values=True))
    assert url.endswith("/hook%2F1?own=1&q=a%20b")
    assert form["b"] == ["2", "1", "2"]
    assert RequestValidator("token").validate(url, form, got.headers["x-twilio-signature"])
    assert not RequestValidator("token").validate(f"{url}x", form, got.headers["x-twilio-signature"])


def test_twilio_accepts_json(receive: Any) -> None:
    got, url = receive("twilio-json")

    assert f"bodySHA256={hashlib.sha256(got.body).hexdigest()}" in url
    assert RequestValidator("token").validate(url, got.body.decode(), got.headers["x-twilio-signature"])
    assert not RequestValidator("token").validate(url, "{}", got.headers["x-twilio-signature"])


def test_twilio_accepts_a_get(receive: Any) -> None:
    got, url = receive("twilio-get")

    assert (got.method, got.body) == ("GET", b"")
    assert RequestValidator("token").validate(url, {}, got.headers["x-twilio-signature"])


@pytest.mark.parametrize("path", ["shopify", "multipart"])
def test_a_body_that_is_not_text_is_signed_as_sent(receive: Any, path: str) -> None:
    got, _ = receive(path)

    digest = hmac.new(b"s", got.body, "sha256")
    if path == "shopify":
        assert got.body == b'{"a":  1}\r\n\xff'
        assert got.headers["x-shopify-hmac-sha256"] == base64.b64encode(digest.digest()).decode()
    else:
        assert got.headers["content-type"].startswith("multipart/form-data")
        assert got.headers["x-hub-signature-256"] == f"sha256={digest.hexdigest()}"


def test_plaids_token_is_accepted(receive: Any) -> None:
    got, _ = receive("plaid")

    text = got.headers["plaid-verification"]
    assert jwt.get_unverified_header(text)["kid"] == "key-1"
    claims = jwt.decode(text, public_pem(ec_key()), ["ES256"], leeway=2)
    assert claims["request_body_sha256"] == hashlib.sha256(got.body).hexdigest()


def test_an_http_message_signature_is_accepted(receive: Any) -> None:
    got, url = receive("http-message-signature")

    keys = MappingKeyResolver(public_keys={"key-1": rsa_key().public_key()}, private_keys={})
    verifier = HTTPMessageVerifier(signature_algorithm=algorithms.RSA_PSS_SHA512, key_resolver=keys)
    message = SimpleNamespace(method=got.method, url=url, headers=got.headers)
    [result] = verifier.verify(message, require_components=["@target-uri", "x-trace", "content-digest"], body=got.body)
    assert result.parameters["keyid"] == "key-1"


def test_a_detached_signature_of_the_body_is_accepted(receive: Any) -> None:
    got, _ = receive("detached")

    key = public_pem(rsa_key())
    jwt.PyJWS().decode_complete(got.headers["x-jws"], key, ["RS256"], detached_payload=got.body)
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.PyJWS().decode_complete(got.headers["x-jws"], key, ["RS256"], detached_payload=got.body + b" ")
