"""PURE: joins recorded lives of jobs that went one way, of which each recording shows another part."""

from collections.abc import Sequence
from dataclasses import replace

from latehook.importing.stages import StageSeen, Timeline
from latehook.importing.times import NOISE


def join(watched: Sequence[Timeline], whole: Sequence[Timeline]) -> bool:
    """Give `whole` lives the statuses that only polls of the `watched` lives saw, and return whether they fit.

    They fit if nobody asked for a watched job later than a whole one had its next status: then the watched one could
    have got that status too.
    """
    seen = _polled_only(watched, whole)
    if not seen:
        return False
    for life in whole:
        stages = life.segments[0].stages
        at = next((at for at, stage in enumerate(stages) if stage.after > seen[-1].after), len(stages))
        stages[at:at] = [replace(stage) for stage in seen]
        began = life.job.creator.sent
        life.reached += [(stage.status, began + stage.after) for stage in seen if stage.status is not None]
        life.reached.sort(key=lambda one: one[1])
    return True


def _polled_only(watched: Sequence[Timeline], whole: Sequence[Timeline]) -> list[StageSeen]:
    """Return the stages that the watched lives have between two of the whole ones, an empty list if they do not fit."""
    first = max(watched, key=lambda life: len(life.segments[0].stages)).segments[0].stages
    ways = [life.segments[0].stages for life in whole]
    shared = _common(first, ways[0])
    seen = first[shared:]
    if any(stage.webhook is not None or stage.status is None for stage in seen):
        return []
    if any(_common(way, ways[0]) < shared or len(way) <= shared for way in ways):
        return []
    unknown = {stage.status for stage in seen}.isdisjoint(stage.status for way in ways for stage in way)
    last = max(_last_seen(life) for life in watched)
    return seen if unknown and last <= min(way[shared].after for way in ways) + NOISE else []


def _common(first: Sequence[StageSeen], second: Sequence[StageSeen]) -> int:
    """Return how many stages two lives have in common at their beginning."""
    same = [
        one.status == other.status and (one.webhook is None) == (other.webhook is None)
        for one, other in zip(first, second, strict=False)
    ]
    return (*same, False).index(False)


def _last_seen(life: Timeline) -> float:
    """Return how many seconds after its beginning a job was last heard of."""
    return max(message.said for message in life.job.all) - life.job.creator.sent
