"""Every JSON response is redacted, whatever structure holds the secret."""

from typing import Any

import pytest
from msgspec.structs import replace

from latehook.api import payloads
from latehook.base.redaction import Redaction
from latehook.control import examples
from latehook.control.responses import Refusal, Responder

SECRET = "s3cret-value"
RESPONDER = Responder(Redaction([SECRET]).redact)
ATTEMPT = replace(examples.ATTEMPT, body=f"the key {SECRET} is wrong")
WEBHOOK = replace(examples.WEBHOOK, url=f"http://app.test/{SECRET}", attempts=(ATTEMPT,))
REQUEST = replace(examples.JOB.request, headers=(("authorization", f"Bearer {SECRET}"),))


@pytest.mark.parametrize(
    "value",
    [
        WEBHOOK,
        replace(examples.JOB, request=REQUEST),
        replace(examples.JOB, webhooks=(WEBHOOK,)),
        payloads.WebhookPage(items=(WEBHOOK,), next=None),
        payloads.WebhookList((WEBHOOK,)),
        replace(examples.STATUS, vars={"key": [SECRET]}),
        {"key": {"nested": (SECRET,)}},
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_secret_is_redacted_wherever_it_is(value: Any) -> None:
    shown = bytes(RESPONDER.json(value).body)

    assert SECRET.encode() not in shown
    assert b"***" in shown


def test_a_problem_is_redacted_too() -> None:
    assert SECRET.encode() not in bytes(RESPONDER.refuse(Refusal(400, f"no such parameter {SECRET}")).body)


def test_half_a_character_in_a_message_is_no_error() -> None:
    shown = bytes(RESPONDER.refuse(Refusal(400, "the key '\ud800' is not known")).body)

    assert "the key '\ufffd' is not known" in shown.decode()
