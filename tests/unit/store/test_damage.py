"""A store whose rows somebody or a disk has changed: the others can be read, and what cannot is failed."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latehook.base.errors import StoreError
from latehook.base.messages import Outcome, Request, Response
from latehook.base.model import Content, Criteria, Job, Stage, State, StoredWebhook, Webhook
from latehook.store import MEMORY
from latehook.store.sqlite import SqliteStore, opening
from support.stored import add

NOON = 1_800_000_000.0
VALUES = (b"", b"\0", b"\x81\xa2id", "text", b"\xff\xfe", -1, 2.5, float("inf"), None)
"""Values that no column has. SQLite keeps each in each column, unless it is null and may not be."""


async def fill(store: SqliteStore) -> None:
    """Write three jobs, each with a delivered webhook and two pending ones."""
    for id in "abc":
        stages = tuple(Stage(NOON + due, f"s{due}") for due in range(3))
        webhooks = tuple(
            Webhook(f"{id}{number}", number, "d", number, stage.due, "http://app.test/", "e")
            for number, stage in enumerate(stages)
        )
        request = Request("POST", "https", "api.slow.example", 443, "/", (), b"{}", 2)
        first, *_ = add(store, Job(id, "mock", NOON, request, stages, webhooks=webhooks, received_at=NOON))
        content = Content("http://app.test/", b"{}", None, "POST")
        store.add_attempt(first, 1, Outcome(NOON, NOON, 200), State.DELIVERED, NOON, content, NOON)
    store.add_definition("d", b"{}")
    store.set_value("vars", {"a": 1})
    await store.commit()


def columns() -> list[tuple[str, str]]:
    """Return (table, column) of every column of a store."""
    with closing(sqlite3.connect(MEMORY)) as db:
        db.executescript(opening.SCHEMA)
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return [(table, row[1]) for table in tables for row in db.execute(f"PRAGMA table_info({table})")]


async def read_all(store: SqliteStore) -> tuple[list[StoredWebhook], int]:
    """Read everything as lists, attempts and operations do. Return the webhooks, and how many others have no key."""
    await store.pending_dues()
    jobs = await store.jobs_by_key(match.key for match in await store.matching_jobs(Criteria(), None, 100))
    found = await store.matching_webhooks(Criteria(), None, 100)
    webhooks = await store.webhooks_by_key(match.key for match in found)
    unnamed = [stored for stored in await store.webhooks() if stored.key is None]  # of a damaged page; no list has them
    for stored in webhooks:
        await store.pending_webhook(stored.key)
        await store.dues([stored.key])
    await store.matching_webhooks(Criteria(event="e"), None, 100)
    await store.webhooks_of_jobs(jobs)
    await store.attempts(stored.key for stored in webhooks)
    await store.count_states()
    await store.count_unfinished()
    for job in jobs:
        await store.find_job(job.id)
    return webhooks, len(unnamed)


async def check_all(store: SqliteStore) -> set[str]:
    """Check that what is read in several ways is the same, and that a failure has a reason. Return the webhooks' ids."""
    webhooks, unnamed = await read_all(store)
    assert {stored.key for stored in await store.webhooks()} - {None} == {stored.key for stored in webhooks}
    assert sum((await store.count_states()).values()) == len(webhooks) + unnamed
    for stored in webhooks:
        assert await store.pending_webhook(stored.key) is None or stored.webhook.state is State.PENDING
        assert stored.webhook.reason is not None or stored.webhook.state is not State.FAILED
    return {stored.webhook.id for stored in webhooks}


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(str(path))
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of a store with three jobs."""
    path = tmp_path_factory.mktemp("written") / "store.sqlite"

    async def write() -> None:
        async with opened(path) as store:
            await fill(store)

    asyncio.run(write())
    return path.read_bytes()


@pytest.fixture
def path(tmp_path: Path, written: bytes) -> Path:
    path = tmp_path / "store.sqlite"
    path.write_bytes(written)
    return path


DAMAGES = [(table, column, value) for table, column in columns() for value in VALUES]


@pytest.mark.parametrize(("table", "column", "value"), DAMAGES)
async def test_a_damaged_value_leaves_all_other_rows_as_they_are(
    path: Path, table: str, column: str, value: object
) -> None:
    where = {"job": "WHERE key = 1", "webhook": "WHERE key IN (1, 2)"}.get(table, "")
    try:
        with closing(sqlite3.connect(path)) as db, db:
            db.execute(f"UPDATE {table} SET {column} = ? {where}", (value,))
    except sqlite3.IntegrityError:  # this column cannot have this value
        return

    async with opened(path) as store:
        for _ in range(2):  # what has failed stays so
            assert {"b0", "b1", "b2", "c0", "c1", "c2"} <= await check_all(store)
            await store.commit()


@pytest.mark.parametrize("column", ["value", "content", "due", "state", "attempts"])
async def test_a_pending_webhook_that_is_damaged_has_failed_with_the_reason(path: Path, column: str) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(f"UPDATE webhook SET {column} = 'x' WHERE key = 2")

    async with opened(path) as store:
        stored = await store.webhook(2)
        assert stored is not None
        assert (stored.webhook.id, stored.webhook.state, stored.job.id) == ("a1", State.FAILED, "a")
        assert "the store is damaged, and cannot be read here" in str(stored.webhook.reason)
        assert await store.count_states() == {State.FAILED: 1, State.DELIVERED: 3, State.PENDING: 5}
        assert len(await store.pending_dues()) == 5


async def test_the_webhooks_of_a_damaged_job_have_failed_and_it_too(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE job SET value = x'00' WHERE key = 1")

    async with opened(path) as store:
        states = [stored.webhook.state for stored in await store.webhooks(1)]
        job = await store.find_job("a")

    assert states == [State.DELIVERED, State.FAILED, State.FAILED]
    assert job is not None
    assert (job.mock, [stage.status for stage in job.stages], job.response) == ("mock", ["failed"], Response(500))


@given(st.data())
@settings(max_examples=30, deadline=None)
async def test_changed_bytes_of_the_file_end_in_an_error_of_one_line_or_in_none(
    written: bytes, data: st.DataObject
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "store.sqlite"
        changed = bytearray(written)
        for at in data.draw(st.lists(st.integers(0, len(changed) - 1), min_size=1, max_size=30)):
            changed[at] = data.draw(st.integers(0, 255))
        path.write_bytes(changed[: data.draw(st.integers(0, len(changed)))] if data.draw(st.booleans()) else changed)

        try:
            async with opened(path) as store:
                await store.get_value("vars", dict)
                await read_all(store)
        except StoreError as error:
            assert "\n" not in str(error)
