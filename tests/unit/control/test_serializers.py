"""What the API shows of the bodies of answers."""

import pytest

from latehook.base.clock import Clock
from latehook.base.messages import Request
from latehook.base.model import Attempt, Job, State, StoredWebhook, Webhook
from latehook.control import serializers
from latehook.engine.queries import WebhookDetails


@pytest.mark.parametrize(
    ("body", "content_type", "text", "base64"),
    [
        ("größer".encode(), None, "größer", None),
        ("größer".encode("latin-1"), "text/plain; charset=ISO-8859-1", "größer", "Z3L232Vy"),
        ("größer".encode("latin-1"), "text/plain", "gr\ufffd\ufffder", "Z3L232Vy"),
        (b"\xff", "text/plain; charset=x-none", "\ufffd", "/w=="),
    ],
)
def test_an_answer_is_read_in_its_charset(body: bytes, content_type: str | None, text: str, base64: str | None) -> None:
    job = Job("j", "mock", 0.0, Request("POST", "https", "api.slow.example", 443, "/"), ())
    webhook = Webhook("w", 0, "d", 0, 0.0, "http://app.test/", state=State.DELIVERED)
    attempt = Attempt(1, 0.0, 0.0, 200, body=body, content_type=content_type)

    [shown] = serializers.webhook(WebhookDetails(StoredWebhook(1, webhook, job), [attempt]), Clock()).attempts

    assert (shown.body, shown.body_base64, shown.content_type) == (text, base64, content_type)
