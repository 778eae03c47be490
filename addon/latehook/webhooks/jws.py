"""PURE: JSON Web Signatures (RFC 7515): of claims, as a JSON Web Token (RFC 7519), or of any other payload."""

import base64
from collections.abc import Mapping
from typing import Any, NamedTuple

from latehook.base.json_text import encode_json

ALGORITHMS = {
    **{f"HS{bits}": f"hmac-sha{bits}" for bits in (256, 384, 512)},
    **{f"RS{bits}": f"rsa-sha{bits}" for bits in (256, 384, 512)},
    **{f"PS{bits}": f"rsa-pss-sha{bits}" for bits in (256, 384, 512)},
    **{f"ES{bits}": f"ecdsa-p{bits}" for bits in (256, 384)},
    "EdDSA": "ed25519",
}
"""Names of RFC 7518 section 3.1 and RFC 8037 → the algorithms of `webhooks.keys`."""


class Unsigned(NamedTuple):
    """A JSON Web Signature without its signature: the encoded header, and the payload as it is signed."""

    header: str
    payload: bytes

    @property
    def signing_input(self) -> bytes:
        return self.header.encode() + b"." + self.payload

    def compact(self, signature: str, detached: bool) -> str:
        """Return the compact form; `detached`: without the payload (RFC 7515 appendix F)."""
        return f"{self.header}.{'' if detached else self.payload.decode('utf-8', 'replace')}.{signature}"


def unsigned(header: Mapping[str, Any], payload: bytes) -> Unsigned:
    """Return what is to be signed. With `b64: false` in the header the payload is not encoded (RFC 7797)."""
    encoded = payload if header.get("b64") is False else _base64url(payload)
    return Unsigned(_base64url(encode_json(header)).decode(), encoded)


def _base64url(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")
