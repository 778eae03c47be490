"""PURE: the algorithms that sign, and the keys that they need."""

import base64
import binascii
import hashlib
import hmac
import re
from functools import lru_cache
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from latehook.base.errors import SigningError

HASHES = ("sha1", "sha256", "sha384", "sha512")
ALGORITHMS = (
    *("hmac-sha1", "hmac-sha256", "hmac-sha384", "hmac-sha512", *HASHES),
    *("rsa-sha1", "rsa-sha256", "rsa-sha384", "rsa-sha512", "rsa-pss-sha256", "rsa-pss-sha384", "rsa-pss-sha512"),
    *("ed25519", "ecdsa-p256", "ecdsa-p384", "none"),
)
SECRET_ENCODINGS = ("utf8", "base64", "hex")

MIN_RSA_BITS = 2048
"""RFC 7518 section 3.3 requires it; receivers refuse signatures of smaller keys."""


class _KeyKind(NamedTuple):
    """A kind of private key: its class, its curve if it has one, and its name in errors."""

    type: type[Any]
    curve: str | None
    name: str


_KEY_KINDS = {
    "rsa": _KeyKind(rsa.RSAPrivateKey, None, "an RSA key"),
    "rsa-pss": _KeyKind(rsa.RSAPrivateKey, None, "an RSA key"),
    "ed25519": _KeyKind(ed25519.Ed25519PrivateKey, None, "an Ed25519 key"),
    "ecdsa-p256": _KeyKind(ec.EllipticCurvePrivateKey, "secp256r1", "an EC key on the curve P-256"),
    "ecdsa-p384": _KeyKind(ec.EllipticCurvePrivateKey, "secp384r1", "an EC key on the curve P-384"),
}
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha1": hashes.SHA1(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
    "p256": hashes.SHA256(),
    "p384": hashes.SHA384(),
}


def signature(
    algorithm: str, secret: str, secret_encoding: str, message: bytes, joined_integers: bool = False
) -> bytes:
    """Return the signature of a message by one of ALGORITHMS. Raises SigningError if the secret does not fit.

    ECDSA gives two integers. They are in DER, or, with `joined_integers`, one behind the other in a fixed size, as RFC
    7518 section 3.4 and RFC 9421 section 3.3.4 require.
    """
    if algorithm == "none":
        return message
    if algorithm in HASHES:
        return hashlib.new(algorithm, message).digest()
    kind, _, name = algorithm.rpartition("-")
    if kind == "hmac":
        return hmac.digest(_bytes_of(secret, secret_encoding), message, name)
    key = private_key(algorithm, secret, secret_encoding)
    raw: bytes = key.sign(message, *_parameters(algorithm))
    return _joined(raw, (key.key_size + 7) // 8) if kind == "ecdsa" and joined_integers else raw


def verifies(
    algorithm: str, secret: str, secret_encoding: str, message: bytes, signature: bytes, joined_integers: bool = False
) -> bool:
    """Return whether a signature of a message was made with this private key. Raises SigningError if it is none."""
    public = private_key(algorithm, secret, secret_encoding).public_key()
    if joined_integers and algorithm.startswith("ecdsa"):
        half = len(signature) // 2
        signature = encode_dss_signature(int.from_bytes(signature[:half]), int.from_bytes(signature[half:]))
    try:
        public.verify(signature, message, *_parameters(algorithm))
    except InvalidSignature:
        return False
    return True


def _parameters(algorithm: str) -> tuple[Any, ...]:
    """Return what a private key needs besides the message to sign by an algorithm, and its public key to verify."""
    kind, _, name = algorithm.rpartition("-")
    if kind == "rsa":
        return padding.PKCS1v15(), _HASHES[name]
    if kind == "rsa-pss":
        return padding.PSS(padding.MGF1(_HASHES[name]), _HASHES[name].digest_size), _HASHES[name]
    return (ec.ECDSA(_HASHES[name]),) if kind == "ecdsa" else ()


def _joined(in_der: bytes, size: int) -> bytes:
    return b"".join(number.to_bytes(size) for number in decode_dss_signature(in_der))


@lru_cache(64)  # reading an RSA key takes longer than signing with it
def private_key(algorithm: str, secret: str, secret_encoding: str) -> Any:
    """Return a secret as the private key that an algorithm needs. Raises SigningError, which never has the secret."""
    kind = _KEY_KINDS[algorithm if algorithm in _KEY_KINDS else algorithm.rpartition("-")[0]]
    if "-----BEGIN" in secret:
        key = _from_pem(secret)
    elif kind.type is ed25519.Ed25519PrivateKey:
        return _ed25519(secret, secret_encoding)
    else:
        key = _from_der(_bytes_of(secret, secret_encoding), kind.name)
    curve = getattr(getattr(key, "curve", None), "name", None)
    if not isinstance(key, kind.type) or curve != kind.curve:
        raise SigningError(f"the secret is {_described(key)}, and {algorithm} needs {kind.name}")
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < MIN_RSA_BITS:
        raise SigningError(f"the secret is an RSA key of {key.key_size} bits: make one of at least {MIN_RSA_BITS}")
    return key


def _described(key: Any) -> str:
    if isinstance(key, rsa.RSAPrivateKey):
        return "an RSA key"
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return f"an EC key on the curve {key.curve.name}"
    return "an Ed25519 key" if isinstance(key, ed25519.Ed25519PrivateKey) else "a key of another kind"


_PEM_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
_ONLY_VERIFIES = ", which only verifies: write the private key that belongs to it"
_PLAIN_FORM = "write it in PEM without a passphrase (openssl pkcs8 -topk8 -nodes -in OLD -out NEW)"


def _from_pem(text: str) -> Any:
    """Return the private key in a PEM text. Its line breaks may be `\\n`, as in variables of the environment."""
    blocks = {label: body.replace("\\n", "") for label, body in _PEM_BLOCK.findall(text)}
    label = next((label for label in blocks if label.endswith("PRIVATE KEY")), None)
    if label is None:
        kind = next((kind for kind in ("PUBLIC KEY", "CERTIFICATE") if any(kind in label for label in blocks)), None)
        if kind is None:
            raise SigningError("the secret is not a private key in PEM: a part of it is missing")
        raise SigningError(f"the secret is a {kind.lower()}{_ONLY_VERIFIES}")
    if "ENCRYPTED" in label + blocks[label]:
        raise SigningError(f"the secret is an encrypted private key: {_PLAIN_FORM}")
    if "OPENSSH" in label:
        raise SigningError(f"the secret is a private key in OpenSSH's own form: {_PLAIN_FORM}")
    try:
        return serialization.load_der_private_key(base64.b64decode(blocks[label]), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SigningError("the secret is not a private key in PEM: what stands between its lines is none") from None


def _from_der(raw: bytes, name: str) -> Any:
    try:
        return serialization.load_der_private_key(raw, None)
    except TypeError:
        raise SigningError(f"the secret is an encrypted private key: {_PLAIN_FORM}") from None
    except (ValueError, UnsupportedAlgorithm):
        is_public = _is_public(raw)
    if is_public:
        raise SigningError(f"the secret is a public key{_ONLY_VERIFIES}")
    raise SigningError(f"the secret is not {name}: write it in PEM, or as DER in base64 or hex")


def _is_public(raw: bytes) -> bool:
    try:
        serialization.load_der_public_key(raw)
    except (ValueError, UnsupportedAlgorithm):
        return False
    return True


def _ed25519(secret: str, secret_encoding: str) -> ed25519.Ed25519PrivateKey:
    raw = _bytes_of(secret, secret_encoding)
    if len(raw) not in (32, 64):  # 64: Standard Webhooks appends the public key to the seed
        raise SigningError("the secret is not an Ed25519 key: write it in PEM, or its 32 or 64 bytes in base64 or hex")
    return ed25519.Ed25519PrivateKey.from_private_bytes(raw[:32])


def _bytes_of(secret: str, encoding: str) -> bytes:
    """Return a secret's bytes. The prefixes of Standard Webhooks (whsec_, whsk_) are not decoded."""
    try:
        if encoding == "base64":
            text = re.sub(r"^wh(sec|sk)_", "", secret)
            return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        return bytes.fromhex(secret) if encoding == "hex" else secret.encode()
    except (ValueError, binascii.Error):
        raise SigningError(f"the secret is not {encoding}") from None
