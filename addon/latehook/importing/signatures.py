"""PURE: recognises how a webhook is signed, and verifies the signature where the secret is known."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import permutations
from typing import Any

from latehook.importing import signature_texts as texts
from latehook.importing.exchanges import Exchange, KeyPath, leaves
from latehook.importing.scrubbing import snake
from latehook.importing.signature_checks import Candidate, is_private, pointer, values_by_pointer, verifying
from latehook.importing.signature_texts import SignatureText
from latehook.importing.times import read_time
from latehook.webhooks.schemes import SCHEMES, Scheme
from latehook.webhooks.templates import is_signed, tokens_in

_ORDERS = (
    "{body}", "{timestamp} {body}", "{url} {body}", "{method} {url} {body}", "{timestamp} {method} {url} {body}",
    "{id} {timestamp} {body}", "{id} {body}", "{body} {timestamp}", "{timestamp} {id} {body}",
    "{url} {timestamp} {body}",
)  # fmt: skip
_SEPARATORS = (".", "", ":", "|", "\n", "-")
MESSAGES = (
    *dict.fromkeys(order.replace(" ", separator) for order in _ORDERS for separator in _SEPARATORS),
    "{url}{form_sorted}",
)
"""What is tried as the signed message of a scheme that has no name."""

MAX_SIBLINGS = 8
"""Fields beside a signature of which combinations are tried as the signed message."""

_NOT_BY_SHAPE = {"bearer", "basic"}
_ONLY_SIGNATURE = re.compile(r"signature|hmac|(^|_)sig$")
"""Names of fields that have a signature and nothing else: a `hash` may be that of a file."""
_ID_HEADER = re.compile(r"(^|-)(webhook|delivery|message|event|request|notification|transmission)?-?id$")


@dataclass(frozen=True, slots=True)
class Signature:
    """How webhooks are signed: the keys of `sign` but the secret, and the headers and places of the body that it makes.

    `secret` is the one that has made exactly these signatures, None if none was given that has. `secret_encoding` is
    that of the scheme; `is_private`: the secret is a private key.
    """

    keys: dict[str, Any]
    headers: frozenset[str] = frozenset()
    places: frozenset[KeyPath] = frozenset()
    secret: Candidate | None = None
    secret_encoding: str = "utf8"
    is_private: bool = False


@dataclass(frozen=True, slots=True)
class _Signed:
    """Webhooks with the same kind of signature, and the secrets that may have made it."""

    webhooks: Sequence[Exchange]
    secrets: Sequence[Candidate]
    headers: frozenset[str] = frozenset()
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def first(self) -> Exchange:
        return self.webhooks[0]


def recognise(webhooks: Sequence[Exchange], secrets: Sequence[Candidate]) -> Signature | None:
    """Return how webhooks are signed, None if they are not."""
    names = [frozenset(name.lower() for name, _ in webhook.request.headers) for webhook in webhooks]
    values = [values_by_pointer(webhook.request.body) for webhook in webhooks]
    common = {at: value for at, value in values[0].items() if all(at in other for other in values)}
    signed = _Signed(webhooks, secrets, frozenset.intersection(*names), common)
    by_name = list(_by_scheme(signed))
    verified = next((found for found in by_name if found.secret is not None), None)
    return verified or next(iter(by_name), None) or _by_header(signed) or _by_field(signed)


# Schemes with a name


def _by_scheme(signed: _Signed) -> Iterator[Signature]:
    """Yield the schemes whose headers and fields all webhooks have."""
    for name, scheme in SCHEMES.items():
        made = [template for template in (*scheme.headers.values(), *scheme.fields.values()) if is_signed(template)]
        if scheme.jwt is not None or name in _NOT_BY_SHAPE or not made:
            continue
        if _required(scheme) <= signed.headers and scheme.fields.keys() <= signed.values.keys():
            found = _known(name, scheme, signed)
            if found.secret is not None or _is_plausible(scheme, signed):
                yield found


def _required(scheme: Scheme) -> frozenset[str]:
    """Return the headers that each webhook of a scheme has: not those for a second secret."""
    return frozenset(
        name.lower() for name, value in scheme.headers.items() if not re.fullmatch(r"\{signature\.\d+\}", str(value))
    )


def _known(name: str, scheme: Scheme, signed: _Signed) -> Signature:
    keys: dict[str, Any] = {"scheme": name}
    secret = None
    if any(token.name == "key_id" for token in tokens_in(scheme.message)):
        keys["key_id"] = "{{ env.WEBHOOK_KEY_ID | default('key-id') }}"
        for candidate in signed.secrets:
            if secret is None and not candidate.is_private_key:
                secret = verifying(replace(scheme, key_id=candidate.values[0]), signed.webhooks, signed.secrets)
                if secret is not None:
                    keys["key_id"] = candidate.template
    else:
        secret = verifying(scheme, signed.webhooks, signed.secrets)
    headers = frozenset(header.lower() for header in scheme.headers)
    places = frozenset(path for path in _paths(signed.first) if _at(signed.first, path) in scheme.fields)
    return Signature(keys, headers, places, secret, scheme.secret_encoding, is_private(scheme.algorithm))


def _is_plausible(scheme: Scheme, signed: _Signed) -> bool:
    """Return whether the signatures have the length of the scheme's: another scheme may have the same names."""
    sent = [(template, signed.first.request.header(name.lower())) for name, template in scheme.headers.items()]
    sent += [(template, str(signed.values[at])) for at, template in scheme.fields.items()]
    found = [texts.read(value, signed.first.started) for template, value in sent if is_signed(template) and value]
    return any(one is not None and scheme.algorithm in texts.algorithms(one.raw) for one in found) or bool(
        scheme.components
    )


# Schemes without a name


def _by_header(signed: _Signed) -> Signature | None:
    for header in sorted(name for name in signed.headers if texts.NAME.search(name)):
        read = [texts.read(webhook.request.header(header), webhook.started) for webhook in signed.webhooks]
        if read[0] is not None and all(one is not None for one in read):
            written = next(name for name, _ in signed.first.request.headers if name.lower() == header)
            return _general(signed, header, read[0], {"headers": {written: read[0].template}}, MESSAGES)
    return None


def _by_field(signed: _Signed) -> Signature | None:
    """Return the signature that is a field of the body."""
    for path in _paths(signed.first):
        at, name = _at(signed.first, path), snake(path[-1]) if path else ""
        value = signed.values.get(at)
        if not isinstance(value, str) or not texts.NAME.search(name):
            continue
        read = texts.read(value, signed.first.started)
        if read is not None and read.template == "{signature}":
            found = _general(signed, name, read, {"fields": {at: "{signature}"}}, _sibling_messages(signed, path))
            if found.secret is not None or _ONLY_SIGNATURE.search(name):
                return found
    return None


def _sibling_messages(signed: _Signed, path: KeyPath) -> list[str]:
    """Return the messages of which a signature in the body may be: of the values beside it, or of the whole body."""
    beside = [other for other in _paths(signed.first) if other[:-1] == path[:-1] and other != path][:MAX_SIBLINGS]
    kind = "json" if signed.first.request.body.kind == "json" else "field"
    tokens = [f"{{{kind}:{_at(signed.first, other)}}}" for other in beside]
    tokens = ["{timestamp}" if _is_time(signed, other) else token for other, token in zip(beside, tokens, strict=True)]
    combined = [chosen for size in (2, 1, 3) for chosen in permutations(tokens, size)]
    return ["{body}", *(separator.join(chosen) for chosen in combined for separator in ("", ".", ":", "|"))]


def _is_time(signed: _Signed, path: KeyPath) -> bool:
    value = signed.values.get(_at(signed.first, path))
    return str(value).isdigit() and read_time(str(value), signed.first.started) is not None


def _general(
    signed: _Signed, name: str, read: SignatureText, places: dict[str, dict[str, str]], messages: Sequence[str]
) -> Signature:
    """Return a signature of a scheme without a name: of the length that it has, over what a secret verifies."""
    for algorithm in texts.algorithms(read.raw, name):
        encodings = ("utf8",) if is_private(algorithm) else ("utf8", "base64", "hex")
        for message in messages:
            made = _with_times(signed, places, message)
            for encoding in encodings if made is not None else ():
                scheme = Scheme(algorithm, encoding, message, read.encoding, **(made or {}))
                if (secret := verifying(scheme, signed.webhooks, signed.secrets)) is not None:
                    return _signature(scheme, signed, secret)
    algorithm = texts.algorithms(read.raw, name)[0]
    return _signature(Scheme(algorithm=algorithm, encoding=read.encoding, **places), signed, None)  # type: ignore[arg-type]


def _with_times(signed: _Signed, places: dict[str, dict[str, str]], message: str) -> dict[str, Any] | None:
    """Return headers and fields with those that have the time and the id which a message names; None if none has."""
    made: dict[str, Any] = {key: dict(value) for key, value in places.items()}
    templates = "".join(template for value in places.values() for template in value.values())
    if "{timestamp}" in message and "{timestamp}" not in templates:
        if "fields" in made:
            times = [path for path in _paths(signed.first) if _is_beside(path, made, signed)]
            made["fields"] |= {_at(signed.first, path): "{timestamp}" for path in times}
        elif (found := _timestamp_header(signed)) is not None:
            made["headers"][found[0]] = "{timestamp}"
            made |= {"timestamp_format": found[1]} if found[1] != "seconds" else {}
        else:
            return None
    if "{id}" in message:
        if (header := _id_header(signed)) is None or "headers" not in made:
            return None
        made["headers"][header] = "{id}"
    return made


def _is_beside(path: KeyPath, made: dict[str, Any], signed: _Signed) -> bool:
    """Return whether a value is a time beside the signature."""
    [at] = [at for at, template in made["fields"].items() if template == "{signature}"]
    return _at(signed.first, path).rpartition("/")[0] == at.rpartition("/")[0] and _is_time(signed, path)


def _signature(scheme: Scheme, signed: _Signed, secret: Candidate | None) -> Signature:
    names = ("algorithm", "secret_encoding", "message", "encoding", "timestamp_format", "headers", "fields")
    keys = {name: getattr(scheme, name) for name in names if getattr(scheme, name) != getattr(Scheme(), name)}
    headers = frozenset(name.lower() for name in scheme.headers)
    places = frozenset(path for path in _paths(signed.first) if _at(signed.first, path) in scheme.fields)
    return Signature(keys, headers, places, secret, scheme.secret_encoding, is_private(scheme.algorithm))


def _timestamp_header(signed: _Signed) -> tuple[str, str] | None:
    """Return the header that has the time of a webhook, and the form of that time."""
    for name, value in signed.first.request.headers:
        if "time" in name.lower() and read_time(value, signed.first.started) is not None:
            return name, "iso8601" if not value.isdigit() else "milliseconds" if len(value) == 13 else "seconds"
    return None


def _id_header(signed: _Signed) -> str | None:
    return next((name for name, _ in signed.first.request.headers if _ID_HEADER.search(name.lower())), None)


def _paths(webhook: Exchange) -> list[KeyPath]:
    return [path for path, _ in leaves(webhook.request.body.value) if path]


def _at(webhook: Exchange, path: KeyPath) -> str:
    """Return a place of the body as `sign.fields` has it: a JSON pointer, or the name of a form's field."""
    return pointer(path) if webhook.request.body.kind == "json" else str(path[0])
