"""PURE: limits of one expression: the size of its values and numbers, and its steps."""

from collections.abc import Callable
from typing import Any

MAX_VALUE_SIZE = 16 * 1024 * 1024
"""Characters in one value, with everything in it."""

ITEM_SIZE = 32
"""Characters that each item of a list or map counts for."""

MAX_STEPS = 250_000
"""Steps of one evaluation: turns of loops, calls, uses of filters and operators. They take some tenths of a second."""

CHARACTERS_PER_STEP = 512
"""Producing this many characters takes about as long as one step."""

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


def size_of(value: Any) -> int:
    """Return roughly how long it takes to go through a value once, in characters."""
    if isinstance(value, str):
        return len(value)
    return len(value) * ITEM_SIZE if isinstance(value, (list, tuple, dict, range)) else 0


def _power(base: Any, exponent: Any) -> int:
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * exponent > MAX_INTEGER_BITS:
        raise LimitExceeded(f"a power has more than {MAX_INTEGER_BITS:,} bits")
    return 0


def _product(left: Any, right: Any) -> int:
    for repeated, times in ((left, right), (right, left)):
        if isinstance(times, int) and isinstance(repeated, (str, list, tuple)):
            return check_size(len(repeated) * max(times, 0) * (1 if isinstance(repeated, str) else ITEM_SIZE))
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() + right.bit_length() > MAX_INTEGER_BITS:
        raise LimitExceeded(f"a product has more than {MAX_INTEGER_BITS:,} bits")
    return 0


def _sum(left: Any, right: Any) -> int:
    if isinstance(left, (str, list, tuple)) and isinstance(right, (str, list, tuple)):
        length = len(left) + len(right)
        check_size(length if isinstance(left, str) else length * ITEM_SIZE)
        return length  # as time: items are copied as fast as characters
    return 0


OPERATOR_SIZES: dict[str, Callable[[Any, Any], int]] = {"**": _power, "*": _product, "+": _sum}
"""The operators whose result can be larger than their operands → a function that returns the result's size.

The size is in characters. The function raises LimitExceeded where the result would be too large.
"""
