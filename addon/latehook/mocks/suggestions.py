"""PURE: for a request that no mock matched, the text of a mocks file with a mock that takes it."""

import json
import re
from collections.abc import Callable, Mapping
from urllib.parse import quote, unquote

from latehook.base.errors import BodyError
from latehook.base.hostnames import DEFAULT_PORTS, canonical_host, host_in_url
from latehook.base.messages import Request
from latehook.expressions.views import RequestView
from latehook.mocks.matching import Matcher, parse
from latehook.mocks.near_misses import difference

LONGEST_PATH = 500
"""Characters of a path that a suggestion has. `**` stands for the rest of a longer one."""

_ID = re.compile(r"\d+|[0-9a-fA-F]{16,}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[a-z]{1,8}_\w*\d\w*")
"""A segment of a path that is probably an id: digits, a hash, a UUID, or as in `tr_1x9`."""

_CALLBACK = re.compile("callback|hook|notif", re.IGNORECASE)
"""In names by which requests give the URL to which a webhook is to be sent."""

LONGEST_NAME = 40
"""Characters of such a name."""

_URL = re.compile(r"https?://", re.IGNORECASE)

_NEEDS_NO_QUOTES = re.compile(r"[A-Z]+ https?://[\w.-]+(:\d+)?[\w./%~{}-]*")
"""A `match` that YAML reads as text as it stands."""


def suggest(request: Request, redact: Callable[[str], str]) -> str | None:
    """Return the text of a mocks file with one mock that takes a request, or None if no mock can take it.

    A segment of the path that looks like an id, or that `redact` changes because it holds a secret, is a capture. If
    the request gives a URL for a webhook, the mock sends one there.
    """
    path, id_name = _path(request.path, redact)
    port = "" if request.port == DEFAULT_PORTS.get(request.scheme) else f":{request.port}"
    rest = f"{request.scheme}://{host_in_url(canonical_host(request.host))}{port}{path}"
    matcher = _parsed(f"{_method(request.method)} {rest}") or _parsed(f"ANY {rest}")
    if matcher is None or difference(matcher, request) is not None:
        return None
    text = _text(matcher.text, _callback(request), id_name, is_read=request.method in ("GET", "HEAD"))
    return text if redact(text) == text else None


def _parsed(match: str) -> Matcher | None:
    try:
        return parse(match)
    except ValueError:
        return None


def _method(method: str) -> str:
    """Return how `match` names a method: one that it cannot name is one of ANY."""
    if method == "HEAD":
        return "GET"  # a GET mock also answers HEAD
    return method if re.fullmatch("[A-Z]+", method) else "ANY"


def _path(path: str, redact: Callable[[str], str]) -> tuple[str, str | None]:
    """Return how `match` writes a path, and the name of the last capture that is an id."""
    written, id_name = "", None
    for number, segment in enumerate(path.split("/")[1:], start=1):
        if len(written) + len(segment) > LONGEST_PATH:
            return f"{written}/**", id_name
        plain = unquote(segment, errors="surrogateescape")
        if _ID.fullmatch(plain):
            id_name = "id" if id_name is None else f"id_{number}"
            written += f"/{{{id_name}}}"
        elif redact(segment) != segment or redact(plain) != plain:
            written += f"/{{part_{number}}}"
        else:
            written += "/" + _literal(plain)
    return written, id_name


def _literal(segment: str) -> str:
    """Return a decoded segment as `match` writes it: what has a meaning there is escaped."""
    safe = "!$&'()+,;=@" + ("" if segment.startswith(":") else ":")
    return quote(segment, safe=safe, errors="surrogateescape")


def _callback(request: Request) -> str | None:
    """Return the expression for the URL that a request gives for a webhook, or None if it gives none."""
    view = RequestView(request)
    is_compressed = any(name.lower() == b"content-encoding" for name, _ in request.headers)
    for kind in ("query",) if is_compressed else ("query", "json", "form"):
        try:
            members = getattr(view, kind)
        except BodyError:  # the body was not kept, or is not what its content type says
            continue
        for name, value in members.items() if isinstance(members, Mapping) else ():
            if isinstance(value, str) and _URL.match(value) and _names_callback(name):
                return f"request.{kind}.{name}"
    return None


def _names_callback(name: str) -> bool:
    is_simple = len(name) <= LONGEST_NAME and name.isascii() and name.isidentifier()
    return is_simple and _CALLBACK.search(name) is not None


def _text(match: str, callback: str | None, id_name: str | None, is_read: bool) -> str:
    """Return a mocks file with one mock. `is_read` says that the request only reads: it is without a webhook then."""
    lines = ["mocks:", f"  - match: {match if _NEEDS_NO_QUOTES.fullmatch(match) else json.dumps(match)}"]
    if callback is not None:
        lines.append("    response: {json: {id: '{{ job.id }}', status: accepted}}")
        lines.append(
            f"    webhook: {{after: 5s, to: '{{{{ {callback} }}}}', json: {{id: '{{{{ job.id }}}}', status: done}}}}"
        )
    elif id_name is not None:
        lines.append(f"    response: {{json: {{id: '{{{{ request.path.{id_name} }}}}', status: done}}}}")
    else:
        lines.append("    response: {json: {status: done}}")
    if callback is None and not is_read:
        lines.append("    # webhook: {after: 5s, to: 'http://127.0.0.1:9000/', json: {status: done}}")
    return "\n".join(lines) + "\n"
