"""PURE: JSON, read and written."""

import json
import re
from typing import Any

import msgspec

from latehook.base.errors import BodyError

MAX_JSON_VALUES = 1_000_000
"""Values in a JSON body: one takes ten times as much memory as the shortest text for it."""


def encode_json(value: Any) -> bytes:
    """Compact JSON in UTF-8. ValueError for what JSON has no form for (NaN, an endless number)."""
    try:
        return _COMPACT.encode(value).encode()
    except UnicodeEncodeError:  # a lone surrogate, which JSON can only escape
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()


_COMPACT = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def decode_json(source: bytes | str) -> Any:
    """A text's JSON. ValueError where it is none, BodyError where it has too many values."""
    raw = source.encode("utf-8", "surrogatepass") if isinstance(source, str) else source
    if (
        raw.count(b",") + raw.count(b"[") + raw.count(b"{") > MAX_JSON_VALUES
    ):  # those in texts count too: for these it is many
        raise BodyError(f"the JSON has more than {MAX_JSON_VALUES:,} values")
    try:
        return msgspec.json.decode(raw)
    except (ValueError, RecursionError):
        # Python's own takes longer, and more: UTF-16, endless numbers, half a character
        text = source if isinstance(source, str) else raw.decode(json.detect_encoding(raw)).removeprefix("\ufeff")
        value = _JSON.decode(text)
        return _without_lone_surrogates(value) if "\\u" in text else value


def _without_lone_surrogates(value: Any) -> Any:
    """Half a pair is no character: no header, URL, UTF-8 or store can hold it. U+FFFD stands for it, as elsewhere."""
    text = json.dumps(value, ensure_ascii=False)
    whole = _LONE_SURROGATE.sub("\ufffd", text)
    return value if whole == text else json.loads(whole)


_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


_JSON = json.JSONDecoder(parse_constant=_no_constant)
