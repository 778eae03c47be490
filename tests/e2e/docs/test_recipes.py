"""The recipes, run as they stand in the document."""

import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import latehook
from support.limits import LONG_LIMIT
from support.paths import ROOT
from support.process import clean_environment
from support.programs import WITH_PLUGIN, curl
from support.receivers import Receiver

RECIPES = ROOT / "addon" / "RECIPES.md"
TWO_RUNS, COMPOSE = "Two test runs on one proxy", "A docker compose service, with its CA"
"""The second is run in test_image.py."""
IN_OTHER_LANGUAGES = ["A test in Node", "A test in Java"]
"""These are run in test_languages.py."""
FIRST_TEST = "From your provider to a first test in five minutes"
TITLES = [
    FIRST_TEST,
    "Advance the clock instead of waiting",
    "Another outcome, by `vars`",
    "The webhook before the response",
    "A duplicate webhook",
    "A lost webhook, then a resend",
    "Your system down, then up",
    "An invalid signature",
    TWO_RUNS,
    COMPOSE,
    *IN_OTHER_LANGUAGES,
]


class Block(NamedTuple):
    """A block of code. `recipe` is the title above it, `file` the name in its first line; a test has none."""

    recipe: str
    language: str
    text: str

    @property
    def file(self) -> str | None:
        named = re.match(r"(?:#|//) ([\w.]+)", self.text)
        return named and named[1]


def blocks(document: str) -> list[Block]:
    return [
        Block(part.partition("\n")[0], language, text)
        for part in re.split("^## ", document, flags=re.MULTILINE)
        for language, text in re.findall(r"^```(\w+)\n(.*?)^```$", part, re.MULTILINE | re.DOTALL)
    ]


BLOCKS = blocks(RECIPES.read_text())
FILES = {block.file: block.text for block in BLOCKS if block.file}
TESTS = {block.recipe: block.text for block in BLOCKS if not block.file}


def test_every_recipe_is_there_with_one_block_and_each_block_is_run() -> None:
    text = RECIPES.read_text()

    assert re.findall("^## (.*)", text, re.MULTILINE) == TITLES
    assert [block.recipe for block in BLOCKS if block.recipe in TITLES] == TITLES
    assert text.count("```") == 2 * len(BLOCKS) == 2 * (len(FILES) + len(TESTS))
    assert [*TESTS] == TITLES[1 : TITLES.index(COMPOSE)]
    assert all(block.language == "python" for block in BLOCKS if not block.file)
    assert [*FILES] == ["mocks.yaml", "conftest.py", "first.sh", "compose.yaml", "app.test.mjs", "AppTest.java"]
    assert max(len(test.splitlines()) for test in TESTS.values()) <= 20


def running(folder: Path, *files: str, **env: str) -> subprocess.Popen[str]:
    """pytest, on test files beside what the recipes share."""
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider", *WITH_PLUGIN, *files],
        cwd=folder,
        env={**clean_environment(), "PYTHONPATH": str(ROOT / "addon"), **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def passed(run: subprocess.Popen[str]) -> list[str]:
    """The files whose tests have passed; all must have."""
    said, _ = run.communicate(timeout=LONG_LIMIT)
    assert run.returncode == 0, said
    return re.findall(r"^PASSED (.*)::", said, re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("mocks.yaml", "conftest.py"):
        (tmp_path / name).write_text(FILES[name])
    return tmp_path


def test_each_recipe_passes_as_it_stands(folder: Path) -> None:
    files = {f"test_{number}.py": test for number, (title, test) in enumerate(TESTS.items()) if title != TWO_RUNS}
    for file, test in files.items():
        (folder / file).write_text(test)

    assert passed(running(folder, *files)) == [*files]


def test_two_runs_on_one_proxy_touch_only_what_is_their_own(folder: Path, sut: Receiver) -> None:
    (folder / "test_mine.py").write_text(TESTS[TWO_RUNS])
    with latehook.start(folder / "mocks.yaml") as proxy:
        another = f'{{"order": "another", "callback_url": "{sut.url}"}}'
        curl("-x", proxy.proxy, "--cacert", proxy.ca_bundle, "--json", another, "https://api.slow.example/jobs")
        port = proxy.proxy.rpartition(":")[2]
        runs = [running(folder, "test_mine.py", LATEHOOK_PORT=port) for _ in range(2)]

        assert [passed(run) for run in runs] == [["test_mine.py"]] * 2
        assert [webhook.state for webhook in proxy.webhooks()] == ["pending"]
