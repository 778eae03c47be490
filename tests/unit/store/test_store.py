"""Jobs, webhooks and attempts in SQLite files."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from latehook.base.errors import StoreError, UnstorableError
from latehook.base.json_text import decode_json, encode_json
from latehook.base.model import Content, Criteria, Job, Outcome, Request, State, Webhook
from latehook.base.redaction import Redaction
from latehook.store import PRUNE_BATCH, Due, Store

HEADERS = ((b"X-Bytes", b"\xff"), (b"a", b"1"), (b"a", b"2"))
CONTENT = Content("http://app.test/hook?id=1", b'{"id":1}', "application/json")
OK = Outcome(1.0, 1.5, 200, None, b"ok")
REFUSED = Outcome(1.0, 1.5, None, "Connection refused")


def job(id: str, *webhooks: Webhook, body: bytes | None = b"\0") -> Job:
    request = Request("POST", "https", "api.slow.example", 443, "/jobs?x=%2f", HEADERS, body, 1)
    return Job(id, "a mock", 1_800_000_000.25, request, webhooks=webhooks, received_at=1_800_000_000.25)


def webhook(id: str = "w", state: State = State.PENDING) -> Webhook:
    return Webhook(id, 0, "a definition", 0, 1_800_000_005.25, "http://app.test/hook", None, state)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(str(tmp_path / "store.sqlite"))
    yield store
    store.close()


def test_a_webhook_is_read_as_it_was_written_with_its_job(store: Store) -> None:
    [key] = store.add_job(job("j", webhook("w")))
    store.commit()

    owed = store.pending_webhook(key)

    assert owed is not None
    assert (owed.key, owed.attempts, owed.content) == (key, 0, None)
    assert owed.webhook == webhook("w")
    assert owed.job == replace(job("j"), key=1)


@pytest.mark.parametrize("body", [None, b"", bytes(range(256))])
def test_a_missing_body_and_an_empty_body_differ(store: Store, body: bytes | None) -> None:
    [key] = store.add_job(job("j", webhook(), body=body))

    owed = store.pending_webhook(key)

    assert owed is not None
    assert owed.job.request.body == body


def test_the_webhooks_of_a_job_have_successive_keys(store: Store) -> None:
    first = store.add_job(job("j", webhook("a"), webhook("b"), webhook("c")))
    second = store.add_job(job("j", webhook("d")))  # ids need not be unique: keys are

    assert first == [first[0], first[0] + 1, first[0] + 2]
    assert second[0] not in first


def test_writes_after_a_commit_do_not_affect_it(store: Store) -> None:
    store.add_job(job("j", webhook()))
    store.commit()
    store.add_job(job("k", webhook()))

    store.commit()
    store.commit()  # nothing to do

    assert store.count_unfinished() == 2


def test_a_failed_attempt_leaves_the_webhook_pending_with_its_content(store: Store) -> None:
    [key] = store.add_job(job("j", webhook()))

    store.add_attempt(key, 1, REFUSED, State.PENDING, 1_800_000_006.0, CONTENT, 1.25)
    store.commit()

    owed = store.pending_webhook(key)
    assert owed is not None
    assert (owed.attempts, owed.content, owed.webhook.due) == (1, CONTENT, 1_800_000_006.0)
    assert store.due(key) == Due(1_800_000_006.0, "http://app.test/hook", ())


@pytest.mark.parametrize(("outcome", "state"), [(OK, State.DELIVERED), (REFUSED, State.FAILED)])
def test_a_finished_webhook_is_not_pending(store: Store, outcome: Outcome, state: State) -> None:
    [key] = store.add_job(job("j", webhook()))

    store.add_attempt(key, 1, outcome, state, 0.0, CONTENT, 1.25)

    assert (store.pending_webhook(key), store.due(key), store.count_unfinished()) == (None, None, 0)


def test_a_failed_webhook_is_not_pending(store: Store) -> None:
    [key] = store.add_job(job("j", webhook()))

    store.set_state(key, State.FAILED, "the expression failed")

    assert (store.pending_webhook(key), store.due(key), store.count_unfinished()) == (None, None, 0)


def test_a_skipped_webhook_is_not_pending(store: Store) -> None:
    [key] = store.add_job(job("j", webhook(state=State.SKIPPED)))

    assert (store.pending_webhook(key), store.count_unfinished()) == (None, 0)


def test_prune_deletes_the_oldest_ended_jobs_and_keeps_unfinished_ones(store: Store) -> None:
    [owed] = store.add_job(job("old, owed", webhook()))
    half, other_half = store.add_job(job("old, half ended", webhook("a"), webhook("b")))
    store.add_attempt(half, 1, OK, State.DELIVERED, 0.0, CONTENT, 1.25)
    ended = [store.add_job(job(f"ended {number}", webhook()))[0] for number in range(10)]
    for key in ended:
        store.add_attempt(key, 1, OK, State.DELIVERED, 0.0, CONTENT, 1.25)

    store.prune(0.0, 2e9, keep=3)
    store.commit()

    assert store.count_unfinished() == 2
    assert store.pending_webhook(owed) is not None
    assert store.pending_webhook(other_half) is not None
    assert count(store, "job") == 2 + 3
    assert count(store, "webhook") == 3 + 3
    assert count(store, "attempt") == 1 + 3


def test_prune_of_a_small_store_deletes_nothing(store: Store) -> None:
    [key] = store.add_job(job("j", webhook()))
    store.add_attempt(key, 1, OK, State.DELIVERED, 0.0, CONTENT, 1.25)

    store.prune(0.0, 2e9, keep=1)

    assert (count(store, "job"), count(store, "webhook"), count(store, "attempt")) == (1, 1, 1)


def test_a_definition_is_written_again_after_a_rollback_and_after_clear(store: Store) -> None:
    store.add_definition("new", b"written")
    store.fail_transaction()
    with pytest.raises(StoreError):
        store.commit()
    assert store.definition("new") is None

    for _ in range(2):
        store.add_definition("new", b"written")
        store.commit()
        assert store.definition("new") == b"written"
        store.clear()
        store.commit()
        assert store.definition("new") is None


def test_a_store_of_version_1_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with closing(Store(str(path))) as store:
        [key] = store.add_job(job("j", webhook()))
        store.add_attempt(key, 1, OK, State.DELIVERED, 0.0, CONTENT, 7.0)
    with closing(sqlite3.connect(path)) as db:
        db.executescript("ALTER TABLE attempt DROP COLUMN clock_at; PRAGMA user_version = 1;")

    with closing(Store(str(path))) as store:
        store.add_attempt(key, 2, OK, State.DELIVERED, 0.0, CONTENT, 8.0)
        assert [attempt.clock_at for _, attempt in store.attempts([key])] == [OK.started_at, 8.0]


def test_prune_continues_behind_old_unfinished_jobs(store: Store) -> None:
    """A million of them are not looked at every time."""
    for number in range(PRUNE_BATCH):
        store.add_job(job(f"owed {number}", webhook()))
    [key] = store.add_job(job("ended", webhook()))
    store.add_attempt(key, 1, OK, State.DELIVERED, 0.0, CONTENT, 1.25)
    store.add_job(job("new", webhook()))

    store.prune(0.0, 2e9, keep=1)
    assert count(store, "job") == PRUNE_BATCH + 2

    store.prune(0.0, 2e9, keep=1)
    assert store.find_job("ended") is None
    assert count(store, "job") == PRUNE_BATCH + 1

    store.set_state(1, State.CANCELED)
    store.prune(0.0, 2e9, keep=1)
    assert store.find_job("owed 0") is None


def test_prune_uses_the_index_of_webhooks_by_job(store: Store) -> None:
    """With a hundred thousand jobs that took half a minute, and the loop stood still."""
    plan = query(
        store,
        "EXPLAIN QUERY PLAN SELECT key FROM job WHERE NOT EXISTS (SELECT 1 FROM webhook w WHERE w.job = job.key)",
    )

    assert any("SEARCH w USING" in step[-1] and "INDEX webhook_of_job" in step[-1] for step in plan), plan


def query(store: Store, sql: str) -> list[tuple[Any, ...]]:
    """Read a store's file as another program does: what is committed."""
    with closing(sqlite3.connect(store.path)) as db:
        return db.execute(sql).fetchall()


def count(store: Store, table: str) -> int:
    store.commit()
    return int(query(store, f"SELECT count(*) FROM {table}")[0][0])


def test_a_failed_write_rolls_back_the_whole_transaction(store: Store) -> None:
    with closing(sqlite3.connect(store.path)) as db:  # as SQLite does it when the disk is full
        condition = "length(NEW.value) > 100000"
        db.execute(
            f"CREATE TRIGGER full BEFORE INSERT ON job WHEN {condition} BEGIN SELECT RAISE(ROLLBACK, 'full'); END"
        )

    store.add_job(job("small", webhook()))
    with pytest.raises(StoreError):
        store.add_job(job("too large", webhook(), body=b"x" * 300_000))
    with pytest.raises(StoreError):  # SQLite has already rolled back: it must not look like a success
        store.commit()
    assert store.find_job("small") is None

    store.add_job(job("next", webhook()))
    store.commit()
    assert store.find_job("next") is not None


def test_numbers_are_kept_as_they_were_written(tmp_path: Path) -> None:
    path = str(tmp_path / "store.sqlite")
    numbers = b'{"a":[10.00,1E400,-0,1e2,1.5,12345678901234567.89],"b":123456789012345678901234567890}'
    store = Store(path)
    store.add_job(replace(job("j"), vars=decode_json(numbers)))
    store.set_value("vars", decode_json(numbers))
    store.close()

    store = Store(path)
    [found] = store.jobs()
    assert encode_json(found.vars) == encode_json(store.get_value("vars", dict)) == numbers
    store.close()


def test_a_job_that_cannot_be_encoded_leaves_other_writes_alone(store: Store) -> None:
    store.add_job(job("before", webhook()))
    with pytest.raises(UnstorableError, match="no lone surrogates"):
        store.add_job(job("half", webhook(), replace(webhook("w2"), to="http://\ud800/")))
    [key] = store.add_job(job("after", webhook()))
    store.commit()

    assert [found.id for found in store.jobs()] == ["after", "before"]
    assert len(store.webhooks()) == 2
    with pytest.raises(UnstorableError):
        store.add_attempt(key, 1, Outcome(1.0, 2.0, 200), State.DELIVERED, 0.0, Content("http://\ud800/"), 1.25)
    assert store.attempts([key]) == []


def test_prune_deletes_definitions_without_jobs(tmp_path: Path) -> None:
    path = str(tmp_path / "store.sqlite")
    store = Store(path)
    for number in range(4):
        store.add_definition(f"old {number}", b"written")
        [key] = store.add_job(job(f"old {number}", replace(webhook(), definition=f"old {number}")))
        store.add_attempt(key, 1, OK, State.DELIVERED, 0.0, CONTENT, 1.25)
    store.close()
    store = Store(path)  # whose jobs use them it does not ask, as long as there are jobs from before
    store.add_definition("new", b"written")
    ended, owed = (replace(webhook(), definition="new") for _ in range(2))
    [key] = store.add_job(job("ended", ended))
    store.add_attempt(key, 1, OK, State.DELIVERED, 0.0, CONTENT, 1.25)
    store.add_job(job("owed", owed))

    store.prune(0.0, 2e9, keep=3)
    assert [store.definition(f"old {number}") for number in range(4)] == [b"written"] * 4
    store.prune(0.0, 2e9, keep=1)
    store.commit()

    assert [store.definition(f"old {number}") for number in range(4)] == [None] * 4
    assert store.definition("new") == b"written"
    store.close()


def test_a_checkpoint_empties_the_log_while_the_store_is_written_to(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store.sqlite"))
    for _ in range(20):
        store.add_job(job("j", webhook(), body=bytes(100_000)))
        store.commit()
    assert store.log_size() > 2_000_000
    store.add_job(job("k", webhook()))

    thread = threading.Thread(target=store.checkpoint)
    thread.start()
    store.commit()
    thread.join()

    assert store.log_size() == 0
    assert store.count_unfinished() == 21
    store.close()


def test_a_reader_keeps_the_log_from_shrinking_and_blocks_no_write(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store.sqlite"))
    store.add_job(job("j", webhook()))
    store.commit()
    with closing(sqlite3.connect(store.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM job").fetchall()
        store.add_job(job("k", webhook()))
        store.commit()
        store.checkpoint()
        size = store.log_size()
        store.add_job(job("l", webhook()))
        store.commit()
    store.checkpoint()

    assert (size > 0, store.log_size(), store.count_unfinished()) == (True, 0, 3)
    store.close()


def test_a_mock_with_a_secret_in_its_name_is_found_by_it() -> None:
    store = Store(redaction=Redaction(["s3cret-name"]))
    store.add_job(replace(job("j", webhook()), mock="the s3cret-name mock"))
    criteria = Criteria(mock="the s3cret-name mock")

    found = [match.key for match in store.matching_jobs(criteria, None, 10)]
    assert [job.id for job in store.jobs_by_key(found)] == ["j"]
    owed = [match.key for match in store.matching_webhooks(criteria, None, 10)]
    assert [stored.job.id for stored in store.webhooks_by_key(owed)] == ["j"]
    assert store.matching_webhooks(Criteria(mock="another"), None, 10) == []


@pytest.mark.parametrize("exists", [False, True], ids=["a new file", "a file that others could read"])
def test_only_its_owner_can_read_a_store(tmp_path: Path, exists: bool) -> None:
    path = tmp_path / "store.sqlite"
    if exists:
        Store(str(path)).close()
        path.chmod(0o644)

    store = Store(str(path))
    store.add_job(job("1", webhook()))
    store.commit()

    modes = {file.name: oct(file.stat().st_mode & 0o777) for file in tmp_path.iterdir()}
    assert modes.keys() >= {"store.sqlite", "store.sqlite-lock", "store.sqlite-shm", "store.sqlite-wal"}
    assert set(modes.values()) == {"0o600"}
    store.close()
