"""Show on a terminal what goes on, where a person waits longer than a second."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

AFTER = 1.0
"""Seconds of waiting before something is shown."""

EVERY = 1.0
"""Seconds between two updates of what is shown."""


@contextmanager
def show_while_waiting(
    doing: str, *, stream: TextIO | None = None, after: float = AFTER, every: float = EVERY
) -> Iterator[None]:
    """Show `doing`, and for how long the block has run already, in one line that disappears with the block's end.

    Nothing is shown if `doing` is empty, if the block ends within `after` seconds, or if `stream` (by default standard
    error) is no terminal. The line is updated every `every` seconds.
    """
    stream = stream or sys.stderr
    if not doing or not _is_terminal(stream):
        yield
        return
    ended = threading.Event()
    shower = threading.Thread(target=_show, args=(doing, stream, ended, after, every), daemon=True)
    shower.start()
    try:
        yield
    finally:
        ended.set()
        shower.join()


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # it is closed
        return False


def _show(doing: str, stream: TextIO, ended: threading.Event, after: float, every: float) -> None:
    begin = time.monotonic()
    if ended.wait(after):
        return
    line = ""
    with suppress(OSError, ValueError):  # the terminal has gone
        while True:
            line = f"latehook: {doing}: {time.monotonic() - begin:.0f} s"
            stream.write(f"\r{line}")
            stream.flush()
            if ended.wait(every):
                break
        stream.write(f"\r{' ' * len(line)}\r")
        stream.flush()
