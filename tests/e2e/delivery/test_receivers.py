"""Receivers that fail in every way: the store has the outcome with its reason, and the webhook can be sent again."""

import json
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.certificates import certificate
from support.mitmproxy_commands import Commands
from support.ports import free_port
from support.process import Proxy, mitmdump
from support.programs import curl
from support.raw_servers import OK, drips, hangs, raw_server, resets, sends
from support.receivers import receiver

MOCKS = """
defaults:
  webhook: {to: "{{ request.text }}", headers: {x-attempt: "{{ webhook.attempt }}"}, timeout: 60s, retry: []}
mocks:
""" + "".join(
    f"  - {{match: POST api.slow.example/{path}, response: {{json: {{id: '{{{{ job.id }}}}'}}}}, webhook: {webhook}}}\n"
    for path, webhook in {
        "jobs": '{json: {nonce: "{{ uuid() }}"}}',
        "impatient": "{timeout: 2s}",
        "retries": "{retry: [5s, 5m, 30m]}",
        "tls": "{verify: CA-FILE}",
    }.items()
)


@dataclass
class Setup:
    """A proxy with a store, and the files beside it."""

    proxy: Proxy
    commands: Commands
    folder: Path

    def start_job(self, path: str, to: str) -> str:
        """Send the SUT's request; return the id of its job, whose webhook goes to a URL."""
        sent = curl("--fail-with-body", "-x", self.proxy.url, "-d", to, f"http://api.slow.example/{path}")
        return str(json.loads(sent.stdout)["id"])

    def rows(self, sql: str, job: str) -> list[Any]:
        """Return what a query of the store finds; its parameter is the id of the job."""
        with closing(sqlite3.connect(self.folder / "store.sqlite")) as db:
            return db.execute(sql, [job]).fetchall()

    def outcomes(self, job: str) -> list[Any]:
        """Return state and reason of the job's webhook, with number, status and error of each of its attempts."""
        columns = "webhook.state, webhook.reason, attempt.number, attempt.status, attempt.error"
        tables = "job JOIN webhook ON webhook.job = job.key JOIN attempt ON attempt.webhook = webhook.key"
        return self.rows(f"SELECT {columns} FROM {tables} WHERE job.id = ? ORDER BY attempt.number", job)

    def resend(self, job: str) -> None:
        [(id,)] = self.rows("SELECT webhook.id FROM job JOIN webhook ON webhook.job = job.key WHERE job.id = ?", job)
        assert self.commands.operate(self.proxy, f"mock.resend {id}") == "done"


@pytest.fixture(scope="module")
def setup(confdir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setup]:
    folder = tmp_path_factory.mktemp("receivers")
    commands = Commands(folder)
    (folder / "mocks.yaml").write_text(MOCKS.replace("CA-FILE", certificate(folder / "right", "localhost").ca))
    options = "--set", f"mock_file={folder}/mocks.yaml", "--set", f"mock_store={folder}/store.sqlite"
    with mitmdump(confdir, *options, *commands.arguments) as proxy:
        yield Setup(proxy, commands, folder)


def responds(status: str, *headers: str) -> Callable[[socket.socket], None]:
    """Send a response without a body."""
    return sends("".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", *headers, "Content-Length: 0", "")).encode())


def gigabyte_of_error(connection: socket.socket) -> None:
    """Send a 500 with a body of 1 GiB."""
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 500 No\r\nContent-Length: 1073741824\r\n\r\n")
    for _ in range(1024):
        connection.sendall(bytes(1024 * 1024))


BROKEN_OFF = "the receiver closed the connection in the middle of its answer"
FAILURES: dict[str, tuple[Callable[[socket.socket], None], int | None, str]] = {
    "hanging": (hangs, None, "no answer within 2 s"),
    "endless headers": (drips(OK, b"X-More: 1\r\n"), None, "no answer within 2 s"),
    "reset": (resets, None, "Connection reset by peer"),
    "half an answer": (sends(OK + b"Content-Length: 9\r\n\r\nabc"), None, BROKEN_OFF),
    "a gigabyte": (gigabyte_of_error, 500, "status 500"),
    "500": (responds("500 No"), 500, "status 500"),
    "429": (responds("429 Slow Down", "Retry-After: 7"), 429, "status 429"),
    "410": (responds("410 Gone"), 410, "status 410"),
    "301": (responds("301 Elsewhere", "Location: http://127.0.0.1:9/"), 301, "status 301"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failed_webhook_is_stored_with_its_reason_and_can_be_sent_again(setup: Setup, failure: str) -> None:
    serve, status, reason = FAILURES[failure]
    path = "impatient" if "within" in reason else "jobs"
    with raw_server(serve) as port:
        job = setup.start_job(path, f"http://127.0.0.1:{port}/")
        setup.proxy.wait_for(f"job {job}: .*given up")
    error = None if status else reason
    assert setup.outcomes(job) == [("failed", reason, 1, status, error)]

    with receiver(port=port) as server:
        setup.resend(job)
        [webhook] = server.wait(1)
        setup.proxy.wait_for(f"job {job}: .*delivered, attempt 2")
    assert webhook.headers["x-attempt"] == "2"
    assert setup.outcomes(job) == [("delivered", None, 1, status, error), ("delivered", None, 2, 200, None)]


def test_a_receiver_that_is_down_for_a_while_gets_its_webhook_later(setup: Setup) -> None:
    port = free_port()
    job = setup.start_job("retries", f"http://127.0.0.1:{port}/")
    setup.proxy.wait_for(f"job {job}: .*attempt 1: .*: Connection refused; next attempt in 5 s")
    assert setup.commands.operate(setup.proxy, f"mock.advance 1m {job}") == "done"
    setup.proxy.wait_for(f"job {job}: .*attempt 2: .*: Connection refused; next attempt in 300 s")

    with receiver(port=port) as server:
        assert setup.commands.operate(setup.proxy, f"mock.advance 5m {job}") == "done"
        assert len(server.requests) == 1
    refused = "Connection refused"
    assert setup.outcomes(job) == [
        ("delivered", None, 1, None, refused),
        ("delivered", None, 2, None, refused),
        ("delivered", None, 3, 200, None),
    ]


def test_a_receiver_with_an_invalid_certificate_gets_nothing_until_it_has_a_valid_one(setup: Setup) -> None:
    with receiver(tls=certificate(setup.folder / "wrong", "localhost").context) as server:
        job = setup.start_job("tls", f"https://localhost:{server.port}/")
        setup.proxy.wait_for(f"job {job}: .*given up")
        assert server.requests == []
    [(state, reason, number, status, error)] = setup.outcomes(job)
    assert (state, number, status, error) == ("failed", 1, None, reason)
    assert reason.startswith("TLS: ")

    with receiver(tls=certificate(setup.folder / "right", "localhost").context, port=server.port) as server:
        setup.resend(job)
        server.wait(1)
