"""Compare two versions of Latehook: run measures for each in turn, and print the ratio of every result."""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from table import machine, print_columns

ROOT = Path(__file__).parents[2]
MEASURES = ["throughput", "gallery", "burst", "start"]
"""The measures that are compared by default."""

Results = dict[str, float]
"""Measured values by the name of their row."""


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/bench compare",
        description="Run measures for an older version of this repository and for this tree in turn. Both use this "
        "tree's installed packages. Print each result, and the ratio of this tree's to the older version's.",
    )
    parser.add_argument("revision", help="the older version: a commit, a tag or a branch")
    parser.add_argument("measures", nargs="*", metavar="MEASURE", help=f"by default {' '.join(MEASURES)}")
    parser.add_argument("--rounds", type=int, default=3, help="times that each version is measured (default 3)")
    parser.add_argument("--quick", action="store_true", help="shorter rounds, with rougher results")
    given = parser.parse_intermixed_args(words)
    options = [*(given.measures or MEASURES), *(["--quick"] if given.quick else [])]
    with tempfile.TemporaryDirectory(prefix="latehook-compare-") as folder:
        _check_out(given.revision, Path(folder))
        rounds = []
        for number in range(given.rounds):
            turns = [Path(folder), ROOT]
            if number % 2:
                turns.reverse()  # a load that grows or falls steadily harms both equally
            results = {tree: _measure(tree, options) for tree in turns}
            rounds.append((results[Path(folder)], results[ROOT]))
            print(f"round {number + 1} of {given.rounds}: done", file=sys.stderr)
    print(machine())
    print_columns(_lines(given.revision, rounds))
    return 0


def _check_out(revision: str, folder: Path) -> None:
    """Write the files of a revision into a folder."""
    archive = subprocess.run(["git", "archive", revision], cwd=ROOT, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)


def _measure(tree: Path, options: list[str]) -> Results:
    """Run the benchmark of a tree, and read the table that it prints. Exit if it fails."""
    command = [sys.executable, str(tree / "scripts" / "benchmark"), *options]
    environment = {**os.environ, "PYTHONPATH": str(tree / "addon")}
    done = subprocess.run(command, env=environment, text=True, stdout=subprocess.PIPE)
    cells = [re.split(r"\s{2,}", line) for line in done.stdout.splitlines()]
    results = {row[0]: float(row[1].partition(" ")[0]) for row in cells if len(row) > 1 and row[1][:1].isdigit()}
    if done.returncode not in (0, 1) or not results:  # 1: a goal is missed
        sys.exit(f"scripts/bench compare: the benchmark of {tree} failed")
    return results


def _lines(revision: str, rounds: list[tuple[Results, Results]]) -> list[tuple[str, ...]]:
    """Return the table: the median of each result in both versions, and of the ratios of the rounds."""
    lines: list[tuple[str, ...]] = [("", revision, "this tree", "ratio", "lowest to highest ratio")]
    for name in rounds[0][1]:
        pairs = [(old[name], new[name]) for old, new in rounds if name in old and name in new]
        ratios = [new / old for old, new in pairs if old]
        if ratios:
            medians = [f"{median(values):.4g}" for values in zip(*pairs, strict=True)]
            lines.append((name, *medians, f"{median(ratios):.3f}", f"{min(ratios):.3f} to {max(ratios):.3f}"))
    return lines
