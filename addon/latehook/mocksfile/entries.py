"""The keys of a mocks file: their types, and what each means. The JSON Schema for editors is made of them."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from latehook.mocksfile.shared_entries import (
    DEFAULT_AFTER,
    Bodies,
    Entry,
    ResponseFaultEntry,
    ResponseFaultName,
    StageTime,
    Time,
)
from latehook.mocksfile.value_types import Match, ResponseStatus, Templated, Times, about, one_of
from latehook.mocksfile.webhook_entries import WebhookEntry
from latehook.mocksfile.words import VALIDATE_MODES


class ResponseEntry(Bodies):
    """What the client gets."""

    status: Annotated[ResponseStatus, about("The status code, from 200 to 599.", default=200)] = 200
    headers: Annotated[
        Templated,
        about("A map of headers. Null leaves a header out; a list sends it once for each item."),
    ] = msgspec.field(default_factory=dict)
    delay: Annotated[
        Time | UnsetType,
        about(
            "How long the response waits, in real time: `mock_speed` does not change it. An expression gives seconds "
            "or a duration.",
            examples=["200ms"],
        ),
    ] = UNSET
    until: Annotated[
        str | bool | UnsetType,
        about(
            "An expression (the braces may be left out): the response is sent once it holds, at the latest after "
            "`delay`. It is computed when something has changed, or a stage is reached.",
            otherwise="the response waits for the whole `delay`",
            examples=["job.status == 'done'"],
        ),
    ] = UNSET
    fault: Annotated[
        ResponseFaultName | ResponseFaultEntry | UnsetType | None,
        about("What goes wrong with the response on purpose. The job starts nevertheless.", otherwise="none"),
    ] = UNSET


class ChoiceEntry(ResponseEntry):
    """One of several responses."""

    when: Annotated[
        str | bool | UnsetType,
        about(
            "A condition; the braces may be left out. The first response whose condition holds is given. The last one "
            "has none.",
            otherwise="it always holds",
        ),
    ] = UNSET
    rejects: Annotated[
        bool,
        about("Whether the job that the request has started is taken back, as if it had never been.", default=False),
    ] = False


class RepeatEntry(Entry):
    """How a stage sends its webhook again and again."""

    every: Annotated[Time, about("The time between two webhooks.", examples=["10s"])]
    times: Annotated[
        Times | UnsetType,
        about(
            "How many webhooks there are, at most 1,000. An expression is computed at the request, and may give 0.",
            otherwise="until the next stage",
            examples=[5],
        ),
    ] = UNSET


Each = Annotated[
    list[Any] | str | UnsetType,
    about(
        "A list, or an expression that gives one (the braces may be left out): the webhook beside it is sent once for "
        "each item, at most 1,000. Its expressions see `item`, and `index`, which counts from 0.",
        otherwise="one webhook",
        examples=["request.json.recipients"],
    ),
]


class StageEntry(Entry):
    """A moment in a job's life."""

    after: Annotated[
        StageTime,
        about(
            "When the stage is reached, counted from the end of the request. An expression gives seconds or a "
            "duration. `before-response`: before the response is sent.",
            default=DEFAULT_AFTER,
            examples=["65s"],
        ),
    ] = DEFAULT_AFTER
    status: Annotated[str | UnsetType, about("`job.status` from this stage on.", otherwise="as before")] = UNSET
    webhook: Annotated[
        bool | WebhookEntry,
        about(
            "`true` sends the mock's `webhook`. A map sends it with changes: `headers` and `query` are merged by name, "
            "other keys are replaced.",
            otherwise="none",
        ),
    ] = False
    each: Each = UNSET
    repeat: Annotated[
        RepeatEntry | UnsetType,
        about(
            "The stage's webhook is sent again and again. Its expressions see `index`, which counts from 0.",
            otherwise="once",
        ),
    ] = UNSET


class JobEntry(Entry):
    """What the job of an answered request has."""

    id: Annotated[str | UnsetType, about("The id, compared as text.", otherwise="a version 4 UUID")] = UNSET
    vars: Annotated[
        Templated, about("Values that are computed once, at the request. Expressions read them as `job.vars.NAME`.")
    ] = msgspec.field(default_factory=dict)
    idempotency_key: Annotated[
        str | None,
        about(
            "An expression. If this mock has seen its value before, it sends the same response again and starts no "
            "job. Null: no check.",
        ),
    ] = None


Validate = Annotated[str, one_of(VALIDATE_MODES)]
_VALIDATE = "Whether requests are compared with the file's `openapi` document."


class MockEntry(Entry):
    """Which requests are answered, with what, and what follows."""

    match: Annotated[
        Match,
        about(
            "Which requests the mock answers: `METHOD[|METHOD…] [scheme://]host[:port]/path`. `ANY` is every method, "
            "`*.` in front of the host every subdomain. `{name}` captures a part of the path, `**` at its end captures "
            "the rest.",
            examples=["POST https://api.slow.example/jobs", "GET https://api.slow.example/jobs/{id}"],
        ),
    ]
    name: Annotated[str | UnsetType, about("The mock's name in messages and filters.", otherwise="the `match`")] = UNSET
    when: Annotated[
        str | bool | UnsetType,
        about(
            "A condition; the braces may be left out. If it is false, the next mock is tried.",
            examples=["request.json.url is string"],
        ),
    ] = UNSET
    validate: Annotated[Validate | UnsetType, about(_VALIDATE, otherwise="that of `defaults`, or `off`")] = UNSET
    times: Annotated[
        Times | UnsetType, about("After so many requests, the next mock is tried.", otherwise="no limit")
    ] = UNSET
    lookup: Annotated[
        str | UnsetType,
        about(
            "An expression that gives a job's id: the mock answers for the newest job with this id. If there is none, "
            "the next mock is tried, and in the end the answer is 404.",
            examples=["request.path.id"],
        ),
    ] = UNSET
    job: Annotated[JobEntry | UnsetType, about("The job that the request starts.")] = UNSET
    response: Annotated[
        Literal["forward"] | ResponseEntry | list[ChoiceEntry],
        about(
            "What the client gets; `forward` sends the request to the real service. A list: the first one whose `when` "
            "holds. It is chosen after the webhooks before the response.",
            otherwise="200, empty",
        ),
    ] = msgspec.field(default_factory=ResponseEntry)
    stages: Annotated[
        list[StageEntry] | UnsetType, about("The stages of the job, in the order in which they are reached.")
    ] = UNSET
    webhook: Annotated[
        WebhookEntry | UnsetType,
        about(
            "A request to your system. Without `stages` it is sent once, at `after`, and the job gets its `status`; "
            "with `stages` it is sent by those that have `webhook: true` or a map."
        ),
    ] = UNSET
    each: Each = UNSET


class Defaults(Entry):
    """Keys that are added to entries of this file."""

    webhook: Annotated[WebhookEntry, about("Keys for every webhook of this file that does not set them itself.")] = (
        msgspec.field(default_factory=WebhookEntry)
    )
    validate: Annotated[Validate, about("`validate` of every mock that does not set it itself.", default="off")] = "off"


class File(Entry):
    """A mocks file. Keys that begin with `x-` are ignored: a place for YAML anchors."""

    mocks: Annotated[list[MockEntry], about("The mocks. The first one that matches a request answers it.")]
    vars: Annotated[
        dict[str, Any], about("Variables, `{{ vars.NAME }}`, with the values that they have at the start.")
    ] = msgspec.field(default_factory=dict)
    openapi: Annotated[
        str | UnsetType,
        about("An OpenAPI document, with which `validate` compares requests. Relative to this file.", otherwise="none"),
    ] = UNSET
    defaults: Annotated[Defaults, about("Keys for every webhook of this file.")] = msgspec.field(
        default_factory=Defaults
    )
