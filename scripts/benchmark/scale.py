"""How much is done: all, or what fits into a minute and a half."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    rounds: int
    round_seconds: float
    round_requests: int
    paced_seconds: int
    burst: int
    pending: int
    edits: int
    starts: int
    steps: int
    """Rates tried in search of the highest."""


FULL = Scale(
    rounds=4,
    round_seconds=1.5,
    round_requests=1500,
    paced_seconds=8,
    burst=3000,
    pending=10_000,
    edits=5,
    starts=5,
    steps=6,
)
QUICK = Scale(
    rounds=2,
    round_seconds=0.5,
    round_requests=500,
    paced_seconds=3,
    burst=2000,
    pending=2000,
    edits=1,
    starts=3,
    steps=1,
)
