"""What a mocks file may say: its keys and their types. The JSON Schema for editors is made from them."""

import re
import types
import typing
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from latehook.base.errors import MocksError
from latehook.base.text import did_you_mean
from latehook.mocksfile.source import Path, Source

Duration = str | float
Templated = str | dict[str, Any]
"""A map, or one expression that gives a map."""


class Entry(msgspec.Struct, forbid_unknown_fields=True):
    """A map whose keys are known."""


class Lognormal(Entry):
    """A delay most of which are near the median; sigma is the deviation of its logarithm."""

    median: Duration
    sigma: float


class DelayEntry(Entry):
    """A delay that is drawn anew for each request."""

    uniform: tuple[Duration, Duration] | UnsetType = UNSET
    lognormal: Lognormal | UnsetType = UNSET


class Bodies(Entry):
    """The bodies: at most one of them."""

    json: Any = UNSET
    form: Templated | UnsetType = UNSET
    text: Any = UNSET
    file: str | UnsetType = UNSET
    multipart: Templated | UnsetType = UNSET


class FaultEntry(Entry):
    """A fault that does not always happen: with a chance, or at most so many times."""

    kind: str
    chance: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    count: Annotated[int, msgspec.Meta(ge=1)] | UnsetType = UNSET


class ResponseEntry(Bodies):
    """The keys of a `response`."""

    status: int | str = 200
    headers: Templated = {}
    delay: Duration | DelayEntry | UnsetType = UNSET
    fault: str | FaultEntry | UnsetType | None = UNSET


class RetryEntry(Entry):
    """The keys of a `retry` that is more than a list of waits or a preset's name."""

    waits: list[Duration] | str | UnsetType = UNSET
    success: list[str | int] | UnsetType = UNSET
    stop_on: list[str | int] | UnsetType = UNSET
    retry_after: bool | UnsetType = UNSET


class SignEntry(Entry):
    """The keys of `sign`: a scheme's name and a secret, or the general form; what is given wins over the scheme's."""

    secret: str | list[str | None]
    scheme: str | UnsetType = UNSET
    algorithm: str | UnsetType = UNSET
    secret_encoding: str | UnsetType = UNSET
    message: str | UnsetType = UNSET
    encoding: str | UnsetType = UNSET
    timestamp_format: str | UnsetType = UNSET
    headers: dict[str, str] | UnsetType = UNSET
    fields: dict[str, str] | UnsetType = UNSET
    skew: Duration | UnsetType = UNSET


class WebhookEntry(Bodies):
    """The keys of a `webhook`."""

    to: str | list[str | None] | UnsetType | None = UNSET
    after: Duration | DelayEntry | UnsetType = UNSET
    method: str | UnsetType = UNSET
    headers: Templated | UnsetType = UNSET
    query: Templated | UnsetType = UNSET
    when: str | bool | UnsetType = UNSET
    event: str | UnsetType = UNSET
    retry: str | list[Duration] | RetryEntry | UnsetType = UNSET
    timeout: Duration | UnsetType = UNSET
    sign: SignEntry | UnsetType | None = UNSET
    ordered: bool | str | UnsetType = UNSET
    verify: bool | str | UnsetType = UNSET
    fault: str | FaultEntry | UnsetType | None = UNSET


class StageEntry(Entry):
    """The keys of one of the `stages`."""

    after: Duration | DelayEntry = 0
    status: str | UnsetType = UNSET
    webhook: bool | WebhookEntry = False


class JobEntry(Entry):
    """The keys of a `job`."""

    id: str | UnsetType = UNSET
    vars: Templated = {}
    idempotency_key: str | None = None


class MockEntry(Entry):
    """The keys of one mock."""

    match: str
    name: str | UnsetType = UNSET
    when: str | bool | UnsetType = UNSET
    times: int | str | UnsetType = UNSET
    lookup: str | UnsetType = UNSET
    job: JobEntry | UnsetType = UNSET
    response: Literal["forward"] | ResponseEntry = msgspec.field(default_factory=ResponseEntry)
    stages: list[StageEntry] | UnsetType = UNSET
    webhook: WebhookEntry | UnsetType = UNSET


class Defaults(Entry):
    """The keys of `defaults`: merged under every webhook of the file."""

    webhook: WebhookEntry = msgspec.field(default_factory=WebhookEntry)


class File(Entry):
    """The keys of a mocks file."""

    mocks: list[MockEntry]
    vars: dict[str, Any] = {}
    defaults: Defaults = msgspec.field(default_factory=Defaults)


def convert(source: Source) -> File:
    """A file's data as these types say it must be. MocksError names the place and the did_you_mean valid key."""
    if not isinstance(source.data, dict):
        raise MocksError(source.place(()), "a mocks file is a map with the key `mocks`")
    free = {key: value for key, value in source.data.items() if not key.startswith("x-")}
    try:
        return msgspec.convert(free, File)
    except msgspec.ValidationError as error:
        raise _explained(source, str(error)) from None


def _explained(source: Source, message: str) -> MocksError:
    """msgspec's message in the file's words."""
    problem, _, at = message.partition(" - at `")
    path: Path = tuple(int(index) if index else name for name, index in re.findall(r"\.([^.\[\]`]+)|\[(\d+)\]", at))
    found = re.search(r"field `([^`]+)`", problem)
    if found and "unknown field" in problem:
        keys = _keys_at(path)
        hint = did_you_mean(found[1], keys) or f"; the keys here are {', '.join(keys)}"
        return MocksError(source.place((*path, found[1])), f"the key {found[1]!r} is not known{hint}")
    if found and "missing required" in problem:
        return MocksError(source.place(path), f"the key {found[1]!r} is missing")
    if "Invalid enum value" in problem:
        return MocksError(source.place(path), f"{source.at(path)!r} does not fit here: write a map, or `forward`")
    words = problem.removeprefix("Expected ").replace("`", "").replace(" | ", " or ")
    for theirs, ours in _YAML_WORDS.items():
        words = re.sub(rf"\b{theirs}\b", ours, words)
    return MocksError(source.place(path), f"{_shown(source.at(path))} does not fit here: expected {words}")


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else repr(value)


_YAML_WORDS = {
    **{"array": "a list", "object": "a map", "str": "text", "int or float": "a number"},
    **{"int": "a number", "float": "a number", "bool": "true or false"},
}


def _keys_at(path: Path) -> list[str]:
    """The keys that are known where a path leads."""
    here: list[Any] = [File]
    for part in path:
        step = "list" if isinstance(part, int) else part
        here = [inner for kind in here for inner in _inside(kind, step)]
    return [key for kind in here if _is_entry(kind) for key in kind.__struct_fields__]


def _inside(kind: Any, step: str) -> list[Any]:
    if step == "list":
        return [alternative for item in typing.get_args(kind) for alternative in _alternatives(item)]
    return _alternatives(typing.get_type_hints(kind).get(step)) if _is_entry(kind) else []


def _alternatives(hint: Any) -> list[Any]:
    return list(typing.get_args(hint)) if isinstance(hint, types.UnionType | typing._UnionGenericAlias) else [hint]  # type: ignore[attr-defined]


def _is_entry(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Entry)
