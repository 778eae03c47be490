"""PURE: charsets of content types: which one a body has, and text encoded and decoded by it, strictly."""

import codecs
from encodings import normalize_encoding
from encodings.aliases import aliases

from latehook.base.errors import BodyError

UTF_8 = "utf-8"

_CHARSETS = {name for pair in aliases.items() for name in pair} - {"utf_7", "u7", "unicode_1_1_utf_7"}
"""The charsets that are accepted. For other names Python searches files, and some of its codecs take hours for a large
body. UTF-7 can encode lone surrogates.
"""


def parameter(content_type: str, name: str) -> str | None:
    """Return a parameter of a content type, such as `charset`; None where it has none of this name."""
    for part in content_type.split(";")[1:]:
        key, _, value = part.partition("=")
        if key.strip().lower() == name:
            return value.strip().strip('"')
    return None


def declared_charset(content_type: str) -> str | None:
    """Return the charset that a content type declares; None where it declares none. Raises BodyError."""
    charset = parameter(content_type, "charset")
    return checked(charset) if charset else None


def checked(charset: str) -> str:
    """Return the name of a charset that is known. Raises BodyError for others."""
    try:
        if normalize_encoding(charset.lower()) not in _CHARSETS:
            raise LookupError
        "".encode(charset)  # LookupError: a codec that is not for text
    except LookupError:
        raise BodyError(f"the charset {charset!r} is not known") from None
    return charset


def decode_charset(body: bytes, charset: str | None, what: str = "the body") -> str:
    """Return bytes as text. Without a charset they are UTF-8, or UTF-16 with a byte order mark.

    Raises BodyError for bytes that are not text in this charset; `what` is what the error calls them.
    """
    if charset is None:
        charset = "utf-16" if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else UTF_8
    try:
        return body.decode(charset)
    except UnicodeDecodeError as error:
        found = f"byte 0x{body[error.start]:02x} at {error.start}"
        raise BodyError(f"{what} is not {charset} text ({found})") from None


def encode_charset(text: str, charset: str) -> bytes:
    """Return a text in a charset. Raises BodyError for characters that the charset does not have."""
    try:
        return text.encode(charset)
    except UnicodeEncodeError as error:
        character = text[error.start]
        shown = f"U+{ord(character):04X}" + (f" ({character})" if character.isprintable() else "")
        raise BodyError(f"{charset} has no {shown}, the character at {error.start}") from None
