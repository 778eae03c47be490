"""Private keys: every form that openssl writes, and one clear error for each text that is no key to sign with."""

import base64
import datetime
import re
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.x509.oid import NameOID

from latehook.base.errors import SigningError
from latehook.webhooks import keys
from support.keys import ec_key, ed_key, key_for, pem, public_pem, rsa_key

TRADITIONAL = serialization.PrivateFormat.TraditionalOpenSSL
OPENSSH = serialization.PrivateFormat.OpenSSH
EC_PARAMETERS = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
"""What `openssl ecparam -genkey` writes in front of a key."""


def certificate() -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "slow.example")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(rsa_key().public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    return builder.sign(rsa_key(), hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def forms(text: str) -> Iterator[str]:
    """Yield a PEM text in the forms in which files, YAML and variables of the environment have it."""
    yield text
    yield text.replace("\n", "\r\n")
    yield text.replace("\n", "\\n")
    yield text.replace("\n", " ")
    yield f"\n  {text.replace(chr(10), chr(10) + '  ')}"
    yield text.strip()


@pytest.mark.parametrize(
    ("algorithm", "text"),
    [
        ("rsa-sha256", pem(rsa_key())),
        ("rsa-sha256", pem(rsa_key(), TRADITIONAL)),
        ("rsa-sha256", certificate() + pem(rsa_key())),
        ("ecdsa-p256", pem(ec_key())),
        ("ecdsa-p256", EC_PARAMETERS + pem(ec_key(), TRADITIONAL)),
        ("ecdsa-p384", pem(ec_key("secp384r1"))),
        ("ed25519", pem(ed_key())),
    ],
)
def test_a_key_in_pem_is_read_in_each_form(algorithm: str, text: str) -> None:
    expected = public_pem(key_for(algorithm))

    assert {public_pem(keys.private_key(algorithm, form, "utf8")) for form in forms(text)} == {expected}


@pytest.mark.parametrize("algorithm", ["rsa-sha256", "ecdsa-p256", "ed25519"])
@pytest.mark.parametrize("encoding", ["base64", "hex"])
def test_a_key_may_be_bytes(algorithm: str, encoding: str) -> None:
    key = key_for(algorithm)
    if algorithm == "ed25519":
        raw = key.private_bytes_raw()
    else:
        form = serialization.PrivateFormat.PKCS8
        raw = key.private_bytes(serialization.Encoding.DER, form, serialization.NoEncryption())
    text = base64.b64encode(raw).decode() if encoding == "base64" else raw.hex()

    assert public_pem(keys.private_key(algorithm, text, encoding)) == public_pem(key)


PRIVATE = {"an RSA key": rsa_key(), "an EC key on the curve secp256r1": ec_key(), "an Ed25519 key": ed_key()}
NEEDS = {
    "rsa-sha1": "an RSA key",
    "rsa-pss-sha256": "an RSA key",
    "ecdsa-p256": "an EC key on the curve P-256",
    "ecdsa-p384": "an EC key on the curve P-384",
    "ed25519": "an Ed25519 key",
}


@pytest.mark.parametrize(
    ("algorithm", "secret", "problem"),
    [
        *(
            (algorithm, public_pem(key_for(algorithm)), "the secret is a public key, which only verifies: write the")
            for algorithm in NEEDS
        ),
        ("rsa-sha256", certificate(), "the secret is a certificate, which only verifies: write the private key"),
        *(
            (algorithm, pem(key, form, b"s3cret"), "the secret is an encrypted private key: write it in PEM without a")
            for algorithm, key, form in [
                ("rsa-sha256", rsa_key(), serialization.PrivateFormat.PKCS8),
                ("rsa-sha256", rsa_key(), TRADITIONAL),
                ("ed25519", ed_key(), serialization.PrivateFormat.PKCS8),
            ]
        ),
        ("ed25519", pem(ed_key(), OPENSSH), "the secret is a private key in OpenSSH's own form: write it in PEM"),
        *(
            (
                "rsa-sha256",
                pem(rsa_key(bits), form),
                f"the secret is an RSA key of {bits} bits: make one of at least 2048",
            )
            for bits in (1024,)
            for form in (serialization.PrivateFormat.PKCS8, TRADITIONAL)
        ),
        *(
            (algorithm, pem(key), f"the secret is {kind}, and {algorithm} needs {needed}")
            for algorithm, needed in NEEDS.items()
            for kind, key in PRIVATE.items()
            if kind.replace("secp256r1", "P-256") != needed
        ),
        (
            "ecdsa-p256",
            pem(ec_key("secp521r1")),
            "the secret is an EC key on the curve secp521r1, and ecdsa-p256 needs",
        ),
        ("rsa-sha256", pem(rsa_key())[:400], "the secret is not a private key in PEM: a part of it is missing"),
        ("rsa-sha256", pem(rsa_key()).replace("MII", "MIX", 1), "the secret is not a private key in PEM: what stands"),
        *((algorithm, "s3cret", f"the secret is not {needed}") for algorithm, needed in NEEDS.items()),
    ],
)
def test_a_text_that_is_no_key_to_sign_with_is_one_clear_error(algorithm: str, secret: str, problem: str) -> None:
    for form in (secret, secret.replace("\n", "\\n")):
        with pytest.raises(SigningError) as raised:
            keys.signature(algorithm, form, "utf8", b"")

        assert str(raised.value).startswith(problem)
        assert not [line for line in secret.splitlines() if line in str(raised.value) and len(line) > 30]
        assert "s3cret" not in str(raised.value)


def test_a_public_key_as_bytes_is_named_too() -> None:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    raw = rsa_key().public_key().public_bytes(serialization.Encoding.DER, form)

    with pytest.raises(SigningError, match="the secret is a public key, which only verifies"):
        keys.signature("rsa-sha256", base64.b64encode(raw).decode(), "base64", b"")


def verify(algorithm: str, signature: bytes, message: bytes) -> None:
    """Verify with the public key. Raises InvalidSignature."""
    key: Any = key_for(algorithm).public_key()
    kind, _, name = algorithm.rpartition("-")
    used: Any = {"p256": hashes.SHA256, "p384": hashes.SHA384}.get(name) or getattr(hashes, name.upper(), None)
    if kind == "rsa":
        key.verify(signature, message, padding.PKCS1v15(), used())
    elif kind == "rsa-pss":
        key.verify(signature, message, padding.PSS(padding.MGF1(used()), padding.PSS.DIGEST_LENGTH), used())
    elif kind == "ecdsa":
        key.verify(signature, message, ec.ECDSA(used()))
    else:
        key.verify(signature, message)


@pytest.mark.parametrize("algorithm", [name for name in keys.ALGORITHMS if re.match("rsa|ed|ec", name)])
def test_the_public_key_verifies_the_signature_and_nothing_else(algorithm: str) -> None:
    signature = keys.signature(algorithm, pem(key_for(algorithm)), "utf8", b"body\xff")

    verify(algorithm, signature, b"body\xff")
    with pytest.raises(InvalidSignature):
        verify(algorithm, signature, b"body\xfe")
