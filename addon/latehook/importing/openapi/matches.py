"""PURE: what `match` and `when` are for an operation of an OpenAPI document."""

import re
from functools import lru_cache
from urllib.parse import parse_qsl, quote

from latehook.base.errors import LatehookError
from latehook.importing.openapi.runtime_expressions import capture, member
from latehook.mocks import matching
from latehook.openapi.operations import Operation, Server

_PARAMETER = re.compile(r"\{([^{}]*)\}")
_SAFE = "/{}:@!$&'()+,;=~%-._"


def server_of(operation: Operation, host: str | None) -> Server:
    """Return where an operation is. `host` is what the user says: HOST, HOST:PORT, or one of both behind a scheme.

    Raises LatehookError if neither the user nor the document names a host.
    """
    first = operation.servers[0]
    if host is None:
        if first.authority:
            return first
        raise LatehookError(f"the document names no host for {operation.name}: name it with --host")
    scheme, _, authority = host.rpartition("://")
    authority = authority.rstrip("/")
    server = next((one for one in operation.servers if one.authority == authority), None)
    if server is None:
        return Server(scheme, authority, first.path)
    return Server(scheme or server.scheme, authority, server.path)


def match_of(operation: Operation, host: str | None) -> tuple[str, str | None]:
    """Return the `match` of an operation, and the condition on the query that its path has (`/token?refresh`).

    Raises LatehookError for a host that cannot be used, ValueError for a method or path that cannot.
    """
    server = server_of(operation, host)
    origin = f"{server.scheme}://{server.authority}" if server.scheme else server.authority
    try:
        matching.parse(f"GET {origin}/")
    except ValueError as error:
        raise LatehookError(f"{error}: name the host with --host") from None
    path, _, rest = operation.path.partition("?")
    text = f"{operation.method} {origin}{server.path}{_captured(path.partition('#')[0])}"
    matching.parse(text)
    return text, _condition(rest.partition("#")[0])


def _captured(path: str) -> str:
    """Return a path with names that `match` takes, each of them once."""
    path = re.sub(r"(?<=/):(\w+)(?=/|$)", r"{\1}", path)
    count: dict[str, int] = {}

    def name(found: re.Match[str]) -> str:
        plain = capture(found[1])
        count[plain] = count.get(plain, 0) + 1
        return f"{{{plain}}}" if count[plain] == 1 else f"{{{plain}_{count[plain]}}}"

    pieces = _PARAMETER.split(path)
    parts = [
        name(_PARAMETER.match(f"{{{piece}}}")) if at % 2 else _literal(piece)  # type: ignore[arg-type]
        for at, piece in enumerate(pieces)
    ]
    return re.sub(r"(?<=\})(?=\{)", "", "".join(parts))


def _literal(text: str) -> str:
    return quote(text, safe=_SAFE.replace("{}", "")).replace("**", "%2A%2A")


def _condition(query: str) -> str | None:
    """Return the condition that a request has this query."""
    conditions = []
    for name, value in parse_qsl(query, keep_blank_values=True):
        read = member("request.query", name)
        is_any = not value or "{" in value or "'" in value or "\\" in value
        conditions.append(f"{read} != none" if is_any else f"{read} == '{value}'")
    return " and ".join(conditions) or None


def order(path: str) -> list[int]:
    """Return a key for sorting: a path whose segments are literal comes before one with parameters that covers it."""
    return [
        0 if "{" not in segment else 2 if re.fullmatch(r"\{[^{}]*\}", segment) else 1 for segment in path.split("/")
    ]


@lru_cache(10_000)
def segments(path: str) -> tuple[str, ...]:
    """Return the segments of a path, without the names of its parameters."""
    return tuple(_PARAMETER.sub("{}", path.partition("?")[0].partition("#")[0]).strip("/").split("/"))


def is_below(path: str, above: str) -> bool:
    """Return whether a path is that of one thing in the collection `above`, or of something of it."""
    below, first = segments(path), segments(above)
    return len(below) > len(first) and below[: len(first)] == first and "{}" in below[len(first)]
