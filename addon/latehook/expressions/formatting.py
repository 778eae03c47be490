"""PURE: `%` of a text, with limits."""

import re
from collections.abc import Mapping
from typing import Any

from latehook.base.json_numbers import MAX_NUMBER_LENGTH, NumberAsWritten
from latehook.expressions.evaluation import Evaluation
from latehook.expressions.limits import check_size

LONGEST_FLOAT = 330
"""Characters of the largest float with all digits, a sign and six decimals."""

_SPECIFIER = re.compile(r"%(?:\((?P<name>[^()]*)\))?[#0 +-]*(\*|\d*)(?:\.(\*|\d*))?[hlL]?(.)?", re.DOTALL)
"""One `%…` of a template: its name, width, precision and conversion. It reads each character of a template once."""


def format_text(context: Evaluation, template: str, values: Any) -> str:
    """Return `template % values`. Raises LimitExceeded, before formatting, where the result could be too large."""
    context.count(len(template))
    if isinstance(values, Mapping):
        values = {name: _argument(context, value) for name, value in values.items()}
        longest = max(map(_longest, values.values()), default=0)
    else:
        values = tuple(_argument(context, value) for value in (values if isinstance(values, tuple) else (values,)))
        longest = max(map(_longest, values), default=0)
    size = len(template)
    for found in _SPECIFIER.finditer(template):
        width, precision = found[2], found[3]
        if "*" in (width, precision):
            raise ValueError("a width of * cannot be checked: write the number")
        if found[4] == "(":
            raise ValueError("a name in a format cannot contain parentheses")
        size += check_size(longest + int(width or 0) + int(precision or 0))
        context.count(longest)
    formatted: str = str(template) % values
    return formatted


def _argument(context: Evaluation, value: Any) -> Any:
    return value if type(value) in (int, float, bool, NumberAsWritten) else context.text(value)


def _longest(value: Any) -> int:
    """Return the characters that a value can need without a width or precision: `%f` and `%d` write all digits."""
    if isinstance(value, NumberAsWritten):
        return 2 * MAX_NUMBER_LENGTH
    return LONGEST_FLOAT if isinstance(value, float) else len(str(value))
