"""PURE: what a mock says of its messages, compiled: its response, and each webhook."""

import random
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from latehook.durations import Delay
from latehook.model import Place, ResponseFault, WebhookFault
from latehook.presets import Schedule, Scheme


@dataclass(frozen=True, slots=True)
class FilePlan:
    """A file, read at load."""

    content: bytes
    filename: str
    type: str


@dataclass(frozen=True, slots=True)
class BodyPlan:
    """A body as a mock describes it: its kind (`json`, `form`, `text`, `file`, `multipart`) and its compiled value."""

    kind: str
    value: Any
    place: Place


@dataclass(frozen=True, slots=True)
class FaultPlan[Kind: StrEnum]:
    """What goes wrong on purpose: with this chance each time, and at most `count` times."""

    kind: Kind
    chance: float = 1.0
    count: int | None = None

    def draw(self, source: random.Random, so_far: int) -> Kind | None:
        """What happens this time, after it has happened so often."""
        if self.count is not None and so_far >= self.count:
            return None
        return self.kind if self.chance >= 1 or source.random() < self.chance else None


@dataclass(frozen=True, slots=True)
class ResponsePlan:
    """The response a mock gives."""

    status: Any
    headers: Any
    body: BodyPlan | None
    delay: Delay | None
    fault: FaultPlan[ResponseFault] | None
    place: Place


@dataclass(frozen=True, slots=True)
class SignPlan:
    """How a webhook is signed. `secret` is one or a list; `skew` is the sender's clock error in seconds."""

    scheme: Scheme
    secret: Any
    skew: float
    place: Place


@dataclass(frozen=True, slots=True)
class WebhookPlan:
    """A webhook as a mock describes it. Times are seconds; `reads` are the members of `request` that need its body."""

    to: Any
    method: Any
    headers: Any
    query: Any
    body: BodyPlan | None
    when: Any
    event: Any
    retry: Schedule
    timeout: float
    sign: SignPlan | None
    ordered: bool
    verify: bool | str
    fault: FaultPlan[WebhookFault] | None
    place: Place
    reads: frozenset[str] = field(default_factory=frozenset)
