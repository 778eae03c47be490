"""Mocks files read again: the loop's requests go on meanwhile."""

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
from latehook.mocksfile.watch import TURN, Watcher


class Seen(NamedTuple):
    """How an edit was read."""

    on_the_loop: bool
    turn: float
    collects: bool


def fail() -> Mocks:
    raise ValueError("a fault")


@pytest.mark.parametrize("end", [Mocks, fail], ids=["it is read", "it cannot be read"])
async def test_an_edit_is_read_beside_the_loop_in_short_turns(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, end: Callable[[], Mocks]
) -> None:
    before = sys.getswitchinterval()
    file = tmp_path / "mocks.yaml"
    file.write_text("mocks: []\n")
    reload = Watcher([file], {}, lambda mocks: None)
    reload.load()
    seen: list[Seen] = []

    def load(*_: Any) -> Mocks:
        on_the_loop = threading.current_thread() is threading.main_thread()
        seen.append(Seen(on_the_loop, sys.getswitchinterval(), gc.isenabled()))
        return end()

    monkeypatch.setattr(loading, "load", load)
    watching = asyncio.create_task(reload.watch())
    file.write_text("mocks: []  # edited\n")
    while not (seen and gc.isenabled()):
        await asyncio.sleep(0.01)
    watching.cancel()

    [read] = seen
    assert not read.on_the_loop
    assert read.turn == pytest.approx(TURN)
    assert not read.collects
    assert sys.getswitchinterval() == before
