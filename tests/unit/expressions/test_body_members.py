"""The members of `request` that need its body."""

import pytest

from latehook.base.messages import Request
from latehook.expressions.body_members import BODY_MEMBERS, held_by, members_read
from latehook.expressions.views import RequestView

ALL = frozenset(BODY_MEMBERS)


def test_the_table_names_members_of_the_view_and_fields_of_requests() -> None:
    assert RequestView.members > ALL
    assert {field for field in BODY_MEMBERS.values() if field is not None} <= set(Request.__struct_fields__)


def test_every_other_member_can_be_read_without_the_body() -> None:
    view = RequestView(Request("POST", "https", "a.test", 443, "/", ((b"content-type", b"a/b"),), body=None, size=1))

    assert all(getattr(view, member) is not None for member in RequestView.members - ALL)


@pytest.mark.parametrize(
    ("reads", "of", "members"),
    [
        ({"request.json.id", "request.path", "now"}, "request", {"json"}),
        ({"request.form"}, "request", {"form"}),
        ({"request"}, "request", ALL),
        ({"job.request.files.doc", "request.json"}, "job.request", {"files"}),
        ({"job.request"}, "job.request", ALL),
    ],
)
def test_members_read(reads: set[str], of: str, members: set[str]) -> None:
    assert members_read(frozenset(reads), of) == members


def test_members_held_by_a_field() -> None:
    assert held_by("parts", ALL) == {"form", "files"}
    assert held_by("sha256", ALL) == {"sha256"}
