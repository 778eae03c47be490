"""URLs of others: what is no URL gives None, and never an exception."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latehook.base.urls import join_urls, origin_of, path_of, query_of, split_url
from latehook.delivery.dispatcher import destination_of
from latehook.delivery.reporting import without_user

NO_URLS = ["http://[", "//]", "http://[x]/a", "http://user:secret@[", "http://a\uff0fb/"]


@pytest.mark.parametrize("text", NO_URLS)
def test_what_is_no_url_has_no_parts(text: str) -> None:
    assert (split_url(text), origin_of(text), path_of(text), query_of(text)) == (None, None, "", "")
    assert join_urls("http://a.example/b", text) is None
    assert "secret" not in without_user(text)
    assert destination_of(text) == text


@pytest.mark.parametrize("port", ["b", "99999", "-1"])
def test_a_port_that_is_none_leads_nowhere(port: str) -> None:
    assert origin_of(f"http://a.example:{port}/c") is None
    assert path_of(f"http://a.example:{port}/c") == "/c"


def test_an_origin_has_the_port_of_its_scheme_unless_it_names_one() -> None:
    urls = ["http://A.example", "https://a.example", "https://a.example:0/", "ftp://a.example", "//a.example:5", "x"]
    assert [tuple(origin_of(url) or ()) for url in urls] == [
        ("http", "a.example", 80),
        ("https", "a.example", 443),
        ("https", "a.example", 0),
        ("ftp", "a.example", None),
        ("", "a.example", 5),
        ("", "", None),
    ]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://user:pass@a.example/b@c", "http://a.example/b@c"),
        ("http://a@b@c.example", "http://c.example"),
        ("http://a.example/b@c?d=e@f", "http://a.example/b@c?d=e@f"),
        ("a@b", "a@b"),
    ],
)
def test_a_url_is_shown_without_its_user(url: str, shown: str) -> None:
    assert without_user(url) == shown


@given(st.text(alphabet="htp:/[]@?#%a1.\\\uff0f\t ", max_size=20))
def test_no_text_raises(text: str) -> None:
    split_url(text), origin_of(text), join_urls("http://a.example/b", text), join_urls(text, "/b"), destination_of(text)
