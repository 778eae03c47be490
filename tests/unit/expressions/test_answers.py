"""`job.webhooks`: a receiver's answer, whatever it is, gives a value or one named error, and is never evaluated."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from latehook.base.errors import ExpressionError
from latehook.base.messages import Answer, Request
from latehook.base.model import Content, Job, State, StoredWebhook, Webhook
from latehook.expressions.compiler import Compiler
from latehook.expressions.expression import render
from latehook.expressions.names import ANSWERS, AT_REQUEST, JOB
from latehook.expressions.views import JobView
from support.expressions import PLACE

NAMES = {**AT_REQUEST, "job": {**JOB["job"], **ANSWERS}}
JOB_7 = Job("j", "a mock", 0.0, Request("POST", "https", "api.slow.example", 443, "/"), key=7)


def webhook(answer: Answer | None, attempts: int = 1, **changes: Any) -> StoredWebhook:
    values = {"id": "w", "stage": 0, "definition": "", "mock_stage": 0, "due": 0.0, "to": "http://app.test/", **changes}
    content = Content("http://app.test/", answer=answer) if attempts else None
    return StoredWebhook(1, Webhook(**{"event": "paid", "state": State.DELIVERED, **values}), JOB_7, attempts, content)


def evaluate(text: str, *webhooks: StoredWebhook, now: float = 1.0) -> Any:
    compiler = Compiler({})
    expression = compiler.compile("{{ " + text + " }}", PLACE, NAMES)
    return render(expression, {**compiler.constants(), "job": JobView(JOB_7, now, webhooks=lambda _: webhooks)})


def answer(body: bytes, content_type: str = "application/json", **headers: str) -> Answer:
    fields = {"content-type": content_type, **headers}
    return Answer(200, None, tuple((name.encode(), value.encode()) for name, value in fields.items()), body)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("job.webhooks.paid.state", "delivered"),
        ("job.webhooks.paid.attempts", 1),
        ("job.webhooks.paid.url", "http://app.test/"),
        ("job.webhooks.paid.status", 200),
        ("job.webhooks.paid.headers.content_type", "application/json"),
        ("job.webhooks.paid.json.a.b", "{{ 1 + 1 }}"),
        ("job.webhooks['paid'].error", None),
        ("job.webhooks.paid.xml", None),
        ("job.webhooks.other.json.a.b", None),
        ("job.webhooks | list", ["paid"]),
        ("job | tojson | from_json | length", 8),
    ],
)
def test_members(text: str, expected: Any) -> None:
    assert evaluate(text, webhook(answer(b'{"a": {"b": "{{ 1 + 1 }}"}}'))) == expected


@pytest.mark.parametrize(
    ("given", "text", "expected"),
    [
        (answer(b"\xfc", "text/plain; charset=latin1"), "job.webhooks.paid.text", "ü"),
        (answer(b"<a xmlns='x'><b>1</b></a>", "text/xml"), "job.webhooks.paid.xml.a.b", "1"),
        (answer(b"no json"), "job.webhooks.paid.json", None),
        (Answer(None, "refused"), "[job.webhooks.paid.error, job.webhooks.paid.status]", ["refused", None]),
        (Answer(None, "refused"), "job.webhooks.paid.json.x or job.webhooks.paid.headers.x", None),
    ],
)
def test_answers(given: Answer, text: str, expected: Any) -> None:
    assert evaluate(text, webhook(given)) == expected


@pytest.mark.parametrize(
    ("given", "attempts", "problem"),
    [
        (replace(answer(b"{}"), is_cut=True), 1, "the answer has more than 2 bytes, and only so many are kept"),
        (None, 1, "the answer was not kept, because no mock read `job.webhooks` when it came"),
        (answer(b"x", **{"content-encoding": "gzip"}), 1, "gzip"),
        (answer(b"x", "text/plain; charset=nonsense"), 1, "the charset 'nonsense' is not known"),
    ],
)
def test_an_answer_that_cannot_be_read_is_one_error(given: Answer | None, attempts: int, problem: str) -> None:
    with pytest.raises(ExpressionError) as raised:
        evaluate("job.webhooks.paid.json or job.webhooks.paid.text", webhook(given, attempts))

    assert problem in str(raised.value)
    assert str(raised.value).startswith(str(PLACE))


def test_the_newest_is_the_last_that_is_due() -> None:
    three = [
        webhook(None, 0, id=str(due), state=State.PENDING, due=due, to=f"http://app.test/{due:g}")
        for due in (1.0, 2.0, 3.0)
    ]

    assert [evaluate("job.webhooks.paid.url", *three, now=now)[-1] for now in (0.5, 1.0, 2.5, 9.0)] == list("1123")


TYPES = st.sampled_from(
    [
        "application/json",
        "text/xml",
        "text/plain; charset=utf-16",
        "a/b; charset=x",
        "",
        "application/json; charset=latin1",
    ]
)
CODINGS = st.sampled_from(["", "gzip", "identity", "br, gzip", "nonsense"])
BODIES = st.binary(max_size=40) | st.sampled_from(
    [
        b"[" * 3000,
        b"{{ 1 / 0 }}",
        b"1e999999",
        b'{"a": "\\ud800"}',
        b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
        b"\xff\xfe",
    ]
)


@settings(max_examples=60, deadline=None)
@given(BODIES, TYPES, CODINGS, st.sampled_from(["json", "text", "xml", "headers", "error", "status"]), st.booleans())
def test_any_answer_gives_a_value_or_one_named_error(
    body: bytes, content_type: str, coding: str, member: str, is_cut: bool
) -> None:
    given = replace(answer(body, content_type, **{"content-encoding": coding}), is_cut=is_cut)
    try:
        value = evaluate(f"job.webhooks.paid.{member}", webhook(given))
    except ExpressionError as error:
        assert str(error).startswith(f"{PLACE}: the expression failed: ")
    else:
        assert value is None or isinstance(value, (str, int, float, bool, list, dict))


def test_a_moment_before_any_webhook_has_none() -> None:
    compiler = Compiler({})
    alias = compiler.compile("{% set j = job %}{{ j.webhooks.paid.status }}", PLACE, {**AT_REQUEST, **JOB})

    with pytest.raises(ExpressionError, match="this is decided at the request, before one is sent"):
        render(alias, {**compiler.constants(), "job": JobView(JOB_7, 0.0)})
