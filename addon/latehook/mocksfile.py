"""From YAML to checked, compiled mocks. Every error names file, line and key, the value and the remedy."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from latehook import matching, service
from latehook.expressions import Compiler, Names, nearest, roots_of
from latehook.model import MocksError, Place
from latehook.scope import AT_LOAD, WITH_JOB, WITHOUT_JOB, reads_body
from latehook.source import Path as At
from latehook.source import Source

DEFAULT_RETRY = ("1s", "5s", "15s")
DEFAULT_TIMEOUT = "15s"
BODY_KINDS = ("json", "form", "text")


class ResponseEntry(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The keys of a `response`."""

    status: int | str = 200
    headers: dict[str, Any] = {}
    json: Any = msgspec.UNSET
    text: Any = msgspec.UNSET


class WebhookEntry(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The keys of a `webhook`."""

    to: str | None
    after: str | float = 0
    method: str = "POST"
    headers: dict[str, Any] = {}
    query: dict[str, Any] = {}
    json: Any = msgspec.UNSET
    form: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    retry: tuple[str | float, ...] = DEFAULT_RETRY
    timeout: str | float = DEFAULT_TIMEOUT


class MockEntry(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The keys of one mock."""

    match: str
    response: ResponseEntry | Literal["forward"] = ResponseEntry()
    webhook: WebhookEntry | None = None


class File(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The keys of a mocks file."""

    mocks: list[MockEntry]


_TYPES: dict[str, type[msgspec.Struct]] = {
    "$": File,
    "$.mocks[]": MockEntry,
    "$.mocks[].response": ResponseEntry,
    "$.mocks[].webhook": WebhookEntry,
}


def load(files: Sequence[Path], env: Mapping[str, str]) -> service.Mocks:
    """The mocks of all files, in order. MocksError for the first thing that is wrong."""
    compiler = Compiler(env)
    return service.Mocks(mock for file in files for mock in _load_file(file, compiler))


def _load_file(file: Path, compiler: Compiler) -> list[service.Mock]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise MocksError(Place(str(file), 1), f"cannot be read: {reason}") from None
    source = Source(str(file), text)
    return [_Mock(source, compiler, at, entry).compile() for at, entry in enumerate(_convert(source).mocks)]


def seconds(duration: str | float) -> float:
    """`250ms`, `65s`, `1m30s`, `2h`, `5d`, or a number of seconds. ValueError says what to write."""
    if isinstance(duration, (int, float)) and not isinstance(duration, bool):
        if 0 <= duration < float("inf"):
            return float(duration)
    elif isinstance(duration, str) and (found := _DURATION.fullmatch(duration.strip())) and found[0].strip():
        if found["number"]:
            return float(found["number"])
        return sum(float(found[unit] or 0) * size for unit, size in _UNITS.items())
    raise ValueError(f"{duration!r} is not a duration: write 250ms, 65s, 1m30s, 2h, 5d or a number of seconds")


_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1, "ms": 0.001}
_DURATION = re.compile(
    r"(?P<number>\d+(?:\.\d+)?)|" + "".join(rf"(?:(?P<{unit}>\d+(?:\.\d+)?){unit})?\s*" for unit in _UNITS)
)


def _convert(source: Source) -> File:
    """A file's data as the types above say it must be."""
    if not isinstance(source.data, dict):
        raise MocksError(source.place(()), "a mocks file is a map with the key `mocks`")
    free = {key: value for key, value in source.data.items() if not key.startswith("x-")}
    try:
        return msgspec.convert(free, File)
    except msgspec.ValidationError as error:
        raise _explained(source, str(error)) from None


def _explained(source: Source, message: str) -> MocksError:
    """msgspec's message, with the file's words for the place and the nearest valid key."""
    problem, _, at = message.partition(" - at `")
    at = at.rstrip("`").replace("key` in `", "") or "$"
    path = tuple(int(index) if index else name for name, index in re.findall(r"\.([^.\[\]]+)|\[(\d+)\]", at))
    found = re.search(r"field `([^`]+)`", problem)
    entry = _TYPES.get(re.sub(r"\[\d+\]", "[]", at))
    if found and "unknown field" in problem and entry is not None:
        keys = entry.__struct_fields__
        hint = nearest(found[1], keys) or f"; the keys here are {', '.join(keys)}"
        return MocksError(source.place((*path, found[1])), f"the key {found[1]!r} is not known{hint}")
    if found and "missing required" in problem:
        return MocksError(source.place(path), f"the key {found[1]!r} is missing")
    words = problem.removeprefix("Expected ").replace("`", "").replace(" | ", " or ")
    for theirs, ours in _YAML_WORDS.items():
        words = re.sub(rf"\b{theirs}\b", ours, words)
    return MocksError(source.place(path), f"{source.at(path)!r} does not fit here: expected {words}")


_YAML_WORDS = {"array": "a list", "object": "a map", "str": "text", "int": "a number", "float": "a number"}


class _Mock:
    """Compiles one entry of a file."""

    def __init__(self, source: Source, compiler: Compiler, at: int, entry: MockEntry) -> None:
        self._source = source
        self._compiler = compiler
        self._entry = entry
        self._path: At = ("mocks", at)

    def compile(self) -> service.Mock:
        entry = self._entry
        forwards = entry.response == "forward"
        if forwards and entry.webhook is not None:
            raise self._error(("webhook",), "`response: forward` stands alone: a forwarded request starts no job")
        names = WITH_JOB if entry.webhook is not None else WITHOUT_JOB
        return service.Mock(
            matcher=self._match(),
            place=self._source.place(self._path),
            definition=self._source.fingerprint(self._path),
            scope=self._compiler.scope(),
            response=None if isinstance(entry.response, str) else self._response(entry.response, names),
            webhook=None if entry.webhook is None else self._webhook(entry.webhook),
        )

    def _match(self) -> matching.Matcher:
        text = self._constant(self._entry.match, ("match",))
        try:
            return matching.parse(str(text))
        except ValueError as error:
            raise self._error(("match",), str(error)) from None

    def _response(self, entry: ResponseEntry, names: Names) -> service.ResponsePlan:
        status = self._constant(entry.status, ("response", "status"))
        if isinstance(status, str) and status.isdigit():
            status = int(status)
        if not isinstance(status, int) or isinstance(status, bool) or not 200 <= status <= 599:
            raise self._error(("response", "status"), f"{status!r} is not a status: write a number from 200 to 599")
        return service.ResponsePlan(
            status=status,
            headers=self._headers(entry.headers, ("response", "headers"), names),
            body=self._body(entry, ("response",), names),
            place=self._place(("response",)),
        )

    def _webhook(self, entry: WebhookEntry) -> service.WebhookPlan:
        at: At = ("webhook",)
        to = self._compile(entry.to, (*at, "to"), WITH_JOB)
        if isinstance(to, str):
            self._check_url(to, (*at, "to"))
        headers = self._headers(entry.headers, (*at, "headers"), WITH_JOB)
        query = {name: value for name, value in entry.query.items() if value is not None}
        query = self._compile(query, (*at, "query"), WITH_JOB)
        body = self._body(entry, at, WITH_JOB)
        return service.WebhookPlan(
            after=self._seconds(entry.after, (*at, "after")),
            to=to,
            method=self._method(entry.method),
            headers=headers,
            query=query,
            body=body,
            retry=tuple(self._seconds(wait, (*at, "retry", n)) for n, wait in enumerate(entry.retry)),
            timeout=self._timeout(entry.timeout),
            place=self._place(at),
            reads_body=reads_body(roots_of([headers, query, body.value if body else None])),
        )

    def _timeout(self, timeout: str | float) -> float:
        value = self._seconds(timeout, ("webhook", "timeout"))
        if value == 0:
            raise self._error(("webhook", "timeout"), "a timeout of 0 fails every attempt: write 15s, or leave it out")
        return value

    def _method(self, method: str) -> str:
        method = str(self._constant(method, ("webhook", "method")))
        if not re.fullmatch(r"[A-Za-z]+", method):
            raise self._error(
                ("webhook", "method"), f"{method!r} is not a method: write GET, POST, PUT, PATCH or DELETE"
            )
        return method.upper()

    def _check_url(self, url: str, at: At) -> None:
        if not re.match(r"https?://[^/?#\s]+", url, re.IGNORECASE):
            raise self._error(at, f"{url!r} is not a URL: write http://host[:port]/path")

    def _body(self, entry: ResponseEntry | WebhookEntry, at: At, names: Names) -> service.BodyPlan | None:
        kinds = [kind for kind in BODY_KINDS if getattr(entry, kind, msgspec.UNSET) is not msgspec.UNSET]
        if len(kinds) > 1:
            raise self._error((*at, kinds[1]), f"a body is one of {', '.join(BODY_KINDS)}: {kinds[0]} stands here too")
        if not kinds:
            return None
        value = getattr(entry, kinds[0])
        if kinds == ["form"]:
            value = {name: item for name, item in value.items() if item is not None}
        place = (*at, kinds[0])
        return service.BodyPlan(kinds[0], self._compile(value, place, names), self._place(place))

    def _headers(self, headers: dict[str, Any], at: At, names: Names) -> dict[str, Any]:
        for name in headers:
            if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
                raise self._error((*at, name), f"{name!r} is not a header's name")
            if name.lower() in ("content-length", "transfer-encoding"):
                raise self._error((*at, name), f"{name} follows from the body: leave it out")
        compiled = self._compile(headers, at, names)
        assert isinstance(compiled, dict)
        return compiled

    def _seconds(self, duration: str | float, at: At) -> float:
        try:
            return seconds(self._constant(duration, at))
        except ValueError as error:
            raise self._error(at, str(error)) from None

    def _constant(self, value: Any, at: At) -> Any:
        """A value that must be known at load: of all names only `env` may stand in it."""
        return self._compile(value, at, AT_LOAD)

    def _compile(self, value: Any, at: At, names: Names) -> Any:
        if isinstance(value, str):
            return self._compiler.compile(value, self._place(at), names)
        if isinstance(value, dict):
            return {key: self._compile(item, (*at, key), names) for key, item in value.items()}
        if isinstance(value, list):
            return [self._compile(item, (*at, n), names) for n, item in enumerate(value)]
        return value

    def _place(self, at: At) -> Place:
        return self._source.place((*self._path, *at))

    def _error(self, at: At, problem: str) -> MocksError:
        return MocksError(self._place(at), problem)
