"""Fixtures of the tests about recordings."""

from collections.abc import Callable
from pathlib import Path

import pytest

from latehook.importing import infer_command, reading, writing
from latehook.importing.infer import infer
from support.recordings import Tape


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., str]:
    """`made(tape, …)` returns the mocks file that is inferred from these recordings."""

    def make(*tapes: Tape, host: str = "api.slow.example", secrets: dict[str, str] | None = None) -> str:
        files = [tape.write(tmp_path / f"{number}.flow") for number, tape in enumerate(tapes)]
        text = infer_command.mocks_file(infer(reading.read(files, [host]), secrets or {}), files)
        writing.check_text(text, tmp_path / "mocks.yaml")
        return text

    return make
