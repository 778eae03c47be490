"""What a write that fails does."""

import sqlite3
from collections.abc import Callable
from typing import Concatenate, Protocol

from latehook.base.errors import StoreError


class _Writes(Protocol):
    def fail_transaction(self) -> None: ...

    def failure(self, verb: str, error: Exception) -> StoreError: ...


def write_operation[Writer: _Writes, **P, R](
    write: Callable[Concatenate[Writer, P], R],
) -> Callable[Concatenate[Writer, P], R]:
    """Raise StoreError for a write that fails, and let the next commit roll back.

    The failed write may have been half done, and SQLite may have rolled back the whole transaction by itself.
    """

    def guarded(store: Writer, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return write(store, *args, **kwargs)
        except (sqlite3.Error, ValueError, OverflowError) as error:
            store.fail_transaction()
            raise store.failure("write", error) from error

    return guarded
