"""PURE: what may tie two exchanges: ids, URLs and texts that both have."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from latehook.base.hostnames import canonical_host
from latehook.base.urls import origin_of, path_of, query_of, split_url
from latehook.importing.exchanges import LOCATIONS, Exchange, KeyPath, leaves, mentions
from latehook.importing.shapes import is_id_key, is_opaque
from latehook.importing.times import read_time


def given_leaves(exchange: Exchange) -> Iterator[tuple[KeyPath, Any]]:
    """Yield the values that the provider gives in an exchange."""
    if exchange.inbound:
        yield from leaves(exchange.request.body.value)
        yield from (((name,), value) for name, value in exchange.query)
    else:
        yield from leaves(exchange.response.body.value)


def request_leaves(exchange: Exchange) -> Iterator[tuple[KeyPath, Any]]:
    """Yield the values of a request: of its query and of its body, also of JSON in the text of a field."""
    for path, value in (*(((name,), value) for name, value in exchange.query), *leaves(exchange.request.body.value)):
        yield path, value
        if isinstance(value, str) and value[:1] in ("{", "["):
            try:
                yield from leaves(json.loads(value), path)
            except ValueError:
                continue


def possible_ids(exchange: Exchange) -> Iterator[tuple[KeyPath, Any]]:
    """Yield the values of a response that may be the id of what it has started."""
    for path, value in leaves(exchange.response.body.value):
        if (
            isinstance(value, bool)
            or value in (None, "")
            or read_time(value, exchange.ended) is not None
            or not isinstance(value, (str, int))
        ):
            continue
        text = str(value)
        if "://" in text or text.startswith("/"):
            continue
        if is_opaque(value) or is_id_key(path[-1] if path else ""):
            yield path, text[1:-1] if text[:1] + text[-1:] == "<>" else value
    for name, text in exchange.response.headers:
        if is_opaque(text) and is_id_key(name) and "/" not in text:
            yield (name.lower(),), text
    for name in LOCATIONS:
        if url := exchange.response.header(name):
            segments = [unquote(part) for part in path_of(url).split("/") if part]
            yield from (((name,), part) for part in reversed(segments) if is_opaque(part))


def segment_words(exchange: Exchange) -> set[str]:
    """Return the segments of a path, and the parts of them at `.` and `:`, as in `{id}.json` and `{id}:cancel`."""
    found = set()
    for segment in map(unquote, exchange.segments):
        found |= {segment, segment.partition(".")[0], segment.partition(":")[0]}
    return found


def is_in_path(exchange: Exchange, value: Any) -> bool:
    text = str(value)
    return text in segment_words(exchange) or ("/" in text and text in unquote(exchange.path))


def is_below(exchange: Exchange, creator: Exchange) -> bool:
    """Return whether a path continues that of another request: `/posts/4` continues `/posts`."""
    return exchange.path.startswith(creator.path.rstrip("/") + "/")


def only_refers(exchange: Exchange) -> bool:
    """Return whether a request starts something of its own, so that an id in its body is only a reference."""
    ids = [value for path, value in possible_ids(exchange) if path and path[-1] in ("id", "sid") and is_opaque(value)]
    return exchange.method != "GET" and any(not mentions(exchange.request_words, id) for id in ids)


def says_another(exchange: Exchange, id: Any) -> bool:
    """Return whether a GET that names an id only as a parameter got something with another id, as the next page has."""
    ids = [value for path, value in possible_ids(exchange) if path and path[-1] in ("id", "sid") and is_opaque(value)]
    return exchange.method == "GET" and bool(ids) and not mentions(exchange.given_words, id)


def is_url(value: Any) -> bool:
    """Return whether a value is a URL with a host."""
    if not isinstance(value, str) or not value.startswith(("http://", "https://")):
        return False
    origin = origin_of(value)
    return origin is not None and bool(origin.host)


def same_host(value: Any, webhook: Exchange) -> bool:
    """Return whether a value is a URL of the host and port that a webhook was sent to."""
    origin = origin_of(value) if is_url(value) else None
    return origin is not None and canonical_host(origin.host) == webhook.host and webhook.port in (origin.port, 80, 443)


def same_url(value: Any, webhook: Exchange) -> bool:
    """Return whether a value is the URL that a webhook was sent to: its path, and the beginning of its query."""
    parts = split_url(value) if is_url(value) else None
    path, _, query = webhook.target.partition("?")
    return parts is not None and (parts.path or "/") == path and (not parts.query or query.startswith(parts.query))


def named_urls(exchange: Exchange) -> list[str]:
    """Return the URLs that a request names: in its query, its body or a header."""
    in_headers = (value for name, value in exchange.request.headers if name.lower() not in _NOT_NAMED)
    return [value for value in (*(value for _, value in request_leaves(exchange)), *in_headers) if is_url(value)]


_NOT_NAMED = ("referer", "origin", "host")


def suffix_of(value: Any, webhook: Exchange) -> str | None:
    """Return what a webhook's path has behind that of a URL on the same host; None if it is another path.

    So a sender appends `/data` or `/update` to the URL that it was given.
    """
    if not same_host(value, webhook) or query_of(value):
        return None
    path = path_of(value)
    rest = webhook.path.removeprefix(path)
    is_whole = rest.startswith("/") or path.endswith("/")
    return rest if path.strip("/") and webhook.path.startswith(path) and is_whole and rest else None
