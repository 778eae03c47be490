"""PURE: the parts of a webhook's URL, as they are sent."""

import re
from urllib.parse import quote

from latehook.base.hostnames import DEFAULT_PORTS, canonical_host, host_in_url
from latehook.base.urls import origin_of


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
    """Return a URL's host in lower case, with its port if that is not the default one (RFC 9421 section 2.2.3).

    Of a text that is no URL nothing is returned.
    """
    origin = origin_of(url)
    if origin is None:
        return ""
    host = origin.host if origin.host.isascii() else canonical_host(origin.host)
    port = "" if origin.port == DEFAULT_PORTS.get(origin.scheme) else f":{origin.port}"
    return host_in_url(host) + port
