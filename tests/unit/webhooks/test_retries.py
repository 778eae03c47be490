"""Retry-After of a receiver, in each of its forms."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from latehook.base.messages import Outcome
from latehook.base.model import State
from latehook.webhooks.retries import MAX_RETRY_AFTER, RetrySchedule, after_attempt

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC).timestamp()


@pytest.fixture(autouse=True)
def time_zone_far_from_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set the machine's time zone, which must not matter."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("30", 30),
        (" 30 ", 30),
        ("Tue, 24 Nov 2026 09:00:30 GMT", 30),
        ("Tuesday, 24-Nov-26 09:00:30 GMT", 30),  # RFC 850 and asctime, which RFC 9110 requires recipients to accept
        ("Tue Nov 24 09:00:30 2026", 30),
        ("Tue, 24 Nov 2026 09:00:30", 30),
        ("Tue, 24 Nov 2026 09:00:30 -0000", 30),
        ("Tue, 24 Nov 2026 10:00:30 +0100", 30),
        ("Tue, 24 Nov 2026 04:00:30 EST", 30),
        ("Thu, 24 Nov 2033 09:00:30 GMT", MAX_RETRY_AFTER),
        ("9" * 400, MAX_RETRY_AFTER),
        ("Tue, 24 Nov 2026 08:59:00 GMT", 5),  # a time in the past, or an invalid value, changes nothing
        ("3.5", 5),
        ("-30", 5),
        ("soon", 5),
        ("Fri, 31 Feb 2026 01:01:01 GMT", 5),
        ("Tue, 24 Nov 2026 09:00:30 +99999999999999", 5),
        ("Tue, 99999999999999999999 Nov 2026 09:00:30 GMT", 5),
    ],
)
def test_retry_after_delays_the_next_attempt(header: str, seconds: float) -> None:
    outcome = Outcome(NOW - 1, NOW, 503, retry_after=header)

    assert after_attempt(RetrySchedule((5.0,)), 1, outcome) == (State.PENDING, seconds)
