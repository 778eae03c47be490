"""PURE: durations as mocks files write them, and random delays."""

import math
import random
import re
from dataclasses import dataclass

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1, "ms": 0.001}
_DURATION = re.compile(
    r"(?P<number>\d+(?:\.\d+)?)|" + "".join(rf"(?:(?P<{unit}>\d+(?:\.\d+)?){unit}\s*)?" for unit in _UNITS)
)
DURATION_PATTERN = r"^\s*(\d+(\.\d+)?|(?=\S)" + "".join(rf"(\d+(\.\d+)?{unit})?\s*" for unit in _UNITS) + r")\s*$"
"""The texts that `parse_duration` accepts, as a regular expression for JSON Schema (ECMA 262)."""
DURATION_HINT = "write 250ms, 65s, 1m30s, 2h, 5d or a number of seconds"


def parse_duration(duration: object) -> float:
    """Return the seconds of `250ms`, `65s`, `1m30s`, `2h`, `5d` or a number of seconds. Raises ValueError."""
    if isinstance(duration, (int, float)) and not isinstance(duration, bool):
        if 0 <= duration < float("inf"):
            return float(duration)
    elif isinstance(duration, str) and (found := _DURATION.fullmatch(duration.strip())) and found[0].strip():
        if found["number"]:
            return float(found["number"])
        return sum(float(found[unit] or 0) * size for unit, size in _UNITS.items())
    raise ValueError(f"{duration!r} is not a duration: {DURATION_HINT}")


@dataclass(frozen=True, slots=True)
class Delay:
    """A delay in seconds: `fixed` at a, `uniform` from a to b, or `lognormal` with median a and sigma b."""

    kind: str
    a: float
    b: float = 0.0

    def draw(self, source: random.Random) -> float:
        """Return a delay, drawn from a random source."""
        if self.kind == "uniform":
            return source.uniform(self.a, self.b)
        if self.kind == "lognormal":
            return source.lognormvariate(math.log(self.a), self.b)
        return self.a

    def __str__(self) -> str:
        if self.kind == "uniform":
            return f"{self.a:g} to {self.b:g} s"
        return f"about {self.a:g} s (lognormal)" if self.kind == "lognormal" else f"{self.a:g} s"
