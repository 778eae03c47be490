"""Every JSON response is redacted, whatever structure holds the secret."""

import asyncio
import json
from typing import Any

import pytest
from msgspec.structs import replace

from latehook.api import payloads
from latehook.base.redaction import Redaction
from latehook.base.turns import Turns
from latehook.control import examples
from latehook.control.responses import TEXT_PER_TURN, Refusal, Responder

SECRET = "s3cret-value"
RESPONDER = Responder(Redaction([SECRET]), Turns())
ATTEMPT = replace(examples.ATTEMPT, body=f"the key {SECRET} is wrong")
WEBHOOK = replace(examples.WEBHOOK, url=f"http://app.test/{SECRET}", attempts=(ATTEMPT,))
REQUEST = replace(examples.JOB.request, headers=(("authorization", f"Bearer {SECRET}"),))


@pytest.mark.parametrize(
    "value",
    [
        WEBHOOK,
        replace(examples.JOB, request=REQUEST),
        replace(examples.JOB, webhooks=(WEBHOOK,)),
        payloads.Advanced(clock=examples.CLOCK, left=(WEBHOOK,)),
        replace(examples.STATUS, vars={"key": [SECRET]}),
        {"key": {"nested": (SECRET,)}},
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_secret_is_redacted_wherever_it_is(value: Any) -> None:
    shown = bytes(asyncio.run(RESPONDER.json(value)).body)

    assert SECRET.encode() not in shown
    assert b"***" in shown


@pytest.mark.parametrize("before", [0, 10, TEXT_PER_TURN - 5, TEXT_PER_TURN, 3 * TEXT_PER_TURN - 1])
def test_a_long_text_takes_a_turn_for_each_part_and_no_secret_is_shown(before: int) -> None:
    turns = Turns()
    text = "a" * before + SECRET + 'é"\\\n' * TEXT_PER_TURN

    response = asyncio.run(Responder(Redaction([SECRET]), turns).json({"long": [text], "short": "é"}))
    assert json.loads(bytes(response.body)) == {"long": [text.replace(SECRET, "***")], "short": "é"}
    assert turns.taken == pytest.approx(len(text) / TEXT_PER_TURN, abs=1)


def test_a_problem_is_redacted_too() -> None:
    assert SECRET.encode() not in bytes(RESPONDER.refuse(Refusal(400, f"no such parameter {SECRET}")).body)


def test_half_a_character_in_a_message_is_no_error() -> None:
    shown = bytes(RESPONDER.refuse(Refusal(400, "the key '\ud800' is not known")).body)

    assert "the key '\ufffd' is not known" in shown.decode()
