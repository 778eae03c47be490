"""How signatures are inferred. The webhooks of the recordings are signed as a mocks file would do it."""

import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from latehook.webhooks.draft import Message
from latehook.webhooks.schemes import SCHEMES, JwtScheme, Scheme
from latehook.webhooks.signing import sign
from support.recordings import HOOK, Tape, mocks_of

API = "https://api.slow.example/v1/jobs"
IDS = ("job_8Kx2mQ7pL0vN4tRw", "job_3Zb9cD1eF5gH7jYk")
SECRET = "hook-secret-1"


def pem(key: Any) -> str:
    text: str = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return text


RSA, EC, ED25519 = (
    pem(rsa.generate_private_key(65537, 2048)),
    pem(ec.generate_private_key(ec.SECP256R1())),
    pem(ed25519.Ed25519PrivateKey.generate()),
)

ADYEN_ITEM = {"pspReference": "x", "amount": {"value": 1, "currency": "EUR"}, "additionalData": {"hmacSignature": ""}}
SIGNED: Mapping[str, tuple[Scheme, str, Any]] = {
    "a field of the body, over what is beside it": (
        Scheme(
            message="{timestamp}{json:/signature/token}",
            fields={"/signature/signature": "{signature}", "/signature/timestamp": "{timestamp}"},
        ),
        SECRET,
        {"signature": {"timestamp": "", "token": "NEW", "signature": ""}},
    ),
    "a field of the body, over the whole of it": (Scheme(fields={"/hmac": "{signature}"}), SECRET, {"hmac": ""}),
    "a time in the header": (
        Scheme(message="{timestamp}.{body}", headers={"X-Acme-Signature": "t={timestamp},v1={signature}"}),
        SECRET,
        {},
    ),
    "a time in milliseconds, method and URL": (
        Scheme(
            algorithm="hmac-sha512",
            message="{timestamp}:{method}:{url}:{body}",
            encoding="base64",
            timestamp_format="milliseconds",
            headers={"X-Sig": "{signature}", "X-Time": "{timestamp}"},
        ),
        SECRET,
        {},
    ),
    "a secret in hexadecimal": (Scheme(secret_encoding="hex", headers={"X-Hmac": "sha256={signature}"}), "0badc0de" * 8, {}),
    "ECDSA": (Scheme(algorithm="ecdsa-p256", encoding="base64", headers={"X-Acme-Signature": "{signature}"}), EC, {}),
    "Ed25519": (
        Scheme(
            algorithm="ed25519",
            message="{timestamp}|{body}",
            encoding="base64",
            headers={"X-Acme-Signature": "{signature}", "X-Acme-Timestamp": "{timestamp}"},
        ),
        ED25519,
        {},
    ),
    "RSA-PSS": (Scheme(algorithm="rsa-pss-sha256", encoding="base64", headers={"X-Signature": "{signature}"}), RSA, {}),
    "a token with a hash of the body": (
        Scheme(
            key_id="key-1",
            jwt=JwtScheme("ES256", claims={"iat": "{timestamp}", "exp": "{timestamp+5m}", "body": "{sha256}"}),
            headers={"X-Acme-Verification": "{jwt}"},
        ),
        EC,
        {},
    ),
    "a token whose payload is the body": (
        Scheme(jwt=JwtScheme("HS256"), headers={"X-Jws-Signature": "{jwt.detached}"}),
        SECRET,
        {},
    ),
    "a token with a new id each time": (
        Scheme(
            jwt=JwtScheme("HS256", claims={"iss": "Acme", "jti": "{uuid}", "aud": "{url}"}),
            headers={"Authorization": "Bearer {jwt}"},
        ),
        SECRET,
        {},
    ),
    "Adyen's": (SCHEMES["adyen"], "0badc0de" * 8, {"notificationItems": [{"NotificationRequestItem": ADYEN_ITEM}]}),
    "SendGrid's": (SCHEMES["sendgrid"], EC, {}),
    "Wise's": (SCHEMES["wise"], RSA, {}),
}  # fmt: skip


def recorded(scheme: Scheme, secret: str, more: Mapping[str, Any]) -> list[Tape]:
    """Record two jobs, each with one webhook that is signed."""
    tapes = []
    for id in IDS:
        tape = Tape().request("POST", API, {"callback": HOOK}, 201, {"id": id}).wait(12)
        body = json.dumps({**more, "id": id}).replace("NEW", uuid.uuid4().hex).encode()
        headers = [("content-type", "application/json")]
        message = Message(str(uuid.uuid4()), tape.now, "POST", HOOK, body, headers, lambda: str(uuid.uuid4()))
        signed = sign(scheme, [secret], message)
        tapes.append(tape.webhook(signed.body, content_type="application/json", **dict(signed.headers)))
    return tapes


def keys_of(scheme: Scheme) -> dict[str, Any]:
    """Return a scheme as a mocks file has it."""
    name = next((name for name, one in SCHEMES.items() if one == scheme), None)
    if name is not None:
        return {"scheme": name}
    names = ("algorithm", "secret_encoding", "message", "encoding", "timestamp_format", "key_id", "headers", "fields")
    keys = {name: getattr(scheme, name) for name in names if getattr(scheme, name) != getattr(Scheme(), name)}
    if scheme.jwt is not None:
        claims = {"claims": dict(scheme.jwt.claims)} if scheme.jwt.claims is not None else {}
        keys["jwt"] = ({"algorithm": scheme.jwt.algorithm} if scheme.jwt.algorithm != "HS256" else {}) | claims
    return keys


@pytest.mark.parametrize("kind", SIGNED)
def test_a_signature_is_recognised_and_verified(made: Callable[..., str], kind: str) -> None:
    scheme, secret, more = SIGNED[kind]

    text = made(*recorded(scheme, secret, more), secrets={"another": "OTHER", secret: "ACME"})

    [mock] = mocks_of(text)
    sign = mock["webhook"]["sign"]
    assert sign.pop("secret").startswith("{{ env.ACME ")
    assert sign == keys_of(scheme)
    assert "guessed" not in text.partition("mocks:")[2] and secret not in text


@pytest.mark.parametrize("kind", sorted(SIGNED.keys() - {"Ed25519"}))  # an HMAC with SHA-512 has the same length
def test_without_its_secret_a_signature_is_guessed_by_its_shape(made: Callable[..., str], kind: str) -> None:
    scheme, secret, more = SIGNED[kind]

    text = made(*recorded(scheme, secret, more))

    [mock] = mocks_of(text)
    private = "-----BEGIN" in secret
    said = "with a private key, which no recording has: set WEBHOOK_KEY" if private else "signature not verified"
    assert f"# guessed: sign{'ed' if private else 'ature'}" in text and said in text
    sign = mock["webhook"]["sign"]
    assert sign["secret"].startswith("{{ env.WEBHOOK_KEY }}" if private else "{{ env.WEBHOOK_SECRET | default(")
    assert sign.get("algorithm") == keys_of(scheme).get("algorithm") or kind == "RSA-PSS"
