"""Hot edits: an edited mocks file is read anew; one that cannot be used is reported, and the last good one stays."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from latehook import mocksfile
from latehook.model import MocksError
from latehook.service import Mocks

log = logging.getLogger(__name__)

LOOK_EVERY = 0.25
"""Seconds between two looks at the files."""

Signature = tuple[tuple[int, int, int] | None, ...]


class Reload:
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


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
