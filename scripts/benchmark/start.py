"""Seconds of a start, with Latehook and with an empty addon in turn."""

from pathlib import Path

from processes import EMPTY_ADDON, LATEHOOK, mitmdump
from scale import Scale
from table import Row


async def start(folder: Path, scale: Scale) -> list[Row]:
    """Measure the fastest of several starts: only other load on the machine makes the others slower."""
    starts: dict[Path, list[float]] = {EMPTY_ADDON: [], LATEHOOK: []}
    for _ in range(scale.starts):
        for script, seconds in starts.items():
            async with mitmdump(folder, script) as proxy:
                seconds.append(proxy.start_seconds)
    bare, ours = min(starts[EMPTY_ADDON]), min(starts[LATEHOOK])
    return [
        Row(f"start, fastest of {scale.starts}: bare, with an empty addon", bare, "s"),
        Row(f"start, fastest of {scale.starts}: ours", ours, "s"),
        Row("start: ours is ready later by", ours - bare, "s", 0.2),
    ]
