"""A store file that cannot be used ends the start with one line."""

import sqlite3
from pathlib import Path

from support.process import mitmdump
from support.stored_jobs import Start


def line_of_failed_start(store: Path, confdir: Path) -> str:
    """Start with a store that cannot be used; return the line with which the process ends."""
    with mitmdump(
        confdir, "--set", f"mock_store={store}", env={"CALLBACK_URL": "http://127.0.0.1:9/"}, wait=False
    ) as proxy:
        assert proxy.wait() == 1
        [line] = [line for line in proxy.lines if "latehook" in line]
        return line


def test_a_file_that_is_not_a_database_ends_the_start(store: Path, confdir: Path) -> None:
    store.write_text("not a database, and long enough to be looked at " * 50)

    assert line_of_failed_start(store, confdir) == (
        f"latehook: mock_store={store}: this is no SQLite database: name another file"
    )


def test_another_programs_database_ends_the_start(store: Path, confdir: Path) -> None:
    with sqlite3.connect(store) as db:
        db.execute("CREATE TABLE theirs (a)")

    assert "this is another program's database: name another file" in line_of_failed_start(store, confdir)


def test_a_store_of_a_newer_version_ends_the_start(store: Path, confdir: Path) -> None:
    with sqlite3.connect(store) as db:
        db.execute("PRAGMA user_version = 99")

    assert "it is of a newer Latehook: use that one, or another file" in line_of_failed_start(store, confdir)


def test_a_folder_that_does_not_exist_ends_the_start(store: Path, confdir: Path) -> None:
    line = line_of_failed_start(store.parent / "nowhere" / "store.sqlite", confdir)

    assert "it cannot be opened for writing: name a file in a folder that is there" in line


def test_a_store_that_another_process_uses_ends_the_start(start_with_store: Start, store: Path, confdir: Path) -> None:
    start_with_store()

    assert "another process has it: end that one, or name another file" in line_of_failed_start(store, confdir)
