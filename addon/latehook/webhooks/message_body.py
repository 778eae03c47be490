"""PURE: reads and writes single values in the body of a message that is signed: JSON or a form."""

from typing import Any
from urllib.parse import parse_qsl, urlencode

from latehook.base.errors import BodyError, SigningError
from latehook.base.json_text import decode_json, encode_json

LOSSLESS = "surrogateescape"
"""How bytes of other charsets than UTF-8 are read from a form and written back to it."""


def is_form(content_type: str) -> bool:
    return content_type.startswith("application/x-www-form-urlencoded")


def form_sorted(body: bytes, content_type: str) -> str:
    """Return a form's names and values, sorted and joined; the same pair counts once (Twilio)."""
    if not is_form(content_type):
        return ""
    return "".join(name + value for name, value in sorted(set(_pairs(body))))


def form_field(body: bytes, name: str) -> str:
    """Return the last value of a form's field; an empty text if there is none."""
    return dict(_pairs(body)).get(name, "")


def json_text(body: bytes, pointer: str) -> str:
    """Return what a JSON pointer (RFC 6901) refers to in a JSON body, as text; an empty text if there is nothing."""
    try:
        value = decode_json(body)
        for part in _pointer_parts(pointer):
            value = value[int(part)] if isinstance(value, list) else value[part]
    except (ValueError, LookupError, TypeError, BodyError):
        return ""
    return _text(value)


def lines(body: bytes, names: str) -> str:
    """Return two lines for each of these members that a JSON object has: its name, and its value (AWS SNS)."""
    try:
        document = decode_json(body)
    except (ValueError, BodyError):
        return ""
    if not isinstance(document, dict):
        return ""
    present = (name for name in names.split(",") if document.get(name) is not None)
    return "".join(f"{name}\n{_text(document[name])}\n" for name in present)


def write(body: bytes, content_type: str, at: str, value: str) -> bytes:
    """Return the body with a text in it: at a JSON pointer, or as a form's field. Raises SigningError."""
    if is_form(content_type):
        others = [pair for pair in _pairs(body) if pair[0] != at]
        return urlencode([*others, (at, value)], errors=LOSSLESS).encode()
    try:
        document = decode_json(body)
        *parts, last = _pointer_parts(at)
        holder = document
        for part in parts:
            holder = holder[int(part)] if isinstance(holder, list) else holder.setdefault(part, {})
        holder[int(last) if isinstance(holder, list) else last] = value
    except (ValueError, LookupError, TypeError, AttributeError, BodyError):
        raise SigningError(f"the signature cannot be written to {at}: the body has no such place") from None
    return encode_json(document)


def _pairs(body: bytes) -> list[tuple[str, str]]:
    return parse_qsl(body.decode("utf-8", LOSSLESS), keep_blank_values=True, errors=LOSSLESS)


def _pointer_parts(pointer: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else encode_json(value).decode()
