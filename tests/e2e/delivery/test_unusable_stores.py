"""A store file that cannot be used ends the start with one line."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from latehook.store.sqlite import SqliteStore
from support.process import mitmdump
from support.stored_jobs import Start


def line_of_failed_start(store: Path, confdir: Path, by: Sequence[str] = ()) -> str:
    """Start with a store that cannot be used; return the line with which the process ends."""
    env = {"CALLBACK_URL": "http://127.0.0.1:9/"}
    with mitmdump(confdir, "--set", f"mock_store={store}", env=env, wait=False, by=by) as proxy:
        assert proxy.wait() == 1
        [line] = [line for line in proxy.lines if "latehook: " in line or "addon/latehook" in line]
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


@pytest.mark.parametrize("link", [os.symlink, os.link], ids=["symbolic", "hard"])
def test_a_link_to_a_store_that_another_process_uses_ends_the_start(
    start_with_store: Start, store: Path, confdir: Path, tmp_path: Path, link: Callable[[Path, Path], None]
) -> None:
    start_with_store()
    other = tmp_path / "elsewhere" / "other.sqlite"
    other.parent.mkdir()
    link(store, other)

    assert "another process has it: end that one, or name another file" in line_of_failed_start(other, confdir)


def test_a_folder_that_is_a_link_leads_to_the_same_store(
    start_with_store: Start, store: Path, confdir: Path, tmp_path: Path
) -> None:
    start_with_store()
    folder = tmp_path / "folder"
    folder.symlink_to(store.parent)

    assert "another process has it" in line_of_failed_start(folder / store.name, confdir)


@pytest.mark.parametrize(("of_file", "of_folder"), [(0o400, 0o700), (0o600, 0o500)], ids=["file", "folder"])
def test_a_store_that_cannot_be_written_ends_the_start(
    tmp_path: Path, confdir: Path, of_file: int, of_folder: int
) -> None:
    by: list[str] = []
    if os.geteuid() == 0:  # root may write everywhere, unless it has lost this capability
        if shutil.which("setpriv") is None:
            pytest.skip("needs setpriv to run as a user who may not write everywhere")
        by = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    store = tmp_path / "read-only" / "store.sqlite"
    store.parent.mkdir()
    SqliteStore(str(store)).release()
    Path(f"{store}-lock").unlink()
    store.chmod(of_file)
    store.parent.chmod(of_folder)

    line = line_of_failed_start(store, confdir, by)
    store.parent.chmod(0o700)

    assert line == (
        f"latehook: mock_store={store}: "
        "it cannot be opened for writing: name a file in a folder that is there and can be written to"
    )


def cut(store: Path) -> None:
    store.write_bytes(store.read_bytes()[: store.stat().st_size // 2])


def overwrite(store: Path) -> None:
    written = store.read_bytes()
    store.write_bytes(written[:200] + b"\xa5" * (len(written) - 200))


def spoil_the_clock(store: Path) -> None:
    with closing(sqlite3.connect(store)) as db, db:
        db.execute("INSERT INTO meta VALUES ('clock', 'noon')")


def remove_a_table(store: Path) -> None:
    with closing(sqlite3.connect(store)) as db, db:
        db.execute("DROP TABLE definition")


@pytest.mark.parametrize("damage", [cut, overwrite, spoil_the_clock, remove_a_table])
def test_a_damaged_store_ends_the_start(store: Path, confdir: Path, damage: Callable[[Path], None]) -> None:
    SqliteStore(str(store)).release()
    damage(store)

    assert line_of_failed_start(store, confdir).startswith(f"latehook: mock_store={store}: ")
