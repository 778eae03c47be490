"""The stores that the contract is tested with."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from latehook.store import MEMORY, Store
from latehook.store.address import PostgresAddress, parse_address
from latehook.store.sqlite import SqliteStore
from support.postgres import PostgresServer

Open = Callable[..., Store]
"""Make a store with this `redaction`. Another one that is made later has the same database, if it is durable."""


@pytest.fixture(params=["memory", "file", "postgresql"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    if request.param == "postgresql":
        return in_postgres(request.getfixturevalue("postgres_server"))
    path = MEMORY if request.param == "memory" else str(tmp_path / "store.sqlite")
    return lambda redaction=None: SqliteStore(path, redaction)


def in_postgres(server: PostgresServer) -> Open:
    """Return what makes stores in a schema."""
    from latehook.store.postgresql import PostgresStore

    address = parse_address(server.url("contract"))
    assert isinstance(address, PostgresAddress)
    return lambda redaction=None: PostgresStore(address, redaction)


@pytest.fixture
async def store(make_store: Open) -> AsyncIterator[Store]:
    store = make_store()
    await store.open()
    store.clear()
    await store.commit()
    yield store
    await store.close()
