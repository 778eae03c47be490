"""PURE: the parts of a webhook's URL, as they are sent."""

import re
from urllib.parse import quote, urlsplit

from latehook.base.hostnames import DEFAULT_PORTS, canonical_host, host_in_url


def split_target(url: str) -> tuple[str, str]:
    """Return a URL's scheme and authority, and the target of the request line: its path and query.

    Path and query stay as they are written, also `..` in them. Only what a request line cannot hold is escaped.
    """
    base, target = _BASE.match(url).groups()  # type: ignore[union-attr]  # it matches any text
    target = target.partition("#")[0]
    slash = "" if target.startswith("/") else "/"
    return base, slash + _NOT_VISIBLE.sub(lambda found: quote(found[0]), target)


_BASE = re.compile("((?:[^/?#]*//)?[^/?#]*)(.*)", re.DOTALL)
_NOT_VISIBLE = re.compile("[^!-~]+")


def authority(url: str) -> str:
    """Return a URL's host in lower case, with its port if that is not the default one (RFC 9421 section 2.2.3)."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = host if host.isascii() else canonical_host(host)
    port = "" if parts.port in (None, DEFAULT_PORTS.get(parts.scheme)) else f":{parts.port}"
    return host_in_url(host) + port
