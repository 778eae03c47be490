"""PURE: limits of one evaluation: the size of its values and numbers, and its cost."""

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

from jinja2 import Undefined

from latehook.base.json_numbers import NumberAsWritten
from latehook.expressions.octets import Octets

MAX_VALUE_SIZE = 16 * 1024 * 1024
"""Characters in one value, with everything in it."""

ITEM_SIZE = 32
"""Characters that each item of a list or map counts for."""

MAX_STEPS = 250_000
"""Steps of one evaluation: turns of loops, calls, uses of filters, tests and operators. They take some tenths of a
second.
"""

STEP = 512
"""Characters that can be copied in about the time of one step. Costs are counted in characters."""

MAX_SECONDS = 1.0
"""Processor time of one evaluation. It is looked at with each step: it holds where the counted cost is too low."""

MAX_INTEGER_BITS = 14_000
"""Bits of a whole number: about as many as Python converts to decimal digits (4,300 digits)."""


class LimitExceeded(ValueError):
    """An expression would take more time or memory than it may."""


class SizeBudget:
    """What is left of MAX_VALUE_SIZE while one value is put together."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_VALUE_SIZE

    def charge(self, size: int) -> None:
        """Take `size` characters from the budget. Raises LimitExceeded where less is left."""
        self.left -= size
        if self.left < 0:
            check_size(MAX_VALUE_SIZE - self.left)


def check_size(size: int) -> int:
    """Return the size in characters of a value that is about to be made. Raises LimitExceeded if it is too large."""
    if size > MAX_VALUE_SIZE:
        raise LimitExceeded(f"it makes a value of more than {MAX_VALUE_SIZE:,} characters")
    return size


def check_bits(bits: int, what: str) -> None:
    """Check the bits of a whole number that is about to be made. Raises LimitExceeded if there are too many."""
    if bits > MAX_INTEGER_BITS:
        raise LimitExceeded(f"{what} has more than {MAX_INTEGER_BITS:,} bits")


_ATOMS = frozenset((int, float, bool, type(None)))


def size_of(value: Any, limit: int) -> int:
    """Return the characters in a value, with everything in it. Stop counting at more than `limit`.

    Whatever Python does with a value in one go (compare, hash, copy, convert) takes a time that grows with this size.
    """
    kind = type(value)
    if kind is str:
        return len(value)
    return 0 if kind in _ATOMS or isinstance(value, Undefined) else limit - _left(value, limit)


def _left(value: Any, left: int) -> int:
    """Return what is left of a limit after going through a value; something negative if it is not enough."""
    items: Iterable[Any] = ()
    if isinstance(value, str):
        return left - len(value)
    if isinstance(value, (list, tuple)):
        items = value
    elif isinstance(value, Mapping):
        items = chain(value, value.values())
    elif isinstance(value, NumberAsWritten):
        left -= len(value.text)
    elif isinstance(value, (range, bytes, Octets)):
        left -= len(value) * (ITEM_SIZE if isinstance(value, range) else 1)
    for item in items:
        left -= ITEM_SIZE
        kind = type(item)
        if kind is str:
            left -= len(item)
        elif kind not in _ATOMS:
            left = _left(item, left)
        if left < 0:
            break
    return left
