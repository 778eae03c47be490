"""From a query or a body to parameters. A Refusal says which parameter is wrong, its value and the remedy."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from latehook.api.defaults import MOCKS_WITH_FILES
from latehook.base.durations import parse_duration
from latehook.base.json_text import decode_json, encode_json
from latehook.base.text import did_you_mean
from latehook.base.validation import Mismatch, parse_validation_error
from latehook.control.params import MocksQuery, MocksWithFiles, PostedMocks, Variables
from latehook.control.responses import Refusal
from latehook.engine.filters import FILTERS

LONGEST_WAIT = 600.0
"""Seconds that a wait may last."""

SHOWN = 100
"""Characters of a value that an error quotes."""

CURSOR_DIGITS = 18
"""Digits of a cursor: more do not fit into 64 bits."""


def filters_of(params: Struct) -> dict[str, Any]:
    """Return the filters among parameters, by name."""
    return {name: getattr(params, name) for name in FILTERS if hasattr(params, name)}


def wait_seconds(timeout: str | float) -> float:
    """Return a timeout in seconds."""
    try:
        wanted = parse_duration(timeout)
    except ValueError as error:
        raise Refusal(400, f"timeout: {error}") from None
    if wanted > LONGEST_WAIT:
        raise Refusal(400, f"timeout {timeout!r} is too long: at most 10m")
    return wanted


def cursor(after: str | None) -> int | None:
    """Return the key after which a page begins, as the `next` of the page before says it."""
    if after is None:
        return None
    if not (after.isascii() and after.isdigit() and len(after) <= CURSOR_DIGITS):
        raise Refusal(400, f"after {after!r} is no `next` of a list")
    return int(after)


def from_query[Params: Struct](kind: type[Params], pairs: Iterable[tuple[str, str]]) -> Params:
    """Return the parameters of a query. Only `state` may be given several times."""
    given: dict[str, Any] = {}
    for name, value in pairs:
        if name not in given:
            given[name] = value
        elif name == "state":
            given[name] = f"{given[name]},{value}"
        else:
            raise Refusal(400, f"{name} stands twice in the query: {given[name]!r} and {value!r}")
    params = _convert(kind, given, strict=False)
    for name in given:
        if getattr(params, name) is None:  # msgspec reads the text "null" so
            raise Refusal(400, f"{name} null does not fit: leave the parameter out instead")
    return params


def from_body(kind: Any, body: bytes) -> Any:
    """Return the parameters of a JSON body. An empty body is an empty object."""
    try:
        decode = decode_json if kind is Variables else msgspec.json.decode
        given = decode(body) if body.strip() else {}
    except (ValueError, RecursionError) as error:
        raise Refusal(400, f"the body is not JSON: {error}") from None
    if not isinstance(given, dict):
        raise Refusal(400, f"the body is {_shown(given)}: send a JSON object")
    return given if kind is Variables else _convert(kind, given, strict=True)


def mocks_from_body(body: bytes, content_type: str, query: MocksQuery) -> PostedMocks:
    """Return the text of a mocks file, with the files that were sent with it."""
    if _media_type(content_type) == MOCKS_WITH_FILES:
        sent: MocksWithFiles = from_body(MocksWithFiles, body)
        return PostedMocks(sent.mocks, query.file, sent.files)
    try:
        return PostedMocks(body.decode(), query.file, {})
    except UnicodeDecodeError as error:
        raise Refusal(400, f"the body is not UTF-8: {error.reason} at byte {error.start}") from None


def check_content_type(content_type: str, allowed: Sequence[str]) -> None:
    """Check that a body names one of these media types.

    A page of another site cannot send these without asking first (CORS preflight), and is refused then.
    """
    given = _media_type(content_type)
    if given not in allowed:
        problem = f"the content type {given!r} is not supported" if given else "there is no content type"
        raise Refusal(415, f"{problem}: send the header `content-type: {allowed[0]}`")


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _convert[Params: Struct](kind: type[Params], given: dict[str, Any], strict: bool) -> Params:
    try:
        return msgspec.convert(given, kind, strict=strict)
    except msgspec.ValidationError as error:
        raise Refusal(400, _explain(kind, given, parse_validation_error(error))) from None


def _explain(kind: type[Struct], given: dict[str, Any], mismatch: Mismatch) -> str:
    """Return what is wrong with the parameters `given`."""
    if mismatch.unknown is not None:
        known = kind.__struct_fields__
        hint = did_you_mean(mismatch.unknown, known) or (
            f"; there are {', '.join(known)}" if known else "; there are none here"
        )
        return f"there is no parameter {mismatch.unknown!r}{hint}"
    if mismatch.missing is not None:
        return f"the parameter {mismatch.missing!r} is missing"
    name = str(mismatch.path[0])
    return f"{name} {_shown(given.get(name))} does not fit: expected {mismatch.expected}"


def _shown(value: Any) -> str:
    text = encode_json(value).decode()
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
