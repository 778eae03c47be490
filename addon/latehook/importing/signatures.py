"""PURE: recognises how a webhook is signed, and verifies the signature where the secret is known."""

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from latehook.base.errors import SigningError
from latehook.importing.exchanges import Exchange
from latehook.webhooks.draft import Message
from latehook.webhooks.schemes import SCHEMES, Scheme
from latehook.webhooks.signing import sign

_HEADER = re.compile(r"(?i).*(signature|hmac|digest|-sig$|hash).*")
_LENGTHS = {20: "sha1", 32: "sha256", 48: "sha384", 64: "sha512"}
_MESSAGES = (
    "{body}",
    "{timestamp}.{body}",
    "{timestamp}{body}",
    "{timestamp}:{body}",
    "{timestamp}|{body}",
    "{url}{body}",
    "{url}{form_sorted}",
    "{method}{url}{body}",
    "{method}.{url}.{body}",
    "{timestamp}.{method}.{url}.{body}",
    "{id}.{timestamp}.{body}",
)
"""What is tried as the signed message of a scheme that has no name."""

GENERIC = {"bearer", "basic"}
NOT_RECOGNISED = GENERIC | {"plaid", "vonage", "paypal"}
"""Schemes that headers alone do not tell, or that need a `key_id`, which no recording has."""
ASYMMETRIC = frozenset(
    name for name, scheme in SCHEMES.items() if scheme.algorithm.startswith(("rsa", "ecdsa", "ed25519"))
)
"""Schemes with a private key. They are recognised only if the key is given, and signs alike each time."""


@dataclass(frozen=True, slots=True)
class Signature:
    """How webhooks are signed: the keys of `sign` but the secret, and the headers that belong to it.

    `is_verified` is true if a secret was given that makes exactly these signatures; `variable` is its variable.
    """

    keys: dict[str, Any]
    headers: frozenset[str]
    is_verified: bool = False
    variable: str | None = None
    is_base64: bool = False
    is_asymmetric: bool = False


def recognise(webhooks: Sequence[Exchange], secrets: dict[str, str]) -> Signature | None:
    """Return how webhooks are signed, None if they are not. `secrets` are values with the names of their variables."""
    names = [frozenset(name.lower() for name, _ in webhook.request.headers) for webhook in webhooks]
    for name, scheme in SCHEMES.items():
        required = _required(scheme)
        if name not in NOT_RECOGNISED and required and all(required <= one for one in names):
            found = _known(name, scheme, webhooks, secrets)
            if found.is_verified or name not in ASYMMETRIC:
                return found
    common = frozenset.intersection(*names)
    for header in sorted(name for name in common if _HEADER.fullmatch(name)):
        decoded = [_decode(webhook.request.header(header)) for webhook in webhooks]
        if all(one is not None for one in decoded) and decoded[0] is not None:
            return _general(header, decoded[0], webhooks, secrets)
    return None


def _required(scheme: Scheme) -> frozenset[str]:
    """Return the headers that each webhook of a scheme has: not those for a second secret."""
    return frozenset(
        name.lower() for name, value in scheme.headers.items() if not re.fullmatch(r"\{signature\.\d+\}", str(value))
    )


def _known(name: str, scheme: Scheme, webhooks: Sequence[Exchange], secrets: dict[str, str]) -> Signature:
    headers = frozenset(header.lower() for header in scheme.headers)
    variable = _verifying(scheme, webhooks, secrets)
    is_base64 = scheme.secret_encoding == "base64"
    return Signature({"scheme": name}, headers, variable is not None, variable, is_base64, name in ASYMMETRIC)


def _decode(text: str) -> tuple[str, str, bytes] | None:
    """Return what stands in front of a signature, its encoding and its bytes; None if it is none."""
    found = re.fullmatch(r"((?:[\w.-]+=)?)([A-Za-z0-9+/_=-]+)", text.strip())
    if found is None:
        return None
    prefix, value = found[1], found[2]
    if re.fullmatch(r"[0-9a-f]+", value) and len(value) // 2 in _LENGTHS and len(value) % 2 == 0:
        return prefix, "hex", bytes.fromhex(value)
    try:
        raw = base64.b64decode(value, validate=True)
    except (ValueError, binascii.Error):
        return None
    return (prefix, "base64", raw) if len(raw) in _LENGTHS else None


def _general(
    header: str, example: tuple[str, str, bytes], webhooks: Sequence[Exchange], secrets: dict[str, str]
) -> Signature:
    """Return a signature of a scheme without a name: HMAC of the length that it has, over what the secret verifies."""
    prefix, encoding, raw = example
    written = next(name for name, _ in webhooks[0].request.headers if name.lower() == header)
    keys: dict[str, Any] = {"algorithm": f"hmac-{_LENGTHS[len(raw)]}", "encoding": encoding}
    timestamp = _timestamp_header(webhooks)
    for algorithm, message in ((algorithm, message) for algorithm in _algorithms(raw) for message in _MESSAGES):
        templates = {written: f"{prefix}{{signature}}"}
        if "{timestamp}" in message:
            if timestamp is None:
                continue
            templates[timestamp] = "{timestamp}"
        used = {**keys, "algorithm": algorithm, "message": message}
        variable = _verifying(Scheme(**used, headers=templates), webhooks, secrets)
        if variable is not None:
            found = {key: value for key, value in used.items() if value != getattr(Scheme(), key)}
            return Signature(
                {**found, "headers": templates},
                frozenset(name.lower() for name in templates),
                True,
                variable,
                is_asymmetric=algorithm == "ed25519",
            )
    found = {key: value for key, value in keys.items() if value != getattr(Scheme(), key)}
    return Signature({**found, "headers": {written: f"{prefix}{{signature}}"}}, frozenset([header]))


def _algorithms(signature: bytes) -> list[str]:
    """Return the algorithms that make signatures of this length."""
    return [f"hmac-{_LENGTHS[len(signature)]}", *(["ed25519"] if len(signature) == 64 else [])]


def _timestamp_header(webhooks: Sequence[Exchange]) -> str | None:
    found = (name for name, value in webhooks[0].request.headers if "timestamp" in name.lower() and value.isdigit())
    return next(found, None)


def _verifying(scheme: Scheme, webhooks: Sequence[Exchange], secrets: dict[str, str]) -> str | None:
    """Return the variable of the secret with which all webhooks have the signature that they should have."""
    for secret, variable in secrets.items():
        if all(_is_signed(scheme, secret, webhook) for webhook in webhooks):
            return variable
    return None


def _is_signed(scheme: Scheme, secret: str, webhook: Exchange) -> bool:
    """Return whether a webhook has the headers that signing it again gives, at one of the times that it names."""
    sent = {name.lower(): value for name, value in webhook.request.headers}
    made_by_scheme = {name.lower() for name in scheme.headers}
    headers = [(name, value) for name, value in webhook.request.headers if name.lower() not in made_by_scheme]
    for moment in _moments(webhook):
        url = f"{webhook.origin}{webhook.target}"
        id = next((sent.get(name.lower(), "") for name, value in scheme.headers.items() if value == "{id}"), "")
        message = Message(
            id,
            moment,
            webhook.method,
            url,
            webhook.request.body.raw or webhook.request.content,
            headers,
            str,
        )
        try:
            signed = sign(scheme, [secret], message)
        except SigningError:
            return False
        if all(_agrees(value, sent.get(name.lower(), "")) for name, value in signed.headers):
            return True
    return False


def _agrees(made: str, sent: str) -> bool:
    """Return whether a header that was made is what was sent; the sender may have signed with more secrets."""
    parts = [part.strip() for part in re.split(r"[ ,]", sent)]
    return made == sent or all(part in parts for part in re.split(r"[ ,]", made))


def _moments(webhook: Exchange) -> Iterator[float]:
    """Yield the times that a webhook's headers name, in Unix seconds."""
    for _, value in webhook.request.headers:
        for digits in re.findall(r"(?<!\d)(\d{10}|\d{13})(?!\d)", value):
            yield float(digits) if len(digits) == 10 else int(digits) / 1000
    yield webhook.started
