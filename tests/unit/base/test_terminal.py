"""What is shown on a terminal while a person waits."""

import io
import os
import pty
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import TextIO

import pytest

from latehook.base.terminal import show_while_waiting
from support.waiting import wait_until


class Terminal:
    """A terminal, and what it has shown."""

    def __init__(self) -> None:
        self._screen, programs_side = pty.openpty()
        os.set_blocking(self._screen, False)
        self.stream: TextIO = os.fdopen(programs_side, "w")
        self._shown = ""

    @property
    def shown(self) -> str:
        with suppress(BlockingIOError):
            self._shown += os.read(self._screen, 65536).decode()
        return self._shown

    def close(self) -> None:
        self.stream.close()
        os.close(self._screen)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    with closing(Terminal()) as opened:
        yield opened


def test_a_line_says_what_goes_on_and_for_how_long_and_disappears_at_the_end(terminal: Terminal) -> None:
    with show_while_waiting("reading a store", stream=terminal.stream, after=0, every=0.01):
        wait_until(lambda: terminal.shown.count("\rlatehook: reading a store: 0 s") > 1, "two updates")

    line = "latehook: reading a store: 0 s"
    assert terminal.shown.endswith(f"\r{' ' * len(line)}\r")
    assert "\n" not in terminal.shown


def test_it_disappears_also_after_an_error(terminal: Terminal) -> None:
    with pytest.raises(ValueError, match="broken"):
        with show_while_waiting("reading", stream=terminal.stream, after=0):
            wait_until(lambda: "reading" in terminal.shown, "it is shown")
            raise ValueError("broken")

    assert terminal.shown.endswith(" \r")


def test_what_ends_soon_or_has_no_words_is_not_shown(terminal: Terminal) -> None:
    with show_while_waiting("reading", stream=terminal.stream):
        pass
    with show_while_waiting("", stream=terminal.stream, after=0):
        pass

    assert terminal.shown == ""


def test_nothing_is_written_where_there_is_no_terminal() -> None:
    file, closed = io.StringIO(), io.StringIO()
    closed.close()
    for stream in (file, closed):
        with show_while_waiting("reading", stream=stream, after=0):
            pass

    assert file.getvalue() == ""


def test_a_terminal_that_has_gone_does_no_harm() -> None:
    terminal = Terminal()
    with show_while_waiting("reading", stream=terminal.stream, after=0, every=0.001):
        wait_until(lambda: "reading" in terminal.shown, "it is shown")
        terminal.close()
