"""The commands of README's first screen, run as they are written, but at free ports and in an empty home folder."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.limits import LIMIT
from support.paths import MITMDUMP, ROOT
from support.ports import free_port
from support.process import clean_environment
from support.waiting import wait_until

INSTALL, RECEIVE, SERVE, SEND = re.findall(r"^\d\$ ((?:.*\\\n)*.*)$", (ROOT / "README.md").read_text(), re.MULTILINE)


class Terminal:
    """A shell that runs one command in the source tree."""

    def __init__(self, command: str, home: Path, log: Path) -> None:
        self._log = log
        path = os.pathsep.join([str(MITMDUMP.parent), os.environ["PATH"]])
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                ["bash", "-c", command],
                cwd=ROOT,
                env={**clean_environment(), "HOME": str(home), "PATH": path, "PYTHONUNBUFFERED": "1"},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def text(self) -> str:
        """What the command has printed."""
        return self._log.read_text()

    def wait_for(self, pattern: str) -> str:
        """Return the first match of a regular expression in what the command prints."""
        found = wait_until(lambda: re.search(pattern, self.text), f"{pattern!r} in a terminal")
        return str(found[0])

    def press_ctrl_c(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
            self.process.wait(LIMIT)


Run = Callable[[str], Terminal]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Run a command of README in a terminal of its own: the ports 8080 and 9000 become free ones."""
    ports = {"8080": str(free_port()), "9000": str(free_port())}
    home = tmp_path / "home"
    home.mkdir()
    with ExitStack() as stack:

        def run(command: str) -> Terminal:
            command = command.replace(".venv/bin/mitmdump", f"{MITMDUMP} --listen-port 8080")
            command = re.sub("8080|9000", lambda port: ports[port[0]], command)
            terminal = Terminal(command, home, tmp_path / f"log-{len(list(tmp_path.iterdir()))}")
            stack.callback(terminal.press_ctrl_c)
            return terminal

        yield run


def test_the_first_commands_show_the_main_job(run: Run) -> None:
    assert INSTALL == "scripts/install"
    receiver = run(RECEIVE)
    receiver.wait_for("Serving HTTP on 127.0.0.1")
    proxy = run(SERVE)
    proxy.wait_for("latehook: ready for api.thirdparty.example")
    answer = json.loads(run(SEND).wait_for(r"\{.*\}"))

    webhook = receiver.wait_for(r'"GET .*')

    query = f"success=true&identifier={answer['identifier']}&some_parameter=some_value"
    assert webhook == f'"GET /?{query} HTTP/1.1" 200 -'
    proxy.wait_for("webhook delivered, attempt 1")
    proxy.press_ctrl_c()
    assert proxy.process.returncode == 0
