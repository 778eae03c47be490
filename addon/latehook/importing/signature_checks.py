"""PURE: finds the secret that has made the signatures of webhooks."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from latehook.base.errors import SigningError
from latehook.importing.exchanges import Body, Exchange, KeyPath, decode_body, leaves
from latehook.importing.signature_texts import decode
from latehook.importing.times import read_time
from latehook.webhooks import keys
from latehook.webhooks.draft import Message
from latehook.webhooks.schemes import Scheme
from latehook.webhooks.signing import Signed, sign, signed_content
from latehook.webhooks.templates import is_signed as has_signature


@dataclass(frozen=True, slots=True)
class Candidate:
    """A secret that may have signed webhooks: what a mocks file writes for it, and its value for each webhook."""

    template: str
    values: Sequence[str]

    @property
    def is_private_key(self) -> bool:
        return "PRIVATE KEY" in self.values[0]


def verifying(scheme: Scheme, webhooks: Sequence[Exchange], secrets: Sequence[Candidate]) -> Candidate | None:
    """Return the secret with which all webhooks have the signature that they should have."""
    for secret in secrets:
        if secret.is_private_key is is_private(scheme.algorithm) and all(
            _is_signed(scheme, value, webhook) for value, webhook in zip(secret.values, webhooks, strict=True)
        ):
            return secret
    return None


def is_private(algorithm: str) -> bool:
    """Return whether an algorithm signs with a private key."""
    return algorithm.startswith(("rsa", "ecdsa", "ed25519"))


def pointer(path: KeyPath) -> str:
    """Return the JSON pointer of a place (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def values_by_pointer(body: Body) -> dict[str, Any]:
    """Return the values of a body: of JSON by their pointers, of a form by their names."""
    if body.kind == "json":
        return {pointer(path): value for path, value in leaves(body.value)}
    return {str(path[0]): value for path, value in leaves(body.value) if len(path) == 1} if body.kind == "form" else {}


def _is_signed(scheme: Scheme, secret: str, webhook: Exchange) -> bool:
    """Return whether signing a webhook again gives what it has, at one of the times that it names."""
    sent = {name.lower(): value for name, value in webhook.request.headers}
    written = values_by_pointer(webhook.request.body) if scheme.fields else {}
    for moment in _moments(scheme, webhook, written):
        message = _message(scheme, webhook, sent, moment)
        try:
            made = sign(scheme, [secret], message)
            if _agree(scheme, made, sent, written) or _verifies(scheme, secret, message, sent, written):
                return True
        except SigningError:
            return False
    return False


def _message(scheme: Scheme, webhook: Exchange, sent: Mapping[str, str], moment: float) -> Message:
    made_by_scheme = {name.lower() for name in scheme.headers}
    headers = [(name, value) for name, value in webhook.request.headers if name.lower() not in made_by_scheme]
    id = next((sent.get(name.lower(), "") for name, value in scheme.headers.items() if value == "{id}"), "")
    url = f"{webhook.origin}{webhook.target}"
    body = webhook.request.body.raw or webhook.request.content
    return Message(id, moment, webhook.method, url, body, headers, str)


def _agree(scheme: Scheme, made: Signed, sent: Mapping[str, str], written: Mapping[str, Any]) -> bool:
    """Return whether the headers and fields that signing has made are those that were sent.

    The sender may have signed with more secrets.
    """
    for name, value in made.headers:
        parts = [part.strip() for part in re.split(r"[ ,]", sent.get(name.lower(), ""))]
        if value != sent.get(name.lower()) and any(part not in parts for part in re.split(r"[ ,]", value)):
            return False
    if not scheme.fields:
        return True
    again = values_by_pointer(decode_body(made.body, sent.get("content-type", ""), ""))
    return all(str(again.get(at)) == str(written.get(at)) for at in scheme.fields)


def _verifies(
    scheme: Scheme, secret: str, message: Message, sent: Mapping[str, str], written: Mapping[str, Any]
) -> bool:
    """Return whether a signature that is another one each time (ECDSA, RSA-PSS) was made with this private key."""
    if not scheme.algorithm.startswith(("ecdsa", "rsa-pss")):
        return False
    content = signed_content(scheme, secret, message)
    places = [(template, sent.get(name.lower(), "")) for name, template in scheme.headers.items()]
    places += [(template, str(written.get(at, ""))) for at, template in scheme.fields.items()]
    for template, value in places:
        if not has_signature(template):
            continue
        before, _, behind = str(template).partition("{signature}")
        decoded = decode(value.removeprefix(before).removesuffix(behind))
        if decoded is None or not keys.verifies(
            scheme.algorithm, secret, scheme.secret_encoding, content, decoded[1], bool(scheme.components)
        ):
            return False
    return True


def _moments(scheme: Scheme, webhook: Exchange, written: Mapping[str, Any]) -> Iterator[float]:
    """Yield the times that the headers and the scheme's fields name, in Unix seconds."""
    texts = [value for _, value in webhook.request.headers]
    texts += [str(written.get(at, "")) for at, template in scheme.fields.items() if "{timestamp}" in template]
    for text in texts:
        for digits in re.findall(r"(?<!\d)(\d{10}|\d{13})(?!\d)", text):
            yield float(digits) if len(digits) == 10 else int(digits) / 1000
        if "T" in text and (read := read_time(text, webhook.started)) is not None:
            yield read[0]
    yield webhook.started
