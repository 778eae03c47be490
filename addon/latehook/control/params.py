"""What may be asked for: the parameters of each path, their types, and what is wrong with those that do not fit."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from latehook.base.durations import parse_duration
from latehook.base.text import did_you_mean
from latehook.base.validation import Mismatch, parse_validation_error
from latehook.control.responses import Refusal
from latehook.engine.filters import FILTERS

YAML = ("application/yaml", "application/x-yaml", "text/yaml", "application/json")
"""What posted mocks may be. None of these is one that a web page may send without asking."""

LONGEST_WAIT = 600.0
"""Seconds that a wait may last."""

Limit = Annotated[int, Meta(ge=1, le=1000)]
Text = str | int
"""Ids compare as text: a number will do."""


class Nothing(Struct, forbid_unknown_fields=True):
    """No parameters."""


class Filters(Nothing):
    """Which webhooks, or jobs by their webhooks; none: all. `state`: one or several; `where`: an expression."""

    job: Text | None = None
    mock: str | None = None
    event: str | None = None
    state: str | list[str] | None = None
    where: str | None = None


class Listed(Filters):
    """A page of a list: `after` is the `next` of the one before."""

    limit: Limit = 100
    after: str | None = None


class ListedRequests(Nothing):
    """A page of the list of requests."""

    matched: bool | None = None
    job: Text | None = None
    mock: str | None = None
    where: str | None = None
    limit: Limit = 100
    after: str | None = None


class Waited(Filters):
    """Webhooks to wait for: so many of a state, `delivered` unless given."""

    count: Limit = 1
    timeout: str | float = "10s"


class StatusAfter(Nothing):
    """`after` is a revision: the answer comes when there is another, or the time is over."""

    after: int | None = None
    timeout: str | float = "10s"


class ClockChange(Nothing):
    """One of both: `advance`, for all jobs or for one, and `speed`."""

    advance: str | float | None = None
    job: Text | None = None
    speed: float | None = None


Vars = dict[str, Any]
"""Variables by name; those that are not named keep their values."""


class MocksFile(Nothing):
    """The file that a text is from: errors name it, and the files it names are looked for beside it."""

    file: str | None = None


@dataclass(frozen=True)
class PostedMocks:
    """A mocks file's whole text, in YAML or JSON."""

    text: str
    file: str | None


def filters(asked: Any) -> dict[str, Any]:
    """The filters among parameters, by name."""
    return {name: getattr(asked, name) for name in FILTERS if hasattr(asked, name)}


def wait_seconds(timeout: str | float) -> float:
    try:
        wanted = parse_duration(timeout)
    except ValueError as error:
        raise Refusal(400, f"timeout: {error}") from None
    if wanted > LONGEST_WAIT:
        raise Refusal(400, f"timeout {timeout!r} is too long: at most 10m")
    return wanted


def cursor(after: str | None) -> int | None:
    """The place in a list that a `next` means."""
    if after is None:
        return None
    if not (after.isascii() and after.isdigit() and len(after) < 19):
        raise Refusal(400, f"after {after!r} is no `next` of a list")
    return int(after)


def from_query[Asked: Struct](kind: type[Asked], pairs: Iterable[tuple[str, str]]) -> Asked:
    """The parameters in a query. Only `state` may stand several times."""
    given: dict[str, Any] = {}
    for name, value in pairs:
        if name not in given:
            given[name] = value
        elif name == "state":
            given[name] = f"{given[name]},{value}"
        else:
            raise Refusal(400, f"{name} stands twice in the query: {given[name]!r} and {value!r}")
    return _convert(kind, given, strict=False)


def from_body(kind: Any, body: bytes) -> Any:
    """The parameters in a JSON body; none where it is empty."""
    try:
        given = msgspec.json.decode(body) if body.strip() else {}
    except (msgspec.DecodeError, RecursionError) as error:
        raise Refusal(400, f"the body is not JSON: {error}") from None
    if not isinstance(given, dict):
        raise Refusal(400, f"the body is {_shown(given)}: send a JSON object")
    return given if kind is Vars else _convert(kind, given, strict=True)


def mocks_from_body(body: bytes, query: MocksFile) -> PostedMocks:
    try:
        return PostedMocks(body.decode(), query.file)
    except UnicodeDecodeError as error:
        raise Refusal(400, f"the body is not UTF-8: {error.reason} at byte {error.start}") from None


def check_type(content_type: str, wanted: Sequence[str]) -> None:
    """A body says what it is. A web page of somebody else's cannot send it so without asking first, and is refused."""
    given = content_type.partition(";")[0].strip().lower()
    if given not in wanted:
        said = f"the content type {given!r} does not do" if given else "there is no content type"
        raise Refusal(415, f"{said}: send the header `content-type: {wanted[0]}`")


def _convert[Asked: Struct](kind: type[Asked], given: dict[str, Any], strict: bool) -> Asked:
    try:
        return msgspec.convert(given, kind, strict=strict)
    except msgspec.ValidationError as error:
        raise Refusal(400, _explained(kind, given, parse_validation_error(error))) from None


def _explained(kind: type[Struct], given: dict[str, Any], mismatch: Mismatch) -> str:
    """Return what is wrong with the parameters `given`."""
    if mismatch.unknown is not None:
        known = kind.__struct_fields__
        hint = did_you_mean(mismatch.unknown, known) or (
            f"; there are {', '.join(known)}" if known else "; there are none here"
        )
        return f"there is no parameter {mismatch.unknown!r}{hint}"
    name = str(mismatch.path[0])
    return f"{name} {_shown(given.get(name))} does not fit: expected {mismatch.expected}"


def _shown(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 100 else f"{text[:100]}…"
