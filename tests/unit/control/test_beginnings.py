"""The beginnings of long bodies in lists: no half character, no part of a secret, and never more than 4 KiB."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from latehook.base.redaction import Redaction
from latehook.control.beginnings import SIZE_IN_LISTS, beginning

SECRET = "s3cret/välue"
REDACTION = Redaction([SECRET])


@pytest.mark.parametrize("size", [0, 1, SIZE_IN_LISTS - 1, SIZE_IN_LISTS])
def test_a_short_body_is_shown_as_it_is(size: int) -> None:
    body = b"\xff" * size

    assert beginning(body, REDACTION) == body


@given(st.integers(0, 8), st.text(min_size=1, max_size=5))
@example(1, "é").via("half a character would be at the end")
@example(3, "\U0001f600")
def test_a_text_is_cut_between_two_characters(before: int, text: str) -> None:
    body = ("a" * before + text * SIZE_IN_LISTS).encode("utf-8", "surrogatepass")

    shown = beginning(body, REDACTION)
    assert SIZE_IN_LISTS - 3 <= len(shown) <= SIZE_IN_LISTS
    assert body.startswith(shown)
    shown.decode("utf-8", "surrogatepass")


def test_bytes_that_are_no_text_are_cut_at_the_size() -> None:
    assert beginning(b"\xff\xfe" * SIZE_IN_LISTS, REDACTION) == b"\xff\xfe" * (SIZE_IN_LISTS // 2)


@given(st.integers(0, 60), st.sampled_from([SECRET, json.dumps(SECRET)[1:-1], SECRET.encode().hex()]))
def test_a_secret_at_the_end_is_shown_whole_or_not_at_all(before: int, secret: str) -> None:
    body = b"-" * (SIZE_IN_LISTS - before) + secret.encode() + b"-" * 200

    shown = REDACTION.redact(beginning(body, REDACTION))
    assert shown.strip(b"-") in (b"", b"***")
