"""Jobs, webhooks and attempts for tests of stores."""

from collections.abc import Sequence

from latehook.base.messages import Outcome, Request
from latehook.base.model import Content, Job, State, Webhook
from latehook.store import Store

HEADERS = ((b"X-Bytes", b"\xff"), (b"a", b"1"), (b"a", b"2"))
CONTENT = Content("http://app.test/hook?id=1", b'{"id":1}', "application/json")
OK = Outcome(1.0, 1.5, 200, None, b"ok")
REFUSED = Outcome(1.0, 1.5, None, "Connection refused")


def job(id: str, *webhooks: Webhook, body: bytes | None = b"\0") -> Job:
    request = Request("POST", "https", "api.slow.example", 443, "/jobs?x=%2f", HEADERS, body, 1)
    return Job(id, "a mock", 1_800_000_000.25, request, webhooks=webhooks, received_at=1_800_000_000.25)


def webhook(id: str = "w", state: State = State.PENDING) -> Webhook:
    return Webhook(id, 0, "a definition", 0, 1_800_000_005.25, "http://app.test/hook", None, state)


def add(store: Store, job: Job) -> Sequence[int]:
    """Write a job. Return the keys of its webhooks."""
    return store.add_job(job).webhooks


def add_ended(store: Store, id: str) -> int:
    """Write a job whose webhook is delivered. Return the webhook's key."""
    [key] = add(store, job(id, webhook(id)))
    store.add_attempt(key, 1, OK, State.DELIVERED, 0.0, CONTENT, 1.25)
    return key
