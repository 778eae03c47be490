"""PURE: recognises texts that hold a signature: how its bytes are written, and which algorithms make such bytes."""

import base64
import binascii
import re
from dataclasses import dataclass

from latehook.importing.shapes import is_opaque
from latehook.importing.times import read_time

NAME = re.compile(r"signature|hmac|digest|(^|[_-])sig(n)?$|hash")
"""Names of headers and fields that hold a signature, in lower case."""

_HMAC = {20: "hmac-sha1", 32: "hmac-sha256", 48: "hmac-sha384", 64: "hmac-sha512"}
MAX_LENGTH = 4000
"""Characters of the longest text that may hold a signature."""
_RSA_BYTES = (256, 384, 512)
_PIECE = re.compile(r"[A-Za-z0-9+/_-]{27,}={0,2}")
_TIME = re.compile(r"(?<![\w.])(\d{10}|\d{13})(?![\w.])")
_LITERAL = re.compile(r"[\w.=:\"'-]{0,40}")


@dataclass(frozen=True, slots=True)
class SignatureText:
    """A text with a signature. `template` is the text with tokens, as `sign.headers` has it; `raw` the signature."""

    template: str
    encoding: str
    raw: bytes


def read(text: str, at: float) -> SignatureText | None:
    """Return what a text says, None if it holds no signature. Times in it are near `at`, in Unix seconds.

    Of several signatures, as by several secrets, the template has the first one.
    """
    if len(text) > MAX_LENGTH:
        return None
    template, first = "", None
    for part in re.findall(r"[,; ]*[^,; ]+", text.strip()):
        found = _PIECE.search(part)
        decoded = decode(found[0]) if found is not None else None
        if found is not None and decoded is not None:
            before, behind = part[: found.start()], part[found.end() :]
            if first is None:
                template += f"{before}{{signature}}{behind}"
                first = decoded
        else:
            timed = _TIME.sub(lambda time: "{timestamp}" if read_time(time[0], at) else time[0], part)
            if is_opaque(timed.strip(",; ")) or not _LITERAL.fullmatch(timed.replace("{timestamp}", "").strip(",; ")):
                return None
            template += timed
    return SignatureText(template, *first) if first is not None else None


def decode(text: str) -> tuple[str, bytes] | None:
    """Return the encoding of a text and its bytes; None if no algorithm makes a signature of this length."""
    if re.fullmatch(r"[0-9a-f]+", text) and len(text) % 2 == 0 and len(text) // 2 in (*_HMAC, *_RSA_BYTES):
        return "hex", bytes.fromhex(text)
    is_url = re.search("[_-]", text) is not None or ("=" not in text and len(text) % 4 != 0)
    padded = text + "=" * (-len(text) % 4)
    try:
        raw = base64.b64decode(padded, altchars=b"-_" if is_url else None, validate=True)
    except (ValueError, binascii.Error):
        return None
    return ("base64url" if is_url else "base64", raw) if algorithms(raw) else None


def algorithms(raw: bytes, name: str = "") -> list[str]:
    """Return the algorithms that make such a signature, those first that the name of its header or field has."""
    found = [_HMAC[len(raw)]] if len(raw) in _HMAC else []
    if len(raw) == 64:
        found.append("ed25519")
    elif len(raw) in _RSA_BYTES:
        found += ["rsa-sha256", "rsa-sha512", "rsa-sha1", "rsa-sha384", "rsa-pss-sha256", "rsa-pss-sha512"]
    elif raw[:1] == b"\x30" and raw[1:2] == bytes([len(raw) - 2 & 0xFF]):  # DER: a sequence of two integers
        found += ["ecdsa-p256"] if 66 <= len(raw) <= 72 else ["ecdsa-p384"] if 98 <= len(raw) <= 104 else []
    words = re.split(r"[^a-z0-9]+", name.lower())
    return sorted(found, key=lambda algorithm: not any(part in words for part in algorithm.split("-")))
