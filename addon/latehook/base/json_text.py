"""PURE: JSON, encoded and decoded. Numbers keep their text."""

import json
import math
import re
from typing import Any

import msgspec

from latehook.base.errors import BodyError
from latehook.base.json_numbers import NumberAsWritten, fraction, whole_number

MAX_JSON_VALUES = 1_000_000
"""Values in a JSON text. A value takes up to ten times as much memory as its text."""


def encode_json(value: Any) -> bytes:
    """Return plain data as compact JSON in UTF-8. Numbers are written as they were read.

    Raises ValueError for numbers that are not finite, TypeError for what is not plain data.
    """
    encoded = encode_finite_json(value)
    if b"null" in encoded:  # msgspec writes it for NaN and infinite numbers too
        _check_finite(value)
    return encoded


def encode_finite_json(value: Any) -> bytes:
    """Do what `encode_json` does, for a value of which it is known that its numbers are finite.

    With many values in it, the check takes longer than the encoding.
    """
    try:
        return _ENCODER.encode(value)
    except UnicodeEncodeError:  # lone surrogates have no UTF-8, only an escape
        return _with_escapes(value).encode()


def _encode_number(value: Any) -> msgspec.Raw:
    if isinstance(value, NumberAsWritten):
        return msgspec.Raw(value.text.encode())
    raise TypeError(f"a {type(value).__name__} is not JSON")


_ENCODER = msgspec.json.Encoder(enc_hook=_encode_number, decimal_format="number")


def _with_escapes(value: Any) -> str:
    """Return a value as JSON, with an escape for each lone surrogate."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{_with_escapes(key)}:{_with_escapes(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(_with_escapes, value)) + "]"
    if isinstance(value, str):
        return LONE_SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))
    return _ENCODER.encode(value).decode()


def _check_finite(value: Any) -> None:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            _check_finite(item)
    elif type(value) is float and not math.isfinite(value):
        raise ValueError(f"{value} is not a number that JSON can hold")


def decode_json(source: bytes | str) -> Any:
    """Return the value of a JSON text. Raises ValueError for other texts, BodyError for too many values.

    Half of a surrogate pair stays what it is. JSON can have it again; what cannot (a header, a form) is an error there.
    """
    raw = source.encode("utf-8", "surrogatepass") if isinstance(source, str) else source
    if (
        raw.count(b",") + raw.count(b"[") + raw.count(b"{") > MAX_JSON_VALUES
    ):  # this counts marks within strings too: the limit is high enough
        raise BodyError(f"the JSON has more than {MAX_JSON_VALUES:,} values")
    return read_json(raw)


def read_json(raw: bytes) -> Any:
    """Return the value of a JSON text of any size. Raises ValueError."""
    if not _has_negative_zero(raw):
        try:
            return _DECODER.decode(raw)
        except (ValueError, RecursionError):
            pass
    # Python's decoder is slower, but accepts more: UTF-16, large numbers, lone surrogates
    return _JSON.decode(raw.decode(json.detect_encoding(raw), "surrogatepass").removeprefix("\ufeff"))


def read_json_as[Result](raw: bytes, type: type[Result]) -> Result:
    """Return the value of a JSON text as this type. Raises msgspec.MsgspecError."""
    if _has_negative_zero(raw):
        try:
            return msgspec.convert(read_json(raw), type)
        except ValueError:  # a member that is declared as a float is written with an exponent
            pass
    return msgspec.json.Decoder(type, float_hook=fraction).decode(raw)


def _has_negative_zero(raw: bytes) -> bool:
    """Return whether a JSON text has the number -0, of which msgspec makes 0."""
    return b"-0" in raw and _NEGATIVE_ZERO.search(raw) is not None


_NEGATIVE_ZERO = re.compile(rb"(?<![^\s:,\[])-0(?![0-9.eE])")


def without_lone_surrogates(value: Any) -> Any:
    """Return the value with U+FFFD for each lone surrogate."""
    if isinstance(value, str):
        return LONE_SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {LONE_SURROGATE.sub("\ufffd", key): without_lone_surrogates(item) for key, item in value.items()}
    return list(map(without_lone_surrogates, value)) if isinstance(value, list) else value


LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


_DECODER = msgspec.json.Decoder(float_hook=fraction)
_JSON = json.JSONDecoder(parse_float=fraction, parse_int=whole_number, parse_constant=_no_constant)
