"""The rows of the model of the database, and its conditions."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

FINISHED = ("delivered", "failed", "canceled", "skipped")
UNFINISHED = ("pending", "held")
OPEN = float("inf")

Row = Sequence[Any]


class Guard(StrEnum):
    """A condition of the database that a test can take out."""

    ALIVE = "only a process that is alive writes"
    LEASE = "a process is declared dead only when its lease is over"
    TAKE_OVER = "what a dead process owned is taken over"
    OWNER = "only the owner of a job begins attempts"
    BEGUN = "an attempt begins only where none is under way"
    NUMBER = "an attempt begins only after the one before it"
    HOLD = "no attempt begins while all webhooks are held"
    ORDER = "a first attempt waits for those of earlier stages"
    IDEMPOTENCY = "one idempotency key has one job"
    COUNT = "counts do not grow beyond their limit"
    APPLIED = "a change returns when all processes have applied it"


class Refused(Exception):
    """A statement has failed with this SQLSTATE, and has done nothing."""

    def __init__(self, sqlstate: str, text: str) -> None:
        super().__init__(text)
        self.sqlstate = sqlstate


@dataclass(slots=True)
class Job:
    key: int
    id: str
    mock: str
    idempotency_key: str | None
    created_at: float
    ends: float
    value: bytes
    owner: int
    undecided: bool


@dataclass(slots=True)
class Webhook:
    key: int
    job: int
    id: str
    stage: int
    ordered: bool
    due: float
    url: str | None
    event: str | None
    definition: str
    state: str
    reason: str | None
    attempts: int
    value: bytes
    content: bytes | None
    begun: int | None


@dataclass(slots=True)
class Node:
    id: int
    epoch: int
    until: float
    applied: int
    about: str


@dataclass(slots=True)
class World:
    revision: int
    resets: int
    holding: bool
