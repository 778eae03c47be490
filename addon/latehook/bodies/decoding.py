"""PURE: bodies of requests and responses, decoded with limits: content codings, text, JSON."""

from collections.abc import Sequence
from typing import Any

from latehook.base.errors import BodyError
from latehook.base.json_text import decode_json
from latehook.bodies.charsets import declared_charset, decode_charset
from latehook.bodies.codings import MAX_BODY_SIZE, codings_of, decompress

SMALL_BODY_SIZE = 4096
"""Bytes of a body that a job always keeps, so that filters of the control API can read it."""


def decode_text(body: bytes | None, size: int, codings: Sequence[str], content_type: str) -> str:
    """Return a body as text, by the charset of the content type, which is UTF-8 by default. Raises BodyError."""
    decoded, charset = decode(body, size, codings), declared_charset(content_type)
    try:
        return decode_charset(decoded, charset)
    except BodyError as error:
        raise BodyError(f"{error}: read `bytes` instead of `text`") from None


def parse_json(body: bytes | None, size: int, codings: Sequence[str], content_type: str = "") -> Any:
    """Return a body's JSON value, None where it is not JSON.

    It is in the charset that the content type declares, or else in UTF-8, UTF-16 or UTF-32. Raises BodyError if the
    body was not kept, is too large, or cannot be decoded.
    """
    decoded = decode(body, size, codings)
    charset = declared_charset(content_type)
    try:
        if charset is None or charset.lower() in ("utf-8", "utf8"):
            return decode_json(decoded)
        return decode_json(decode_charset(decoded, charset).removeprefix("\ufeff"))
    except BodyError:
        raise
    except (ValueError, RecursionError):
        return None


def parse_xml(body: bytes | None, size: int, codings: Sequence[str], content_type: str = "") -> Any:
    """Return a body's XML as plain data, None where it is not XML; see `bodies.xml`. Raises BodyError as parse_json."""
    from latehook.bodies import xml  # most mocks read no XML: they do not wait for its parser at the start

    return xml.parse_xml(decode(body, size, codings), content_type)


def decode(body: bytes | None, size: int, codings: Sequence[str] = ()) -> bytes:
    """Return a body without its content codings (gzip, deflate, br, zstd). Raises BodyError.

    `body` is None where it was not kept; `size` is its size in bytes; `codings` are the values of its headers
    Content-Encoding.
    """
    if body is None:
        raise BodyError(f"the body has {size:,} bytes and only {MAX_BODY_SIZE:,} are kept")
    return decompress(body, codings_of(codings)) if codings else body
