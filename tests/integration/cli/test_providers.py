"""`latehook providers`: the gallery, and a copy of one of its files to begin with."""

import re
from pathlib import Path

import pytest

from latehook.cli import main
from latehook.mocksfile import loading
from support.paths import ADDON

GALLERY = sorted(file.stem for file in (ADDON / "providers").glob("*.yaml"))


def test_each_provider_is_one_line_that_is_a_whole_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["providers"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == GALLERY
    assert all(re.fullmatch(r"\S+ +[A-Z].{20,}\.", line) for line in lines)
    assert max(map(len, lines)) <= 145


@pytest.mark.parametrize("name", GALLERY)
def test_a_copy_says_what_the_original_does_and_names_no_file_that_is_elsewhere(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    original = ADDON / "providers" / f"{name}.yaml"
    assert main(["providers", name]) == 0
    copy = tmp_path / "mocks.yaml"
    copy.write_text(capsys.readouterr().out)

    assert copy.read_text() == original.read_text().partition("\n")[2]
    assert len(loading.load([copy], {}, set()).all) > 0


def test_an_unknown_provider_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["providers", "strip"])

    assert ended.value.code == 2
    assert "there is no provider 'strip'; did you mean 'stripe'?" in capsys.readouterr().err
