"""A person at a terminal sees what takes longer than a second. Nobody else does."""

import contextlib
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from latehook.client.sync import Latehook
from support.jobs import MOCKS
from support.limits import LIMIT
from support.paths import ADDON
from support.process import clean_environment
from support.waiting import wait_until


class OnTerminal:
    """A process whose standard error is a terminal."""

    def __init__(self, *command: str) -> None:
        self._screen, its_side = pty.openpty()
        os.set_blocking(self._screen, False)
        environment = {**clean_environment(), "PYTHONPATH": str(ADDON)}
        self.process = subprocess.Popen(
            [sys.executable, *command], env=environment, stdout=subprocess.PIPE, stderr=its_side, text=True
        )
        self._its_side = its_side
        self._shown = ""

    def wait_for(self, text: str) -> None:
        wait_until(lambda: text in self._read(), f"{text!r} on the terminal")

    def end(self) -> tuple[int, str, str]:
        """Wait for the end. Return the exit status, standard output, and the last line that the terminal shows."""
        output, _ = self.process.communicate(timeout=LIMIT)
        shown = self._read()
        os.close(self._its_side)
        os.close(self._screen)
        return self.process.returncode, output, shown.rstrip("\r").rpartition("\r")[2].strip()

    def _read(self) -> str:
        with contextlib.suppress(BlockingIOError):
            self._shown += os.read(self._screen, 65536).decode()
        return self._shown


def test_check_and_wait_for_say_what_they_wait_for(
    client: Latehook, tmp_path: Path, create: Callable[..., str]
) -> None:
    os.mkfifo(tmp_path / "mocks.yaml")  # a file whose content comes late
    port = client.proxy.rpartition(":")[2]
    wait = f"import latehook\nwith latehook.connect({port}) as client: print(client.wait_for(count=1)[0].state)"

    check = OnTerminal("-m", "latehook.cli", "check", str(tmp_path / "mocks.yaml"))
    waiting = OnTerminal("-c", wait)
    check.wait_for("latehook: checking 1 mocks file: 1 s")
    waiting.wait_for("latehook: waiting for 1 webhook to be delivered: 1 s")
    (tmp_path / "mocks.yaml").write_text(MOCKS)
    create()
    client.advance("65s")

    status, described, line = check.end()
    assert (status, line) == (0, "")
    assert described.startswith(f"{tmp_path}/mocks.yaml\n")
    assert waiting.end() == (0, "delivered\n", "")
