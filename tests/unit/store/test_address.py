"""What `mock_store` names, and that no message shows its password."""

import subprocess
import sys

import pytest

from latehook.base.errors import OptionError
from latehook.options import parse
from latehook.store import MEMORY
from latehook.store.address import PostgresAddress, parse_address
from support.paths import ADDON

SECRET = "s3cret/pass?word"


@pytest.mark.parametrize(
    ("given", "name", "schema", "url"),
    [
        ("postgresql://db/app", "postgresql://db/app", "latehook", "postgresql://db/app"),
        (
            "postgres://u@db:5433/app?schema=tests",
            "postgresql://u@db:5433/app?schema=tests",
            "tests",
            "postgresql://u@db:5433/app",
        ),
        ("POSTGRESQL://[::1]/app", "postgresql://[::1]/app", "latehook", "postgresql://[::1]/app"),
        (
            "postgresql:///app?host=/run/pg",
            "postgresql:///app?host=%2Frun%2Fpg",
            "latehook",
            "postgresql:///app?host=%2Frun%2Fpg",
        ),
    ],
)
def test_a_url_names_a_database_and_a_schema(given: str, name: str, schema: str, url: str) -> None:
    address = parse_address(given)

    assert isinstance(address, PostgresAddress)
    assert (address.name, address.schema, address.url) == (name, schema, url)


@pytest.mark.parametrize("given", ["", "store.sqlite", "/a/postgresql", "C:\\store", "a:b", "./postgresql:x"])
def test_everything_else_is_a_file(given: str) -> None:
    assert parse_address(given) == (given or MEMORY)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://u:{SECRET}@db/app",
        "postgresql://u:s3cret%2Fpass%3Fword@db/app",
        "postgresql://u@db/app?password=s3cret%2Fpass%3Fword&sslmode=require",
        "postgresql://u@db/app?sslpassword=s3cret%2Fpass%3Fword",
    ],
)
def test_no_text_of_an_address_shows_the_password(url: str) -> None:
    try:
        address = parse_address(url)
    except ValueError as error:
        assert "s3cret" not in str(error)
        return
    options = parse({"mock_store": [url]}, ADDON)

    assert "s3cret" not in f"{address} {address!r} {options} {options!r}"
    assert isinstance(address, PostgresAddress)
    assert "s3cret" in address.url


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("mysql://db/app", "mock_store=mysql:// is no store: write a file, or postgresql://HOST/DATABASE"),
        (
            "postgresql://db:port/app",
            "mock_store=postgresql://…: host or port is wrong: write postgresql://USER:PASSWORD@HOST:PORT/DATABASE",
        ),
        (
            "postgresql://db/app?schema=Tests",
            "mock_store=schema=Tests: write a lower-case letter, then letters, digits and _, at most 63",
        ),
        ("postgresql://db/app?schema=a;drop", "mock_store=schema=a;drop: write a lower-case letter"),
    ],
)
def test_a_wrong_address_is_an_error(given: str, says: str) -> None:
    with pytest.raises(OptionError) as raised:
        parse({"mock_store": [given]}, ADDON)

    assert str(raised.value).startswith(says)


def test_who_uses_sqlite_imports_nothing_of_postgresql() -> None:
    check = """if True:
        import sys
        from latehook.base.redaction import Redaction
        from latehook.store.choosing import make_store
        from latehook import options
        from latehook.engine import operations
        make_store(":memory:", Redaction())
        assert not [name for name in sys.modules if "postgres" in name or "asyncpg" in name], sys.modules.keys()
    """
    subprocess.run([sys.executable, "-c", check], env={"PYTHONPATH": str(ADDON)}, check=True)


def test_without_asyncpg_the_error_names_the_remedy() -> None:
    check = """if True:
        import sys
        sys.modules["asyncpg"] = None
        from latehook.base.errors import StoreError
        from latehook.base.redaction import Redaction
        from latehook.store.address import parse_address
        from latehook.store.choosing import make_store
        try:
            make_store(parse_address("postgresql://db/app"), Redaction())
        except StoreError as error:
            print(error)
    """
    run = subprocess.run(
        [sys.executable, "-c", check], env={"PYTHONPATH": str(ADDON)}, check=True, capture_output=True, text=True
    )
    assert run.stdout.strip() == (
        "mock_store=postgresql://db/app: the package asyncpg is missing: install it beside mitmproxy: "
        "pip install 'latehook[postgres]'"
    )


def test_keys_grow_whatever_the_clock_does_and_fit_in_json_numbers() -> None:
    pytest.importorskip("asyncpg")
    from latehook.store.postgresql.keys import EPOCH, OF_A_PROCESS, PROCESSES, Keys

    times = [EPOCH + 1] * 100 + [EPOCH + 2, EPOCH, EPOCH + 100 * 365 * 86400]
    made: list[list[int]] = []
    for number in (0, 1, PROCESSES - 1):
        clock = iter(times)
        keys = Keys(lambda clock=clock: next(clock))  # type: ignore[misc]
        keys.number = number
        made.append([keys.next() for _ in times])
        assert made[-1] == sorted(set(made[-1]))
        assert made[-1][0] // (PROCESSES * OF_A_PROCESS) == 1000 and made[-1][-1] < 2**53
    assert len({key for keys_of_one in made for key in keys_of_one}) == 3 * len(times)
    keys = Keys(lambda: EPOCH)
    keys.start_after(made[-1][-1])
    assert made[-1][-1] < keys.next()


def test_a_seed_is_refused_where_several_processes_may_draw() -> None:
    given = {"mock_seed": ["7"], "mock_store": ["postgresql://u:pass@db/app"]}
    with pytest.raises(OptionError) as raised:
        parse(given, ADDON)
    assert str(raised.value) == (
        "mock_seed=7: with mock_store=postgresql://u@db/app, several processes may draw, and which one gets a request is "
        "chance: leave mock_seed out, or name a file as mock_store"
    )
