"""What happens to a store while a process uses it, or before its next process: rows, files, the end of the process."""

import json
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx
import pytest

import latehook
from support.limits import LIMIT
from support.programs import curl
from support.receivers import Receiver
from support.stored_jobs import Start, post


def test_damaged_rows_fail_and_all_others_live(start_with_store: Start, store: Path, sut: Receiver) -> None:
    proxy = start_with_store()
    for id in ("whole", "webhook", "job", "definition"):
        post(proxy, id=id)
    proxy.stop()
    with closing(sqlite3.connect(store)) as db, db:
        db.execute("UPDATE webhook SET value = x'00' WHERE job = (SELECT key FROM job WHERE id = 'webhook')")
        db.execute("UPDATE job SET value = x'00' WHERE id = 'job'")

    again = start_with_store()
    with latehook.connect(again.port) as client:
        client.advance("2h")
        webhooks = {webhook.job: webhook for webhook in client.webhooks()}
        jobs = {job.id: job.status for job in client.jobs()}
    seen = curl("-x", again.url, "http://api.slow.example/jobs/job").stdout

    assert {job: webhook.state for job, webhook in webhooks.items()} == {
        "whole": "delivered",
        "webhook": "failed",
        "job": "failed",
        "definition": "delivered",
    }
    for failed in ("webhook", "job"):
        assert "the store is damaged, and cannot be read here" in str(webhooks[failed].reason)
    assert jobs == {"whole": "second", "webhook": "second", "job": "failed", "definition": "second"}
    assert json.loads(seen) == {"status": "failed"}
    assert sorted(json.loads(request.body)["id"] for request in sut.requests) == ["definition", "whole"]
    assert "Traceback" not in again.output


def test_a_damaged_definition_fails_its_webhooks(start_with_store: Start, store: Path) -> None:
    proxy = start_with_store()
    post(proxy)
    proxy.stop()
    with closing(sqlite3.connect(store)) as db, db:
        db.execute("UPDATE definition SET written = x'ff00'")

    again = start_with_store(mocks="mocks: [{match: GET other.example/}]")
    with latehook.connect(again.port) as client:
        client.advance("2h")
        [webhook] = client.webhooks()

    assert webhook.state == "failed"
    assert "the store is damaged, and has no mock for this webhook" in str(webhook.reason)
    assert "Traceback" not in again.output


def move(file: Path) -> None:
    file.rename(file.with_name("moved"))


def replace(file: Path) -> None:
    file.rename(file.with_name("moved"))
    file.write_bytes(file.with_name("moved").read_bytes())


def cut(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.truncate(8192)


@pytest.mark.parametrize(
    ("suffix", "change", "says"),
    [
        ("", Path.unlink, "the file was deleted, moved or replaced while it is in use"),
        ("", move, "the file was deleted, moved or replaced while it is in use"),
        ("", replace, "the file was deleted, moved or replaced while it is in use"),
        ("", cut, "the file was cut off while it is in use"),
        ("-wal", Path.unlink, "…-wal was deleted, moved or replaced while it is in use"),
        ("-lock", Path.unlink, "…-lock was deleted, moved or replaced while it is in use"),
    ],
)
def test_a_change_of_its_files_is_said_once(
    start_with_store: Start, store: Path, suffix: str, change: Callable[[Path], None], says: str
) -> None:
    proxy = start_with_store()
    post(proxy)

    change(Path(f"{store}{suffix}"))
    proxy.wait_for(f"latehook: mock_store={store}: .*{says}")

    status = json.loads(curl(f"{proxy.url}/_latehook/status").stdout)
    [problem] = status["problems"]
    assert says in problem
    assert len([line for line in proxy.lines if says in line]) == 1


def test_the_api_answers_in_one_line_while_the_process_ends(start_with_store: Start, sut: Receiver) -> None:
    never = threading.Event()
    sut.behave = lambda handler, number: never.wait(LIMIT)  # type: ignore[assignment]
    proxy = start_with_store("0s")
    post(proxy)
    sut.wait(1)
    statuses: set[int] = set()

    def ask() -> None:
        with httpx.Client(base_url=f"{proxy.url}/_latehook/", trust_env=False, timeout=LIMIT) as client:
            try:
                while True:
                    statuses.update(client.get(path).status_code for path in ("status", "jobs", "webhooks"))
            except httpx.HTTPError:
                pass  # the process has ended

    asking = [threading.Thread(target=ask) for _ in range(8)]
    for thread in asking:
        thread.start()
    proxy.stop()
    for thread in asking:
        thread.join(LIMIT)
    never.set()

    assert statuses <= {200, 503}
    assert "Traceback" not in proxy.output
