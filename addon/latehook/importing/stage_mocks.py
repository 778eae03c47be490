"""PURE: `stages` and `webhook` of a mock, from what followed from its requests."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from latehook.base.model import COMPLETED
from latehook.importing.messages import Templates, event_of
from latehook.importing.perspective import Perspective
from latehook.importing.scrubbing import Scrubber
from latehook.importing.stages import Segment, StageSeen, Timeline
from latehook.importing.times import NOISE, duration
from latehook.importing.unify import Differs, Notes

Mock = dict[str, Any]


@dataclass
class Family:
    """The jobs that requests with one match start, and what their messages could be made of."""

    lives: list[Timeline]
    perspective: Perspective

    def place_of(self, status: str) -> int:
        """Return the place of a status in the life of the jobs; one that none has reached comes last."""
        statuses = ["pending", *dict.fromkeys(status for life in self.lives for status, _ in life.reached)]
        return statuses.index(status) if status in statuses else len(statuses)


class StageMaker:
    """Makes the stages of mocks. `secrets` are those of webhooks, with the names of their variables."""

    def __init__(self, scrubber: Scrubber, secrets: dict[str, str]) -> None:
        self.scrubber = scrubber
        self.secrets = secrets

    def stages(self, family: Family, seen: Sequence[tuple[Timeline, Segment]], notes: Notes) -> dict[str, Any]:
        """Return `stages` and `webhook` for what followed from requests, in each of these lives."""
        columns = self._columns(seen)
        if not columns:
            return {}
        events = {
            event_of(stage.webhook, self.scrubber) for column in columns for _, _, stage in column if stage.webhook
        }
        with_events = len(events - {None}) > 1
        webhooks = [self._samples(family, column, with_events) for column in columns]
        shared, own = self._webhooks(webhooks, notes)
        stages = []
        for at, column in enumerate(columns):
            stage = self._stage([one[2] for one in column], at, notes)
            if webhooks[at]:
                event = event_of(webhooks[at][0][0], self.scrubber) if with_events else None
                changes = {**({"event": event} if event else {}), **own[at]}
                stage["webhook"] = changes or True
            if stage:
                stages.append(stage)
        stages.sort(key=lambda stage: stage.get("after") != "before-response")
        if (
            shared
            and len(stages) == 1
            and stages[0]["webhook"] is True
            and stages[0].get("status", COMPLETED) == COMPLETED
        ):
            after = {"after": stages[0]["after"]} if "after" in stages[0] else {}
            return {"webhook": {**after, **shared}}
        return {"stages": stages, **({"webhook": shared} if shared else {})}

    def _columns(self, seen: Sequence[tuple[Timeline, Segment]]) -> list[list[tuple[Timeline, Segment, StageSeen]]]:
        """Return the stages of these lives, those together that are one: with the same status and event, in order."""
        columns: list[list[tuple[Timeline, Segment, StageSeen]]] = []
        kinds: list[tuple[str | None, str | None, bool]] = []
        for life, segment in sorted(seen, key=lambda one: -len(one[1].stages)):
            place, status = 0, None
            for stage in segment.stages:
                status = stage.status or status
                event = None if stage.webhook is None else event_of(stage.webhook, self.scrubber)
                kind = status, event, stage.webhook is not None
                at = next((at for at in range(place, len(kinds)) if kinds[at] == kind), None)
                if at is None:
                    at = next((at for at in range(place, len(kinds)) if _are_alike(kinds[at], kind)), None)
                if at is None:
                    at = place
                    columns.insert(at, [])
                    kinds.insert(at, kind)
                columns[at].append((life, segment, stage))
                place = at + 1
        return columns

    def _samples(
        self, family: Family, column: Sequence[tuple[Timeline, Segment, StageSeen]], with_events: bool
    ) -> list[Any]:
        found = []
        for life, segment, stage in column:
            if stage.webhook is not None:
                event = event_of(stage.webhook, self.scrubber) if with_events else None
                found.append(
                    (stage.webhook, family.perspective.of_webhook(life, stage.webhook, segment.request, event))
                )
        return found

    def _webhooks(self, columns: Sequence[list[Any]], notes: Notes) -> tuple[Mock, list[Mock]]:
        """Return the webhook that the stages share, and what each stage changes in it."""
        every = [sample for column in columns for sample in column]
        if not every:
            return {}, [{} for _ in columns]
        try:
            shared = Templates(self.scrubber, Notes(), strict=True).webhook(every, self.secrets)
            kept = Templates(self.scrubber, notes).webhook(every, self.secrets)
            return (kept if kept == shared else shared), [{} for _ in columns]
        except Differs:
            pass
        made = [Templates(self.scrubber, notes).webhook(column, self.secrets) if column else {} for column in columns]
        shared = next(one for one in reversed(made) if one)
        return shared, [_changes(shared, one) if one else {} for one in made]

    def _stage(self, seen: Sequence[StageSeen], at: int, notes: Notes) -> dict[str, Any]:
        stage: dict[str, Any] = {}
        afters = [one.after for one in seen]
        after = median(afters)
        is_change = at > 0 and any(one.status is not None for one in seen)
        written = duration(after) or (f"{max(round(after, 1), 0.1) * 1000:.0f}ms" if is_change else None)
        if all(one.is_before_response for one in seen):
            stage["after"] = "before-response"
        elif written is not None:
            stage["after"] = written
            if len(afters) > 1 and max(afters) - min(afters) > max(NOISE, 0.2 * after):
                notes.add(
                    f"between {duration(min(afters)) or '0s'} and {duration(max(afters))} after the request",
                    ("stages", at),
                )
        if (status := next((one.status for one in seen if one.status is not None), None)) is not None:
            stage["status"] = status
        if seen[0].earliest is not None and seen[0].webhook is None and written is not None:
            first = duration(seen[0].earliest) or "0s"
            notes.add(f"first seen by a poll, {first} to {written} after the request", ("stages", at))
        return stage


def _are_alike(first: tuple[str | None, str | None, bool], second: tuple[str | None, str | None, bool]) -> bool:
    """Return whether two stages are one, of which a recording lacks the webhook, or its status has another name."""
    return (first[0] == second[0] and (first[1] is None or second[1] is None)) or first[1:] == second[1:]


def _changes(shared: Mock, own: Mock) -> Mock:
    """Return what a stage has to say so that the shared webhook becomes its own."""
    changes = {key: value for key, value in own.items() if shared.get(key) != value}
    kinds = ("json", "xml", "form", "text")
    missing = {key: None for key in shared if key not in own and key not in kinds}
    return {**changes, **{key: value for key, value in missing.items() if key == "sign"}}
