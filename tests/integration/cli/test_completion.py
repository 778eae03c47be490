"""`latehook completion`: what real shells offer when Tab is pressed."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from latehook.cli import COMMANDS, main, make_parsers
from support.limits import LIMIT
from support.paths import ADDON
from support.shells import needs_shell

PROVIDERS = sorted(file.stem for file in (ADDON / "providers").glob("*.yaml"))
SHELLS = [
    pytest.param("bash", id="bash"),
    pytest.param("zsh", id="zsh", marks=needs_shell("zsh")),
]
START = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
}
SETUP = {
    "bash": "bind 'set bell-style none'; bind 'set enable-bracketed-paste off'; bind 'set completion-query-items -1'; "
            "bind 'set page-completions off'; ",
    "zsh": "autoload -U compinit; compinit -u -D; unsetopt LIST_BEEP; LISTMAX=10000; bindkey -e; ",
}  # fmt: skip


PROMPT = "ready> "


class Terminal:
    """A shell in a terminal of 50 rows and 300 columns."""

    def __init__(self, shell: str, folder: Path) -> None:
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "TERM": "dumb", "PS1": PROMPT}
        self._fd, self._terminal = pty.openpty()
        on_terminal = [
            "sh",
            "-c",
            f'exec "$@" <>{os.ttyname(self._terminal)} >&0 2>&0',
            "sh",
        ]  # it becomes the controlling one
        self._shell = subprocess.Popen(
            [*on_terminal, *START[shell]], cwd=folder, env=environment, stdin=subprocess.DEVNULL, start_new_session=True
        )
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 300, 0, 0))
        self._count = 0
        self._unread = ""
        self._read_until(PROMPT)

    def run(self, line: str) -> str:
        """Run a line; return what the terminal shows until the shell waits for the next one."""
        self._count += 1
        self._write(f"{line}; echo end-of-$(({self._count}))\n")
        return self._read_until(f"end-of-{self._count}\r") + self._read_until(PROMPT)

    def tab(self, typed: str) -> str:
        """Type something and Tab twice; return what the terminal shows."""
        return self.run(f"{typed}\t\t\x15:")  # Ctrl-U deletes the line

    def close(self) -> None:
        self._shell.kill()
        self._shell.wait(LIMIT)
        os.close(self._fd)
        os.close(self._terminal)

    def _write(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def _read_until(self, mark: str) -> str:
        end = time.monotonic() + LIMIT
        while mark not in self._unread:
            ready, _, _ = select.select([self._fd], [], [], max(0, end - time.monotonic()))
            assert ready, f"the shell does not show {mark!r}: {self._unread}"
            self._unread += os.read(self._fd, 65536).decode(errors="replace")
        shown, mark, self._unread = self._unread.partition(mark)
        return shown + mark


@contextmanager
def terminal(shell: str, folder: Path) -> Iterator[Terminal]:
    opened = Terminal(shell, folder)
    try:
        yield opened
    finally:
        opened.close()


@pytest.mark.parametrize("shell", SHELLS)
def test_tab_offers_what_the_parser_knows(shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    (tmp_path / "completion").write_text(capsys.readouterr().out)
    (tmp_path / "empty").mkdir()
    (tmp_path / "only-file.yaml").touch()
    options = {
        name: [flag for one in parser.arguments for flag in one.flags if flag.startswith("--")]
        for name, parser in make_parsers(*COMMANDS)[1].items()
    }

    with terminal(shell, tmp_path) as opened:
        assert "rror" not in opened.run(f"{SETUP[shell]}. ./completion")
        assert offered(opened.tab("latehook "), [*COMMANDS]) == [*COMMANDS]
        for name, flags in options.items():
            shown = opened.tab(f"latehook {name} --")
            assert offered(shown, flags) == flags, (name, shown)
        assert offered(opened.tab("latehook providers "), PROVIDERS) == PROVIDERS
        assert offered(opened.tab("latehook run --provider "), PROVIDERS) == PROVIDERS
        assert "latehook run --provider=stripe " in opened.tab("latehook run --provider=str")
        assert "latehook completion zsh" in opened.tab("latehook completion z")
        assert "latehook check only-file.yaml" in opened.tab("latehook check on")
        assert "latehook run -- only-file.yaml" in opened.tab("latehook run -- on")
        assert "only-file" not in opened.tab("latehook env ")
        assert "only-file" not in opened.tab("latehook run -p ")


def offered(shown: str, words: list[str]) -> list[str]:
    """Return those of `words` that the terminal shows as words of their own."""
    return [word for word in words if re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", shown)]
