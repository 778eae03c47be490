"""PURE: attempts at a webhook that failed and was sent again, and the `retry` that makes the same ones."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import median

from latehook.importing.exchanges import Exchange
from latehook.importing.redirecting import without_redirects
from latehook.importing.times import duration
from latehook.webhooks.retries import RETRY_SCHEDULES

MIN_WAITS = 3
"""Waits from which on a schedule is recognised as that of a provider."""
TOLERANCE = 0.2
"""The share of a wait by which a measured one may differ, and never less than NOISE_OF_WAIT seconds."""
NOISE_OF_WAIT = 1.0


def without_retries(exchanges: Sequence[Exchange]) -> list[Exchange]:
    """Return the exchanges with one for all attempts at a webhook: the answer was no 2xx, and the same came again.

    What followed a redirect belongs to its attempt.
    Its `retried` are the times of the later attempts.
    """
    kept: list[Exchange] = []
    for exchange in without_redirects(exchanges):
        same = [
            at
            for at, one in enumerate(kept)
            if one.inbound and exchange.inbound and content_of(one) == content_of(exchange) and not _is_delivered(one)
        ]
        if not same:
            kept.append(exchange)
            continue
        first = kept[same[0]]
        retried = (*first.retried, exchange.started)
        kept[same[0]] = replace(first, retried=retried, is_delivered=_is_delivered(exchange))
    return kept


def _is_delivered(exchange: Exchange) -> bool:
    return exchange.is_delivered or 200 <= exchange.status < 300


def content_of(exchange: Exchange) -> tuple[str, str, bytes]:
    """Return what is equal in all attempts at a webhook."""
    return exchange.method, exchange.target, exchange.request.content


def retry_of(webhooks: Sequence[Exchange]) -> list[str] | str | None:
    """Return the value of `retry`: the waits that were seen, or the preset that begins with them; None if none was."""
    seen: list[list[float]] = []
    for webhook in webhooks:
        starts = [webhook.started, *webhook.retried]
        for at, (before, after) in enumerate(pairwise(starts)):
            if at == len(seen):
                seen.append([])
            seen[at].append(after - before)
    waits = [median(column) for column in seen]
    if not waits:
        return None
    if len(waits) >= MIN_WAITS:
        for name, schedule in RETRY_SCHEDULES.items():
            if len(schedule.waits) >= len(waits) and all(map(_is_near, waits, schedule.waits)):
                return name
    return [duration(wait) or "1s" for wait in waits]


def _is_near(wait: float, known: float) -> bool:
    return abs(wait - known) <= max(NOISE_OF_WAIT, TOLERANCE * known)
