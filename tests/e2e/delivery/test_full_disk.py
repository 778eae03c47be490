"""The disk is full for a while: nothing is promised that cannot be kept, and what was promised still goes out."""

import json
import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

import latehook
from support.mitmproxy_commands import Commands
from support.process import Proxy
from support.programs import curl
from support.receivers import Handler, Receiver, answer
from support.waiting import wait_until

MOCKS = """
mocks:
  - match: POST api.slow.example/jobs
    response: {json: {id: "{{ job.id }}"}}
    webhook: {to: "{{ env.CALLBACK_URL }}/{{ job.status }}", json: {nonce: "{{ uuid() }}"}, retry: [100ms]}
    stages:
      - {after: AFTER, status: first, webhook: true}
      - {after: AFTER, status: broken, webhook: {json: "{{ 1 / (request.size - 1) }}"}}
      - {after: AFTER, status: last, webhook: true}
      - {after: 2h, status: over, webhook: true}
"""
FULL = "the store cannot write: disk I/O error"

ATTEMPTS = "SELECT stage, number, status FROM attempt JOIN webhook ON key = webhook ORDER BY stage, number"
STATES = "SELECT state FROM webhook ORDER BY key"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


@pytest.fixture
def begin(start: Callable[..., Proxy], store: Path, sut: Receiver, commands: Commands) -> Callable[[str], Proxy]:
    """Start with the store; the first stages are due `after` that."""

    def begin(after: str) -> Proxy:
        arguments = ("--set", f"mock_store={store}", *commands.arguments)
        return start(*arguments, mocks=MOCKS.replace("AFTER", after), env={"CALLBACK_URL": sut.url})

    return begin


@contextmanager
def full_disk(proxy: Proxy) -> Iterator[None]:
    """The process can write to no file behind its first page, as if there were no room."""
    soft, hard = resource.prlimit(proxy.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(proxy.process.pid, resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.prlimit(proxy.process.pid, resource.RLIMIT_FSIZE, (soft, hard))


def post(proxy: Proxy) -> tuple[int, Any]:
    sent = curl("-x", proxy.url, "-w", "\n%{http_code}", "-d", "x", "http://api.slow.example/jobs")
    body, _, status = sent.stdout.rpartition("\n")
    return int(status), json.loads(body)


def rows(store: Path, sql: str) -> list[Any]:
    """What is in the store, as another process sees it."""
    with closing(sqlite3.connect(store)) as db:
        return db.execute(sql).fetchall()


def states(store: Path) -> list[str]:
    return [state for (state,) in rows(store, STATES)]


@pytest.mark.slow
def test_while_it_is_full_requests_get_a_503_and_what_was_promised_goes_out(
    begin: Callable[[str], Proxy], store: Path, sut: Receiver
) -> None:
    def fails_at_first(handler: Handler, number: int) -> None:
        answer(500 if number == 0 else 200)(handler, number)

    sut.behave = fails_at_first
    proxy = begin("3s")
    assert post(proxy)[0] == 200

    with full_disk(proxy):
        status, body = post(proxy)
        assert (status, body["error"]) == (503, f"latehook: {FULL}")
        proxy.wait_for("webhook delivered", count=2)  # the first one after a retry, and the one behind that which broke
        assert states(store) == ["pending"] * 4
        with latehook.connect(proxy.port) as client:
            webhooks = client.webhooks()
        assert [webhook.state for webhook in webhooks] == ["delivered", "failed", "delivered", "pending"]
        assert [len(webhook.attempts) for webhook in webhooks] == [2, 0, 1, 0]
        assert webhooks[0].reason == f"not in the store yet: {FULL}"
        status = json.loads(curl(f"{proxy.url}/_latehook/status").stdout)
        assert status["problems"] == [f"results of attempts wait: {FULL}"]
        assert (
            status["counts"]["webhooks"] | {"delivered": 2, "failed": 1, "pending": 1} == status["counts"]["webhooks"]
        )
        assert post(proxy)[0] == 503

    wait_until(lambda: rows(store, ATTEMPTS) == [(0, 1, 500), (0, 2, 200), (2, 1, 200)], "all attempts are written")
    assert states(store) == ["delivered", "failed", "delivered", "pending"]
    proxy.wait_for("the store can write again: the results of 3 webhooks are in it")
    assert json.loads(curl(f"{proxy.url}/_latehook/status").stdout)["problems"] == []
    assert post(proxy)[0] == 200
    proxy.kill()
    begin("3s").wait_for("5 webhooks still owed from before")
    assert sorted(request.path for request in sut.requests[:3]) == ["/first", "/first", "/last"]
    assert len({request.body for request in sut.requests[:3] if request.path == "/first"}) == 1


def test_an_operation_that_cannot_be_written_says_so_and_changes_nothing(
    begin: Callable[[str], Proxy], store: Path, sut: Receiver, commands: Commands
) -> None:
    proxy = begin("1h")
    job = post(proxy)[1]["id"]
    *_, (id,), (held,) = rows(store, "SELECT id FROM webhook ORDER BY key")
    assert commands.operate(proxy, f"mock.hold {held}") == "done"
    everything = [f"SELECT * FROM {table}" for table in ("meta", "job", "webhook", "attempt")]
    before = [rows(store, sql) for sql in everything]

    with full_disk(proxy):
        for operation in ("hold", f"hold {id}", "release", f"fire {id}", "cancel", "advance 1h", "reset"):
            assert commands.operate(proxy, f"mock.{operation}") == FULL, operation
        assert commands.operate(proxy, f"mock.advance 1h {job}") == f"{FULL}; 0 s of 3600 s are over for this job"
    assert [rows(store, sql) for sql in everything] == before
    assert sut.requests == []

    assert commands.operate(proxy, "mock.release") == "done"
    assert post(proxy)[0] == 200  # what has failed takes no other with it
    assert commands.operate(proxy, f"mock.advance 1h {job}") == "done"
    assert states(store) == ["delivered", "failed", "delivered", "pending"] + ["pending"] * 4
