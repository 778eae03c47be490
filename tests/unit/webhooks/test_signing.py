"""Signatures by the general form of a scheme: algorithms, encodings, templates, rotation, corruption."""

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from latehook.base.errors import SigningError
from latehook.webhooks.schemes import SCHEMES
from latehook.webhooks.signing import sign
from support.signing import (
    FORM,
    NOW,
    SENDGRID_BODY,
    TEXT,
    TWILIO_FORM,
    TWILIO_URL,
    URL,
    header,
    message,
    scheme,
    signed,
)


def dumps(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


@pytest.mark.parametrize("name", ["sha1", "sha256", "sha384", "sha512"])
@pytest.mark.parametrize("encoding", ["hex", "base64", "base64url"])
def test_hmac_and_hashes_in_each_encoding(name: str, encoding: str) -> None:
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
def test_each_encoding_of_a_secret(secret_encoding: str, secret: str, raw: bytes) -> None:
    expected = hmac.new(raw, b"x", "sha256").hexdigest()

    assert header(scheme(secret_encoding=secret_encoding), secret, b"x") == expected


@pytest.mark.parametrize(
    ("form", "stamp"),
    [("seconds", "1700000000"), ("milliseconds", "1700000000123"), ("iso8601", "2023-11-14T22:13:20.123Z")],
)
def test_the_signed_time_is_in_the_format_in_which_it_is_sent(form: str, stamp: str) -> None:
    made = scheme(algorithm="none", message="{timestamp}|{body}", timestamp_format=form, encoding="base64")
    made = replace(made, headers={"x": "t={timestamp},v1={signature}"})

    assert header(made, "", b"b") == f"t={stamp},v1={base64.b64encode(f'{stamp}|b'.encode()).decode()}"


@pytest.mark.parametrize(
    ("template", "given", "filled"),
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
def test_each_token_of_a_template(template: str, given: dict[str, Any], filled: str) -> None:
    body = dumps({"a": {"b/c": ["x", "y"]}, "n": 2.5, "t": True, "o": [1]})
    raw = scheme(algorithm="none", message=template, encoding="base64")

    assert base64.b64decode(header(raw, "", **{"body": body, **given})).decode() == filled


def test_the_signed_url_has_no_fragment() -> None:
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


def test_a_signature_in_the_body_is_empty_in_what_is_signed() -> None:
    into = scheme(headers={}, fields={"/sig/hmac": "v1={signature}"})
    made = signed(into, "key", dumps({"sig": {"hmac": "whatever"}, "list": [1]}))

    empty = dumps({"sig": {"hmac": ""}, "list": [1]})
    expected = f"v1={hmac.new(b'key', empty, 'sha256').hexdigest()}"
    assert made.body == dumps({"sig": {"hmac": expected}, "list": [1]})


def test_a_signature_in_a_form_field() -> None:
    # Mailgun and Transloadit sign other fields, and send the signature beside them
    into = scheme(
        algorithm="hmac-sha384", message="{field:data}", headers={}, fields={"signature": "sha384:{signature}"}
    )

    made = signed(into, "key", urlencode({"data": '{"ok": "ü"}', "signature": "old"}).encode(), FORM)

    expected = hmac.new(b"key", '{"ok": "ü"}'.encode(), "sha384").hexdigest()
    assert parse_qsl(made.body.decode()) == [("data", '{"ok": "ü"}'), ("signature", f"sha384:{expected}")]


@pytest.mark.parametrize("body", [b"", b"text", b"[1]", b'{"event": 1}'])
def test_a_body_without_the_place_for_a_signature_is_an_error(body: bytes) -> None:
    with pytest.raises(SigningError, match="cannot be written to /event/event_hash: the body has no such place"):
        signed("dropbox-sign", "key", body)


# Rotation of secrets


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
def test_several_secrets_give_several_signatures_in_one_header(preset: str, name: str, count: int) -> None:
    secrets = [base64.b64encode(bytes([n]) * 24).decode() for n in range(count)]

    value = header(preset, secrets, b"{}", name=name)

    alone = [header(preset, [secret], b"{}", name=name) for secret in secrets]
    signatures = [value for one in alone for value in one.split("," if "=" in one[:3] else " ")[-1:]]
    assert all(signature in value for signature in signatures)
    assert value.count("v1" if preset != "elevenlabs" else "v0") == count
    assert "signature" not in value


def test_docusign_has_a_header_for_each_secret() -> None:
    names = [name for name, _ in signed("docusign", ["a", "b"], b"{}").headers]

    assert names == ["x-authorization-digest", "X-DocuSign-Signature-1", "X-DocuSign-Signature-2"]
    both, first = dict(signed("docusign", ["a", "b"], b"{}").headers), dict(signed("docusign", "b", b"{}").headers)
    assert both["X-DocuSign-Signature-2"] == first["X-DocuSign-Signature-1"]


def test_bearer_and_basic_credentials() -> None:
    assert dict(signed("bearer", "t0ken").headers) == {"Authorization": "Bearer t0ken"}
    assert dict(signed("basic", "me:pass").headers) == {"Authorization": "Basic bWU6cGFzcw=="}


RSA = rsa.generate_private_key(65537, 2048)
DOCUMENT = (
    b'{"event":{"event_time":"1","event_type":"test","event_hash":""},"Type":"Notification","MessageId":"1",'
    b'"notificationItems":[{"NotificationRequestItem":{"pspReference":"1","amount":{"value":1,"currency":"EUR"}}}]}'
)
SECRETS = {"sendgrid": pem(P256), "plaid": pem(P256), "basic": "user:password", "adyen": "00" * 32}
SECRETS |= dict.fromkeys(("sns", "paypal", "wise"), pem(RSA))
SIGNS_DIFFERENTLY_EACH_TIME = ("sendgrid", "plaid")  # ECDSA


@pytest.mark.parametrize("name", SCHEMES)
def test_a_corrupt_signature_differs_in_one_character(name: str) -> None:
    sample = message(DOCUMENT)
    secret = SECRETS.get(name, base64.b64encode(bytes(24)).decode())
    made = replace(SCHEMES[name], key_id="key-1")

    right, wrong = (sign(made, [secret], sample, corrupt=corrupt) for corrupt in (False, True))

    assert right.url == wrong.url
    assert [name for name, _ in right.headers] == [name for name, _ in wrong.headers]
    good, bad = ([*(value for _, value in made.headers), made.body.decode()] for made in (right, wrong))
    [(a, b)] = [(a, b) for a, b in zip(good, bad, strict=True) if a != b]
    if name not in SIGNS_DIFFERENTLY_EACH_TIME:
        assert sum(x != y for x, y in zip(a, b, strict=True)) == 1


def test_a_corrupt_signature_is_well_formed_and_does_not_verify() -> None:
    [(_, text), *_] = sign(SCHEMES["sendgrid"], [pem(P256)], message(b"x", TEXT), corrupt=True).headers
    raw = base64.b64decode(text, validate=True)
    with pytest.raises(InvalidSignature):
        P256.public_key().verify(raw, b"%dx" % NOW, ec.ECDSA(hashes.SHA256()))

    [(_, text)] = sign(scheme(algorithm="ed25519"), [pem(ED25519)], message(b"x", TEXT), corrupt=True).headers
    with pytest.raises(InvalidSignature):
        ED25519.public_key().verify(bytes.fromhex(text), b"x")


@pytest.mark.parametrize(
    ("keys", "secret", "reason"),
    [
        ({"secret_encoding": "base64"}, "whsec_s3cret!", "the secret is not base64"),
        ({"secret_encoding": "hex"}, "s3cret", "the secret is not hex"),
        ({"algorithm": "ed25519"}, "s3cret", "the secret is not an Ed25519 key"),
        ({"algorithm": "ed25519"}, "-----BEGIN PRIVATE KEY-----\ns3cret", "not a private key in PEM"),
        (
            {"algorithm": "ed25519"},
            "-----BEGIN PRIVATE KEY-----\ns3cret\n-----END PRIVATE KEY-----",
            "not a private key in PEM",
        ),
        ({"algorithm": "ecdsa-p256"}, "s3cret", "the secret is not an EC key on the curve P-256"),
        ({"algorithm": "rsa-sha256"}, "s3cret", "the secret is not an RSA key"),
    ],
)
def test_an_error_does_not_contain_the_secret(keys: dict[str, str], secret: str, reason: str) -> None:
    with pytest.raises(SigningError) as error:
        signed(scheme(**keys), secret, b"{}")

    assert reason in str(error.value)
    assert "s3cret" not in str(error.value)
    assert error.value.__cause__ is None
