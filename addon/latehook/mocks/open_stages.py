"""PURE: stages of which something is not known at the request: how their times become known."""

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from latehook.base.model import UNKNOWN, Stage

HasEnded = Callable[[str, int], bool]
"""Whether all webhooks with this event, of stages before the one with this index, have ended."""


def with_known_times(stages: Sequence[Stage], has_ended: HasEnded, now: float) -> tuple[Stage, ...]:
    """Return a job's stages with the times that are known now that some webhooks have ended.

    `now` is the time of the job's clock at which the last of them has. A stage is not due before those in front of it,
    so the time of a stage behind one that still waits stays UNKNOWN.
    """
    found: list[Stage] = []
    previous = 0.0
    for number, stage in enumerate(stages):
        if stage.open is not None and stage.open.due == UNKNOWN:
            stage = _with_time(stage, has_ended, number, previous, now)
        previous = max(previous, stage.planned)
        found.append(stage)
    return tuple(found)


def _with_time(stage: Stage, has_ended: HasEnded, number: int, previous: float, now: float) -> Stage:
    open = stage.open
    assert open is not None
    if open.waits_for is not None and has_ended(open.waits_for, number):
        open = replace(open, waits_for=None, earliest=max(open.earliest, now + open.plus))
    if open.waits_for is None:
        open = replace(open, due=max(previous + open.wait, open.earliest))
    if open.due != UNKNOWN and open.status is None:
        return Stage(open.due, stage.status)
    return replace(stage, open=open)


def fired(stages: Sequence[Stage], last: int, now: float) -> tuple[Stage, ...]:
    """Return a job's stages if those up to index `last` are to be reached by `now`, a time of the job's clock."""
    found = []
    for number, stage in enumerate(stages):
        if number > last:
            found.append(stage)
        elif stage.open is None or stage.open.status is None:
            found.append(Stage(min(stage.planned, now), stage.status, error=stage.error))
        else:
            due = min(stage.planned, now)
            found.append(replace(stage, open=replace(stage.open, due=due, earliest=due, waits_for=None)))
    return with_known_times(found, lambda event, number: False, now)


def waiting_for(stages: Sequence[Stage]) -> list[tuple[str, int, float]]:
    """Return what stages wait for: each event, the index of the stage, and the seconds that follow the end."""
    return [
        (stage.open.waits_for, number, stage.open.plus)
        for number, stage in enumerate(stages)
        if stage.open is not None and stage.open.waits_for is not None
    ]
