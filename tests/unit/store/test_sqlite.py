"""Jobs, webhooks and attempts in SQLite files."""

import os
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from latehook.base.errors import StoreError
from latehook.base.messages import Redirect
from latehook.base.model import State
from latehook.store.sqlite import SqliteStore
from latehook.store.sqlite.checkpoints import checkpoint, log_size
from latehook.store.sqlite.store import PRUNE_BATCH
from support.stored import CONTENT, OK, add, add_ended, job, webhook


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(str(tmp_path / "store.sqlite"))
    yield store
    await store.close()


async def test_a_definition_is_written_again_after_a_rollback_and_after_clear(store: SqliteStore) -> None:
    store.add_definition("new", b"written")
    store.fail_transaction()
    with pytest.raises(StoreError):
        await store.commit()
    assert await store.definition("new") is None

    for _ in range(2):
        store.add_definition("new", b"written")
        await store.commit()
        assert await store.definition("new") == b"written"
        store.clear()
        await store.commit()
        assert await store.definition("new") is None


async def test_a_store_of_version_1_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    store = SqliteStore(str(path))
    key = add_ended(store, "j")
    await store.close()
    with closing(sqlite3.connect(path)) as db:
        db.executescript("ALTER TABLE attempt DROP COLUMN redirects; ALTER TABLE attempt DROP COLUMN clock_at;")
        db.executescript("ALTER TABLE attempt DROP COLUMN content_type; DROP INDEX job_open; PRAGMA user_version = 1;")

    store = SqliteStore(str(path))
    store.add_attempt(key, 2, OK, State.DELIVERED, 0.0, CONTENT, 8.0)
    assert [attempt.clock_at for _, attempt in await store.attempts([key])] == [OK.started_at, 8.0]
    await store.close()


async def test_a_store_of_version_2_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    store = SqliteStore(str(path))
    key = add_ended(store, "j")
    await store.close()
    with closing(sqlite3.connect(path)) as db:
        db.executescript("ALTER TABLE attempt DROP COLUMN content_type; ALTER TABLE attempt DROP COLUMN redirects;")
        db.executescript("DROP INDEX job_open; PRAGMA user_version = 2;")

    store = SqliteStore(str(path))
    redirects = (Redirect(302, "http://app.test/"),)
    store.add_attempt(key, 2, replace(OK, redirects=redirects), State.DELIVERED, 0.0, CONTENT, 8.0)
    assert [attempt.redirects for _, attempt in await store.attempts([key])] == [(), redirects]
    await store.close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE attempt SET redirects = '{' WHERE number = 2")

    store = SqliteStore(str(path))
    assert [attempt.redirects for _, attempt in await store.attempts([key])] == [(), ()]
    await store.close()


async def test_prune_continues_behind_old_unfinished_jobs(store: SqliteStore) -> None:
    """A million of them are not looked at every time."""
    for number in range(PRUNE_BATCH):
        add(store, job(f"owed {number}", webhook()))
    add_ended(store, "ended")
    add(store, job("new", webhook()))

    store.prune(0.0, 2e9, keep=1)
    assert await count(store, "job") == PRUNE_BATCH + 2

    store.prune(0.0, 2e9, keep=1)
    assert await store.find_job("ended") is None
    assert await count(store, "job") == PRUNE_BATCH + 1

    store.set_state(1, State.CANCELED)
    store.prune(0.0, 2e9, keep=1)
    assert await store.find_job("owed 0") is None


async def test_prune_uses_the_index_of_webhooks_by_job(store: SqliteStore) -> None:
    """With a hundred thousand jobs that took half a minute, and the loop stood still."""
    plan = query(
        store,
        "EXPLAIN QUERY PLAN SELECT key FROM job WHERE NOT EXISTS (SELECT 1 FROM webhook w WHERE w.job = job.key)",
    )

    assert any("SEARCH w USING" in step[-1] and "INDEX webhook_of_job" in step[-1] for step in plan), plan


def query(store: SqliteStore, sql: str) -> list[tuple[Any, ...]]:
    """Read a store's file as another program does: what is committed."""
    with closing(sqlite3.connect(store.name)) as db:
        return db.execute(sql).fetchall()


async def count(store: SqliteStore, table: str) -> int:
    await store.commit()
    return int(query(store, f"SELECT count(*) FROM {table}")[0][0])


async def test_a_failed_write_rolls_back_the_whole_transaction(store: SqliteStore) -> None:
    with closing(sqlite3.connect(store.name)) as db:  # as SQLite does it when the disk is full
        condition = "length(NEW.value) > 100000"
        db.execute(
            f"CREATE TRIGGER full BEFORE INSERT ON job WHEN {condition} BEGIN SELECT RAISE(ROLLBACK, 'full'); END"
        )

    add(store, job("small", webhook()))
    with pytest.raises(StoreError):
        add(store, job("too large", webhook(), body=b"x" * 300_000))
    with pytest.raises(StoreError):  # SQLite has already rolled back: it must not look like a success
        await store.commit()
    assert await store.find_job("small") is None

    add(store, job("next", webhook()))
    await store.commit()
    assert await store.find_job("next") is not None


async def test_prune_deletes_definitions_without_jobs(tmp_path: Path) -> None:
    path = str(tmp_path / "store.sqlite")
    store = SqliteStore(path)
    for number in range(4):
        store.add_definition(f"old {number}", b"written")
        [key] = add(store, job(f"old {number}", replace(webhook(), definition=f"old {number}")))
        store.add_attempt(key, 1, OK, State.DELIVERED, 0.0, CONTENT, 1.25)
    await store.close()
    store = SqliteStore(path)  # whose jobs use them it does not ask, as long as there are jobs from before
    store.add_definition("new", b"written")
    ended, owed = (replace(webhook(), definition="new") for _ in range(2))
    [key] = add(store, job("ended", ended))
    store.add_attempt(key, 1, OK, State.DELIVERED, 0.0, CONTENT, 1.25)
    add(store, job("owed", owed))

    store.prune(0.0, 2e9, keep=3)
    assert [await store.definition(f"old {number}") for number in range(4)] == [b"written"] * 4
    store.prune(0.0, 2e9, keep=1)
    await store.commit()

    assert [await store.definition(f"old {number}") for number in range(4)] == [None] * 4
    assert await store.definition("new") == b"written"
    await store.close()


async def test_a_checkpoint_empties_the_log_while_the_store_is_written_to(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path / "store.sqlite"))
    for _ in range(20):
        add(store, job("j", webhook(), body=bytes(100_000)))
        await store.commit()
    assert log_size(store.name) > 2_000_000
    add(store, job("k", webhook()))

    thread = threading.Thread(target=checkpoint, args=(store.name,))
    thread.start()
    await store.commit()
    thread.join()

    assert log_size(store.name) == 0
    assert await store.count_unfinished() == 21
    await store.close()


async def test_a_reader_keeps_the_log_from_shrinking_and_blocks_no_write(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path / "store.sqlite"))
    add(store, job("j", webhook()))
    await store.commit()
    with closing(sqlite3.connect(store.name, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM job").fetchall()
        add(store, job("k", webhook()))
        await store.commit()
        checkpoint(store.name)
        size = log_size(store.name)
        add(store, job("l", webhook()))
        await store.commit()
    checkpoint(store.name)

    assert (size > 0, log_size(store.name), await store.count_unfinished()) == (True, 0, 3)
    await store.close()


@pytest.mark.parametrize("exists", [False, True], ids=["a new file", "a file that others could read"])
async def test_only_its_owner_can_read_a_store(tmp_path: Path, exists: bool) -> None:
    path = tmp_path / "store.sqlite"
    if exists:
        SqliteStore(str(path)).release()
        path.chmod(0o644)

    store = SqliteStore(str(path))
    add(store, job("1", webhook()))
    await store.commit()

    modes = {file.name: oct(file.stat().st_mode & 0o777) for file in tmp_path.iterdir()}
    assert modes.keys() >= {"store.sqlite", "store.sqlite-lock", "store.sqlite-shm", "store.sqlite-wal"}
    assert set(modes.values()) == {"0o600"}
    await store.close()


async def test_what_is_no_file_keeps_its_mode(tmp_path: Path) -> None:
    """`mock_store=/dev/null`, given by root, must not take /dev/null from everybody."""
    path = tmp_path / "store.sqlite"
    os.mkfifo(path)
    path.chmod(0o644)

    with pytest.raises(StoreError, match="it cannot be used"):
        SqliteStore(str(path))

    assert path.stat().st_mode & 0o777 == 0o644
