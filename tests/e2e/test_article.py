"""The session that Latehook began with: HTTPie posts to a service at this machine, `python3 -m http.server` gets the webhook.

Only the ports, 8000 for the service and 5000 for the receiver, are free ones here.
"""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.limits import LIMIT
from support.ports import free_port
from support.process import Proxy
from support.waiting import wait_until


@pytest.fixture
def standard_server(tmp_path: Path) -> Iterator[tuple[int, Callable[[], str]]]:
    """Run `python3 -m http.server PORT`; yield the port, and a function that returns what the server has printed."""
    port, log = free_port(), tmp_path / "server.log"
    with log.open("wb") as output:
        command = [sys.executable, "-u", "-m", "http.server", str(port)]
        process = subprocess.Popen(command, cwd=tmp_path, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: "Serving HTTP" in log.read_text(), "the server listens")
        yield port, log.read_text
    finally:
        process.terminate()
        process.wait(LIMIT)


def httpie(*arguments: str, home: Path) -> str:
    """Run `http` as in a terminal, where its standard input is no pipe; return the response's body."""
    terminal, stdin = pty.openpty()
    try:
        command = [Path(sys.executable).with_name("http"), "--body", *arguments]
        env = os.environ | {"HTTPIE_CONFIG_DIR": str(home), "NO_PROXY": "*"}
        return subprocess.run(command, stdin=stdin, env=env, capture_output=True, text=True, timeout=LIMIT).stdout
    finally:
        os.close(terminal)
        os.close(stdin)


def test_the_articles_session(
    start: Callable[..., Proxy], standard_server: tuple[int, Callable[[], str]], tmp_path: Path
) -> None:
    port, printed = standard_server
    service = free_port()
    env = {"CALLBACK_URL": f"http://0.0.0.0:{port}", "DELAY": "300ms"}
    proxy = start("--mode", f"reverse:http://api.thirdparty.example@{service}", env=env)

    answer = json.loads(
        httpie("POST", f":{service}/api/endpoint", "some_parameter==some_value", home=tmp_path / "httpie")
    )

    assert answer == {"identifier": answer["identifier"], "success": True}
    webhook = f"GET /?success=true&identifier={answer['identifier']}&some_parameter=some_value HTTP/1.1"
    wait_until(lambda: webhook in printed(), "the receiver prints the webhook")
    assert re.search(rf'"{re.escape(webhook)}" 200 -', printed())
    proxy.wait_for(rf"job {answer['identifier']}: webhook delivered, attempt 1: http://0\.0\.0\.0:{port}/?.*: 200")
