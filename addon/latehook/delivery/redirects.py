"""PURE: the request that follows a redirect, as HTTP clients make it (RFC 9110 section 15.4)."""

from msgspec.structs import replace

from latehook.base.messages import Outgoing
from latehook.base.urls import join_urls, origin_of, split_url

SAME_REQUEST = (307, 308)
"""Statuses after which the same request is sent to the other URL."""

AS_GET = (301, 302, 303)
"""Statuses after which a GET without a body is sent there."""

_OF_BODY = ("digest", "repr-digest", "last-modified")
_OF_ORIGIN = ("host", "authorization", "proxy-authorization", "cookie")


def following(outgoing: Outgoing, status: int, location: str | None) -> Outgoing | None:
    """Return the request that follows an answer with this status and `Location`; None if the answer is no redirect.

    The headers, signatures too, stay as they are. A GET leaves out those that describe the body. Another origin does
    not get the credentials that the first one got. The new URL is not checked.
    """
    if status not in (*SAME_REQUEST, *AS_GET) or not location:
        return None
    url = _resolved(outgoing.url, location)
    headers = outgoing.headers
    if origin_of(url) != origin_of(outgoing.url):
        headers = tuple(header for header in headers if header[0].lower() not in _OF_ORIGIN)
    if status in SAME_REQUEST:
        return replace(outgoing, url=url, headers=headers)
    headers = tuple(header for header in headers if not _is_of_body(header[0].lower()))
    return replace(outgoing, url=url, headers=headers, body=b"", method="HEAD" if outgoing.method == "HEAD" else "GET")


def _resolved(url: str, location: str) -> str:
    """Return the URL that a `Location` means: it may be relative. One that is no URL stays as it is."""
    parts = split_url(location)
    return location if parts is None or parts.scheme else join_urls(url, location) or location


def _is_of_body(name: str) -> bool:
    return name.startswith("content-") or name in _OF_BODY
