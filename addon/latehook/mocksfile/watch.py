"""Hot edits: an edited mocks file is read anew; one that cannot be used is reported, and the last good one stays."""

import asyncio
import gc
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from latehook import mocksfile
from latehook.base import logs
from latehook.base.errors import MocksError
from latehook.mocks.definitions import Mocks

log = logging.getLogger(logs.LOGGER)

LOOK_EVERY = 0.25
"""Seconds between two looks at the files."""
TURN = 0.0005
"""Seconds after which a thread that reads lets the loop go on."""

Signature = tuple[tuple[int, int, int] | None, ...]


class Watcher:
    """Looks at mocks files and hands new mocks on."""

    def __init__(self, files: Sequence[Path], env: Mapping[str, str], use: Callable[[Mocks], None]) -> None:
        self._files = files
        self._env = env
        self._use = use
        self._seen: Signature = ()

    def load(self) -> None:
        """Read the files now. MocksError if they cannot be used."""
        self._seen = self._signature()
        self._use(mocksfile.load(self._files, self._env))

    async def watch(self) -> None:
        """Read them again whenever they change, in a thread: the loop goes on."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            now = self._signature()
            if now != self._seen and None not in now:  # an editor may replace a file by first removing it
                self._seen = now
                await self._read()

    async def _read(self) -> None:
        names = ", ".join(map(str, self._files))
        try:
            with _beside_the_loop():
                mocks = await asyncio.to_thread(mocksfile.load, self._files, self._env)
        except MocksError as error:
            log.warning("latehook: %s; the last good mocks stay in use", error)
        except Exception:
            log.exception("latehook: %s cannot be used; the last good mocks stay in use", names)
        else:
            self._use(mocks)
            log.info("latehook: read again: %s", names)

    def _signature(self) -> Signature:
        return tuple(map(_stamp, self._files))


@contextmanager
def _beside_the_loop() -> Iterator[None]:
    """Where a thread reads a file: the loop's requests go on.

    Each call of the system that the loop makes for a request ends its turn. With Python's 5 ms until the next one, a
    request takes a third of a second while a large file is read. And a look through all objects stops the loop: not
    while YAML's nodes, most of them, are there for a moment.
    """
    turn = sys.getswitchinterval()
    sys.setswitchinterval(TURN)
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        sys.setswitchinterval(turn)


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
