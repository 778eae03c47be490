"""PURE: URLs that somebody else wrote. No other module splits or joins any: Python's functions raise for some texts."""

from typing import NamedTuple
from urllib.parse import SplitResult, urljoin, urlsplit

from latehook.base.hostnames import DEFAULT_PORTS


class UrlOrigin(NamedTuple):
    """A URL's scheme, its host (lower case, an empty one if there is none) and its port, if need be the scheme's."""

    scheme: str
    host: str
    port: int | None


def split_url(text: str) -> SplitResult | None:
    """Return the parts of a URL; None for what is none, as `http://[`. Its port may be no number: see `origin_of`."""
    try:
        return urlsplit(text)
    except ValueError:
        return None


def origin_of(url: str) -> UrlOrigin | None:
    """Return where a URL leads; None for what is no URL, as `http://[` and `http://a:b`."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    return UrlOrigin(parts.scheme, parts.hostname or "", DEFAULT_PORTS.get(parts.scheme) if port is None else port)


def join_urls(base: str, reference: str) -> str | None:
    """Return the URL that a reference beside another URL means; None if one of the two is no URL."""
    try:
        return urljoin(base, reference)
    except ValueError:
        return None


def path_of(url: str) -> str:
    """Return a URL's path, an empty one if the text is no URL."""
    parts = split_url(url)
    return parts.path if parts else ""


def query_of(url: str) -> str:
    """Return a URL's query, an empty one if the text is no URL."""
    parts = split_url(url)
    return parts.query if parts else ""
