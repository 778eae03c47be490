"""Reloads mocks files when they change. If the new text has an error, the log says so, and the previous mocks stay."""

import asyncio
import gc
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from latehook.base import logs
from latehook.base.errors import MocksError
from latehook.mocks.definitions import Mocks
from latehook.mocksfile import loading

log = logging.getLogger(logs.LOGGER)

POLL_INTERVAL = 0.5
"""Seconds between two checks of the files. Each wakes the event loop of an idle process."""
MISSED = 2
"""Checks after which a file that is not there counts as removed: an editor may remove a file and write it anew."""
SWITCH_INTERVAL = 0.0005
"""Seconds after which the thread that loads a file lets the event loop continue."""
NEVER = 2**30
"""A threshold of Python's garbage collection that is not reached while a file is loaded."""

FileState = tuple[int, int, int]
"""Time of the last change in nanoseconds, size in bytes, inode."""


class Watcher:
    """Loads mocks files, and loads them again after each change."""

    def __init__(self, files: Sequence[Path], env: Mapping[str, str], use: Callable[[Mocks], None]) -> None:
        """`use` is called with the mocks of all files, each time that they are loaded."""
        self._files = files
        self._env = env
        self._use = use
        self._loaded: tuple[FileState | None, ...] = ()
        self._missed = [0] * len(files)  # by file: the checks in a row in which it was not there

    def load(self) -> None:
        """Load the files now. Raises MocksError."""
        self._loaded = self._states()
        self._use(loading.load(self._files, self._env))

    async def watch(self) -> None:
        """Load the files again after each change, until this is canceled."""
        while True:
            await asyncio.sleep(POLL_INTERVAL)
            states = self._states()
            self._report_missing(states)
            if states != self._loaded and None not in states:
                self._loaded = states
                await self._reload()

    def _report_missing(self, states: Sequence[FileState | None]) -> None:
        """Log once that a file was removed, and once that it is back."""
        for number, (file, state) in enumerate(zip(self._files, states, strict=True)):
            if state is None:
                self._missed[number] += 1
                if self._missed[number] == MISSED:
                    log.warning("latehook: %s was removed; its mocks stay in use", file)
            else:
                if self._missed[number] >= MISSED:
                    log.info("latehook: %s is back", file)
                self._missed[number] = 0

    async def _reload(self) -> None:
        names = ", ".join(map(str, self._files))
        try:
            with _short_pauses():
                mocks = await asyncio.to_thread(loading.load, self._files, self._env)
        except MocksError as error:
            log.warning("latehook: %s; the previous mocks stay in use", error)
        except Exception:
            log.exception("latehook: %s cannot be used; the previous mocks stay in use", names)
        else:
            self._use(mocks)
            log.info("latehook: reloaded %s", names)

    def _states(self) -> tuple[FileState | None, ...]:
        return tuple(map(_state, self._files))


@contextmanager
def _short_pauses() -> Iterator[None]:
    """Keep the event loop's pauses short while a thread loads a file.

    Both settings are those of the whole process, so they are restored at the end. Each is needed. Measured with a file
    of 500 mocks and 50 requests a second, on a busy machine: the slowest hundredth of the requests took about 300 ms
    without the switch interval, and 20 to 110 ms with it: the loop waits for the thread after each of its system calls.
    One full garbage collection looks at all nodes of the YAML file and stops the loop for 50 to 70 ms (200 ms with
    2,000 mocks); the other collections, which go on, take at most 12 ms.
    """
    interval, (young, middle, old) = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(SWITCH_INTERVAL)
    gc.set_threshold(young, middle, NEVER)
    try:
        yield
    finally:
        gc.set_threshold(young, middle, old)
        sys.setswitchinterval(interval)


def _state(file: Path) -> FileState | None:
    """Return the state of a file; None if there is none."""
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
