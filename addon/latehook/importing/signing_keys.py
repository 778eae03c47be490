"""PURE: the `sign` of webhooks in a mocks file, from the signatures that they have."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from latehook.importing import web_tokens
from latehook.importing.exchanges import Exchange, KeyPath
from latehook.importing.scrubbing import SECRET_KEY
from latehook.importing.signature_checks import Candidate
from latehook.importing.signatures import Signature, recognise
from latehook.importing.situations import Situation, braces, from_environment
from latehook.importing.sources import Source
from latehook.importing.unify import Notes
from latehook.importing.web_tokens import WebToken
from latehook.webhooks import jws

Samples = Sequence[tuple[Exchange, Situation]]
Unify = Callable[..., Any]

NOT_VERIFIED = "signature not verified (give its secret with --secret-env)"
OWN_KEY = "signed with a private key, which no recording has: set WEBHOOK_KEY to your own, use its public key"


@dataclass(frozen=True)
class Sign:
    """`sign` of a webhook, and what it makes: headers, in lower case, and places of the body."""

    entry: dict[str, Any]
    headers: frozenset[str] = frozenset()
    places: frozenset[KeyPath] = field(default_factory=frozenset)


def sign_of(samples: Samples, secrets: Mapping[str, str], unify: Unify, notes: Notes) -> Sign | None:
    """Return the `sign` of these webhooks, None if they are not signed. `secrets` are values with their variables."""
    candidates = [*_given(samples), *_of_environment(samples, secrets)]
    if (found := _token(samples)) is not None:
        return _of_token(*found, samples, candidates, unify, notes)
    signature = recognise([exchange for exchange, _ in samples], candidates)
    if signature is None:
        return None
    keys = dict(signature.keys)
    if signature.secret is None and "key_id" in keys:
        notes.add("the id of the key is not in the recording: set WEBHOOK_KEY_ID", ("sign", "key_id"))
    scheme = {"scheme": keys.pop("scheme")} if "scheme" in keys else {}
    entry = {**scheme, "secret": _secret(signature, notes), **keys}
    return Sign(entry, signature.headers, signature.places)


def _of_environment(samples: Samples, secrets: Mapping[str, str]) -> list[Candidate]:
    return [
        Candidate(
            braces(f"env.{name}") if "PRIVATE KEY" in value else from_environment(name, value), [value] * len(samples)
        )
        for value, name in secrets.items()
    ]


def _given(samples: Samples) -> list[Candidate]:
    """Return the secrets that the requests themselves gave, such as that of a registration."""
    found = []
    for source in _readable(samples[0][1]):
        if SECRET_KEY.search(source.key) and isinstance(source.value, str) and len(source.value) >= 4:
            values = [
                next((str(other.value) for other in _readable(situation) if other.expression == source.expression), "")
                for _, situation in samples
            ]
            if all(values):
                found.append(Candidate(braces(source.expression), values))
    return found


def _readable(situation: Situation) -> Sequence[Source]:
    return [*situation.sources, *situation.related]


def _secret(signature: Signature, notes: Notes) -> str:
    if signature.secret is not None:
        return signature.secret.template
    if signature.is_private:
        notes.add(OWN_KEY, ("sign",))
        return braces("env.WEBHOOK_KEY")
    notes.add(NOT_VERIFIED, ("sign",))
    example = {"base64": "whsec_", "hex": "0" * 32}.get(signature.secret_encoding, "")
    return from_environment("WEBHOOK_SECRET", example)


# JSON Web Tokens


def _token(samples: Samples) -> tuple[str, list[WebToken]] | None:
    """Return the header that has a JSON Web Token in all webhooks, and the tokens. A token of a request is none."""
    given = {str(source.value) for _, situation in samples for source in situation.sources}
    for name, value in samples[0][0].request.headers:
        tokens = []
        for exchange, _ in samples:
            text = exchange.request.header(name.lower())
            body = exchange.request.body.raw or exchange.request.content
            if (token := web_tokens.read(text, body)) is not None and text.removeprefix(token.prefix) not in given:
                tokens.append(token)
        is_one_kind = len({(token.header["alg"], token.claims is None, token.is_detached) for token in tokens}) == 1
        if value and len(tokens) == len(samples) and is_one_kind:
            return name, tokens
    return None


def _of_token(
    name: str, tokens: Sequence[WebToken], samples: Samples, candidates: Sequence[Candidate], unify: Unify, notes: Notes
) -> Sign:
    first = tokens[0]
    algorithm = first.header["alg"]
    verified = web_tokens.verifying(tokens, candidates)
    is_private = not jws.ALGORITHMS[algorithm].startswith("hmac")
    encoding = verified[1] if verified is not None else "utf8"
    signature = Signature({}, secret=verified and verified[0], secret_encoding=encoding, is_private=is_private)
    entry: dict[str, Any] = {"secret": _secret(signature, notes)}
    if encoding != "utf8":
        entry["secret_encoding"] = encoding
    if isinstance(first.header.get("kid"), str):
        kid = first.header["kid"]
        given = (candidate.template for candidate in candidates if kid in candidate.values)
        entry["key_id"] = next(given, None) or _verbatim(kid)
    entry["jwt"] = {"algorithm": algorithm} if algorithm != "HS256" else {}
    if header := _header(first):
        entry["jwt"]["header"] = header
    if first.claims is not None:
        entry["jwt"]["claims"] = _claims(tokens, samples, unify)
    entry["headers"] = {name: f"{first.prefix}{{jwt{'.detached' if first.is_detached else ''}}}"}
    return Sign(entry, frozenset([name.lower()]))


def _header(token: WebToken) -> dict[str, Any]:
    """Return what the header has besides, or instead of, what Latehook writes by itself."""
    own = {"typ": "JWT"} if token.claims is not None else {}
    written = {name: value for name, value in token.header.items() if name not in ("alg", "kid")}
    changed = {name: value for name, value in written.items() if own.get(name) != value}
    return changed | {name: None for name in own if name not in written}


def _claims(tokens: Sequence[WebToken], samples: Samples, unify: Unify) -> dict[str, Any]:
    webhooks = [exchange for exchange, _ in samples]
    claims: dict[str, Any] = {}
    for name in dict.fromkeys(name for token in tokens for name in token.claims or {}):
        having = [
            (token.claims[name], sample)
            for token, sample in zip(tokens, samples, strict=True)
            if token.claims and name in token.claims
        ]
        values = [value for value, _ in having]
        made = web_tokens.claim_template(values, webhooks, tokens) if len(having) == len(samples) else None
        if made is None and name == "jti" and re.fullmatch(r"[0-9a-f-]{36}", str(values[0])):
            made = "{uuid}"
        claims[name] = made or unify([(value, situation) for value, (_, situation) in having], "sign", "claims", name)
    return claims


def _verbatim(text: str) -> str:
    """Return a text as a template that has no tokens of its own."""
    return text if "{" not in text else braces(repr(text))
