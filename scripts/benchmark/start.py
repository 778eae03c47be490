"""How long a start takes, beside that of a mitmdump with an addon that is nothing, in turns."""

from pathlib import Path

from processes import EMPTY, LATEHOOK, NOWHERE, mitmdump
from scale import Scale
from table import Row


async def start(folder: Path, scale: Scale) -> list[Row]:
    """The fastest of several: what slows one is something else's doing."""
    took: dict[Path, list[float]] = {EMPTY: [], LATEHOOK: []}
    for _ in range(scale.starts):
        for script, seconds in took.items():
            async with mitmdump(folder, script, **NOWHERE) as proxy:
                seconds.append(proxy.took)
    bare, ours = min(took[EMPTY]), min(took[LATEHOOK])
    return [
        Row(f"start, fastest of {scale.starts}: bare, with an empty addon", bare, "s"),
        Row(f"start, fastest of {scale.starts}: ours", ours, "s"),
        Row("start: ours is ready later by", ours - bare, "s", 0.2),
    ]
