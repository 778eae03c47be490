"""A store in SQLite: in memory, or in a file that one process uses."""

from latehook.store.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
