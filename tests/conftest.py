"""Fixtures that more than one test file uses."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from support import postgres
from support.limits import TEST_LIMIT
from support.mitmproxy_commands import Commands
from support.paths import ROOT
from support.postgres import PostgresServer
from support.process import Proxy, mitmdump
from support.receivers import Receiver, receiver

# A busy machine stops a test for a second: how long an example takes says nothing.
settings.register_profile("latehook", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("latehook")

E2E = ROOT / "tests" / "e2e"
"""The folder of the tests that start processes."""


@pytest.fixture(scope="session")
def confdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """mitmproxy's folder with its CA, which is created once."""
    from mitmproxy.certs import CertStore

    folder = tmp_path_factory.mktemp("mitmproxy")
    CertStore.from_store(folder, "mitmproxy", 2048)
    return folder


@pytest.fixture
def sut() -> Iterator[Receiver]:
    """The receiver of the system under test. It answers 200 unless the test sets `sut.behave`."""
    with receiver() as server:
        yield server


@pytest.fixture
def start(confdir: Path, tmp_path: Path) -> Iterator[Callable[..., Proxy]]:
    """`start(*arguments, mocks=TEXT, env={…})` starts a mitmdump with the addon, which ends after the test."""
    with ExitStack() as stack:

        def start(*arguments: str, mocks: str | None = None, **options: object) -> Proxy:
            if mocks is not None:
                file = tmp_path / "mocks.yaml"
                file.write_text(mocks)
                arguments = ("--set", f"mock_file={file}", *arguments)
            started: AbstractContextManager[Proxy] = mitmdump(confdir, *arguments, **options)  # type: ignore[arg-type]
            return stack.enter_context(started)

        yield start


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    """Run mitmproxy's commands in the process that is started with `commands.arguments`."""
    return Commands(tmp_path)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server, started for the first test that needs it."""
    with postgres.server() as server:
        yield server


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the tests with the marker `long`, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests of tests/e2e, and limit the time of every test. Leave the long ones out, except with `--long`."""
    limit = pytest.mark.timeout(TEST_LIMIT)
    for item in items:
        if item.path.is_relative_to(E2E):
            item.add_marker(pytest.mark.e2e)
        item.add_marker(limit)
    if not config.getoption("long"):
        long = [item for item in items if item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]
