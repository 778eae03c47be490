"""PURE: what did happen, in words: the text of a test's failure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from latehook.base.errors import LatehookError
from latehook.client.models import Attempt, Missed, Request, Webhook

SHOWN = 200
"""Characters of a receiver's answer."""

_ENDED_UNSENT = ("canceled", "skipped")


class NotHappened(AssertionError):
    """A wait or an advance in vain, or a strict test that left something undone. The text says what did happen."""


def is_told(raised: Any) -> bool:
    """Whether a failure's text says it all. pytest asks modules for it, and then shows none of their lines."""
    return bool(raised.errisinstance((NotHappened, LatehookError)))


def missed(wanted: Mapping[str, Any], count: int, state: str, timeout: str | float, seen: Missed) -> str:
    """Why a wait was in vain."""
    having = ", ".join(f"{name}={value!r}" for name, value in wanted.items())
    number = "no webhook was" if count == 1 else f"{len(seen.found)} of {count} webhooks were"
    matched = [request for request in seen.requests if request.matched]
    return _text(
        f"{number} {state} within {_seconds(timeout)}{f' ({having})' if having else ''}",
        {
            "found": map(_webhook, seen.found),
            "other webhooks" if seen.found else "webhooks": map(_webhook, seen.webhooks) if seen.webhooks else ["none"],
            "requests": map(_request, matched) if matched else ["none that a mock answered"],
            "requests that matched nothing": map(_request, seen.unmatched),
        },
    )


def left(duration: str | float, webhooks: Sequence[Webhook]) -> str:
    """What an advance has left undone."""
    number = "1 webhook has" if len(webhooks) == 1 else f"{len(webhooks)} webhooks have"
    return _text(f"advance {duration}: {number} not happened", {"left": map(_webhook, webhooks)})


def undone(owed: Iterable[Webhook], failed: Iterable[Webhook], unmatched: Iterable[Request]) -> str | None:
    """What a strict test may not leave; None where it has left nothing."""
    lists = {
        "still owed": [_webhook(webhook) for webhook in owed],
        "failed": [_webhook(webhook) for webhook in failed],
        "requests that matched nothing": [_request(request) for request in unmatched],
    }
    if not any(lists.values()):
        return None
    counts = ", ".join(f"{len(lines)} {name}" for name, lines in lists.items() if lines)
    return _text(f"strict=True, and at the test's end: {counts}", lists)


def _text(first: str, lists: Mapping[str, Iterable[str]]) -> str:
    lines = [first]
    for name, entries in lists.items():
        if written := list(entries):
            lines += [f"{name}:", *(f"  {entry}" for entry in written)]
    return "\n".join(lines)


def _webhook(webhook: Webhook) -> str:
    event = f" {webhook.event!r}" if webhook.event else ""
    to = f", to {webhook.url}" if webhook.url else ""
    return f"job {webhook.job}{event}: {_state(webhook)}{to}{_last(webhook.attempts)}"


def _state(webhook: Webhook) -> str:
    if webhook.state == "pending" and webhook.due_in is not None:
        attempt = f"attempt {len(webhook.attempts) + 1}, " if webhook.attempts else ""
        return f"pending, {attempt}due in {_seconds(webhook.due_in)}"
    if webhook.state == "delivering":
        return f"delivering, attempt {len(webhook.attempts)} is under way"
    if webhook.state in _ENDED_UNSENT or (webhook.state == "failed" and not webhook.attempts):
        return f"{webhook.state}: {webhook.reason}"
    if webhook.state == "failed":
        return f"failed after {len(webhook.attempts)} attempt{'s'[: len(webhook.attempts) - 1]}"
    return webhook.state


def _last(attempts: Sequence[Attempt]) -> str:
    ended = [attempt for attempt in attempts if attempt.ended_at is not None]
    if not ended:
        return ""
    last = ended[-1]
    said = last.error if last.status is None else f"{last.status} {_short(last.body or '')!r}"
    return f"; attempt {last.number} at {_clock(last.at)}: {said}"


def _request(request: Request) -> str:
    job = f", job {request.job}" if request.job else ""
    line = f"{_clock(request.at)} {request.method} {request.url}: {request.status}"
    if request.matched:
        return f"{line}, mock {request.mock!r}{job}"
    near = "".join(f"\n    not {miss.mock!r}: {miss.differs}" for miss in request.why or ())
    return f"{line}, no mock matched{near or ': there is none for this host'}"


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at).strftime("%H:%M:%S")


def _seconds(duration: str | float) -> str:
    return duration if isinstance(duration, str) else f"{duration:.3g} s"


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
