"""The keys of a `webhook`, with its `retry`: their types, and what each means."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from latehook.base.model import COMPLETED
from latehook.mocksfile.shared_entries import (
    DEFAULT_AFTER,
    Bodies,
    Entry,
    StageTime,
    WebhookFaultEntry,
    WebhookFaultName,
)
from latehook.mocksfile.sign_entries import SignEntry
from latehook.mocksfile.value_types import (
    Duration,
    Method,
    OnlyExpression,
    StatusPattern,
    Templated,
    Url,
    about,
    one_of,
)
from latehook.mocksfile.words import describe_retry
from latehook.webhooks.retries import DEFAULT_RETRY, RETRY_SCHEDULES

DEFAULT_METHOD = "POST"
DEFAULT_TIMEOUT = "15s"
MAX_REDIRECTS = 20
DEFAULT_WAITS = [f"{wait:g}s" for wait in DEFAULT_RETRY.waits]

RetryPreset = Annotated[str, one_of({name: describe_retry(schedule) for name, schedule in RETRY_SCHEDULES.items()})]


class RetryEntry(Entry):
    """A retry schedule with its statuses."""

    waits: Annotated[
        list[Duration] | RetryPreset | UnsetType,
        about(
            "The durations between attempts, or a preset, which then also gives the defaults of the other keys.",
            default=DEFAULT_WAITS,
        ),
    ] = UNSET
    success: Annotated[
        list[StatusPattern] | UnsetType,
        about("The statuses that mean that the webhook is delivered.", default=list(DEFAULT_RETRY.success)),
    ] = UNSET
    stop_on: Annotated[
        list[StatusPattern] | UnsetType,
        about("The statuses after which there is no further attempt.", default=list(DEFAULT_RETRY.stop_on)),
    ] = UNSET
    retry_after: Annotated[
        bool | UnsetType,
        about(
            "Whether to wait as long as the receiver's Retry-After header says, if that is longer than the next wait; "
            "at most a day.",
            default=DEFAULT_RETRY.retry_after,
        ),
    ] = UNSET


class WebhookEntry(Bodies):
    """A request that Latehook sends to your system."""

    to: Annotated[
        Url | list[Url | None] | UnsetType | None,
        about("The URL that it goes to; a list makes one webhook for each URL. Null: it is skipped."),
    ] = UNSET
    after: Annotated[
        StageTime | UnsetType,
        about(
            "When it is sent, counted from the end of the request; an expression gives seconds or a duration. "
            "`before-response`: before the response is sent. Only in a mock without `stages`.",
            default=DEFAULT_AFTER,
            examples=["65s"],
        ),
    ] = UNSET
    status: Annotated[
        str | UnsetType,
        about("`job.status` from the time of the webhook on. Only in a mock without `stages`.", default=COMPLETED),
    ] = UNSET
    method: Annotated[Method | UnsetType, about("The HTTP method.", default=DEFAULT_METHOD, examples=["PUT"])] = UNSET
    headers: Annotated[
        Templated | UnsetType,
        about("A map of headers. Null leaves a header out; a list sends it once for each item."),
    ] = UNSET
    query: Annotated[
        Templated | UnsetType,
        about(
            "A map of parameters, added to the query of the URL. A null from an expression is an empty value; a "
            "literal null leaves the name out."
        ),
    ] = UNSET
    when: Annotated[
        str | bool | UnsetType,
        about(
            "A condition, decided at the request; the braces may be left out. If it is false, the webhook is skipped."
        ),
    ] = UNSET
    event: Annotated[
        str | UnsetType, about("A name by which tests can select the webhook.", otherwise="the stage's status")
    ] = UNSET
    retry: Annotated[
        RetryPreset | list[Duration] | RetryEntry | UnsetType,
        about(
            "When failed attempts are repeated: the durations between attempts, a preset, or a map.",
            default=DEFAULT_WAITS,
            examples=["stripe"],
        ),
    ] = UNSET
    timeout: Annotated[
        Duration | UnsetType,
        about("The longest duration of one attempt, from the connection to the whole answer.", default=DEFAULT_TIMEOUT),
    ] = UNSET
    sign: Annotated[SignEntry | UnsetType | None, about("How it is signed.", otherwise="none")] = UNSET
    ordered: Annotated[
        bool | OnlyExpression | UnsetType,
        about("Whether the first attempts of a job's webhooks are made in the order of the stages.", default=True),
    ] = UNSET
    verify: Annotated[
        bool | str | UnsetType,
        about(
            "Whether the receiver's certificate is verified; or the name of a file with the CA that has signed it, "
            "relative to the mocks file.",
            default=True,
        ),
    ] = UNSET
    redirects: Annotated[
        Annotated[int, Meta(ge=0, le=MAX_REDIRECTS)] | UnsetType,
        about(
            f"How many redirects of the receiver an attempt follows, at most {MAX_REDIRECTS}. 307 and 308 repeat the "
            "request, 301, 302 and 303 make it a GET without a body.",
            default=0,
        ),
    ] = UNSET
    fault: Annotated[
        WebhookFaultName | WebhookFaultEntry | UnsetType | None,
        about("What goes wrong with an attempt on purpose.", otherwise="none"),
    ] = UNSET
