"""What was measured, beside its goals, and on which machine."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles


@dataclass(frozen=True)
class Row:
    """One line of the table. `goal` is the limit that `measured` is to keep to, from below (`at_most`) or above."""

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


def ratio(ours: Sequence[float], other: Sequence[float]) -> float:
    """Round by round: what slows the machine down for a while slows both."""
    return median(mine / its for mine, its in zip(ours, other, strict=True))


def percentile(values: Sequence[float], percent: int) -> float:
    return quantiles(values, n=100)[percent - 1] if len(values) > 1 else float("inf")


def machine() -> str:
    """The machine and what runs on it, in one line."""
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    programs = f"Python {platform.python_version()}, mitmproxy {version('mitmproxy')}"
    return f"{model}, {os.cpu_count()} cores, shared with load and receiver; {programs}"


def show(rows: Sequence[Row]) -> None:
    table = [("", "measured", "goal", ""), *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    print(machine())
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
