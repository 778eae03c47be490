"""PURE: signs the exact bytes that are sent, by the templates of a scheme."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from latehook.base.json_text import encode_json
from latehook.webhooks import http_signatures, jws, keys, message_body
from latehook.webhooks.draft import ENCODE, Draft, Message
from latehook.webhooks.schemes import JwtScheme, Scheme
from latehook.webhooks.templates import Verbatim, is_signed


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed message: the headers to add, and the URL and body to send."""

    headers: tuple[tuple[str, str], ...]
    url: str
    body: bytes


def sign(scheme: Scheme, secrets: Sequence[str], message: Message, corrupt: bool = False) -> Signed:
    """Return the message with one signature for each secret. Raises SigningError.

    With `corrupt` the signatures, and the secrets that are sent, are well-formed but wrong.
    """
    sent_secrets = [_corrupted(secret) for secret in secrets] if corrupt else secrets
    draft = _prepared(scheme, sent_secrets, message)
    signatures = [_signature(draft, secret) for secret in secrets]
    draft.signatures = [_corrupted(signature) for signature in signatures] if corrupt else signatures
    _fill(draft, signed=True)
    headers = ((name, draft.headers[name]) for name in scheme.headers if name in draft.headers)
    return Signed(tuple(headers), draft.message.url, draft.body)


def signed_content(scheme: Scheme, secret: str, message: Message) -> bytes:
    """Return the bytes of a message that a secret signs."""
    return _signed_bytes(_prepared(scheme, [secret], message), secret)


def _prepared(scheme: Scheme, secrets: Sequence[str], message: Message) -> Draft:
    """Return a message with everything that is there before it is signed."""
    message = replace(message, url=message.url.partition("#")[0])  # receivers cannot verify a fragment: it is not sent
    message = replace(message, url=_with_digest(scheme, message))
    draft = Draft(scheme, message, secrets, message.body)
    if scheme.components:
        draft.signature_input = _signature_input(draft)
    _fill(draft, signed=False)
    if scheme.jwt is not None:
        draft.jws = _unsigned_jws(draft, scheme.jwt)
    return draft


def check_secret(scheme: Scheme, secret: str) -> None:
    """Raise SigningError if a secret does not fit a scheme."""
    keys.signature(_algorithm(scheme), secret, scheme.secret_encoding, b"")


def _fill(draft: Draft, signed: bool) -> None:
    """Write the fields and headers of the scheme: before signing, those without a signature; then the others.

    What is signed has the fields of the signatures too, empty.
    """
    content_type = draft.message.content_type
    for at, template in draft.scheme.fields.items():
        if is_signed(template) or not signed:
            value = "" if is_signed(template) and not signed else draft.text(template) or ""
            draft.body = message_body.write(draft.body, content_type, at, value)
    own = {name.lower() for name, _ in draft.message.headers}
    for name, template in draft.scheme.headers.items():
        if name.lower() not in own and is_signed(template) is signed and (text := draft.text(template)) is not None:
            draft.headers[name] = text


def _signature(draft: Draft, secret: str) -> str:
    """Return the signature by one secret, as text."""
    scheme = draft.scheme
    raw = keys.signature(
        _algorithm(scheme),
        secret,
        scheme.secret_encoding,
        _signed_bytes(draft, secret),
        joined_integers=scheme.jwt is not None or bool(scheme.components),
    )
    return ENCODE["base64url" if scheme.jwt is not None else scheme.encoding](raw)


def _algorithm(scheme: Scheme) -> str:
    return scheme.algorithm if scheme.jwt is None else jws.ALGORITHMS[scheme.jwt.algorithm]


def _signed_bytes(draft: Draft, secret: str) -> bytes:
    """Return what a secret signs."""
    scheme, message = draft.scheme, draft.message
    if draft.jws is not None:
        return draft.jws.signing_input
    if scheme.components:
        return http_signatures.signature_base(
            scheme.components, draft.signature_input, message.method, message.url, draft.all_headers
        )
    return draft.signed_bytes(scheme.message, secret)


def _unsigned_jws(draft: Draft, jwt: JwtScheme) -> jws.Unsigned:
    defaults = {"alg": jwt.algorithm, "kid": _key_id(draft), "typ": None if jwt.claims is None else "JWT"}
    payload = draft.body if jwt.claims is None else encode_json(draft.data(jwt.claims))
    return jws.unsigned(draft.data({**defaults, **jwt.header}), payload)


def _signature_input(draft: Draft) -> str:
    scheme = draft.scheme
    defaults = {
        "created": int(draft.message.timestamp),
        "keyid": _key_id(draft),
        "alg": http_signatures.ALGORITHMS[scheme.algorithm],
    }
    return http_signatures.signature_input(scheme.components, draft.data({**defaults, **scheme.parameters}))


def _key_id(draft: Draft) -> Verbatim | None:
    return Verbatim(draft.key_id()) if draft.key_id() else None


def _corrupted(signature: str) -> str:
    """Return a signature or secret with another digit in it: digits are in the alphabet of every encoding.

    The digit is not at the end, where base64 has unused bits, nor at the start, where a structure (DER) has its header.
    """
    at = max(len(signature) - 8, 0)
    return signature[:at] + ("1" if signature[at : at + 1] == "0" else "0") + signature[at + 1 :]


def _with_digest(scheme: Scheme, message: Message) -> str:
    """Return the URL, with the body's digest in its query where the scheme has it there."""
    if scheme.digest_query is None or not message.body or message_body.is_form(message.content_type):
        return message.url
    separator = "&" if "?" in message.url else "?"
    return f"{message.url}{separator}{scheme.digest_query}={hashlib.sha256(message.body).hexdigest()}"
