"""The lock of a store's file: only one process can use it, by whatever name it opens the file."""

import errno
import os
import sqlite3
import struct
from contextlib import suppress
from pathlib import Path

from latehook.base.errors import StoreError

try:
    import fcntl
except ImportError:  # on Windows
    OFD_SETLK: int | None = None
else:
    OFD_SETLK = getattr(fcntl, "F_OFD_SETLK", None)
"""Locks bytes of an open file. SQLite's locks do not end it, as they would end an ordinary lock of this process."""

IN_USE = "another process has it: end that one, or name another file"

LOCKED_BYTE = 1 << 62
"""The byte of the file that is locked. It is behind all that SQLite reads, writes or locks."""


class FileLock:
    """Keeps other processes from using a store until `close`. Other programs can still read it.

    Two locks do that. One is on the file itself, which may have several names (links); not every system has it. The
    other is on a file beside it, as in earlier versions. Raises StoreError, and sqlite3.Error for the file beside.
    """

    def __init__(self, path: str) -> None:
        real_path = str(Path(path).resolve())
        make_private(real_path)
        self.path_beside = f"{real_path}-lock"
        self._beside = _lock_beside(self.path_beside)
        self._descriptor: int | None = None
        try:
            self._descriptor = _lock_itself(real_path)
        except BaseException:
            self._beside.close()
            raise

    def close(self) -> None:
        """Release the locks. Close the database before: closing a file's descriptor ends SQLite's own locks on it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._beside.close()


def make_private(path: str) -> None:
    """Let only its owner read and write a file: it holds secrets. SQLite gives the files beside it the same mode.

    A file that cannot be created or changed is left to SQLite, whose error says why. So is what is no file: /dev/null
    must stay everybody's.
    """
    with suppress(OSError):
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        if os.path.isfile(path):
            os.chmod(path, 0o600)


def _lock_beside(path: str) -> sqlite3.Connection:
    make_private(path)
    lock = sqlite3.connect(path, isolation_level=None, timeout=0)
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error:
        lock.close()
        raise
    return lock


def _lock_itself(path: str) -> int | None:
    """Lock a file. Return the descriptor that holds the lock; None where that is not possible."""
    if OFD_SETLK is None:
        return None
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:  # SQLite's error says why
        return None
    try:
        fcntl.fcntl(descriptor, OFD_SETLK, struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, LOCKED_BYTE, 1, 0))
    except OSError as error:
        os.close(descriptor)
        if error.errno in (errno.EAGAIN, errno.EACCES):
            raise StoreError(f"mock_store={path}: {IN_USE}") from None
        return None  # this file system has no such locks
    return descriptor
