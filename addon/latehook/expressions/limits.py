"""PURE: how much of the machine one expression may take: steps, sizes and digits. What is too much is an error."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from jinja2 import Template
from jinja2.nodes import EvalContext
from jinja2.runtime import Context

MAX_VALUE_SIZE = 16 * 1024 * 1024
"""Characters in one value, and all that is in it."""

ITEM_SIZE = 32
"""Characters that an item of a list or map counts for."""

MAX_STEPS = 250_000
"""Turns of loops, calls, uses of filters and operators: some tenths of a second."""

CHARACTERS_PER_STEP = 512
"""Characters that are made in about the time of a step."""

MAX_INTEGER_BITS = 14_000
"""Of a whole number: about as many digits as Python writes out."""


class LimitExceeded(ValueError):
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

    def count_step(self, made: int = 0) -> None:
        """A step, in which so many characters are made."""
        self.steps += 1 + made // CHARACTERS_PER_STEP
        if self.steps > MAX_STEPS:
            raise LimitExceeded(f"it takes more than {MAX_STEPS:,} steps")


class SizeBudget:
    """The budget for one value: what is put into it may not be more than MAX_VALUE_SIZE."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_VALUE_SIZE

    def charge(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            check_size(MAX_VALUE_SIZE - self.left)


def check_size(size: int) -> int:
    """The size of a value that is to be made. LimitExceeded if it is more than MAX_VALUE_SIZE."""
    if size > MAX_VALUE_SIZE:
        raise LimitExceeded(f"it makes a value of more than {MAX_VALUE_SIZE:,} characters")
    return size


def size_of(value: Any) -> int:
    """About how long it takes to go through a value once, in characters."""
    if isinstance(value, str):
        return len(value)
    return len(value) * ITEM_SIZE if isinstance(value, (list, tuple, dict, range)) else 0


def _power(base: Any, exponent: Any) -> int:
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * exponent > MAX_INTEGER_BITS:
        raise LimitExceeded(f"a power has more than {MAX_INTEGER_BITS:,} bits")
    return 0


def _product(left: Any, right: Any) -> int:
    for one, times in ((left, right), (right, left)):
        if isinstance(times, int) and isinstance(one, (str, list, tuple)):
            return check_size(len(one) * max(times, 0) * (1 if isinstance(one, str) else ITEM_SIZE))
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() + right.bit_length() > MAX_INTEGER_BITS:
        raise LimitExceeded(f"a product has more than {MAX_INTEGER_BITS:,} bits")
    return 0


def _sum(left: Any, right: Any) -> int:
    if isinstance(left, (str, list, tuple)) and isinstance(right, (str, list, tuple)):
        size = len(left) + len(right)
        check_size(size if isinstance(left, str) else size * ITEM_SIZE)
        return size  # copied, not gone through
    return 0


OPERATOR_SIZES: dict[str, Callable[[Any, Any], int]] = {"**": _power, "*": _product, "+": _sum}
"""Operators whose result can be larger than their operands → the result's size in characters.

Each raises LimitExceeded where the result would be too large.
"""
