"""PURE: a mock in words: what it answers and what it will send."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

from latehook.base.model import ResponseFault, WebhookFault
from latehook.expressions.expression import Bundle, Expression
from latehook.mocks.definitions import BodySpec, FaultSpec, Mock, ResponseSpec, StageSpec, WebhookSpec
from latehook.webhooks.retries import RETRY_SCHEDULES, RetrySchedule
from latehook.webhooks.schemes import SCHEMES, Scheme


def describe(mock: Mock) -> list[str]:
    """The mock in lines: its first names it, those that belong to it are indented."""
    named = mock.matcher.text if mock.name == mock.matcher.text else f"{mock.name}: {mock.matcher.text}"
    lines = [f"{named} (line {mock.place.line})"]
    lines += [f"  {condition}" for condition in _conditions(mock)]
    lines.append(
        "  is forwarded to the real service" if mock.response is None else f"  answers {_response(mock.response)}"
    )
    if mock.response is not None and mock.response.fault is not None:
        lines.append(f"    {_fault(mock.response.fault)}")
    if mock.starts_job and not mock.stages:
        lines.append("  starts a job without stages")
    for stage in mock.stages:
        lines += [f"  {line}" for line in _stage(stage)]
    return lines


def _conditions(mock: Mock) -> Iterator[str]:
    if mock.lookup is not None:
        yield f"for the job {_value(mock.lookup)}"
    if mock.when is not None:
        yield f"when {mock.when_text}"
    if mock.times is not None:
        yield f"{mock.times} times"


def _response(spec: ResponseSpec) -> str:
    words = f"{_value(spec.status)}{_body(spec.body)}"
    return f"{words} after {spec.delay}" if spec.delay is not None else words


def _stage(stage: StageSpec) -> Iterator[str]:
    when = "before the response" if stage.after is None else f"after {stage.after}"
    if stage.status is not None:
        when += f" is {_value(stage.status)}"
    if stage.webhook is None:
        yield when
        return
    yield f"{when}{',' if stage.status is not None else ''} sends {_webhook(stage.webhook)}"
    for line in _details(stage.webhook):
        yield f"  {line}"


def _webhook(spec: WebhookSpec) -> str:
    to = spec.to if isinstance(spec.to, list) else [spec.to]
    return f"{_value(spec.method)} {', '.join(map(_value, to))}{_body(spec.body)}"


def _details(spec: WebhookSpec) -> Iterator[str]:
    if spec.query:
        yield f"with the query {_names(spec.query)}"
    if spec.headers:
        yield f"with the headers {_names(spec.headers)}"
    if spec.when is not None:
        yield f"when {_value(spec.when)}"
    if spec.sign is not None:
        yield f"signed {_scheme(spec.sign.scheme)}"
    if spec.fault is not None:
        yield _fault(spec.fault)
    yield f"given {spec.timeout:g} s an attempt, {_schedule(spec.retry)}"


FAULTS: dict[StrEnum, str] = {
    ResponseFault.RESET: "the connection is reset instead",
    ResponseFault.EMPTY: "the connection is closed instead",
    ResponseFault.TRUNCATE: "the connection is closed in the middle of it",
    ResponseFault.HANG: "nothing follows the middle of it",
    ResponseFault.GARBAGE: "bytes that are no HTTP come instead",
    WebhookFault.DROP: "lost instead: not sent, nor tried again",
    WebhookFault.DUPLICATE: "sent twice at the same time",
    WebhookFault.CORRUPT_BODY: "its body altered after it was signed",
    WebhookFault.CORRUPT_SIGNATURE: "its signature altered",
}


def _fault(spec: FaultSpec[Any]) -> str:
    limits = [f"with a chance of {spec.chance:g}"] if spec.chance < 1 else []
    limits += [f"at most {spec.count} times"] if spec.count is not None else []
    return ", ".join([f"fault {spec.kind}: {FAULTS[spec.kind]}", *limits])


def _scheme(scheme: Scheme) -> str:
    name = next((name for name, known in SCHEMES.items() if known == scheme), None)
    return (
        f"as {name}"
        if name is not None
        else f"with {scheme.algorithm} in {_names({**scheme.headers, **scheme.fields})}"
    )


def _schedule(retry: RetrySchedule) -> str:
    if not retry.waits:
        return "not tried again"
    name = next((name for name, known in RETRY_SCHEDULES.items() if known == retry), None)
    waits = ", ".join(f"{wait:g}" for wait in retry.waits[:6]) + (", …" if len(retry.waits) > 6 else "")
    return f"tried again after {waits} s{f' ({name})' if name is not None else ''}"


def _body(spec: BodySpec | None) -> str:
    if spec is None:
        return ""
    if spec.kind == "file":
        return f" with the file {spec.value.filename}"
    value = spec.value.tree if isinstance(spec.value, Bundle) else spec.value
    kind = "JSON" if spec.kind == "json" else f"a {spec.kind}"
    return f" with {kind} {_names(value)}" if isinstance(value, dict) else f" with {kind} {_value(value)}"


def _names(value: Any) -> str:
    return ", ".join(value) if isinstance(value, dict) else _value(value)


def _value(value: Any) -> str:
    return value.text if isinstance(value, Expression) else str(value)
