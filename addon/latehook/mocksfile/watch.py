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

POLL_INTERVAL = 0.25
"""Seconds between two checks of the files."""
TURN = 0.0005
"""Seconds after which a thread that reads lets the loop go on."""

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

    def load(self) -> None:
        """Load the files now. Raises MocksError."""
        self._loaded = self._states()
        self._use(loading.load(self._files, self._env))

    async def watch(self) -> None:
        """Load the files again after each change, until this is canceled."""
        while True:
            await asyncio.sleep(POLL_INTERVAL)
            states = self._states()
            if states != self._loaded and None not in states:  # an editor may remove a file before it writes it anew
                self._loaded = states
                await self._reload()

    async def _reload(self) -> None:
        names = ", ".join(map(str, self._files))
        try:
            with _beside_the_loop():
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
def _beside_the_loop() -> Iterator[None]:
    turn = sys.getswitchinterval()
    sys.setswitchinterval(TURN)
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        sys.setswitchinterval(turn)


def _state(file: Path) -> FileState | None:
    """Return the state of a file; None if there is none."""
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
