"""The structures on the wire: their members, in order, and bodies that are not text."""

import msgspec
import pytest
from msgspec.structs import replace

from latehook.api import models
from latehook.control import examples

REDIRECT = models.Redirect(status=307, url="http://app.test/")


@pytest.mark.parametrize(
    ("value", "members"),
    [
        (examples.ATTEMPT, "number at ended_at clock_at status error size body"),
        (
            examples.WEBHOOK,
            "id job mock event state reason url stage due_at due_in method content_type size body attempts ahead",
        ),
        (
            replace(examples.WEBHOOK, index=2),
            "id job mock event state reason url stage due_at due_in method content_type size body attempts ahead index",
        ),
        (
            examples.JOB,
            "id number mock distinction status created_at ended vars request response stages webhooks ahead",
        ),
        (examples.JOB.request, "method url headers size body"),
        (examples.JOB.response, "status headers size body"),
        (
            replace(examples.ATTEMPT, redirects=(REDIRECT,)),
            "number at ended_at clock_at status error size body redirects",
        ),
        (REDIRECT, "status url"),
        (examples.JOB.stages[0], "status due_at reached"),
        (examples.REQUEST, "number at method url status matched mock job why suggestion problems"),
        (examples.REQUEST.why[0], "mock place differs"),  # type: ignore[index]
        (examples.STATUS, "version ready clock holding vars counts mocks revision waiting problems"),
        (examples.CLOCK, "now real speed"),
        (examples.STATUS.counts, "jobs webhooks requests unmatched"),
        (examples.MOCK, "name match place when"),
        (examples.WAIT_PROBLEM, "type title status detail found webhooks requests unmatched"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_structure_has_these_members_in_this_order(value: object, members: str) -> None:
    sent = msgspec.json.encode(value)

    assert list(msgspec.json.decode(sent)) == members.split()
    assert msgspec.json.decode(sent, type=type(value)) == value


def test_a_body_that_is_not_text_is_in_base64_too() -> None:
    attempt = models.Attempt(
        number=1,
        at=1.0,
        ended_at=2.0,
        clock_at=1.0,
        status=200,
        error=None,
        size=3,
        body="a \ufffd",
        body_base64="YSD/",
    )

    sent = msgspec.json.encode(attempt)
    assert list(msgspec.json.decode(sent))[-2:] == ["body", "body_base64"]
    assert msgspec.json.decode(sent, type=models.Attempt).content == b"a \xff"


def test_a_body_is_read_as_bytes_and_as_json() -> None:
    assert examples.WEBHOOK.content == b'{"id":"4a3a6ff5","status":"completed"}'
    assert examples.WEBHOOK.json() == {"id": "4a3a6ff5", "status": "completed"}
    assert examples.PENDING.content == b""


def test_members_that_are_not_known_are_ignored() -> None:
    sent = msgspec.json.encode(msgspec.to_builtins(examples.ATTEMPT) | {"new": 1})

    assert msgspec.json.decode(sent, type=models.Attempt) == examples.ATTEMPT
