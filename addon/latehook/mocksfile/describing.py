"""Describes mocks in words, for `latehook check`."""

from collections.abc import Iterator
from typing import Any

from latehook.base.counting import number_of
from latehook.base.durations import Delay
from latehook.base.messages import ResponseFault, WebhookFault
from latehook.expressions.expression import as_written
from latehook.mocks.bodies import BodySpec
from latehook.mocks.definitions import EndOf, FaultSpec, Mock, ResponseSpec, StageSpec, WebhookSpec
from latehook.mocks.times import Time
from latehook.mocksfile.words import RESPONSE_FAULTS, WEBHOOK_FAULTS, describe_retry, describe_scheme
from latehook.webhooks.retries import RETRY_SCHEDULES, RetrySchedule
from latehook.webhooks.schemes import SCHEMES, Scheme


def describe(mock: Mock) -> list[str]:
    """Return lines that describe a mock. The first has its name and match; the others are indented."""
    title = mock.matcher.text if mock.name == mock.matcher.text else f"{mock.name}: {mock.matcher.text}"
    lines = [f"{title} (line {mock.place.line})"]
    lines += [f"  {line}" for line in _conditions(mock)]
    if mock.validation is not None:
        lines.append(f"  {'refuses' if mock.validation.refuses else 'warns of'} requests that do not fit the document")
    if mock.response is None:
        lines.append("  sends the request to the real service")
    else:
        lines += [f"  {line}" for each in (*mock.choices, mock.response) for line in _response(each, mock)]
    if mock.starts_job and not mock.stages:
        lines.append("  starts a job without stages")
    for stage in mock.stages:
        lines += [f"  {line}" for line in _stage(stage)]
    return lines


def _conditions(mock: Mock) -> Iterator[str]:
    if mock.lookup is not None:
        yield f"for the job with the id {as_written(mock.lookup)}"
    if mock.when is not None:
        yield f"if {mock.when_text}"
    if mock.times is not None:
        yield f"for {number_of(mock.times, 'request')}"


def _response(spec: ResponseSpec, mock: Mock) -> Iterator[str]:
    condition = "" if spec.when is None else f"if {as_written(spec.when)}: "
    otherwise = "otherwise: " if mock.choices and spec is mock.response else ""
    rejects = ", and takes the job back" if spec.rejects else ""
    delay = f", after {as_written(spec.delay)}" if spec.delay is not None else ""
    if spec.until is not None:
        delay = f", once {as_written(spec.until)}, at the latest after {as_written(spec.delay)}"
    yield f"{condition}{otherwise}answers {as_written(spec.status)}{_body(spec.body)}{delay}{rejects}"
    if spec.reads_answers:
        yield "  decided when the webhooks before the response have been answered"
    if spec.fault is not None:
        yield f"  {_fault(spec.fault)}"


def _stage(stage: StageSpec) -> Iterator[str]:
    time = _time(stage.after)
    parts = [f"the status is {as_written(stage.status)}"] if stage.status is not None else []
    if stage.webhook is not None:
        parts.append(f"sends {_webhook(stage.webhook)}{_how_many(stage)}")
    yield f"{time}: {', '.join(parts) or 'nothing'}"
    late = ["the status"] if stage.is_status_late else []
    late += [] if stage.webhook is None else [f"`{name}`" for name in ("to", "when") if name in stage.webhook.late]
    if late:
        yield f"  decided when the stage is due: {', '.join(late)}"
    if stage.webhook is not None:
        yield from (f"  {line}" for line in _details(stage.webhook))


def _how_many(stage: StageSpec) -> str:
    each = "" if stage.each is None else f", for each item of {as_written(stage.each)}"
    if stage.repeat is None:
        return each
    times = "until the next stage" if stage.repeat.times is None else f"{as_written(stage.repeat.times)} times"
    return f"{each}, every {as_written(stage.repeat.every)}, {times}"


def _time(after: Time | EndOf | None) -> str:
    if after is None:
        return "before the response"
    if isinstance(after, EndOf):
        wait = "" if after.plus == Delay("fixed", 0.0) else f"{as_written(after.plus)} "
        return f"{wait}after the end of the webhook {after.event!r}"
    return f"after {as_written(after)}"


def _webhook(spec: WebhookSpec) -> str:
    to = spec.to if isinstance(spec.to, list) else [spec.to]
    return f"{as_written(spec.method)} {', '.join(map(as_written, to))}{_body(spec.body)}"


def _details(spec: WebhookSpec) -> Iterator[str]:
    if spec.query:
        yield f"query: {_names(spec.query)}"
    if spec.headers:
        yield f"headers: {_names(spec.headers)}"
    if spec.when is not None:
        yield f"if {as_written(spec.when)}"
    if spec.sign is not None:
        yield f"signed with {_scheme(spec.sign.scheme)}"
    if spec.fault is not None:
        yield _fault(spec.fault)
    if spec.redirects:
        yield f"follows up to {spec.redirects} redirects"
    yield f"timeout {spec.timeout:g} s, {_retry(spec.retry)}"


def _fault(spec: FaultSpec[Any]) -> str:
    limits = [f"with a chance of {spec.chance:g}"] if spec.chance < 1 else []
    limits += [f"at most {spec.count} times"] if spec.count is not None else []
    return ", ".join([f"fault {spec.kind}: {_fault_words(spec.kind)}", *limits])


def _fault_words(kind: ResponseFault | WebhookFault) -> str:
    return RESPONSE_FAULTS[kind] if isinstance(kind, ResponseFault) else WEBHOOK_FAULTS[kind]


def _scheme(scheme: Scheme) -> str:
    name = next((name for name, known in SCHEMES.items() if known == scheme), None)
    return describe_scheme(scheme) if name is None else f"the scheme {name}"


def _retry(retry: RetrySchedule) -> str:
    name = next((name for name, known in RETRY_SCHEDULES.items() if known == retry and known.waits), None)
    return describe_retry(retry) + (f" ({name})" if name is not None else "")


def _body(spec: BodySpec | None) -> str:
    return "" if spec is None else f" with {spec.describe()}"


def _names(value: Any) -> str:
    return ", ".join(value) if isinstance(value, dict) else as_written(value)
