"""The stores that the contract is tested with."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from latehook.base.redaction import Redaction
from latehook.store import MEMORY, Store
from latehook.store.sqlite import SqliteStore

Open = Callable[..., Store]
"""Make a store with this `redaction`. Another one that is made later has the same database, if it is durable."""


@pytest.fixture(params=["memory", "file"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    path = MEMORY if request.param == "memory" else str(tmp_path / "store.sqlite")

    def make(redaction: Redaction | None = None) -> Store:
        return SqliteStore(path, redaction)

    return make


@pytest.fixture
async def store(make_store: Open) -> AsyncIterator[Store]:
    store = make_store()
    await store.open()
    yield store
    await store.close()
