"""PURE: the failures of a test's expectations. Their texts say what did happen."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from latehook.api.models import Attempt, OtherRequest, Request, Webhook
from latehook.api.payloads import WaitProblem
from latehook.base.errors import LatehookError
from latehook.base.model import State

UNMATCHED = "requests that matched nothing"
INVALID = "requests against the OpenAPI document"
OTHERS = "requests that left for hosts that no mock names"
REMEDY = (
    "mock these hosts; a mock with `response: forward` lets requests through on purpose; "
    "the option mock_others=refuse keeps all others from leaving"
)

SHOWN = 200
"""Characters of a receiver's answer that are shown."""


class ExpectationFailed(AssertionError):
    """Something that a test expects has not happened. The message says what did happen instead."""


class WaitTimeout(ExpectationFailed):
    """`wait_for` did not get enough webhooks in time."""


class AdvanceTimeout(ExpectationFailed):
    """`advance` did not get everything done in time."""


class StrictCheckFailed(ExpectationFailed):
    """A strict check found webhooks that are pending or failed, or requests that are unmatched, not valid or left."""


def hides_frames(raised: Any) -> bool:
    """Return whether pytest leaves the frames of the client out of a traceback: where the message says enough.

    pytest calls this for a module that has it as `__tracebackhide__`.
    """
    return bool(raised.errisinstance((ExpectationFailed, LatehookError)))


def describe_wait(
    filters: Mapping[str, Any], count: int, state: str, timeout: str | float, problem: WaitProblem
) -> str:
    """Return why a wait for `count` webhooks in a state failed."""
    selected = ", ".join(f"{name}={value!r}" for name, value in filters.items())
    number = "no webhook was" if count == 1 else f"{len(problem.found)} of {count} webhooks were"
    matched = [request for request in problem.requests if request.matched]
    others = "other webhooks" if problem.found else "webhooks"
    return _report(
        f"{number} {state} within {_seconds(timeout)}{f' ({selected})' if selected else ''}",
        {
            "found": map(_webhook, problem.found),
            others: map(_webhook, problem.webhooks) if problem.webhooks else ["none"],
            "requests": map(_request, matched) if matched else ["none that a mock answered"],
            UNMATCHED: map(_request, problem.unmatched),
        },
    )


def describe_advance(duration: str | float, left: Sequence[Webhook]) -> str:
    """Return which webhooks an advance has left."""
    number = "1 webhook has" if len(left) == 1 else f"{len(left)} webhooks have"
    return _report(f"advance {duration}: {number} not happened", {"left": map(_webhook, left)})


def describe_strict(
    unfinished: Iterable[Webhook],
    failed: Iterable[Webhook],
    unmatched: Iterable[Request],
    invalid: Iterable[Request],
    left: Iterable[OtherRequest],
) -> str | None:
    """Return what a strict check found, or None if it found nothing."""
    lists = {
        "still owed": [_webhook(webhook) for webhook in unfinished],
        "failed": [_webhook(webhook) for webhook in failed],
        UNMATCHED: [_request(request) for request in unmatched],
        INVALID: [_request(request) for request in invalid],
        OTHERS: [f"{_time_of_day(other.at)} {other.method} {other.url}" for other in left],
    }
    if not any(lists.values()):
        return None
    counts = ", ".join(_count(len(lines), name) for name, lines in lists.items() if lines)
    if lists[OTHERS]:
        lists["what to do about them"] = [REMEDY]
    return _report(f"strict=True, and at the test's end: {counts}", lists)


def describe_requests(requests: Iterable[Request], others: Iterable[OtherRequest]) -> str:
    """Return what came to a proxy: a line for each request, and for each that left for a host that no mock names."""
    lines = [*map(_request, requests)]
    lines += [f"{_time_of_day(other.at)} {other.method} {other.url}: left, no mock names the host" for other in others]
    return "\n".join(lines) or "no request came to the proxy"


def _count(number: int, name: str) -> str:
    """Return a number with what it counts: `1 request that matched nothing`."""
    return f"{number} {name.replace('requests', 'request', 1) if number == 1 else name}"


def _report(first: str, lists: Mapping[str, Iterable[str]]) -> str:
    """Return a first line, and below it each list that is not empty, under its name."""
    lines = [first]
    for name, entries in lists.items():
        if indented := [f"  {entry}" for entry in entries]:
            lines += [f"{name}:", *indented]
    return "\n".join(lines)


def _webhook(webhook: Webhook) -> str:
    event = f" {webhook.event!r}" if webhook.event else ""
    to = f", to {webhook.url}" if webhook.url else ""
    return f"job {webhook.job}{event}: {_state(webhook)}{to}{_last_answer(webhook.attempts)}"


def _state(webhook: Webhook) -> str:
    count = len(webhook.attempts)
    match webhook.state:
        case State.PENDING if webhook.due_in is not None:
            attempt = f"attempt {count + 1}, " if count else ""
            return f"pending, {attempt}due in {_seconds(webhook.due_in)}"
        case State.PENDING | State.HELD if webhook.waits_for is not None:
            return f"{webhook.state}, waits for the end of {webhook.waits_for!r}"
        case State.DELIVERING:
            return f"delivering, attempt {count} is under way"
        case State.FAILED if count:
            return f"failed after {count} attempt{'s'[: count - 1]}"
        case State.FAILED | State.CANCELED | State.SKIPPED:
            return f"{webhook.state}: {webhook.reason}"
    return webhook.state


def _last_answer(attempts: Sequence[Attempt]) -> str:
    ended = [attempt for attempt in attempts if attempt.ended_at is not None]
    if not ended:
        return ""
    last = ended[-1]
    answer = last.error if last.status is None else f"{last.status} {_shorten(last.body)!r}"
    return f"; attempt {last.number} at {_time_of_day(last.at)}: {answer}"


def _request(request: Request) -> str:
    job = f", job {request.job}" if request.job else ""
    line = f"{_time_of_day(request.at)} {request.method} {request.url}: {request.status}"
    if request.matched:
        problems = "".join(f"\n    {problem}" for problem in request.problems)
        return f"{line}, mock {request.mock!r}{job}{problems}"
    near_misses = "".join(f"\n    not {miss.mock!r}: {miss.differs}" for miss in request.why or ())
    return f"{line}, no mock matched{near_misses or ': there is none for this host'}"


def _time_of_day(at: float) -> str:
    return datetime.fromtimestamp(at).strftime("%H:%M:%S")


def _seconds(duration: str | float) -> str:
    return duration if isinstance(duration, str) else f"{duration:.3g} s"


def _shorten(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
