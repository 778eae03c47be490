"""The table of results: what was measured, each value with its goal, and on which machine."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles


@dataclass(frozen=True)
class Row:
    """One result. `goal` is the largest value allowed (`at_most`) or the smallest; None: there is no goal."""

    name: str
    measured: float
    unit: str
    goal: float | None = None
    at_most: bool = True

    @property
    def missed(self) -> bool:
        if self.goal is None:
            return False
        return self.measured > self.goal if self.at_most else self.measured < self.goal

    def cells(self) -> tuple[str, str, str, str]:
        if self.goal is None:
            return self.name, f"{self.measured:.4g} {self.unit}", "", ""
        sign = "≤" if self.at_most else "≥"
        verdict = "MISSED" if self.missed else "ok"
        return self.name, f"{self.measured:.4g} {self.unit}", f"{sign} {self.goal:g} {self.unit}", verdict


def ratio(values: Sequence[float], others: Sequence[float]) -> float:
    """Return the median of the ratios of each round. What slows the machine in one round slows both values of it."""
    return median(value / other for value, other in zip(values, others, strict=True))


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the percentile; infinity if there are fewer than two values."""
    return quantiles(values, n=100)[percent - 1] if len(values) > 1 else float("inf")


def machine() -> str:
    """Describe the machine, Python and mitmproxy in one line."""
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    programs = f"Python {platform.python_version()}, mitmproxy {version('mitmproxy')}"
    return f"{model}, {os.cpu_count()} cores, shared with load generator and receiver; {programs}"


def show(rows: Sequence[Row]) -> None:
    """Print the machine and the table."""
    print(machine())
    print_columns([("", "measured", "goal", ""), *(row.cells() for row in rows)])


def print_columns(lines: Sequence[tuple[str, ...]]) -> None:
    """Print lines of cells as columns of equal width."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
