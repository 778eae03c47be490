"""PURE: the order in which a job goes through the statuses of an enum. Documents do not say it: it is guessed."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

MAX_PROGRESS = 2
"""Statuses before the final one that become stages."""

_FAILED = re.compile(
    r"fail|error|cancel|reject|expir|denied|declin|abort|delet|time_?d?_?out|invalid|refus|void|disput|block|drop"
    r"|undeliver|unsuccess|withdraw|revok|incomplete|unknown|uncollect|bounce|stopp|terminat|inactive|disabl|unavail"
)
_FINAL = (
    *("completed", "complete", "succeeded", "success", "successful", "done", "finished", "ready", "processed"),
    *("delivered", "approved", "paid", "transcribed", "available", "verified", "signed", "settled", "captured"),
    *("fulfilled", "published", "closed", "resolved", "passed", "active", "activated", "confirmed", "sent", "ok"),
)
"""Words for a good end, the most certain ones first."""
_FIRST = re.compile(
    r"creat|new|queue|pending|submit|accept|request|receiv|schedul|wait|open|draft|initia|not_?started|regist"
)


@dataclass(frozen=True)
class Course:
    """Statuses in the order in which a job has them; `others` are those that it does not get."""

    statuses: Sequence[str]
    others: Sequence[str]


def course(values: Iterable[Any]) -> Course | None:
    """Return the course of a job whose status is one of these values; None if fewer than two are texts."""
    texts = list(dict.fromkeys(value for value in values if isinstance(value, str) and value))
    good = [text for text in texts if not _FAILED.search(_plain(text))]
    if len(texts) < 2 or not good:
        return None
    ranked = sorted((rank, at) for at, text in enumerate(good) if (rank := _rank(text)) is not None)
    final = good[ranked[0][1]] if ranked else good[-1]
    progress = [text for text in good if text != final and _rank(text) is None]
    progress.sort(key=lambda text: not _FIRST.search(_plain(text)))
    chosen = [*progress[:MAX_PROGRESS], final]
    return Course(chosen, [text for text in texts if text not in chosen])


def canceled(statuses: Iterable[str], hint: str) -> str | None:
    """Return the status that a request to cancel or delete leads to, by the request's name."""
    for verb in ("cancel", "delet", "abort", "stop"):
        if verb in hint.lower():
            return next((status for status in statuses if verb in status.lower()), None)
    return None


def _rank(text: str) -> int | None:
    """Return how certain it is that a status is a good end, 0 for the most certain; None if it is none."""
    plain = _plain(text)
    last = plain.rpartition("_")[2]
    name = plain if plain in _FINAL else last if not re.search(r"(^|_)not_", plain) else ""
    return _FINAL.index(name) if name in _FINAL else None


def _plain(text: str) -> str:
    return re.sub(r"[^a-z]+", "_", text.lower()).strip("_")
