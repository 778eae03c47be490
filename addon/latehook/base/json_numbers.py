"""PURE: JSON numbers that keep their text, where Python's own numbers would write another one."""

import re
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

from latehook.base.errors import BodyError

MAX_NUMBER_LENGTH = 4300
"""Characters of one JSON number. Python converts no longer text to a whole number, because it takes quadratic time."""

JSON_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
"""A number of RFC 8259 section 6. The groups are the digits before the point, the fraction and the exponent."""


class NumberAsWritten(float):
    """A JSON number that `int` and `float` would write in another way, such as 10.00, 1e2, 1E400 or -0.

    Its text is the number as it was written. It computes as a float, and the result is a float. It compares exactly;
    a float counts as what it is written as: the text 0.10 is equal to the float 0.1.
    """

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> "NumberAsWritten":
        self = super().__new__(cls, text)
        self.text = text
        return self

    def __getnewargs__(self) -> tuple[str]:  # type: ignore[override]  # for copies: float would give its value
        return (self.text,)

    def __repr__(self) -> str:
        return self.text

    __str__ = __repr__

    def __int__(self) -> int:
        exact = _decimal(self.text)
        if exact.adjusted() > MAX_NUMBER_LENGTH:
            raise OverflowError(f"{self.text} is too large for a whole number")
        return int(exact)

    __trunc__ = __int__

    def __bool__(self) -> bool:
        return bool(_decimal(self.text))

    def __eq__(self, other: object) -> bool:
        exact = _exact(other)
        return NotImplemented if exact is None else _decimal(self.text) == exact

    def __ne__(self, other: object) -> bool:
        exact = _exact(other)
        return NotImplemented if exact is None else _decimal(self.text) != exact

    def __lt__(self, other: Any) -> bool:
        exact = _exact(other)
        return NotImplemented if exact is None else _decimal(self.text) < exact

    def __le__(self, other: Any) -> bool:
        exact = _exact(other)
        return NotImplemented if exact is None else _decimal(self.text) <= exact

    def __gt__(self, other: Any) -> bool:
        exact = _exact(other)
        return NotImplemented if exact is None else _decimal(self.text) > exact

    def __ge__(self, other: Any) -> bool:
        exact = _exact(other)
        return NotImplemented if exact is None else _decimal(self.text) >= exact

    __hash__ = float.__hash__


def fraction(text: str) -> float:
    """Return the number of a JSON text that has a fraction or an exponent. Raises BodyError for one that is too long.

    Plain floats have no exponent here: Python and msgspec write one in different ways.
    """
    _check_length(text)
    value = float(text)
    return value if repr(value) == text and "e" not in text else NumberAsWritten(text)


def whole_number(text: str) -> int | float:
    """Return the number of a JSON text without fraction and exponent. Raises BodyError for one that is too long."""
    _check_length(text)
    return NumberAsWritten(text) if text == "-0" else int(text)


def _check_length(text: str) -> None:
    if len(text) > MAX_NUMBER_LENGTH:
        raise BodyError(f"a number in the JSON has {len(text):,} characters, and may have {MAX_NUMBER_LENGTH:,}")


def _exact(value: object) -> Decimal | None:
    """Return a number as a Decimal, None for what is no number."""
    if isinstance(value, NumberAsWritten):
        return _decimal(value.text)
    if isinstance(value, float):
        return Decimal(repr(value))
    return Decimal(value) if isinstance(value, (int, Decimal)) else None


@lru_cache(256)  # a number that is compared with a long list is compared with each of its items
def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError(f"the exponent of {text} is too large to compare it") from None
