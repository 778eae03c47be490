"""PURE: HTTP message signatures (RFC 9421)."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from latehook.base.errors import SigningError
from latehook.webhooks.urls import authority, split_target

ALGORITHMS = {
    "hmac-sha256": "hmac-sha256",
    "rsa-sha256": "rsa-v1_5-sha256",
    "rsa-pss-sha512": "rsa-pss-sha512",
    "ecdsa-p256": "ecdsa-p256-sha256",
    "ecdsa-p384": "ecdsa-p384-sha384",
    "ed25519": "ed25519",
}
"""Algorithms of `webhooks.keys` → their names in RFC 9421 section 6.2.2."""

_DERIVED: dict[str, Callable[[str, str], str]] = {
    "@method": lambda method, url: method,
    "@target-uri": lambda method, url: f"{_scheme(url)}://{authority(url)}{split_target(url)[1]}",
    "@authority": lambda method, url: authority(url),
    "@scheme": lambda method, url: _scheme(url),
    "@request-target": lambda method, url: split_target(url)[1],
    "@path": lambda method, url: split_target(url)[1].partition("?")[0],
    "@query": lambda method, url: "?" + split_target(url)[1].partition("?")[2],
}
"""Derived components (RFC 9421 section 2.2) → their value for a method and a URL."""

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")


def component_problem(name: str) -> str | None:
    """Return why a message has no component of this name, None if it may have."""
    if name in _DERIVED or _HEADER.fullmatch(name):
        return None
    known = ", ".join(_DERIVED)
    return f"{name!r} is not a component: write the name of a header in lower case, or one of {known}"


def signature_input(components: Sequence[str], parameters: Mapping[str, Any]) -> str:
    """Return what `Signature-Input` says of a signature: its components and its parameters. Raises SigningError."""
    listed = " ".join(f'"{name}"' for name in components)
    return f"({listed})" + "".join(f";{name}={_bare_item(name, value)}" for name, value in parameters.items())


def signature_base(
    components: Sequence[str], signature_input: str, method: str, url: str, headers: Sequence[tuple[str, str]]
) -> bytes:
    """Return what is signed (RFC 9421 section 2.5). Raises SigningError for a component that the message lacks."""
    values = ((name, _value(name, method, url, headers)) for name in components)
    lines = [*(f'"{name}": {value}' for name, value in values), f'"@signature-params": {signature_input}']
    return "\n".join(lines).encode()


def _value(name: str, method: str, url: str, headers: Sequence[tuple[str, str]]) -> str:
    if name in _DERIVED:
        return _DERIVED[name](method, url)
    values = [value.strip() for header, value in headers if header.lower() == name]
    if not values:
        raise SigningError(f"the component {name!r} is not a header of this webhook: add it to `headers`")
    return ", ".join(values)


def _scheme(url: str) -> str:
    return url.partition(":")[0].lower()


def _bare_item(name: str, value: Any) -> str:
    """Return a value as structured fields have it (RFC 8941 section 3.3)."""
    if type(value) is int:
        return str(value)
    text = value if isinstance(value, str) else None
    if text is None or not text.isascii() or not text.isprintable():
        raise SigningError(f"parameters.{name} is {value!r}: write a whole number, or a text in ASCII")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
