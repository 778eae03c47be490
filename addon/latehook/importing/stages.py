"""PURE: the stages of a job, from the statuses that its messages have and the times of its webhooks."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from latehook.base.model import COMPLETED, PENDING
from latehook.importing.exchanges import Exchange, leaves
from latehook.importing.scrubbing import snake
from latehook.importing.times import NOISE
from latehook.importing.tracing import Trace

_STATUS = re.compile(r"(^|_)(status|state|phase)$")
_DONE = re.compile(r"^(is_)?(done|completed|finished|ready|complete)$")
_VALUE = re.compile(r"[A-Za-z][\w .:-]{0,39}")


@dataclass(eq=False)
class StageSeen:
    """A stage of one recorded job. `after` is in seconds; `earliest` is when a poll last saw the status before."""

    after: float
    status: str | None
    webhook: Exchange | None = None
    is_before_response: bool = False
    earliest: float | None = None


@dataclass(eq=False)
class Segment:
    """A request that started or changed a job, and the stages that follow from it."""

    request: Exchange
    stages: list[StageSeen] = field(default_factory=list)


@dataclass(eq=False)
class Timeline:
    """The life of one recorded job.

    `status_at` has the job's status at each of its messages, `status_before` that before a request changed it.
    `reached` has each status with the time when it was first seen, in Unix seconds.
    """

    job: Trace
    segments: list[Segment]
    status_at: dict[Exchange, str]
    status_before: dict[Exchange, str]
    reached: list[tuple[str, float]]

    def waited_for(self, exchange: Exchange) -> str | None:
        """Return the status for which a request waited, None if it did not: the job had another one when it came."""
        said = self.status_at.get(exchange)
        is_new = any(status == said and exchange.started + NOISE / 2 < time for status, time in self.reached)
        return said if exchange.method == "GET" and exchange.said > exchange.started and is_new else None

    def segment_of(self, exchange: Exchange) -> Segment | None:
        return next((segment for segment in self.segments if segment.request is exchange), None)


StatusOf = Callable[[Exchange], str | None]


def timelines(jobs: Sequence[Trace]) -> list[Timeline]:
    """Return the lives of jobs that the same request starts. They share the field that has the status."""
    explicit = _status_reader(jobs)
    return [_Life(job, explicit).timeline() for job in jobs]


def provider_value(exchange: Exchange) -> Any:
    """Return the data that the provider says in an exchange."""
    return exchange.request.body.value if exchange.inbound else exchange.response.body.value


def _status_leaves(exchange: Exchange, pattern: re.Pattern[str]) -> list[tuple[int, str, Any]]:
    """Return depth, name and value of the fields with such a name, the outermost first."""
    named = [
        (len(path), snake(path[-1]), value)
        for path, value in leaves(provider_value(exchange))
        if path and isinstance(path[-1], str)
    ]
    if exchange.inbound:
        named += [(1, snake(name), value) for name, value in exchange.query]
    return sorted((one for one in named if pattern.search(one[1])), key=lambda one: one[0])


def _status_reader(jobs: Sequence[Trace]) -> StatusOf:
    """Return a function that reads the status that a message says: from the field with the most different values."""
    values: dict[str, set[str]] = {}
    counts: dict[str, int] = {}
    messages = [message for job in jobs for message in job.all if message.inbound or message.is_success]
    for message in messages:
        for _, name, value in _status_leaves(message, _STATUS):
            if isinstance(value, str) and _VALUE.fullmatch(value):
                values.setdefault(name, set()).add(value)
                counts[name] = counts.get(name, 0) + 1
    if values:
        best = max(values, key=lambda name: (len(values[name]), name == "status", counts[name], name))
        names = [best, *sorted(name for name in values if name != best and values[name] & values[best])]
        return lambda message: _first_status(message, names)
    if any(value is True for message in messages for _, _, value in _status_leaves(message, _DONE)):
        return _done_status
    return _by_shape(jobs)


def _first_status(message: Exchange, names: Sequence[str]) -> str | None:
    if not (message.inbound or message.is_success):
        return None
    found = [
        (names.index(name), depth, value) for depth, name, value in _status_leaves(message, _STATUS) if name in names
    ]
    texts = [(rank, depth, value) for rank, depth, value in found if isinstance(value, str) and _VALUE.fullmatch(value)]
    return min(texts, key=lambda one: one[:2])[2] if texts else None


def _done_status(message: Exchange) -> str | None:
    if not (message.inbound or message.is_success):
        return None
    return "done" if any(value is True for _, _, value in _status_leaves(message, _DONE)) else "running"


def _by_shape(jobs: Sequence[Trace]) -> StatusOf:
    """Return the status by the shape of polls: while they have another shape than the last one, the job is pending."""
    shapes: dict[tuple[str, str], list[str]] = {}
    for job in jobs:
        for message in job.linked:
            if not message.inbound:
                shapes.setdefault(_place(message, job), []).append(_shape(message))
    final = {place: _final_shape(found) for place, found in shapes.items() if len(set(found)) > 1}

    def status(message: Exchange) -> str | None:
        job = next((one for one in jobs if message in one.linked), None)
        if job is None:
            return None
        if message.inbound:
            return COMPLETED if len(job.webhooks) == 1 else None
        place = _place(message, job)
        return None if place not in final else COMPLETED if _shape(message) == final[place] else PENDING

    return status


def _final_shape(shapes: Sequence[str]) -> str:
    """Return the shape of polls after which nothing changes: the last one of a success."""
    return next((shape for shape in reversed(shapes) if shape.startswith("[2")), shapes[-1])


def _place(message: Exchange, job: Trace) -> tuple[str, str]:
    return message.method, message.path.replace(str(job.id), "{}")


def _shape(message: Exchange) -> str:
    value = message.response.body.value
    return json.dumps([message.status, sorted(value) if isinstance(value, dict) else type(value).__name__])


class _Life:
    """Builds the timeline of one job."""

    def __init__(self, job: Trace, explicit: StatusOf) -> None:
        self.job = job
        self.explicit = explicit
        self.segments = [Segment(job.creator)]
        self.shown: list[set[str]] = [set()]
        self.status_at: dict[Exchange, str] = {}
        self.status_before: dict[Exchange, str] = {}
        self.reached: list[tuple[str, float]] = []
        self.current = PENDING
        self.last_seen = job.creator.sent

    def timeline(self) -> Timeline:
        first = self.explicit(self.job.creator)
        if first is not None:
            self._reach(first, self.job.creator.sent)
            self.segments[0].stages.append(StageSeen(0.0, first))
            self.shown[0].add(first)
        self.status_at[self.job.creator] = self.current
        for at, message in enumerate(self.job.linked):
            if message.inbound:
                self._webhook(at, message)
            elif self._is_action(at, message):
                self._action(message)
            else:
                self._poll(message)
        return Timeline(self.job, self.segments, self.status_at, self.status_before, self.reached)

    def _reach(self, status: str, at: float) -> None:
        self.current = status
        if status not in (known for known, _ in self.reached):
            self.reached.append((status, at))

    def _is_action(self, at: int, message: Exchange) -> bool:
        """Return whether a request changes its job: its response, or what follows it, has a status that is new."""
        if message.method in ("GET", "HEAD") or not message.is_success or str(self.job.id) not in message.path:
            return False
        known = {status for status, _ in self.reached}
        said = self.explicit(message)
        if said is not None:
            return said not in known and said != self.current
        following = [self.explicit(later) for later in self.job.linked[at + 1 :]]
        return any(status is not None and status not in known for status in following)

    def _action(self, message: Exchange) -> None:
        said = self.explicit(message)
        self.status_before[message] = self.current
        self.segments.append(Segment(message))
        self.shown.append(set())
        if said is not None:
            self._reach(said, message.sent)
            self.segments[-1].stages.append(StageSeen(0.0, said))
            self.shown[-1].add(said)
        self.status_at[message] = self.current
        self.last_seen = message.sent

    def _poll(self, message: Exchange) -> None:
        said = self.explicit(message)
        if said is not None and said != self.current and said not in (status for status, _ in self.reached):
            segment = self.segments[-1]
            after = max(message.said - segment.request.sent, 0.0)
            earliest = max(self.last_seen - segment.request.sent, 0.0)
            segment.stages.append(StageSeen(after, said, earliest=earliest))
            self._reach(said, message.said)
        self.status_at[message] = said or self.current
        self.last_seen = message.said

    def _webhook(self, at: int, message: Exchange) -> None:
        said = self.explicit(message) or self._status_of_next_poll(at)
        index = self._segment_of(said)
        segment = self.segments[index]
        before = message.started < segment.request.ended
        after = max(message.started - segment.request.sent, 0.0)
        if said is not None and said in (stage.status for stage in segment.stages[:1]) and after < NOISE:
            after = 0.0
        known = next((stage for stage in segment.stages if stage.status == said and stage.webhook is None), None)
        is_new = said is not None and said not in (status for status, _ in self.reached)
        if known is not None and abs(known.after - after) <= max(NOISE, 0.1 * after) and said is not None:
            known.webhook = message
            known.is_before_response = before
        else:
            status = said if is_new or not any(stage.status == said for stage in segment.stages) else None
            if status in [stage.status for stage in segment.stages]:
                status = None
            segment.stages.append(StageSeen(after, status, message, before))
            segment.stages.sort(key=lambda stage: stage.after)
        if is_new and said is not None and index == len(self.segments) - 1:
            self._reach(said, message.started)
        self.status_at[message] = said or self.current

    def _status_of_next_poll(self, at: int) -> str | None:
        """Return the status of a webhook that says none: what the first poll behind it says, before another webhook."""
        if self.job.linked[at].started < self.job.creator.ended:
            return None
        for later in self.job.linked[at + 1 :]:
            if later.inbound:
                return None
            if (said := self.explicit(later)) is not None:
                return said if later.method == "GET" or said != self.current else None
        has_more = any(later.inbound for later in self.job.linked[at + 1 :])
        return None if has_more or self.reached else COMPLETED

    def _segment_of(self, said: str | None) -> int:
        """Return the segment to which a webhook belongs: those of an earlier request can come after a later one."""
        newest = len(self.segments) - 1
        if said is None or said in self.shown[newest]:
            return newest
        return next((at for at, shown in enumerate(self.shown) if said in shown), newest)
