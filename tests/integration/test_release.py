"""`scripts/release --check`: what keeps a tree from being released, in a repository of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import ROOT

PROJECT = '[project]\nversion = "1.2.0"\n[project.urls]\nSource = "https://git.internal/latehook"\n'
CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n## [1.2.0] - 2026-11-29\n\n- New.\n\n## [1.1.0] - 2026-01-02\n\n- Old.\n"
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    **{f"GIT_{role}_{part}": "a@example.com" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")},
    "GIT_CONFIG_GLOBAL": os.devnull,
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree that can be released."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "release.py", tmp_path / "scripts")
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    git(tmp_path, "init", "--quiet", "--template=")
    commit(tmp_path)
    return tmp_path


def git(tree: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=tree, check=True, env=ENVIRONMENT)


def commit(tree: Path) -> None:
    git(tree, "add", "--all")
    git(tree, "commit", "--quiet", "--allow-empty", "--message", "A change")


def check(tree: Path) -> tuple[int, str]:
    """Return the exit status, and what was printed."""
    command = [sys.executable, "scripts/release.py", "--check"]
    ran = subprocess.run(command, cwd=tree, env=ENVIRONMENT, capture_output=True, text=True)
    return ran.returncode, ran.stdout + ran.stderr


def test_a_tree_that_is_ready_passes_with_and_without_its_tag(tree: Path) -> None:
    assert check(tree) == (0, "")
    git(tree, "tag", "v1.2.0")
    assert check(tree) == (0, "")


@pytest.mark.parametrize(
    ("project", "changelog", "problem"),
    [
        (PROJECT.replace("1.2.0", "1.2"), CHANGELOG, "pyproject.toml: version 1.2: write three numbers"),
        (PROJECT.replace("1.2.0", "1.3.0"), CHANGELOG, "there is no section: ## [1.3.0] - YYYY-MM-DD"),
        (PROJECT.replace("1.2.0", "1.1.0"), CHANGELOG, "there is no section: ## [1.1.0] - YYYY-MM-DD"),
        (PROJECT, CHANGELOG.replace("[Unreleased]\n", "[Unreleased]\n\n- Newer.\n"), "[Unreleased] is not empty"),
        (PROJECT, CHANGELOG.replace("## [Unreleased]\n", ""), "the first section must be [Unreleased]"),
        (PROJECT, CHANGELOG.replace(" - 2026-11-29", ""), "## [1.2.0]: write the date"),
        (PROJECT, CHANGELOG.replace("- New.\n", ""), "the section [1.2.0] - 2026-11-29 is empty"),
    ],
)
def test_a_version_and_a_changelog_that_do_not_fit_are_refused(
    project: str, changelog: str, problem: str, tree: Path
) -> None:
    (tree / "pyproject.toml").write_text(project)
    (tree / "CHANGELOG.md").write_text(changelog)
    commit(tree)

    status, printed = check(tree)

    assert (status, problem in printed) == (1, True), printed


def test_a_tag_at_another_commit_and_a_file_that_is_not_committed_are_refused(tree: Path) -> None:
    git(tree, "tag", "v1.2.0")
    commit(tree)
    (tree / "new").touch()

    status, printed = check(tree)

    assert status == 1
    assert printed.splitlines() == [
        "scripts/release: files are not committed: commit them, or put them aside",
        "scripts/release: the tag v1.2.0 is at another commit: raise the version in pyproject.toml",
    ]


def test_urls_under_a_reserved_name_are_noted(tree: Path) -> None:
    (tree / "pyproject.toml").write_text(PROJECT.replace("git.internal", "latehook.example"))
    commit(tree)

    assert check(tree) == (
        0,
        "scripts/release: note: pyproject.toml: the URLs Source are placeholders: write your own before you publish\n",
    )
