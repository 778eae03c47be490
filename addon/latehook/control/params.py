"""The parameters of each operation, in its query or its JSON body.

The docstring below a field is its description in the OpenAPI document too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import Meta, Struct

from latehook.api.defaults import LONGEST_PAGE, WAIT_TIMEOUT

Id = Annotated[str | int, Meta(examples=["4a3a6ff5-1f5b-4d8e-9a53-0b6a7f1c2d3e"])]
"""Ids compare as text: a number will do."""

Duration = Annotated[str | float, Meta(examples=["10s", 0.5])]
"""Text such as `250ms`, `65s` or `1m30s`, or a number of seconds."""

StateName = Annotated[str, Meta(extra_json_schema={"$ref": "#/components/schemas/State"})]
"""A state by its name: one that is not known is reported with the names that are."""

Expression = Annotated[str, Meta(examples=["request.json.order == 'o-17'"])]
Limit = Annotated[int, Meta(ge=1, le=LONGEST_PAGE)]


class NoParameters(Struct, forbid_unknown_fields=True):
    """Nothing: the operation takes no parameters here."""


class Filters(NoParameters):
    """Which webhooks an operation concerns, or which jobs, by their webhooks. Without any filter: all."""

    job: Id | None = None
    """Only the job with this id, and its webhooks."""
    mock: Annotated[str, Meta(examples=["create transcript"])] | None = None
    """Only jobs that the mock with this name started, and their webhooks."""
    event: Annotated[str, Meta(examples=["completed"])] | None = None
    """Only webhooks with this event; of jobs, those that have such a webhook."""
    state: str | list[StateName] | None = None
    """Only webhooks in this state, or in one of several; of jobs, those that have such a webhook. The states are
    `pending`, `held`, `delivering`, `delivered`, `failed`, `canceled` and `skipped`. Separate several by commas."""
    where: Expression | None = None
    """Only those for which this expression is true. It sees `request` (the job's), `job`, `vars` without secrets, and
    `now`; of webhooks also `webhook`, `item` and `index`."""


class JobQuery(NoParameters):
    """Which of the jobs with the same id."""

    number: int | None = None
    """The `number` of the job. Without it: the newest job with the id."""


class ListQuery(Filters):
    """Which jobs or webhooks to list, page by page."""

    limit: Limit = 100
    """How many items the page holds at most."""
    after: str | None = None
    """The `next` of the page before this one."""


class PageQuery(NoParameters):
    """Which page of a list."""

    limit: Limit = 100
    """How many items the page holds at most."""
    after: str | None = None
    """The `next` of the page before this one."""


class RequestsQuery(NoParameters):
    """Which requests to list, page by page."""

    matched: bool | None = None
    """True: only requests that a mock matched. False: only those that no mock matched."""
    valid: bool | None = None
    """False: only requests that do not fit the OpenAPI document of their mock. True: only the others."""
    job: Id | None = None
    """Only requests that started the job with this id, or asked for it."""
    mock: Annotated[str, Meta(examples=["create transcript"])] | None = None
    """Only requests that the mock with this name matched."""
    where: Expression | None = None
    """Only those for which this expression is true. It sees `request`, `vars` without secrets, and `now`."""
    limit: Limit = 100
    """How many items the page holds at most."""
    after: str | None = None
    """The `next` of the page before this one."""


class WaitQuery(Filters):
    """Which webhooks to wait for."""

    state: str | list[StateName] | None = None
    """The state to wait for, or several, separated by commas: `pending`, `held`, `delivering`, `delivered`, `failed`,
    `canceled` or `skipped`. Without it: `delivered`."""
    count: Limit = 1
    """How many webhooks must be in this state."""
    timeout: Duration = WAIT_TIMEOUT
    """How long to wait, in real time: text such as `250ms` or `1m30s`, or a number of seconds; at most `10m`."""


class StatusQuery(NoParameters):
    """Whether to wait for a change."""

    after: int | None = None
    """The `revision` of an earlier answer: the answer comes once there is another revision. Without it: at once."""
    timeout: Duration = WAIT_TIMEOUT
    """How long to wait, in real time: text such as `250ms` or `1m30s`, or a number of seconds; at most `10m`. The
    answer comes then all the same."""


class ClockChange(NoParameters):
    """One change of the clock: either `advance` or `speed`."""

    advance: Duration | None = None
    """How far to move the clock forward: text such as `65s` or `2h`, or a number of seconds."""
    job: Id | None = None
    """With `advance`: move only the clock of the job with this id."""
    speed: float | None = None
    """How many seconds of Latehook's clock pass in one second of real time, for all jobs: more than 0."""


Variables = dict[str, Any]
"""Variables by name."""


class MocksQuery(NoParameters):
    """Where the mocks are from."""

    file: str | None = None
    """The path of the file that the text is from. Errors name it."""


@dataclass(frozen=True)
class PostedMocks:
    """The whole text of a mocks file, in YAML or JSON. `file` is the path that it is from.

    `files` are the contents of the files that the text names.
    """

    text: str
    file: str | None
    files: Mapping[str, bytes]


class MocksWithFiles(NoParameters):
    """The text of a mocks file, and the files that it names."""

    mocks: str
    """The text of the mocks file."""
    files: dict[str, bytes] = {}
    """The contents of the files in base64, by their names as the text has them."""
