"""PURE: signs the exact bytes that are sent, by the templates of a scheme."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast
from urllib.parse import parse_qsl, urlencode

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from latehook.base.errors import SigningError
from latehook.base.json_text import decode_json, encode_json
from latehook.base.text import did_you_mean
from latehook.base.timestamps import format_timestamp
from latehook.webhooks.schemes import Scheme

ALGORITHMS = (
    *("hmac-sha1", "hmac-sha256", "hmac-sha384", "hmac-sha512", "sha1", "sha256", "sha384", "sha512"),
    *("ed25519", "ecdsa-p256", "none"),
)
_LOSSLESS = "surrogateescape"
"""How bytes of other charsets than UTF-8 are read from a form and written back to it."""

SECRET_ENCODINGS = ("utf8", "base64", "hex")
ENCODINGS = ("hex", "base64", "base64url")

_TOKEN = re.compile(r"\{([A-Za-z_-]+)(?:([.:])([^{}]*))?\}")
_SIMPLE_TOKENS = ("id", "timestamp", "body", "url", "method", "form_sorted", "secret")


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed message: the headers to add, and the URL and body to send."""

    headers: tuple[tuple[str, str], ...]
    url: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Message:
    """A message to sign. `timestamp` is in Unix seconds."""

    id: str
    timestamp: float
    method: str
    url: str
    body: bytes
    content_type: str


def sign(scheme: Scheme, secrets: Sequence[str], message: Message, corrupt: bool = False) -> Signed:
    """Return the message with one signature for each secret. Raises SigningError.

    With `corrupt` the signatures, and the secrets that are sent, are well-formed but wrong.
    """
    message = replace(message, url=message.url.partition("#")[0])  # receivers cannot verify a fragment: it is not sent
    url = _with_digest(scheme, message)
    body = message.body
    sent_secrets = [_corrupted(secret) for secret in secrets] if corrupt else secrets
    templates = _Templates(scheme, message, url, sent_secrets)
    for at in scheme.fields:  # what is signed includes the field of the signature, empty
        body = _write(body, message.content_type, at, "")
    signatures = [_sign_with(scheme, secret, templates.fill_bytes(scheme.message, body, secret)) for secret in secrets]
    if corrupt:
        signatures = [_corrupted(signature) for signature in signatures]
    for at, template in scheme.fields.items():
        body = _write(body, message.content_type, at, templates.fill(template, body, signatures) or "")
    headers = ((name, templates.fill(template, body, signatures)) for name, template in scheme.headers.items())
    return Signed(tuple((name, value) for name, value in headers if value is not None), url, body)


def _corrupted(signature: str) -> str:
    """Return a signature or secret with another digit in it: digits are in the alphabet of every encoding.

    The digit is not at the end, where base64 has unused bits, nor at the start, where a structure (DER) has its header.
    """
    at = max(len(signature) - 8, 0)
    return signature[:at] + ("1" if signature[at : at + 1] == "0" else "0") + signature[at + 1 :]


def check_template(template: str, after: bool) -> str | None:
    """Return the problem of a template, None if it has none.

    `after` says whether the template is filled after signing, so that it may contain signatures.
    """
    for name, mark, argument in _TOKEN.findall(template):
        if name in _SIMPLE_TOKENS and not mark:
            continue
        if (name, mark) in (("json", ":"), ("field", ":")) and argument:
            continue
        if name == "signature" and after and (not mark or (mark == "." and re.fullmatch(r"[1-9]\d?", argument))):
            continue
        names = [*_SIMPLE_TOKENS, "json:/pointer", "field:NAME", *(["signature", "signature.2"] if after else [])]
        hint = did_you_mean(name.lower(), names)
        known = " ".join(f"{{{known}}}" for known in names)
        return f"{{{name}{mark}{argument}}} is not known{hint}: use {known}"
    return None


class _Templates:
    """Fills the templates of a scheme for one message. `secrets` are those that may be sent."""

    def __init__(self, scheme: Scheme, message: Message, url: str, secrets: Sequence[str]) -> None:
        self._message = message
        self._secrets = secrets
        self._simple_values = {
            "id": message.id,
            "timestamp": format_timestamp(message.timestamp, scheme.timestamp_format),
            "url": url,
            "method": message.method,
        }

    def fill_bytes(self, template: str, body: bytes, secret: str) -> bytes:
        """Return the bytes to sign, with the body's own bytes in them."""
        filled = bytearray()
        end = 0
        for found in _TOKEN.finditer(template):
            filled += template[end : found.start()].encode()
            filled += body if found[1] == "body" else self._value(found, body, secret).encode("utf-8", _LOSSLESS)
            end = found.end()
        return bytes(filled + template[end:].encode())

    def fill(self, template: str, body: bytes, signatures: Sequence[str]) -> str | None:
        """Return a header or field.

        Parts with a signature for which there is no secret are left out. None if no part is left.
        """
        separator = " " if " " in template else ","
        parts = [part for part in template.split(separator) if not _lacks_signature(part, len(signatures))]
        if not parts and template:
            return None

        def value(found: re.Match[str]) -> str:
            if found[1] == "signature":
                return signatures[int(found[3] or 1) - 1]
            if found[1] == "body":
                try:
                    return body.decode()
                except UnicodeDecodeError:
                    raise SigningError("{body} is not UTF-8 text, so a header or field cannot have it") from None
            return self._value(found, body, self._secrets[0] if self._secrets else "")

        return _TOKEN.sub(value, separator.join(parts))

    def _value(self, found: re.Match[str], body: bytes, secret: str) -> str:
        name, argument = found[1], found[3]
        if name == "secret":
            return secret
        if name == "form_sorted":
            return _form_sorted(body, self._message.content_type)
        if name == "json":
            return _text(_find(body, argument))
        if name == "field":
            return dict(parse_qsl(body.decode("utf-8", _LOSSLESS), keep_blank_values=True, errors=_LOSSLESS)).get(
                argument, ""
            )
        return self._simple_values[name]


def _lacks_signature(part: str, count: int) -> bool:
    """Return whether a part of a template has a signature with a higher number than `count`."""
    return any(name == "signature" and int(number or 1) > count for name, _, number in _TOKEN.findall(part))


def _sign_with(scheme: Scheme, secret: str, message: bytes) -> str:
    return _ENCODE[scheme.encoding](_digest(scheme, secret, message))


def _digest(scheme: Scheme, secret: str, message: bytes) -> bytes:
    kind, _, name = scheme.algorithm.partition("-")
    if kind == "none":
        return message
    if kind == "hmac":
        return hmac.new(_raw(secret, scheme.secret_encoding), message, name).digest()
    if kind == "ed25519":
        return _ed25519(secret, scheme.secret_encoding).sign(message)
    if kind == "ecdsa":
        return _ecdsa(secret, scheme.secret_encoding).sign(message, ec.ECDSA(hashes.SHA256()))
    return hashlib.new(kind, message).digest()


_ENCODE: dict[str, Callable[[bytes], str]] = {
    "hex": lambda raw: raw.hex(),
    "base64": lambda raw: base64.b64encode(raw).decode(),
    "base64url": lambda raw: base64.urlsafe_b64encode(raw).decode().rstrip("="),
}


def _raw(secret: str, encoding: str) -> bytes:
    """Return a secret's bytes. The prefixes of Standard Webhooks (whsec_, whsk_) are not decoded."""
    try:
        if encoding == "base64":
            text = re.sub(r"^wh(sec|sk)_", "", secret)
            return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        return bytes.fromhex(secret) if encoding == "hex" else secret.encode()
    except (ValueError, binascii.Error):
        raise SigningError(f"the secret is not {encoding}") from None


def _ed25519(secret: str, encoding: str) -> ed25519.Ed25519PrivateKey:
    if secret.lstrip().startswith("-----"):
        return cast(ed25519.Ed25519PrivateKey, _pem(secret, ed25519.Ed25519PrivateKey))
    raw = _raw(secret, encoding)
    if len(raw) not in (32, 64):  # 64: Standard Webhooks appends the public key to the seed
        raise SigningError("the secret is not an Ed25519 key: it is PEM, or 32 or 64 bytes in base64 or hex")
    return ed25519.Ed25519PrivateKey.from_private_bytes(raw[:32])


def _ecdsa(secret: str, encoding: str) -> ec.EllipticCurvePrivateKey:
    if secret.lstrip().startswith("-----"):
        key = _pem(secret, ec.EllipticCurvePrivateKey)
    else:
        try:
            key = serialization.load_der_private_key(_raw(secret, encoding), None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise SigningError("the secret is not an ECDSA key: it is PEM, or DER in base64 or hex") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise SigningError("the secret is not an ECDSA key on the curve P-256")
    return key


def _pem(secret: str, kind: type[Any]) -> Any:
    try:
        key = serialization.load_pem_private_key(secret.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SigningError("the secret is not a private key in PEM") from None
    if not isinstance(key, kind):
        raise SigningError(f"the secret is a key of another kind: {kind.__name__} is required")
    return key


def _with_digest(scheme: Scheme, message: Message) -> str:
    """Return the URL, with the body's digest in its query where the scheme has it there."""
    if scheme.digest_query is None or not message.body or _is_form(message.content_type):
        return message.url
    separator = "&" if "?" in message.url else "?"
    return f"{message.url}{separator}{scheme.digest_query}={hashlib.sha256(message.body).hexdigest()}"


def _is_form(content_type: str) -> bool:
    return content_type.startswith("application/x-www-form-urlencoded")


def _form_sorted(body: bytes, content_type: str) -> str:
    """Return a form's names and values, sorted and joined; the same pair counts once (Twilio)."""
    if not _is_form(content_type):
        return ""
    pairs = set(parse_qsl(body.decode("utf-8", _LOSSLESS), keep_blank_values=True, errors=_LOSSLESS))
    return "".join(name + value for name, value in sorted(pairs))


def _find(body: bytes, pointer: str) -> Any:
    """Return what a JSON pointer (RFC 6901) refers to in a JSON body; None if there is nothing."""
    try:
        value = decode_json(body)
        for part in _pointer_parts(pointer):
            value = value[int(part)] if isinstance(value, list) else value[part]
    except (ValueError, LookupError, TypeError):
        return None
    return value


def _pointer_parts(pointer: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else encode_json(value).decode()


def _write(body: bytes, content_type: str, at: str, value: str) -> bytes:
    """Return the body with a text in it: at a JSON pointer, or as a form's field. Raises SigningError."""
    if _is_form(content_type):
        pairs = parse_qsl(body.decode("utf-8", _LOSSLESS), keep_blank_values=True, errors=_LOSSLESS)
        return urlencode([pair for pair in pairs if pair[0] != at] + [(at, value)], errors=_LOSSLESS).encode()
    try:
        document = decode_json(body)
        *parts, last = _pointer_parts(at)
        holder = document
        for part in parts:
            holder = holder[int(part)] if isinstance(holder, list) else holder.setdefault(part, {})
        holder[int(last) if isinstance(holder, list) else last] = value
    except (ValueError, LookupError, TypeError, AttributeError):
        raise SigningError(f"the signature cannot be written to {at}: the body has no such place") from None
    return encode_json(document)
