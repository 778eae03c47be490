"""Signatures: the vendors' published examples, and everything that `sign` can say."""

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from latehook.base.errors import ExpressionError, MocksError, SigningError
from latehook.webhooks.schemes import SCHEMES, Scheme
from latehook.webhooks.signing import Message, Signed, sign
from support.scenario import START
from support.scenario import new_scenario as play

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
TEXT = "text/plain"
URL = "http://app.test/hook"
NOW = 1_700_000_000.123


def signed(
    scheme: Scheme | str,
    secrets: str | list[str],
    body: bytes = b"",
    content_type: str = JSON,
    url: str = URL,
    timestamp: float = NOW,
    id: str = "msg_1",
    method: str = "POST",
) -> Signed:
    scheme = SCHEMES[scheme] if isinstance(scheme, str) else scheme
    secrets = [secrets] if isinstance(secrets, str) else secrets
    return sign(scheme, secrets, Message(id, timestamp, method, url, body, content_type))


def header(scheme: Scheme | str, secrets: str | list[str], *arguments: Any, name: str = "x", **named: Any) -> str:
    headers = {name.lower(): value for name, value in signed(scheme, secrets, *arguments, **named).headers}
    return headers[name.lower()]


def scheme(**keys: Any) -> Scheme:
    return Scheme(**{"headers": {"x": "{signature}"}, **keys})


# The vendors' known answers

SLACK_BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
    b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
    b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
SQUARE_BODY = (
    b'{"merchant_id":"MLEFBHHSJGVHD","type":"webhooks.test_notification",'
    b'"event_id":"ac3ac95b-f97d-458c-a6e6-18981597e05f","created_at":"2022-07-13T20:30:59.037339943Z",'
    b'"data":{"type":"webhooks","id":"bc368e64-01aa-407e-b46e-3231809b1129"}}'
)
SENDGRID_BODY = (
    b'[{"email":"hello@world.com","event":"dropped","reason":"Bounced Address",'
    b'"sg_event_id":"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA",'
    b'"sg_message_id":"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0",'
    b'"smtp-id":"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>","timestamp":1600112492}]\r\n'
)
TWILIO_URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
TWILIO_FORM = urlencode(
    {
        "CallSid": "CA1234567890ABCDE",
        "Digits": "1234",
        "From": "+14158675309",
        "To": "+18005551212",
        "Caller": "+14158675309",
    }
).encode()
MESSAGEBIRD = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJNZXNzYWdlQmlyZCIsIm5iZiI6MTYyNTQ3OTIwMCwiZXhwIjoxNjI1NDc5Mj"
    "YwLCJqdGkiOiI1OWEyNDRkYy1lOWFkLTRlMjMtOTc3OC0zNzFmYWEyMzhmNzIiLCJ1cmxfaGFzaCI6IjBmMTE1ZGIwNjJiN2MwZGQwMzBi"
    "MTY4NzhjOTlkZWE1YzM1NGI0OWRjMzdiMzhlYjg4NDYxNzljNzc4M2U5ZDcifQ.6Fp0rVOsRr1fj9S2GidXAfkmPVofKr8_RTffC6G6r2E"
)


@pytest.mark.parametrize(
    ("preset", "secret", "name", "expected", "message"),
    [
        pytest.param(  # standard-webhooks/standard-webhooks, libraries/python/tests/test_webhooks.py
            "standard-webhooks",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "webhook-signature",
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            {"id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "timestamp": 1614265330, "body": b'{"test": 2432232314}'},
            id="standard-webhooks",
        ),
        pytest.param(
            "svix",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "svix-signature",
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            {"id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "timestamp": 1614265330, "body": b'{"test": 2432232314}'},
            id="svix",
        ),
        pytest.param(  # GitHub's documentation, "Validating webhook deliveries"
            "github",
            "It's a Secret to Everybody",
            "x-hub-signature-256",
            "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
            {"body": b"Hello, World!"},
            id="github",
        ),
        pytest.param(  # octokit/webhooks-methods.js, test/sign.test.ts
            "github",
            "mysecret",
            "x-hub-signature-256",
            "sha256=4864d2759938a15468b5df9ade20bf161da9b4f737ea61794142f3484236bda3",
            {"body": b'{"foo":"bar"}'},
            id="octokit",
        ),
        pytest.param(  # slackapi/python-slack-sdk, tests/slack_sdk/signature/test_signature_verifier.py
            "slack",
            "8f742231b10e8888abcd99yyyzzz85a5",
            "x-slack-signature",
            "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
            {"timestamp": 1531420618, "body": SLACK_BODY, "content_type": FORM},
            id="slack",
        ),
        pytest.param(  # muxinc/mux-node-sdk, its older tests of webhooks
            "mux",
            "SuperSecret123",
            "mux-signature",
            "t=1565125718,v1=854ece4c22acef7c66b57d4e504153bc512595e8e9c772ece2a68150548c19a7",
            {"timestamp": 1565125718, "body": b'{"test":"body"}'},
            id="mux",
        ),
        pytest.param(  # stripe has no vector of its own; its form is that of Mux
            "stripe",
            "SuperSecret123",
            "stripe-signature",
            "t=1565125718,v1=854ece4c22acef7c66b57d4e504153bc512595e8e9c772ece2a68150548c19a7",
            {"timestamp": 1565125718, "body": b'{"test":"body"}'},
            id="stripe",
        ),
        pytest.param(  # twilio/twilio-python, tests/unit/test_request_validator.py
            "twilio",
            "12345",
            "x-twilio-signature",
            "RSOYDt4T1cUTdK1PDd93/VVr8B8=",
            {"url": TWILIO_URL, "body": TWILIO_FORM, "content_type": FORM},
            id="twilio form",
        ),
        pytest.param(
            "twilio",
            "12345",
            "x-twilio-signature",
            "a9nBmqA0ju/hNViExpshrM61xv4=",
            {"url": TWILIO_URL, "body": b'{"property": "value", "boolean": true}'},
            id="twilio json",
        ),
        pytest.param(
            "twilio",
            "12345",
            "x-twilio-signature",
            "Zmvh+3yNM1Phv2jhDCwEM3q5ebU=",
            {
                "url": TWILIO_URL.replace("https", "http").replace(".com", ".com:1234"),
                "body": TWILIO_FORM,
                "content_type": FORM,
            },
            id="twilio port",
        ),
        pytest.param(  # square/square-python-sdk, tests/integration/test_webhooks_helper.py
            "square",
            "Ibxx_5AKakO-3qeNVR61Dw",
            "x-square-hmacsha256-signature",
            "GF4YkrJgGBDZ9NIYbNXBnMzqb2HoL4RW/S6vkZ9/2N4=",
            {"url": "https://webhook.site/679a4f3a-dcfa-49ee-bac5-9d0edad886b9", "body": SQUARE_BODY},
            id="square",
        ),
        pytest.param(  # the same; characters that some serializers escape
            "square",
            "signature-key",
            "x-square-hmacsha256-signature",
            "Cxt7+aTi4rKgcA0bC4g9EHdVtLSDWdqccmL5MvihU4U=",
            {"url": "https://webhook.site/webhooks", "body": b'{"data":{"type":"webhooks","id":">id<"}}'},
            id="square unescaped",
        ),
        pytest.param(  # cloudconvert/cloudconvert-python, tests/unit/testWebhookSignature.py
            "cloudconvert",
            "90sffs0d8fs0f9sf0",
            "cloudconvert-signature",
            "5c4c0691bce8a1a2af738b7073fe0627e792734813358c5f88a658819dd0a6d2",
            {"body": b"cloudconvert", "content_type": TEXT},
            id="cloudconvert",
        ),
        pytest.param(  # messagebird/python-rest-api, webhook_signature_test_data.json: the signature of a JWT
            scheme(encoding="base64url"),
            "36efdd1aace2e26cd490f0d951138253bef2f7c6d34d18981da781555cc4cebb",
            "x",
            MESSAGEBIRD.rpartition(".")[2],
            {"body": MESSAGEBIRD.rpartition(".")[0].encode(), "content_type": TEXT},
            id="messagebird jwt",
        ),
    ],
)
def test_the_vendors_own_vectors(
    preset: Scheme | str, secret: str, name: str, expected: str, message: dict[str, Any]
) -> None:
    assert header(preset, secret, name=name, **message) == expected


def test_dropbox_signs_hash_is_written_into_the_body() -> None:
    # hellosign/dropbox-sign-python, examples/EventCallbackExample.py
    event = {"event": {"event_time": "1669926463", "event_type": "account_confirmed", "event_hash": "?"}, "a": [1]}

    made = signed("dropbox-sign", "324e3b0840f065eb51f3fd63231d0d33daa35d4ed10d27718839e81737065782", dumps(event))

    expected = "ff8b03439122f9160500c3fb855bdee5a9ccba5fff27d3b258745d8f3074832f"
    assert json.loads(made.body) == {**event, "event": {**event["event"], "event_hash": expected}}  # type: ignore[dict-item]
    assert made.headers == ()


def test_sendgrids_signature_is_over_the_time_and_the_bytes() -> None:
    # sendgrid/sendgrid-python, test/unit/test_eventwebhook.py; ECDSA is not repeatable, so theirs is verified over ours
    spki = (
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglS"
        "I8eNEc6wEA3F+g=="
    )
    theirs = "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM="
    message = replace(SCHEMES["sendgrid"], algorithm="none")
    name = "X-Twilio-Email-Event-Webhook-Signature"

    over = base64.b64decode(header(message, "", SENDGRID_BODY, timestamp=1600112502, name=name))

    key = serialization.load_der_public_key(base64.b64decode(spki))
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(base64.b64decode(theirs), over, ec.ECDSA(hashes.SHA256()))


# The general form


def dumps(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


@pytest.mark.parametrize("name", ["sha1", "sha256", "sha384", "sha512"])
@pytest.mark.parametrize("encoding", ["hex", "base64", "base64url"])
def test_hmac_and_plain_hashes_in_each_encoding(name: str, encoding: str) -> None:
    encode = {
        "hex": bytes.hex,
        "base64": lambda raw: base64.b64encode(raw).decode(),
        "base64url": lambda raw: base64.urlsafe_b64encode(raw).decode().rstrip("="),
    }[encoding]
    keyed = hmac.new(b"key", b"body\xff", name).digest()
    plain = hashlib.new(name, b"key:body\xff").digest()

    assert header(scheme(algorithm=f"hmac-{name}", encoding=encoding), "key", b"body\xff") == encode(keyed)
    assert header(scheme(algorithm=name, message="{secret}:{body}", encoding=encoding), "key", b"body\xff") == encode(
        plain
    )


@pytest.mark.parametrize(
    ("secret_encoding", "secret", "raw"),
    [
        ("utf8", "whsec_é", "whsec_é".encode()),
        ("base64", "whsec_aGVsbG8=", b"hello"),
        ("base64", "aGVsbG8", b"hello"),
        ("hex", "68656c6c6f", b"hello"),
    ],
)
def test_a_secrets_encoding(secret_encoding: str, secret: str, raw: bytes) -> None:
    expected = hmac.new(raw, b"x", "sha256").hexdigest()

    assert header(scheme(secret_encoding=secret_encoding), secret, b"x") == expected


@pytest.mark.parametrize(
    ("form", "stamp"),
    [("seconds", "1700000000"), ("milliseconds", "1700000000123"), ("iso8601", "2023-11-14T22:13:20.123Z")],
)
def test_the_time_as_a_provider_writes_it_is_the_time_that_is_signed(form: str, stamp: str) -> None:
    made = scheme(algorithm="none", message="{timestamp}|{body}", timestamp_format=form, encoding="base64")
    made = replace(made, headers={"x": "t={timestamp},v1={signature}"})

    assert header(made, "", b"b") == f"t={stamp},v1={base64.b64encode(f'{stamp}|b'.encode()).decode()}"


@pytest.mark.parametrize(
    ("template", "message", "filled"),
    [
        ("{id}.{method}.{url}", {"method": "PUT"}, f"msg_1.PUT.{URL}"),
        ("{form_sorted}", {"body": b"b=2&a=1&b=1&b=2&c=", "content_type": FORM}, "a1b1b2c"),
        ("{form_sorted}", {"body": b'{"a": 1}'}, ""),
        ("{field:a b}|{field:none}", {"body": b"a+b=%C3%BC%26&c=1", "content_type": FORM}, "ü&|"),
        ("{json:/a/b~1c/1}|{json:/n}|{json:/t}|{json:/o}", {}, "y|2.5|true|[1]"),
        ("{json:/none}{json:/a/x/y}{json:/o/9}", {}, ""),
        ("{json:}", {"body": b'{"a": [1]}'}, '{"a":[1]}'),
        ("{{body}} {not a token} {body}", {"body": b"b"}, "{b} {not a token} b"),
    ],
)
def test_what_may_be_signed(template: str, message: dict[str, Any], filled: str) -> None:
    body = dumps({"a": {"b/c": ["x", "y"]}, "n": 2.5, "t": True, "o": [1]})
    raw = scheme(algorithm="none", message=template, encoding="base64")

    assert base64.b64decode(header(raw, "", **{"body": body, **message})).decode() == filled


def test_the_signed_url_is_without_the_fragment_that_nobody_sends() -> None:
    made = signed("twilio", "12345", TWILIO_FORM, FORM, f"{TWILIO_URL}#rc=2")

    assert dict(made.headers)["X-Twilio-Signature"] == "RSOYDt4T1cUTdK1PDd93/VVr8B8="
    as_json = signed("twilio", "12345", b"{}", url="http://app.test/#rc=2")
    assert as_json.url == f"http://app.test/?bodySHA256={hashlib.sha256(b'{}').hexdigest()}"


ED25519 = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
P256 = ec.derive_private_key(1234567, ec.SECP256R1())


def pem(key: Any) -> str:
    encoded = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(*encoded).decode()


def der(key: Any) -> bytes:
    return key.private_bytes(  # type: ignore[no-any-return]
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.mark.parametrize(
    ("encoding", "secret"),
    [
        ("utf8", pem(ED25519)),
        ("hex", bytes(range(32)).hex()),
        ("base64", "whsk_" + base64.b64encode(bytes(range(32)) + ED25519.public_key().public_bytes_raw()).decode()),
    ],
)
def test_ed25519(encoding: str, secret: str) -> None:
    made = scheme(algorithm="ed25519", encoding="base64", secret_encoding=encoding, message="{id}.{timestamp}.{body}")

    signature = base64.b64decode(header(made, secret, b"{}"))

    ED25519.public_key().verify(signature, b"msg_1.1700000000.{}")
    with pytest.raises(InvalidSignature):
        ED25519.public_key().verify(signature, b"msg_1.1700000001.{}")


@pytest.mark.parametrize(
    ("encoding", "secret"), [("utf8", pem(P256)), ("base64", base64.b64encode(der(P256)).decode())]
)
def test_ecdsa_p256(encoding: str, secret: str) -> None:
    name = "x-twilio-email-event-webhook-signature"
    made = replace(SCHEMES["sendgrid"], secret_encoding=encoding)

    signature = base64.b64decode(header(made, secret, SENDGRID_BODY, name=name))

    P256.public_key().verify(signature, b"1700000000" + SENDGRID_BODY, ec.ECDSA(hashes.SHA256()))


def test_a_signature_in_the_body_is_signed_with_its_place_empty() -> None:
    into = scheme(headers={}, fields={"/sig/hmac": "v1={signature}"})
    made = signed(into, "key", dumps({"sig": {"hmac": "whatever"}, "list": [1]}))

    empty = dumps({"sig": {"hmac": ""}, "list": [1]})
    expected = f"v1={hmac.new(b'key', empty, 'sha256').hexdigest()}"
    assert made.body == dumps({"sig": {"hmac": expected}, "list": [1]})


def test_a_signature_in_a_form_field() -> None:
    # as Mailgun and Transloadit have it: over other fields, written beside them
    into = scheme(
        algorithm="hmac-sha384", message="{field:data}", headers={}, fields={"signature": "sha384:{signature}"}
    )

    made = signed(into, "key", urlencode({"data": '{"ok": "ü"}', "signature": "old"}).encode(), FORM)

    expected = hmac.new(b"key", '{"ok": "ü"}'.encode(), "sha384").hexdigest()
    assert parse_qsl(made.body.decode()) == [("data", '{"ok": "ü"}'), ("signature", f"sha384:{expected}")]


@pytest.mark.parametrize("body", [b"", b"text", b"[1]", b'{"event": 1}'])
def test_a_body_without_the_place_for_a_signature_says_so(body: bytes) -> None:
    with pytest.raises(SigningError, match="cannot be written to /event/event_hash: the body has no such place"):
        signed("dropbox-sign", "key", body)


# Rotation, and nothing for a secret that there is not


@pytest.mark.parametrize(
    ("preset", "name"),
    [
        ("standard-webhooks", "webhook-signature"),
        ("svix", "svix-signature"),
        ("stripe", "stripe-signature"),
        ("mux", "mux-signature"),
        ("elevenlabs", "elevenlabs-signature"),
    ],
)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_rotation_is_several_signatures_in_one_header(preset: str, name: str, count: int) -> None:
    secrets = [base64.b64encode(bytes([n]) * 24).decode() for n in range(count)]

    value = header(preset, secrets, b"{}", name=name)

    alone = [header(preset, [secret], b"{}", name=name) for secret in secrets]
    signatures = [value for one in alone for value in one.split("," if "=" in one[:3] else " ")[-1:]]
    assert all(signature in value for signature in signatures)
    assert value.count("v1" if preset != "elevenlabs" else "v0") == count
    assert "signature" not in value


def test_rotation_is_a_header_for_each_key_at_docusign() -> None:
    names = [name for name, _ in signed("docusign", ["a", "b"], b"{}").headers]

    assert names == ["x-authorization-digest", "X-DocuSign-Signature-1", "X-DocuSign-Signature-2"]
    both, first = dict(signed("docusign", ["a", "b"], b"{}").headers), dict(signed("docusign", "b", b"{}").headers)
    assert both["X-DocuSign-Signature-2"] == first["X-DocuSign-Signature-1"]


def test_static_credentials() -> None:
    assert dict(signed("bearer", "t0ken").headers) == {"Authorization": "Bearer t0ken"}
    assert dict(signed("basic", "me:pass").headers) == {"Authorization": "Basic bWU6cGFzcw=="}


SECRETS = {"sendgrid": pem(P256), "basic": "user:password"}


@pytest.mark.parametrize("name", SCHEMES)
def test_a_wrong_signature_looks_like_the_right_one_and_is_another(name: str) -> None:
    document = b'{"event":{"event_time":"1","event_type":"test","event_hash":""}}'
    message = Message("msg_1", NOW, "POST", URL, document, JSON)
    secret = SECRETS.get(name, base64.b64encode(bytes(24)).decode())

    right, wrong = (sign(SCHEMES[name], [secret], message, corrupt=wrong) for wrong in (False, True))

    assert right.url == wrong.url
    assert [name for name, _ in right.headers] == [name for name, _ in wrong.headers]
    told, lied = ([*(value for _, value in made.headers), made.body.decode()] for made in (right, wrong))
    [(a, b)] = [(a, b) for a, b in zip(told, lied, strict=True) if a != b]
    if name != "sendgrid":  # ECDSA signs differently each time
        assert sum(x != y for x, y in zip(a, b, strict=True)) == 1


def test_a_wrong_signature_is_well_formed_and_does_not_verify() -> None:
    [(_, text), *_] = sign(
        SCHEMES["sendgrid"], [pem(P256)], Message("", NOW, "", URL, b"x", TEXT), corrupt=True
    ).headers
    raw = base64.b64decode(text, validate=True)
    with pytest.raises(InvalidSignature):
        P256.public_key().verify(raw, b"%dx" % NOW, ec.ECDSA(hashes.SHA256()))

    [(_, text)] = sign(
        scheme(algorithm="ed25519"), [pem(ED25519)], Message("", NOW, "", URL, b"x", TEXT), corrupt=True
    ).headers
    with pytest.raises(InvalidSignature):
        ED25519.public_key().verify(bytes.fromhex(text), b"x")


@pytest.mark.parametrize(
    ("keys", "secret", "reason"),
    [
        ({"secret_encoding": "base64"}, "whsec_s3cret!", "the secret is not base64"),
        ({"secret_encoding": "hex"}, "s3cret", "the secret is not hex"),
        ({"algorithm": "ed25519"}, "s3cret", "the secret is not an Ed25519 key"),
        ({"algorithm": "ed25519"}, "-----BEGIN PRIVATE KEY-----\ns3cret", "not a private key in PEM"),
        ({"algorithm": "ed25519"}, pem(P256), "the secret is a key of another kind"),
        ({"algorithm": "ecdsa-p256"}, "s3cret", "the secret is not an ECDSA key"),
        ({"algorithm": "ecdsa-p256"}, pem(ED25519), "the secret is a key of another kind"),
        ({"algorithm": "ecdsa-p256"}, pem(ec.derive_private_key(5, ec.SECP384R1())), "P-256"),
    ],
)
def test_an_error_never_holds_the_secret(keys: dict[str, str], secret: str, reason: str) -> None:
    with pytest.raises(SigningError) as error:
        signed(scheme(**keys), secret, b"{}")

    assert reason in str(error.value)
    assert "s3cret" not in str(error.value)
    assert error.value.__cause__ is None


# In a mocks file


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
def test_what_is_wrong_with_a_signature_is_said_at_load(tmp_path: Path, given: str, error: str) -> None:
    with pytest.raises(MocksError) as raised:
        play(tmp_path, mock(given))

    assert error in str(raised.value)


def test_what_is_given_wins_over_the_schemes_own(tmp_path: Path) -> None:
    game = play(tmp_path, mock("{scheme: github, secret: s, encoding: base64, headers: {X-Sig: '{signature}'}}"))

    attempt = game.attempt(game.ask("POST", "https://api.slow.example/"))

    expected = base64.b64encode(hmac.new(b"s", attempt.body, "sha256").digest()).decode()
    assert {name: value for name, value in attempt.headers if name != "content-type"} == {"X-Sig": expected}


@pytest.mark.parametrize(("skew", "off"), [("10m", 600), ("-10m", -600), ("-1.5", -1), ("0", 0)])
def test_skew_is_a_clock_that_is_wrong(tmp_path: Path, skew: str, off: int) -> None:
    game = play(tmp_path, mock(f"{{scheme: stripe, secret: s, skew: {skew}}}"))

    attempt = game.attempt(game.ask("POST", "https://api.slow.example/"))

    stamp = int(dict(attempt.headers)["Stripe-Signature"].partition(",")[0][2:])
    assert stamp - START in (off, off - 1)


def test_a_header_that_the_mock_gives_itself_is_not_overwritten(tmp_path: Path) -> None:
    text = mock("{scheme: standard-webhooks, secret: c2VjcmV0}").replace(
        "      json:", "      headers: {Webhook-Id: evt_mine}\n      json:"
    )
    game = play(tmp_path, text)

    attempt = game.attempt(game.ask("POST", "https://api.slow.example/"))

    headers = [(name.lower(), value) for name, value in attempt.headers]
    assert [value for name, value in headers if name == "webhook-id"] == ["evt_mine"]
    assert "webhook-signature" in dict(headers)


def test_a_secret_that_turns_out_to_be_no_key_fails_the_webhook_and_is_not_told(tmp_path: Path) -> None:
    game = play(tmp_path, mock("{scheme: svix, secret: '{{ request.json.secret }}'}"))
    answer = game.ask("POST", "https://api.slow.example/", b'{"secret": "s3cret!"}')

    with pytest.raises(ExpressionError, match=r"mocks.yaml:7: .*sign: the secret is not base64") as error:
        game.attempt(answer)

    assert "s3cret" not in str(error.value)
