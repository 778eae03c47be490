"""PURE: the random values that expressions draw: `random`, and UUIDs."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from latehook.expressions.values import View, to_text

_ALPHABETS = {
    "hex": "0123456789abcdef",
    "base62": "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
}


class RandomView(View):
    """`random`: values drawn from a random source. The same seed gives the same values."""

    members = frozenset({"int", "hex", "base62", "choice"})

    def __init__(self, source: random.Random) -> None:
        self._source = source

    def int(self, least: Any, most: Any) -> Any:
        if not isinstance(least, int) or not isinstance(most, int) or least > most:
            given = f"random.int({to_text(least)}, {to_text(most)})"
            raise ValueError(f"{given}: write two whole numbers, the smaller one first")
        return self._source.randint(least, most)

    def choice(self, values: Any) -> Any:
        if not isinstance(values, Sequence) or not values:
            raise ValueError("random.choice takes a list with at least one item")
        return self._source.choice(values)

    def hex(self, length: Any) -> str:
        return _characters(self._source, "hex", length)

    def base62(self, length: Any) -> str:
        return _characters(self._source, "base62", length)

    def data(self) -> Mapping[str, Any]:
        raise ValueError("random is not data: write random.hex(8)")


def _characters(source: random.Random, alphabet: str, length: int) -> str:
    if not isinstance(length, int) or not 0 <= length <= 1000:
        raise ValueError(f"random.{alphabet}({length}): write a length from 0 to 1000")
    return "".join(source.choices(_ALPHABETS[alphabet], k=length))


def new_uuid(source: random.Random) -> str:
    """Return a version 4 UUID drawn from a random source."""
    digits = f"{source.getrandbits(128):032x}"
    variant = _VARIANT[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


_VARIANT = "89ab"  # RFC 9562 section 4.1: the two highest bits of the 17th digit are 1 0
