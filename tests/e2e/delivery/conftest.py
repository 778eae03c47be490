"""Fixtures of the tests of delivery that have a store file."""

from pathlib import Path

import pytest

from support.process import Proxy
from support.receivers import Receiver
from support.stored_jobs import MOCKS, Start


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


@pytest.fixture
def start_with_store(start: Start, store: Path, sut: Receiver) -> Start:
    """Start with the store; the webhook is due `after` that; the environment variable `without` is not set."""

    def start_with_store(
        after: str = "1h", *arguments: str, mocks: str = MOCKS, without: str = "", **env: str
    ) -> Proxy:
        env = {"CALLBACK_URL": sut.url, "EXTRA": "x", **env}
        env.pop(without, None)
        return start("--set", f"mock_store={store}", *arguments, mocks=mocks.replace("AFTER", after), env=env)

    return start_with_store
