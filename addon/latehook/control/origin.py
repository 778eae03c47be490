"""Whether a browser's page may send a request to the control API.

A browser says where a request comes from: in `Sec-Fetch-Site` (W3C Fetch Metadata), `Origin` and `Referer`. It sends
`Sec-Fetch-…` to HTTPS and loopback URLs only, and a page can leave `Referer` out. It always sends `Accept-Language`.
"""

from collections.abc import Mapping

from latehook.api.defaults import PREFIX
from latehook.base.urls import split_url
from latehook.control.responses import Refusal

OWN_SITES = ("same-origin", "none")
"""Values of `Sec-Fetch-Site` for the API's own page, and for what the user does: a URL typed, a bookmark, a reload."""


def check(headers: Mapping[str, str], is_own_origin: bool, is_page: bool) -> None:
    """Raise Refusal if a page of another site sends the request, or could send it.

    Args:
        headers: The request's headers, by names in lower case.
        is_own_origin: No page of another server can be at the request's origin.
        is_page: The request is for the page itself, without a query: it shows and changes nothing.
    """
    if not is_own_origin and _is_from_browser(headers):
        raise Refusal(
            403,
            f"pages of other servers are at {headers.get('host', '')!r}: browsers may use the API only at the address "
            f"of a proxy in regular mode, by default http://127.0.0.1:8080{PREFIX}",
        )
    if is_page and headers.get("sec-fetch-dest", "document") == "document":
        return
    problem = _other_site(headers)
    if problem is not None:
        raise Refusal(403, f"{problem}: only Latehook's own page may use the API, or a URL that you type")


def _other_site(headers: Mapping[str, str]) -> str | None:
    """Return which header shows that a request may come from another site's page. None if none does."""
    site = headers.get("sec-fetch-site")
    if site is not None and site not in OWN_SITES:
        return f"a page of another site sent this request (sec-fetch-site: {site})"
    for name in ("origin", "referer"):
        value = headers.get(name)
        if value is not None and not _is_at(value, headers.get("host", "")):
            return f"the {name} {value!r} is another site"
    named = (site, headers.get("origin"), headers.get("referer"))
    if named == (None, None, None) and _is_from_browser(headers):
        return "a browser sent this request without saying from which site (Sec-Fetch-Site, Origin, Referer)"
    return None


def _is_from_browser(headers: Mapping[str, str]) -> bool:
    """Return whether a request may come from a page. Node's `fetch` sends Accept-Language too, with Sec-Fetch-Mode."""
    if any(name in headers for name in ("sec-fetch-site", "origin", "referer")):
        return True
    return "accept-language" in headers and "sec-fetch-mode" not in headers


def _is_at(url: str, host: str) -> bool:
    """Return whether a URL is http or https, at this host and port."""
    parts = split_url(url)
    return parts is not None and parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower()
