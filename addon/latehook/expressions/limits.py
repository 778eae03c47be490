"""PURE: how much of the machine one expression may take: steps, sizes and digits. What is too much is an error."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from jinja2 import Template
from jinja2.nodes import EvalContext
from jinja2.runtime import Context

LARGEST = 16 * 1024 * 1024
"""Characters in one value, and all that is in it."""

ITEM = 32
"""Characters that an item of a list or map counts for."""

STEPS = 250_000
"""Turns of loops, calls, uses of filters and operators: some tenths of a second."""

A_STEP = 512
"""Characters that are made in about the time of a step."""

BITS = 14_000
"""Of a whole number: about as many digits as Python writes out."""


class TooMuch(ValueError):
    """An expression that would take more of the machine than it may."""


class Evaluation(Context):
    """One evaluation of one expression. Jinja hands it to operators, calls and filters, which count on it."""

    steps = 0

    def __init__(self, template: Template, scope: Mapping[str, Any]) -> None:
        # Jinja's own, without what only templates of several files need: that took a third of a short expression.
        self.environment = template.environment
        self.parent = scope  # type: ignore[assignment]  # it is read only
        self.name = template.name
        self.vars = {}
        self.exported_vars = set()
        self.blocks = {}

    @cached_property
    def eval_ctx(self) -> EvalContext:  # type: ignore[override]
        return EvalContext(self.environment, self.name)

    def step(self, made: int = 0) -> None:
        """A step, in which so many characters are made."""
        self.steps += 1 + made // A_STEP
        if self.steps > STEPS:
            raise TooMuch(f"it takes more than {STEPS:,} steps")


class Room:
    """The room for one value: what is put into it may not be more than LARGEST."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = LARGEST

    def take(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            fit(LARGEST - self.left)


def fit(size: int) -> int:
    """The size of a value that is to be made. TooMuch if it is more than LARGEST."""
    if size > LARGEST:
        raise TooMuch(f"it makes a value of more than {LARGEST:,} characters")
    return size


def size_of(value: Any) -> int:
    """About how long it takes to go through a value once, in characters."""
    if isinstance(value, str):
        return len(value)
    return len(value) * ITEM if isinstance(value, (list, tuple, dict, range)) else 0


def _power(base: Any, exponent: Any) -> int:
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * exponent > BITS:
        raise TooMuch(f"a power has more than {BITS:,} bits")
    return 0


def _product(left: Any, right: Any) -> int:
    for one, times in ((left, right), (right, left)):
        if isinstance(times, int) and isinstance(one, (str, list, tuple)):
            return fit(len(one) * max(times, 0) * (1 if isinstance(one, str) else ITEM))
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() + right.bit_length() > BITS:
        raise TooMuch(f"a product has more than {BITS:,} bits")
    return 0


def _sum(left: Any, right: Any) -> int:
    if isinstance(left, (str, list, tuple)) and isinstance(right, (str, list, tuple)):
        size = len(left) + len(right)
        fit(size if isinstance(left, str) else size * ITEM)
        return size  # copied, not gone through
    return 0


SIZES: dict[str, Callable[[Any, Any], int]] = {"**": _power, "*": _product, "+": _sum}
"""The operators that can make more than they are given: how much, in characters. TooMuch if it may not be made."""
