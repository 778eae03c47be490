"""Checks the events that expressions and stages name: those of webhooks that the mock sends."""

from collections.abc import Sequence
from itertools import pairwise

from latehook.base.errors import MocksError, Place
from latehook.base.model import PENDING
from latehook.base.text import did_you_mean
from latehook.mocks.definitions import EndOf, StageSpec


def check_own_events(stages: Sequence[StageSpec]) -> None:
    """Refuse a webhook whose event would be a status that is not known at the request. Raises MocksError."""
    is_late = False
    for stage in stages:
        is_late = stage.is_status_late if stage.status is not None else is_late
        if is_late and stage.webhook is not None and stage.webhook.event is None:
            problem = "its event would be the status, which is decided when the stage is due: write an `event`"
            raise MocksError(stage.webhook.place, problem)


def check_repetitions(stages: Sequence[StageSpec]) -> None:
    """Refuse a webhook that is repeated until a stage whose time is not known at the request. Raises MocksError."""
    is_known = True
    for stage, following in pairwise(stages):
        is_known = is_known and not isinstance(stage.after, EndOf)
        if stage.repeat is None or stage.repeat.times is not None:
            continue
        if not is_known or isinstance(following.after, EndOf):
            problem = "it is not known at the request how long it is until the next stage: write `times`"
            raise MocksError(stage.repeat.place, problem)


def check_events(stages: Sequence[StageSpec], read: Sequence[tuple[str, Place]]) -> None:
    """Refuse a name that no webhook of a mock's stages has as its event.

    `read` are the events of `job.webhooks.EVENT` with their places. An event that is an expression may be any name.
    Raises MocksError.
    """
    for index, stage in enumerate(stages):
        if isinstance(stage.after, EndOf):
            _check(stage.after.event, stage.after.place, _events(stages[:index]), " before this stage")
    events = _events(stages)
    for event, place in read:
        _check(event, place, events, "")


def _check(event: str, place: Place, events: set[str] | None, where: str) -> None:
    if events is not None and event not in events:
        raise MocksError(place, f"no webhook{where} has the event {event!r}{did_you_mean(event, events)}")


def _events(stages: Sequence[StageSpec]) -> set[str] | None:
    """Return the events of the stages' webhooks; None if an expression gives one of them."""
    events: set[str] = set()
    status = PENDING
    for stage in stages:
        status = status if stage.status is None else stage.status
        if stage.webhook is not None:
            event = status if stage.webhook.event is None else stage.webhook.event
            if callable(event):
                return None
            events.add(str(event))
    return events
