"""PURE: the stages of a job, from the statuses that its messages have and the times of its webhooks."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from latehook.base.model import COMPLETED, PENDING
from latehook.importing.exchanges import Exchange
from latehook.importing.statuses import StatusOf, status_reader
from latehook.importing.times import NOISE
from latehook.importing.tracing import Trace

DELETED = "deleted"
"""The status of a job that is not found any more after a DELETE."""


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

    def status_met(self, exchange: Exchange) -> str:
        """Return the status that the job had when a message came."""
        return self.status_before.get(exchange) or self.status_at[exchange]

    def waited_for(self, exchange: Exchange) -> str | None:
        """Return the status for which a request waited, None if it did not: the job had another one when it came."""
        said = self.status_at.get(exchange)
        is_new = any(status == said and exchange.started + NOISE / 2 < time for status, time in self.reached)
        return said if exchange.method == "GET" and exchange.said > exchange.started and is_new else None

    def segment_of(self, exchange: Exchange) -> Segment | None:
        return next((segment for segment in self.segments if segment.request is exchange), None)


def timelines(jobs: Sequence[Trace]) -> list[Timeline]:
    """Return the lives of jobs that the same request starts. They share the field that has the status."""
    explicit = status_reader(jobs)
    return [_Life(job, explicit).timeline() for job in jobs]


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
        self.is_gone = False

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
                self._action(message, self.explicit(message))
            elif self._deletes(at, message):
                self._action(message, DELETED)
                self.is_gone = True
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

    def _deletes(self, at: int, message: Exchange) -> bool:
        """Return whether a DELETE removes its job: each later GET of this path, and there is one, finds none."""
        if message.method != "DELETE" or not message.is_success or not message.path.endswith(str(self.job.id)):
            return False
        statuses = {
            later.status
            for later in self.job.linked[at + 1 :]
            if later.method == "GET" and later.path.startswith(message.path)
        }
        return bool(statuses) and statuses <= {404, 410}

    def _action(self, message: Exchange, said: str | None) -> None:
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
        said = None if self.is_gone else self.explicit(message)
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
        is_first = said is not None and said in (stage.status for stage in segment.stages[:1])
        if is_first and (after < NOISE or before):
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
