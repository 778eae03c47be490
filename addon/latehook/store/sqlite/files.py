"""What others do to the files of a store while it is in use."""

import os
from pathlib import Path

GONE = "was deleted, moved or replaced while it is in use"

PROBLEMS = {
    "": f"the file {GONE}: what is written from now on is lost when the process ends. Start it again",
    "-wal": f"its file …-wal {GONE}: what is written is lost if the process crashes. Start it again",
    "-shm": f"its file …-shm {GONE}: do not open the store with another program, and start the process again",
    "-lock": f"its file …-lock {GONE}: do not start a second process with this store",
}
"""What it means that a file is gone, by the end of its name."""

CUT = "the file was cut off while it is in use: jobs and webhooks are lost. Start again with a copy, or with a new file"


class StoreFiles:
    """The file of a store and those beside it, as they were when they were first seen."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._real_path = str(Path(path).resolve())
        self._seen: dict[str, tuple[int, int]] = {}  # device and inode
        self._size = 0
        self._told: set[str] = set()

    def new_problems(self) -> list[str]:
        """Return what has happened to the files since the last call, each in one line. Nothing is said twice."""
        found = [problem for suffix, problem in PROBLEMS.items() if self._is_gone(suffix)]
        if self._is_cut():
            found.append(CUT)
        new = [problem for problem in found if problem not in self._told]
        self._told.update(new)
        return [f"mock_store={self._path}: {problem}" for problem in new]

    def _is_gone(self, suffix: str) -> bool:
        """Return whether a file that was there is another one now, or none."""
        try:
            stat = os.stat(self._real_path + suffix)
        except OSError:
            return suffix in self._seen
        identity = (stat.st_dev, stat.st_ino)
        return self._seen.setdefault(suffix, identity) != identity

    def _is_cut(self) -> bool:
        """Return whether the file is smaller than it was. SQLite makes it only larger."""
        try:
            size = os.stat(self._real_path).st_size
        except OSError:
            return False
        self._size, before = max(size, self._size), self._size
        return size < before
