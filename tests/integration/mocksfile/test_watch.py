"""Reloading of mocks files: the event loop's requests go on meanwhile."""

import asyncio
import gc
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from latehook.mocks.definitions import Mocks
from latehook.mocksfile import loading
from latehook.mocksfile.watch import NEVER, SWITCH_INTERVAL, Watcher


class Settings(NamedTuple):
    """Where code runs, and the settings of the process meanwhile."""

    on_the_loop: bool
    switch_interval: float
    thresholds: tuple[int, int, int]

    @classmethod
    def now(cls) -> "Settings":
        on_the_loop = threading.current_thread() is threading.main_thread()
        return cls(on_the_loop, sys.getswitchinterval(), gc.get_threshold())


def fail() -> Mocks:
    raise ValueError("a fault")


@pytest.mark.parametrize("end", [Mocks, fail], ids=["it is loaded", "it cannot be loaded"])
async def test_an_edit_is_loaded_in_a_thread_without_long_pauses_of_the_loop(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, end: Callable[[], Mocks]
) -> None:
    before = Settings.now()
    file = tmp_path / "mocks.yaml"
    file.write_text("mocks: []\n")
    watcher = Watcher([file], {}, lambda mocks: None)
    watcher.load()
    seen: list[Settings] = []

    def load(*_: Any) -> Mocks:
        seen.append(Settings.now())
        return end()

    monkeypatch.setattr(loading, "load", load)
    watching = asyncio.create_task(watcher.watch())
    file.write_text("mocks: []  # edited\n")
    while not (seen and Settings.now() == before):
        await asyncio.sleep(0.01)
    watching.cancel()

    assert seen == [Settings(False, pytest.approx(SWITCH_INTERVAL), (*before.thresholds[:2], NEVER))]
