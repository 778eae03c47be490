"""PURE: what follows an attempt: delivered, given up, or tried again and when."""

from datetime import UTC
from email.utils import parsedate_to_datetime

from latehook.model import Outcome, State
from latehook.presets import Schedule

NEVER = float("inf")
"""Seconds until what does not happen."""

LONGEST_RETRY_AFTER = 86400.0
"""Seconds that a receiver's Retry-After can put an attempt off."""


def after_attempt(schedule: Schedule, number: int, outcome: Outcome) -> tuple[State, float]:
    """The webhook's state after its attempt of this number, and the seconds until the next if it is pending."""
    status = outcome.status
    if status is not None and any(fits(pattern, status) for pattern in schedule.success):
        return State.DELIVERED, 0.0
    stopped = status is not None and any(fits(pattern, status) for pattern in schedule.stop_on)
    wait = least_wait(schedule, number)
    if stopped or outcome.final or wait == NEVER:
        return State.FAILED, 0.0
    if schedule.retry_after and outcome.retry_after is not None:
        wait = max(wait, min(_retry_after(outcome.retry_after, outcome.ended_at), LONGEST_RETRY_AFTER))
    return State.PENDING, wait


def least_wait(schedule: Schedule, number: int) -> float:
    """The least seconds from the attempt of this number to the next; NEVER where there is none."""
    return schedule.waits[number - 1] if number <= len(schedule.waits) else NEVER


def fits(pattern: str, status: int) -> bool:
    """Whether a status is meant by `2xx`, `204`."""
    text = str(status)
    return len(pattern) == len(text) and all(a in ("x", b) for a, b in zip(pattern.lower(), text, strict=True))


def _retry_after(header: str, now: float) -> float:
    """RFC 9110 10.2.3: seconds, or a date. What is neither asks for nothing."""
    header = header.strip()
    if header.isascii() and header.isdigit():
        return float(header[:9])
    try:
        date = parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return 0.0
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now
