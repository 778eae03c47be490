"""PURE: JSON, encoded and decoded."""

import json
import re
from typing import Any

import msgspec

from latehook.base.errors import BodyError

MAX_JSON_VALUES = 1_000_000
"""Values in a JSON text. A value takes up to ten times as much memory as its text."""


def encode_json(value: Any) -> bytes:
    """Return a value as compact JSON in UTF-8. Raises ValueError for what JSON cannot hold (NaN, infinite numbers)."""
    try:
        return _COMPACT.encode(value).encode()
    except UnicodeEncodeError:  # lone surrogates have no UTF-8, only an escape
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()


_COMPACT = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def decode_json(source: bytes | str) -> Any:
    """Return the value of a JSON text. Raises ValueError for other texts, BodyError for too many values."""
    raw = source.encode("utf-8", "surrogatepass") if isinstance(source, str) else source
    if (
        raw.count(b",") + raw.count(b"[") + raw.count(b"{") > MAX_JSON_VALUES
    ):  # this counts marks within strings too: the limit is high enough
        raise BodyError(f"the JSON has more than {MAX_JSON_VALUES:,} values")
    try:
        return msgspec.json.decode(raw)
    except (ValueError, RecursionError):
        # Python's decoder is slower, but accepts more: UTF-16, large numbers, lone surrogates
        text = source if isinstance(source, str) else raw.decode(json.detect_encoding(raw)).removeprefix("\ufeff")
        value = _JSON.decode(text)
        return without_lone_surrogates(value) if "\\u" in text else value


def without_lone_surrogates(value: Any) -> Any:
    """Return the value with U+FFFD for each lone surrogate: no header, URL, UTF-8 text or store could hold one."""
    text = json.dumps(value, ensure_ascii=False)
    whole = LONE_SURROGATE.sub("\ufffd", text)
    return value if whole == text else json.loads(whole)


LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


_JSON = json.JSONDecoder(parse_constant=_no_constant)
