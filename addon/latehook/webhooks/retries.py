"""PURE: what follows an attempt, and how known providers retry. The providers' rows name their source and date."""

from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

from latehook.base.messages import Outcome
from latehook.base.model import State

NEVER = float("inf")
"""Seconds until an attempt that is not made."""

MAX_RETRY_AFTER = 86400.0
"""Seconds by which a receiver's Retry-After can delay an attempt."""


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """When a webhook is tried again: after each of `waits` (seconds), until an attempt ends with a status of `success`.

    A status of `stop_on` ends the retries. With `retry_after` the receiver's Retry-After can lengthen a wait.
    """

    waits: tuple[float, ...]
    success: tuple[str, ...] = ("2xx",)
    stop_on: tuple[str, ...] = ("410",)
    retry_after: bool = True


def after_attempt(schedule: RetrySchedule, number: int, outcome: Outcome) -> tuple[State, float]:
    """Return a webhook's state after its attempt number `number`, and the seconds until the next if it is pending."""
    status = outcome.status
    if status is not None and any(matches_status(pattern, status) for pattern in schedule.success):
        return State.DELIVERED, 0.0
    stopped = status is not None and any(matches_status(pattern, status) for pattern in schedule.stop_on)
    wait = least_wait(schedule, number)
    if stopped or outcome.final or wait == NEVER:
        return State.FAILED, 0.0
    if schedule.retry_after and outcome.retry_after is not None:
        wait = max(wait, min(_retry_after(outcome.retry_after, outcome.ended_at), MAX_RETRY_AFTER))
    return State.PENDING, wait


def least_wait(schedule: RetrySchedule, number: int) -> float:
    """Return the fewest seconds from attempt number `number` to the next; NEVER if there is no next one."""
    return schedule.waits[number - 1] if number <= len(schedule.waits) else NEVER


def matches_status(pattern: str, status: int) -> bool:
    """Return whether a status matches a pattern such as `204` or `2xx`."""
    text = str(status)
    return len(pattern) == len(text) and all(a in ("x", b) for a, b in zip(pattern.lower(), text, strict=True))


def _retry_after(header: str, now: float) -> float:
    """Return the seconds that a Retry-After asks for, by RFC 9110 10.2.3: a number or a date. 0 for anything else."""
    header = header.strip()
    if header.isascii() and header.isdigit():
        return float(header[:9])
    try:
        date = parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return 0.0
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now


DEFAULT_RETRY = RetrySchedule((1, 5, 15))
"""The schedule of a webhook without `retry`. It is not in RETRY_SCHEDULES, because mocks files cannot name it."""

MINUTE, HOUR = 60.0, 3600.0

RETRY_SCHEDULES: dict[str, RetrySchedule] = {
    "none": RetrySchedule(()),
    # Standard Webhooks 1.0.0, "deliverability": ten attempts in 75 hours, 410 ends it; read 2026-11
    "standard-webhooks": RetrySchedule((5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)),
    # Svix's documentation of retries: eight attempts; read 2026-11
    "svix": RetrySchedule((5, 300, 1800, 7200, 18000, 36000, 36000)),
    # Stripe's documentation: up to three days, exponential (the steps are not published); read 2026-11
    "stripe": RetrySchedule(tuple(HOUR * wait for wait in (1, 2, 4, 8, 12, 12, 12, 12)), stop_on=(), retry_after=False),
    # GitHub's documentation: failed deliveries are not sent again; read 2026-11
    "github": RetrySchedule(()),
    # Shopify's documentation: eight times over four hours, exponential; read 2026-11
    "shopify": RetrySchedule(
        tuple(MINUTE * wait for wait in (1, 2, 4, 8, 16, 32, 64, 113)), stop_on=(), retry_after=False
    ),
    # Slack Events: at once, after a minute, after five; read 2026-11, at second hand
    "slack": RetrySchedule((0, 60, 300), stop_on=(), retry_after=False),
    # Twilio's documentation of connection overrides: one retry by default; read 2026-11
    "twilio": RetrySchedule((0,), stop_on=(), retry_after=False),
    # Square's older page: 1 to 32 minutes, then hourly, within 24 hours; read 2026-11
    "square": RetrySchedule(
        (*(MINUTE * wait for wait in (1, 2, 4, 8, 16, 32)), *[HOUR] * 22), stop_on=(), retry_after=False
    ),
    # Plaid's documentation: 30 s, then four times as long each, within 24 hours; read 2026-11
    "plaid": RetrySchedule((30, 120, 480, 1920, 7680, 30720), success=("200",), stop_on=(), retry_after=False),
    # AssemblyAI's documentation: at most ten attempts, any 4xx ends it (the waits are a guess); read 2026-11
    "assemblyai": RetrySchedule((10,) * 9, stop_on=("4xx",), retry_after=False),
    # Deepgram's documentation of callbacks: ten times, 30 seconds apart; read 2026-11
    "deepgram": RetrySchedule((30,) * 10, stop_on=(), retry_after=False),
    # Rev.ai's documentation: every half hour for a day, 410 ends it; read 2026-11
    "rev-ai": RetrySchedule((1800,) * 48, success=("200",), retry_after=False),
    # Dropbox Sign's documentation: six times, each wait three times the last; read 2026-11
    "dropbox-sign": RetrySchedule(tuple(MINUTE * wait for wait in (5, 15, 45, 135, 405, 1215)), ("200",), (), False),
    # pyannoteAI's documentation: at once, after a minute, after five; read 2026-11
    "pyannoteai": RetrySchedule((0, 60, 300), stop_on=(), retry_after=False),
}
