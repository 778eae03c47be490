"""The start imports only what the first request needs, because every test run waits for it. Clients may come early."""

import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from support.attack_clients import read_response
from support.limits import PROMPT
from support.ports import free_port
from support.process import HOST, Proxy
from support.programs import curl
from support.receivers import Receiver

IMPORTS_SCRIPT = """
import logging, sys

HEAVY = ("httpx", "latehook.client", "latehook.control", "latehook.delivery.transport", "starlette")

class Imports:
    def running(self):
        self.log("at the start")

    def response(self, flow):
        self.log("at a response")

    def done(self):
        self.log("at the end")

    def log(self, when):
        logging.info("imported %s: %s;", when, " ".join(name for name in HEAVY if name in sys.modules))

addons = [Imports()]
"""
MOCKS = f"""
mocks:
  - match: GET {HOST}/health
    response: {{text: ok}}
  - match: POST {HOST}/jobs
    webhook: {{to: "{{{{ env.CALLBACK_URL }}}}"}}
"""


def test_the_webhook_client_and_the_control_api_are_imported_at_their_first_use(
    start: Callable[..., Proxy], sut: Receiver, tmp_path: Path
) -> None:
    (tmp_path / "imports.py").write_text(IMPORTS_SCRIPT)
    (tmp_path / "mocks.yaml").write_text(MOCKS)
    options = ("-s", str(tmp_path / "imports.py"), "--set", f"mock_file={tmp_path / 'mocks.yaml'}")
    proxy = start(*options, env={"CALLBACK_URL": f"{sut.url}/hook"})

    curl("-x", proxy.url, f"http://{HOST}/health")
    proxy.wait_for("imported at the start: ;")
    proxy.wait_for("imported at a response: ;")

    curl("-x", proxy.url, "-d", "", f"http://{HOST}/jobs")
    sut.wait(1)
    curl(f"{proxy.url}/_latehook/status")
    proxy.stop()
    proxy.wait_for("imported at the end: httpx latehook.control latehook.delivery.transport starlette;")


def connect(port: int, sends: bytes = b"") -> socket.socket:
    """Connect, send these bytes, and send no more."""
    client = socket.create_connection(("127.0.0.1", port), PROMPT)
    client.sendall(sends)
    client.shutdown(socket.SHUT_WR)
    return client


def test_clients_that_leave_at_once_while_it_starts_or_many_connect_do_no_harm(
    start: Callable[..., Proxy], tmp_path: Path
) -> None:
    port = free_port()
    proxy = start("-p", str(port), mocks=MOCKS, env={"CALLBACK_URL": "http://127.0.0.1:9/"}, wait=False)
    while True:  # a script that waits until the port is open
        with suppress(OSError), connect(port):
            break
    proxy.wait_for("latehook: ready for")

    proxy.process.send_signal(signal.SIGSTOP)  # so all of these come in one turn of its event loop
    for _ in range(30):
        connect(port).close()
    asking = [connect(port, f"GET http://{HOST}/health HTTP/1.1\r\nhost: {HOST}\r\n\r\n".encode()) for _ in range(20)]
    proxy.process.send_signal(signal.SIGCONT)
    for client in asking:
        with client:
            assert read_response(client, b"")[1].endswith(b"ok")

    assert proxy.stop() == 0
    assert "crashed" not in proxy.output and "Traceback" not in proxy.output


OTHER_PORT_SCRIPT = """
import os
from mitmproxy import ctx

def response(flow):
    ctx.options.update(mode=["regular", "regular@" + os.environ["OTHER_PORT"]])
"""
MOST_WAITING = Path("/proc/sys/net/core/somaxconn")
"""Has how many connections this system lets wait, whatever a program asks for."""


@pytest.mark.skipif(
    not MOST_WAITING.exists() or int(MOST_WAITING.read_text()) < 512, reason="this system lets fewer connections wait"
)
def test_hundreds_of_clients_that_connect_at_once_need_not_try_again(
    start: Callable[..., Proxy], tmp_path: Path
) -> None:
    (tmp_path / "other_port.py").write_text(OTHER_PORT_SCRIPT)
    other = free_port()
    variables = {"CALLBACK_URL": "http://127.0.0.1:9/", "OTHER_PORT": str(other)}
    proxy = start("-s", str(tmp_path / "other_port.py"), mocks=MOCKS, env=variables)
    asks = ("--retry-connrefused", "--retry", "9", f"http://{HOST}/health")
    for port in (proxy.port, other):
        assert curl("-x", f"http://127.0.0.1:{port}", *asks).stdout == "ok"
        proxy.process.send_signal(signal.SIGSTOP)  # it accepts none of these
        clients = [socket.create_connection(("127.0.0.1", port), PROMPT) for _ in range(300)]
        proxy.process.send_signal(signal.SIGCONT)
        for client in clients:
            client.close()
