"""Which requests a browser may send: every combination of the headers by which it says where they come from."""

from collections.abc import Iterator
from itertools import product

import pytest

from latehook.control import origin
from latehook.control.responses import Refusal

HOST = "127.0.0.1:8080"
OWN = f"http://{HOST}"
SITES = (None, "none", "same-origin", "same-site", "cross-site", "new-value", "")
ORIGINS = (
    None,
    OWN,
    "http://127.0.0.1:3000",
    "http://evil.example",
    "null",
    "file://",
    f"http://{HOST}.evil.example",
    "[",
)
REFERERS = (None, f"{OWN}/_latehook/", "http://127.0.0.1:3000/", "https://evil.example/_latehook/", "")
BROWSER = {"accept-language": "en", "user-agent": "Mozilla/5.0"}
PROGRAMS = [
    pytest.param({}, id="curl"),
    pytest.param({"user-agent": "python-httpx/0.28", "accept": "*/*", "connection": "keep-alive"}, id="httpx"),
    pytest.param({"accept-language": "*", "sec-fetch-mode": "cors", "user-agent": "node"}, id="Node's fetch"),
    pytest.param({"user-agent": "Mozilla/5.0 (Windows NT; en-US) WindowsPowerShell/5.1"}, id="PowerShell"),
]


def combinations() -> Iterator[dict[str, str]]:
    """Yield the headers of a browser's request for each combination."""
    for site, sender, referer in product(SITES, ORIGINS, REFERERS):
        given = {"sec-fetch-site": site, "origin": sender, "referer": referer}
        yield {"host": HOST, **BROWSER, **{name: value for name, value in given.items() if value is not None}}


def is_allowed(headers: dict[str, str], is_own_origin: bool = True, is_page: bool = False) -> bool:
    try:
        origin.check(headers, is_own_origin, is_page)
    except Refusal as refusal:
        assert refusal.status == 403
        return False
    return True


@pytest.mark.parametrize("headers", PROGRAMS)
@pytest.mark.parametrize("is_own_origin", [True, False])
def test_a_program_is_allowed_on_every_host(headers: dict[str, str], is_own_origin: bool) -> None:
    assert is_allowed({"host": HOST, **headers}, is_own_origin)


def test_a_request_is_allowed_only_if_every_header_names_the_own_site() -> None:
    for headers in combinations():
        site, sender, referer = (headers.get(name) for name in ("sec-fetch-site", "origin", "referer"))
        says_own = site in (None, "none", "same-origin") and sender in (None, OWN)
        says_own = says_own and referer in (None, f"{OWN}/_latehook/")
        says_something = (site, sender, referer) != (None, None, None)

        assert is_allowed(headers) == (says_own and says_something), headers


def test_no_browser_is_allowed_where_pages_of_other_servers_are() -> None:
    for headers in combinations():
        assert not is_allowed(headers, is_own_origin=False), headers
        assert not is_allowed(headers, is_own_origin=False, is_page=True), headers


@pytest.mark.parametrize("site", [site for site in SITES if site])
@pytest.mark.parametrize("destination", ["document", "iframe", "frame", "object", "embed", "image", "script", "empty"])
def test_a_link_may_open_the_page_and_nothing_may_embed_it(site: str, destination: str) -> None:
    headers = {"host": HOST, **BROWSER, "sec-fetch-site": site, "sec-fetch-dest": destination}
    is_own_site = site in ("none", "same-origin")

    assert is_allowed(headers, is_page=True) == (is_own_site or destination == "document")
    assert is_allowed(headers) == is_own_site


@pytest.mark.parametrize(
    ("headers", "is_own_origin", "words"),
    [
        (
            {"sec-fetch-site": "cross-site"},
            True,
            "a page of another site sent this request (sec-fetch-site: cross-site)",
        ),
        ({"origin": "null"}, True, "the origin 'null' is another site: only Latehook's own page may use the API"),
        ({"referer": "http://a/"}, True, "the referer 'http://a/' is another site"),
        (BROWSER, True, "a browser sent this request without saying from which site"),
        (
            BROWSER,
            False,
            "pages of other servers are at '127.0.0.1:8080': browsers may use the API only at the address of",
        ),
    ],
)
def test_a_refusal_says_why(headers: dict[str, str], is_own_origin: bool, words: str) -> None:
    with pytest.raises(Refusal) as raised:
        origin.check({"host": HOST, **headers}, is_own_origin, is_page=False)

    assert str(raised.value).startswith(words)
