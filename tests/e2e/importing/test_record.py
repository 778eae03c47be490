"""`latehook record`: the flow file has the host's exchanges and the webhooks, and the command says what it saw."""

import json
import os
import re
import shlex
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from latehook.cli import main
from latehook.importing.reading import read
from support.certificates import certificate
from support.fork_server import ForkedProcess
from support.limits import LIMIT
from support.paths import ROOT
from support.ports import free_port
from support.process import Proxy, clean_environment
from support.programs import curl
from support.receivers import Receiver, answer, receiver


@contextmanager
def record(folder: Path, *arguments: str) -> Iterator[Proxy]:
    """Run the command in a folder until the end of the block."""
    environment = clean_environment() | {"HOME": str(folder), "PYTHONUNBUFFERED": "1"}
    printed = Proxy(ForkedProcess(["latehook", "record", *arguments], folder, environment), folder / ".mitmproxy")
    try:
        yield printed
    finally:
        printed.close()


@pytest.fixture
def third_party() -> Iterator[Receiver]:
    with receiver(answer(201, b'{"id": 1}', content_type="application/json")) as server:
        yield server


def test_one_run_is_recorded(tmp_path: Path, sut: Receiver, third_party: Receiver) -> None:
    proxy, hooks = free_port(), free_port()
    arguments = ["--host", "127.0.0.1", "--to", f"{sut.url}@{hooks}", "--listen-port", str(proxy), "-o", "slow.flow"]
    with receiver() as other, record(tmp_path, *arguments) as command:
        command.wait_for("recording 127.0.0.1; Ctrl-C ends")
        url = f"http://127.0.0.1:{third_party.port}/v1/jobs?key=1"
        assert curl("-x", f"http://127.0.0.1:{proxy}", "-d", "{}", url).returncode == 0
        assert curl("-x", f"http://127.0.0.1:{proxy}", f"http://localhost:{other.port}/other").returncode == 0
        assert curl("-d", "{}", "-H", "Host: app.test", f"http://127.0.0.1:{hooks}/hook").returncode == 0
        command.wait_for("← webhook POST /hook 200 \\(\\+")
        assert command.stop(signal.SIGINT) == 0

    assert "→ POST /v1/jobs 201" in command.lines
    assert command.lines[-5:] == [
        "127.0.0.1: 1 request",
        "webhooks: 1",
        "not recorded: 1 connection to 1 other host",
        "slow.flow has everything that was sent, secrets too: keep it to yourself. Next:",
        "  latehook infer slow.flow --host 127.0.0.1 -o mocks.yaml",
    ]
    assert sut.requests[0].headers["host"] == "app.test"
    assert os.stat(tmp_path / "slow.flow").st_mode & 0o777 == 0o600
    [recording] = read([tmp_path / "slow.flow"], ["127.0.0.1"])
    assert [(one.inbound, one.path, one.status) for one in recording.exchanges] == [
        (False, "/v1/jobs", 201),
        (True, "/hook", 200),
    ]


def test_the_recipe_leads_from_a_provider_to_mocks(
    tmp_path: Path,
    sut: Receiver,
    third_party: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    proxy, hooks = free_port(), free_port()
    recipes = (ROOT / "addon" / "RECIPES.md").read_text()
    commands = re.findall(r"^latehook (.*)$", recipes.partition("# first.sh\n")[2].partition("```")[0], re.MULTILINE)
    ports = {"api.slow.example": "127.0.0.1", "http://127.0.0.1:8000@9000": f"{sut.url}@{hooks}"}
    first, *others = [[ports.get(word, word) for word in shlex.split(command)] for command in commands]
    job = {"id": "job_8Kx2mQ7pL0vN4tRw", "status": "queued"}
    third_party.behave = answer(201, json.dumps(job).encode(), content_type="application/json")
    url = f"http://127.0.0.1:{third_party.port}/v1/jobs"

    with record(tmp_path, *first[1:], "--listen-port", str(proxy)) as command:
        command.wait_for("recording 127.0.0.1; Ctrl-C ends")
        asked = ("-H", "content-type: application/json", "-d", json.dumps({"callback": "http://app.test/hook"}))
        assert curl("-x", f"http://127.0.0.1:{proxy}", *asked, url).returncode == 0
        done = ("-H", "host: app.test", *asked[:2], "-d", json.dumps({**job, "status": "done"}))
        assert curl(*done, f"http://127.0.0.1:{hooks}/hook").returncode == 0
        command.wait_for("← webhook POST /hook 200")
        assert command.stop(signal.SIGINT) == 0
    assert [main(arguments) for arguments in others] == [0, 0, 0]

    printed = capfd.readouterr().out
    assert "slow.flow: 1 request and 1 webhook compared: no difference" in printed
    assert f"POST {url}" in printed and "the status is done, sends POST {{ request.json.callback }}" in printed


def test_https_is_recorded_and_other_hosts_pass_untouched(tmp_path: Path) -> None:
    proxy, own = free_port(), certificate(tmp_path, "localhost")
    arguments = ["--host", "localhost", "--listen-port", str(proxy), "--set", "ssl_insecure=true", "-o", "slow.flow"]
    with receiver(tls=own.context) as server, record(tmp_path, *arguments) as command:
        command.wait_for("recording localhost")
        through = ("-x", f"http://127.0.0.1:{proxy}", "--insecure", "-w", "%{certs}")
        recorded = curl(*through, "-d", "{}", f"https://localhost:{server.port}/v1/jobs")
        other = curl(*through, f"https://127.0.0.1:{server.port}/other")
        command.stop(signal.SIGINT)

    assert "mitmproxy" in recorded.stdout
    assert other.returncode == 0 and "mitmproxy" not in other.stdout  # it saw the server's own certificate
    assert "→ POST /v1/jobs 200" in command.lines
    assert "not recorded: 1 connection to 1 other host" in command.lines
    [recording] = read([tmp_path / "slow.flow"], ["localhost"])
    assert [one.path for one in recording.exchanges] == ["/v1/jobs"]


def test_nothing_seen_is_said(tmp_path: Path) -> None:
    with record(tmp_path, "--host", "api.slow.example", "--listen-port", str(free_port()), "-o", "x.flow") as command:
        command.wait_for("recording api.slow.example")
        command.stop(signal.SIGINT)

    assert command.lines[-1] == "no request to api.slow.example was seen: does the system use this proxy?"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["-o", "old.flow"], "old.flow exists, and is not written over: name another file with -o"),
        (["-o", "no/such/folder.flow"], "no/such/folder.flow cannot be written: No such file or directory"),
        (["--set", "no_such=1", "-o", "x.flow"], "--set: Unknown option(s): no_such"),
        (["--to", "app:8000", "-o", "x.flow"], "--to app:8000: write URL@PORT, such as http://127.0.0.1:8000@9000"),
    ],
)
def test_each_error_is_one_line(tmp_path: Path, arguments: list[str], problem: str) -> None:
    (tmp_path / "old.flow").touch()
    with record(tmp_path, "--host", "api.slow.example", *arguments) as command:
        assert command.wait(LIMIT) == 1

    assert command.lines == [f"latehook record: {problem}"]
