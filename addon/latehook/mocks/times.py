"""PURE: the times of a mock: fixed, random, or computed by an expression."""

import random
from collections.abc import Mapping
from typing import Any

from latehook.base.durations import DURATION_HINT, Delay, parse_duration
from latehook.base.errors import ExpressionError
from latehook.expressions.expression import Expression
from latehook.mocks.fields import quoted

type Time = Delay | Expression
"""A time as a mock describes it. An Expression gives seconds, or a duration as text."""

LONGEST_DAYS = 36_500
"""Days that the time of an expression may have: a century. Dates behind the year 9999 cannot be written."""


def seconds_of(time: Time, scope: Mapping[str, Any], source: random.Random) -> float:
    """Return a time in seconds. Raises ExpressionError where an expression gives no duration."""
    if isinstance(time, Delay):
        return time.draw(source)
    value = time(scope)
    try:
        seconds = parse_duration(value)
    except (ValueError, OverflowError):
        default = " (or a `default`)" if value is None else ""
        raise ExpressionError(time.place, f"{quoted(value)} is not a duration: {DURATION_HINT}{default}") from None
    if seconds > LONGEST_DAYS * 86400:
        problem = f"{quoted(value)} is too long for a duration: {LONGEST_DAYS}d is the longest"
        raise ExpressionError(time.place, problem)
    return seconds
