"""Receivers that fail in every way: the store keeps the outcome and its reason, and the webhook can be sent again."""

import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from support.certificates import certificate
from support.mitmproxy_commands import Commands
from support.ports import free_port
from support.process import Proxy
from support.programs import curl
from support.raw_servers import OK, drips, hangs, raw_server, resets, sends
from support.receivers import receiver

MOCKS = """
mocks:
  - match: POST api.slow.example/jobs
    response: {json: {id: "{{ job.id }}"}}
    webhook:
      to: "{{ request.text }}"
      json: {nonce: "{{ uuid() }}"}
      headers: {x-attempt: "{{ webhook.attempt }}"}
      timeout: 500ms
      retry: []
  - match: POST api.slow.example/patient
    webhook: {to: "{{ request.text }}", retry: [5s, 5m, 30m]}
  - match: POST api.slow.example/tls
    webhook: {to: "{{ request.text }}", verify: VERIFY, retry: []}
"""


@pytest.fixture
def proxy(start: Callable[..., Proxy], commands: Commands, tmp_path: Path) -> Proxy:
    ca = certificate(tmp_path / "right", "localhost").ca
    store = f"mock_store={tmp_path / 'store.sqlite'}"
    return start("--set", store, *commands.arguments, mocks=MOCKS.replace("VERIFY", ca))


def post(proxy: Proxy, path: str, to: str) -> None:
    assert curl("-f", "-x", proxy.url, "-d", to, f"http://api.slow.example{path}").returncode == 0


def rows(tmp_path: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(tmp_path / "store.sqlite")) as db:
        return db.execute(sql).fetchall()


def outcomes(tmp_path: Path) -> list[Any]:
    """State and reason of the webhook, number, status and error of each of its attempts."""
    return rows(tmp_path, "SELECT state, reason, number, status, error FROM webhook JOIN attempt ON key = webhook")


def says(status: str, *headers: str, body: bytes = b"") -> Callable[[socket.socket], None]:
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", ""))
    return sends(head.encode() + body)


def gigabyte_of_error(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 500 No\r\nContent-Length: 1073741824\r\n\r\n")
    for _ in range(1024):
        connection.sendall(bytes(1024 * 1024))


FAILURES: dict[str, tuple[Callable[[socket.socket], None], int | None, str]] = {
    "hanging": (hangs, None, "no answer within 0.5 s"),
    "reset": (resets, None, "Connection reset by peer"),
    "half an answer": (
        sends(OK + b"Content-Length: 9\r\n\r\nabc"),
        None,
        "the receiver closed the connection in the middle of its answer",
    ),
    "endless headers": (drips(OK, b"X-More: 1\r\n"), None, "no answer within 0.5 s"),
    "a gigabyte": (gigabyte_of_error, 500, "status 500"),
    "500": (says("500 No"), 500, "status 500"),
    "429": (says("429 Slow Down", "Retry-After: 7"), 429, "status 429"),
    "410": (says("410 Gone"), 410, "status 410"),
    "301": (says("301 Elsewhere", "Location: http://127.0.0.1:9/"), 301, "status 301"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_what_was_given_up_is_recorded_with_its_reason_and_can_be_sent_again(
    proxy: Proxy, commands: Commands, tmp_path: Path, failure: str
) -> None:
    serve, status, reason = FAILURES[failure]
    with raw_server(serve) as port:
        post(proxy, "/jobs", f"http://127.0.0.1:{port}/")
        proxy.wait_for("given up")
    error = None if status else reason
    assert outcomes(tmp_path) == [("failed", reason, 1, status, error)]

    with receiver(port=port) as server:
        [(id,)] = rows(tmp_path, "SELECT id FROM webhook")
        assert commands.operate(proxy, f"mock.resend {id}") == "done"
        [webhook] = server.wait(1)
        proxy.wait_for("delivered, attempt 2")
    assert webhook.headers["x-attempt"] == "2"
    assert outcomes(tmp_path) == [("delivered", None, 1, status, error), ("delivered", None, 2, 200, None)]


def test_a_receiver_that_is_down_for_a_minute_gets_its_webhook_then(
    proxy: Proxy, commands: Commands, tmp_path: Path
) -> None:
    port = free_port()
    post(proxy, "/patient", f"http://127.0.0.1:{port}/")
    proxy.wait_for("attempt 1: .*: Connection refused; next attempt in 5 s")
    assert commands.operate(proxy, "mock.advance 1m") == "done"
    proxy.wait_for("attempt 2: .*: Connection refused; next attempt in 300 s")

    with receiver(port=port) as server:
        assert commands.operate(proxy, "mock.advance 5m") == "done"
        assert len(server.requests) == 1
    refused = "Connection refused"
    assert outcomes(tmp_path) == [
        ("delivered", None, 1, None, refused),
        ("delivered", None, 2, None, refused),
        ("delivered", None, 3, 200, None),
    ]


def test_a_receiver_whose_certificate_does_not_verify_gets_nothing_until_it_does(
    proxy: Proxy, commands: Commands, tmp_path: Path
) -> None:
    with receiver(tls=certificate(tmp_path / "wrong", "localhost").context) as server:
        post(proxy, "/tls", f"https://localhost:{server.port}/")
        proxy.wait_for("given up")
        assert server.requests == []
    [(state, reason, number, status, error)] = outcomes(tmp_path)
    assert (state, number, status, error) == ("failed", 1, None, reason)
    assert reason.startswith("TLS: ")

    with receiver(tls=certificate(tmp_path / "right", "localhost").context, port=server.port) as server:
        [(id,)] = rows(tmp_path, "SELECT id FROM webhook")
        assert commands.operate(proxy, f"mock.resend {id}") == "done"
        server.wait(1)
