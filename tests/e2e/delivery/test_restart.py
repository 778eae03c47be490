"""A store file: webhooks, holds and the clock outlive the process."""

import json
import threading
import time
from pathlib import Path

import pytest

import latehook
from support.limits import LIMIT
from support.mitmproxy_commands import Commands
from support.programs import curl
from support.receivers import Receiver, answer
from support.stored_jobs import Start, advance, post
from support.waiting import wait_until


def test_webhooks_are_delivered_after_the_process_was_killed(start_with_store: Start, sut: Receiver) -> None:
    proxy = start_with_store()
    ids = [post(proxy) for _ in range(5)]
    proxy.kill()

    again = start_with_store()
    advance(again)
    webhooks = sut.wait(5)

    assert "5 webhooks still owed from before" in again.output
    assert sorted(json.loads(webhook.body)["id"] for webhook in webhooks) == sorted(ids)
    assert {webhook.headers["x-attempt"] for webhook in webhooks} == {"1"}


def test_what_became_due_before_the_restart_happens_at_once(start_with_store: Start, sut: Receiver) -> None:
    """The clock runs on while the process is down."""
    proxy = start_with_store("2s")
    post(proxy, id="overdue")
    posted = time.time()
    proxy.kill()
    wait_until(lambda: time.time() > posted + 2, "the webhook is due")

    again = start_with_store("2s")
    seen = curl("-x", again.url, "http://api.slow.example/jobs/overdue").stdout
    [webhook] = sut.wait(1)

    assert json.loads(seen) == {"status": "first"}
    assert json.loads(webhook.body)["id"] == "overdue"
    assert post(again, id="next") == "next"
    advance(again, "2s")
    assert json.loads(sut.wait(2)[1].body)["id"] == "next"


def test_a_retry_after_a_restart_has_the_same_content_and_the_next_number(
    start_with_store: Start, sut: Receiver
) -> None:
    sut.behave = answer(503)
    proxy = start_with_store("0s")
    post(proxy)
    sut.wait(1)
    proxy.wait_for("attempt 1")
    proxy.kill()
    sut.behave = answer(200)

    start_with_store("0s")
    first, second = sut.wait(2)[:2]

    assert first.body == second.body
    assert first.headers["x-webhook"] == second.headers["x-webhook"]
    assert (first.headers["x-attempt"], second.headers["x-attempt"]) == ("1", "2")


def test_an_attempt_that_the_kill_ended_is_repeated_with_the_same_number_and_content(
    start_with_store: Start, sut: Receiver
) -> None:
    killed = threading.Event()
    sut.behave = lambda handler, number: killed.wait(LIMIT)  # type: ignore[assignment]
    proxy = start_with_store("0s")
    post(proxy)
    sut.wait(1)
    proxy.kill()
    killed.set()
    sut.behave = answer(200)

    start_with_store("0s")

    first, second = sut.wait(2)
    assert [first.headers["x-attempt"], second.headers["x-attempt"]] == ["1", "1"]
    assert first.body == second.body  # although `uuid()` in it gives another value each time
    assert first.headers["x-webhook"] == second.headers["x-webhook"]


def test_a_job_keeps_its_mock_although_the_file_has_lost_it(start_with_store: Start, sut: Receiver) -> None:
    proxy = start_with_store()
    id = post(proxy)
    proxy.kill()

    advance(start_with_store(mocks="mocks: [{match: GET other.example/}]"))
    [webhook] = sut.wait(1)

    assert json.loads(webhook.body)["id"] == id


def test_a_webhook_whose_mock_needs_a_variable_that_is_gone_fails_with_the_reason(
    start_with_store: Start, sut: Receiver
) -> None:
    proxy = start_with_store()
    post(proxy)
    proxy.kill()

    again = start_with_store(mocks="mocks: [{match: GET other.example/}]", without="EXTRA")
    advance(again)

    again.wait_for("webhook failed: .*EXTRA is not set")


def test_the_clock_of_a_job_survives_a_restart(start_with_store: Start) -> None:
    proxy = start_with_store()
    for id in ("a", "b"):
        post(proxy, id=id)
    with latehook.connect(proxy.port) as client:
        client.advance("2h", job="a")
        [before] = client.jobs(job="a")
    proxy.kill()

    again = start_with_store()
    with latehook.connect(again.port) as client:
        after, other = (client.jobs(job=id)[0] for id in ("a", "b"))
    seen = [json.loads(curl("-x", again.url, f"http://api.slow.example/jobs/{id}").stdout)["status"] for id in "ab"]

    assert seen == ["second", "pending"]
    assert (after.ahead, other.ahead) == (7200, 0)
    assert (after.created_at, after.stages) == (before.created_at, before.stages)
    for stage, webhook in zip(after.stages, after.webhooks, strict=False):
        assert webhook.due_at == pytest.approx(stage.due_at, abs=1e-5)


def test_holds_the_clock_and_added_mocks_survive_a_restart(
    start_with_store: Start, sut: Receiver, commands: Commands, tmp_path: Path
) -> None:
    """Until a reset. The file that the added mocks name is gone then."""
    (tmp_path / "greeting.txt").write_text("hello")
    added = tmp_path / "added.yaml"
    added.write_text("mocks: [{match: GET other.slow.example/, response: {file: greeting.txt}}]")
    proxy = start_with_store("1h", *commands.arguments)
    post(proxy, id="a")
    commands.send("mock.hold")
    proxy.wait_for("latehook: hold: done")
    commands.send("mock.advance 2h")
    proxy.wait_for("latehook: advance 2h: done")
    with latehook.connect(proxy.port) as client:
        client.load(added)
    proxy.kill()
    (tmp_path / "greeting.txt").unlink()

    again = start_with_store("1h", *commands.arguments)
    assert curl("-x", again.url, "http://other.slow.example/").stdout == "hello"
    seen = curl("-x", again.url, "http://api.slow.example/jobs/a").stdout
    assert (json.loads(seen), list(sut.requests)) == ({"status": "second"}, [])
    commands.send("mock.release")
    [webhook] = sut.wait(1)
    assert json.loads(webhook.body)["status"] == "first"

    with latehook.connect(again.port) as client:
        client.reset()
    assert "no mock matches" in curl("-x", again.url, "http://other.slow.example/").stdout
