"""PURE: recognises JSON Web Tokens (RFC 7519) that sign webhooks, and makes the `jwt` that gives such tokens."""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from latehook.base.durations import parse_duration
from latehook.base.errors import SigningError
from latehook.importing.exchanges import Exchange
from latehook.importing.signature_checks import Candidate
from latehook.importing.times import NOISE, read_time
from latehook.webhooks import jws, keys

_TOKEN = re.compile(r"((?:[A-Za-z]+ )?)(eyJ[\w-]+)\.([\w-]*)\.([\w-]+)")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class WebToken:
    """A token of a webhook: what stands in front of it, its header and its claims, and the parts that are signed.

    `claims` is None if the payload is the body, `is_detached` if the token leaves the payload out.
    """

    prefix: str
    header: dict[str, Any]
    claims: dict[str, Any] | None
    signing_input: bytes
    signature: bytes
    is_detached: bool

    def verifies(self, secret: str, encoding: str) -> bool:
        """Return whether a secret has made the token."""
        algorithm = jws.ALGORITHMS[self.header["alg"]]
        try:
            if algorithm.startswith("hmac"):
                return keys.signature(algorithm, secret, encoding, self.signing_input) == self.signature
            return keys.verifies(algorithm, secret, encoding, self.signing_input, self.signature, joined_integers=True)
        except SigningError:
            return False


def read(text: str, body: bytes) -> WebToken | None:
    """Return the token in a header's value, None if it has none. `body` is that of the message."""
    found = _TOKEN.fullmatch(text.strip())
    if found is None:
        return None
    prefix, header_part, payload_part, signature_part = found.groups()
    try:
        header = json.loads(_decoded(header_part))
        payload = _decoded(payload_part) if payload_part else body
        signature = _decoded(signature_part)
        claims = None if payload == body else json.loads(payload)
    except (ValueError, binascii.Error):
        return None
    if (
        not isinstance(header, dict)
        or str(header.get("alg")) not in jws.ALGORITHMS
        or not isinstance(claims, dict | None)
    ):
        return None
    signed = jws.unsigned(header, payload).payload if not payload_part else payload_part.encode()
    return WebToken(prefix, header, claims, header_part.encode() + b"." + signed, signature, not payload_part)


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def verifying(tokens: Sequence[WebToken], secrets: Sequence[Candidate]) -> tuple[Candidate, str] | None:
    """Return the secret that has made all tokens, with its encoding."""
    for secret in secrets:
        for encoding in ("utf8",) if secret.is_private_key else ("utf8", "base64", "hex"):
            if all(token.verifies(value, encoding) for token, value in zip(tokens, secret.values, strict=True)):
                return secret, encoding
    return None


def claim_template(values: Sequence[Any], webhooks: Sequence[Exchange], tokens: Sequence[WebToken]) -> str | None:
    """Return the template of a claim: of a time, a hash of the body, the URL, a UUID; None for others."""
    makers: list[Callable[[Any, Exchange, WebToken], str | None]] = [_time, _of_body]
    for make in makers:
        made = [make(value, webhook, token) for value, webhook, token in zip(values, webhooks, tokens, strict=True)]
        if made[0] is not None and all(one == made[0] for one in made):
            return made[0]
    is_new = len(set(map(str, values))) == len(values) > 1
    return "{uuid}" if is_new and all(_UUID.fullmatch(str(value)) for value in values) else None


def _time(value: Any, webhook: Exchange, token: WebToken) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int) or (read := read_time(value, webhook.started)) is None:
        return None
    issued = (token.claims or {}).get("iat", webhook.started)
    seconds = round((read[0] - issued) / 5) * 5 if isinstance(issued, int | float) else 0
    if abs(read[0] - issued - seconds) > NOISE:
        return None
    return "{timestamp}" if not seconds else f"{{timestamp{'+' if seconds > 0 else '-'}{_duration(abs(seconds))}}}"


def _duration(seconds: int) -> str:
    written = next((f"{seconds // size}{unit}" for unit, size in (("h", 3600), ("m", 60)) if seconds % size == 0), "")
    assert parse_duration(written or f"{seconds}s") == seconds
    return written or f"{seconds}s"


def _of_body(value: Any, webhook: Exchange, token: WebToken) -> str | None:
    if not isinstance(value, str):
        return None
    if value == f"{webhook.origin}{webhook.target}":
        return "{url}"
    for name in ("sha256", "sha512", "sha1", "md5"):
        digest = hashlib.new(name, webhook.request.body.raw or webhook.request.content).digest()
        if value == digest.hex():
            return f"{{{name}}}"
        if value == base64.b64encode(digest).decode():
            return f"{{{name}:base64}}"
        if value == base64.urlsafe_b64encode(digest).decode().rstrip("="):
            return f"{{{name}:base64url}}"
    return None
