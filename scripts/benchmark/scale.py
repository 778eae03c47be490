"""How much each measure does: in a full run, or with --quick in one of a minute and a half."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """Numbers of repetitions, requests, webhooks and seconds."""

    rounds: int
    """Times that each of the compared proxies is measured, in turn."""
    round_seconds: float
    round_requests: int
    paced_seconds: int
    """Seconds of requests at a steady rate."""
    burst: int
    """Requests that are sent at once."""
    pending: int
    """Webhooks that are pending while memory is measured."""
    edits: int
    """Edits of the mocks file."""
    starts: int
    """Starts of mitmdump."""
    steps: int
    """Rates that are tried in the search for the highest one."""


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
