"""Keys that responses, stages and webhooks have in common: times, bodies, faults."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from latehook.base.durations import DURATION_PATTERN
from latehook.mocksfile.value_types import Duration, Seconds, Templated, about, one_of
from latehook.mocksfile.words import RESPONSE_FAULTS, WEBHOOK_FAULTS

BEFORE_RESPONSE = "before-response"
DEFAULT_AFTER = "0s"


class Entry(msgspec.Struct, forbid_unknown_fields=True):
    """A map whose keys are known."""


class Lognormal(Entry):
    """A random time: mostly near the median, sometimes much later."""

    median: Annotated[Duration, about("Half of the times are shorter than this duration.", examples=["1m"])]
    sigma: Annotated[
        float,
        Meta(extra_json_schema={"minimum": 0}),
        about("The standard deviation of the logarithm of the time: 0 is always the median.", examples=[0.5]),
    ]


class DelayEntry(Entry):
    """A random time, drawn for each request. It has one of these keys."""

    uniform: Annotated[
        tuple[Duration, Duration] | UnsetType,
        about(
            "The shortest and the longest time; every time between them is equally likely.", examples=[["5s", "10s"]]
        ),
    ] = UNSET
    lognormal: Annotated[
        Lognormal | UnsetType, about("A time that is mostly near a median, and sometimes much later.")
    ] = UNSET


Time = Duration | DelayEntry


class StageTimeEntry(DelayEntry):
    """A random time, drawn for each request, or a time after the end of a webhook: `{ended, plus}`."""

    ended: Annotated[
        str | UnsetType,
        about(
            "The event of an earlier webhook of the job: the time counts from its end (delivered, failed, canceled or "
            "skipped).",
            examples=["challenge"],
        ),
    ] = UNSET
    plus: Annotated[Time | UnsetType, about("With `ended`: so long after it.", default=DEFAULT_AFTER)] = UNSET


StageTime = Annotated[str, one_of([BEFORE_RESPONSE], DURATION_PATTERN)] | Seconds | StageTimeEntry


class Bodies(Entry):
    """A body: at most one of these keys. The content type follows from it, unless `headers` has one."""

    json: Annotated[
        Any, about("A JSON body: any value. A value that is a single expression keeps its type.", otherwise="no body")
    ] = UNSET
    xml: Annotated[
        Templated | UnsetType,
        about(
            "An XML body: a map with the root element. `@name` is an attribute, `#text` a text beside others, and a "
            "list repeats its element.",
            otherwise="no body",
            examples=[{"Order": {"@id": 7, "Item": ["first", "second"]}}],
        ),
    ] = UNSET
    form: Annotated[
        Templated | UnsetType,
        about(
            "A urlencoded form: a map of its fields. A list sends the field once for each item.", otherwise="no body"
        ),
    ] = UNSET
    text: Annotated[Any, about("A body of plain text.", otherwise="no body")] = UNSET
    file: Annotated[
        str | UnsetType,
        about("The name of a file whose content is the body, relative to the mocks file.", otherwise="no body"),
    ] = UNSET
    multipart: Annotated[
        Templated | UnsetType,
        about(
            "A multipart form: a map of its fields. A field may be a file: `{file, filename, type}`.",
            otherwise="no body",
        ),
    ] = UNSET


ResponseFaultName = Annotated[str, one_of(RESPONSE_FAULTS)]
WebhookFaultName = Annotated[str, one_of(WEBHOOK_FAULTS)]


class FaultEntry(Entry):
    """A fault that happens with some probability, or only a number of times."""

    kind: Annotated[str, about("What goes wrong.")]
    chance: Annotated[float, Meta(ge=0, le=1), about("The probability that it happens, from 0 to 1.", default=1)] = 1.0
    count: Annotated[
        Annotated[int, Meta(ge=1)] | UnsetType,
        about("How many times it happens at most, since the start or an edit of this mock.", otherwise="no limit"),
    ] = UNSET


class ResponseFaultEntry(FaultEntry):
    """A fault of a response that happens with some probability, or only a number of times."""

    kind: Annotated[ResponseFaultName, about("What goes wrong with the response.")]


class WebhookFaultEntry(FaultEntry):
    """A fault of a webhook that happens with some probability, or only a number of times."""

    kind: Annotated[WebhookFaultName, about("What goes wrong with an attempt.")]
