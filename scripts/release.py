"""Make the packages of a release, and check what goes into it. scripts/release runs this."""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).absolute().parents[1]
DIST = ROOT / "dist"
RESERVED = re.compile(r"https?://([\w.-]+\.)?(example|example\.(com|net|org)|invalid|test)(/|$)")
"""URLs under names that nobody can own."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/release", description="Makes the packages of a release in dist/.")
    parser.add_argument("--check", action="store_true", help="only check the version, CHANGELOG and tag")
    arguments = parser.parse_args()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    version = str(project["version"])
    found = [*problems(version)]
    for problem in found:
        print(f"scripts/release: {problem}", file=sys.stderr)
    if found:
        return 1
    for note in notes(project):
        print(f"scripts/release: note: {note}")
    if not arguments.check:
        wheel = build(version)
        try_out(wheel, version)
        print(f"dist/ is ready. To publish it:\n  {commands(version)}")
    return 0


def problems(version: str) -> Iterator[str]:
    """Yield what keeps this tree from being released as `version`."""
    if not re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", version):
        yield f"pyproject.toml: version {version}: write three numbers, such as 1.2.3 or 1.2.3rc1"
    yield from changelog_problems((ROOT / "CHANGELOG.md").read_text(), version)
    if git("status", "--porcelain"):
        yield "files are not committed: commit them, or put them aside"
    is_tagged = git("tag", "--list", f"v{version}") != ""
    if is_tagged and git("rev-list", "-n1", f"v{version}") != git("rev-parse", "HEAD"):
        yield f"the tag v{version} is at another commit: raise the version in pyproject.toml"


def changelog_problems(text: str, version: str) -> Iterator[str]:
    """Yield what is missing in CHANGELOG for this version."""
    sections = dict(re.findall(r"^## (.*)\n((?:(?!## ).*\n?)*)", text, re.MULTILINE))
    titles = [*sections]
    if titles[:1] != ["[Unreleased]"]:
        yield "CHANGELOG.md: the first section must be [Unreleased]"
    elif sections["[Unreleased]"].strip():
        yield f"CHANGELOG.md: [Unreleased] is not empty: move its lines to a section [{version}]"
    of_version = [title for title in titles if title.startswith(f"[{version}]")]
    if not of_version or titles.index(of_version[0]) != 1:
        yield f"CHANGELOG.md: below [Unreleased] there is no section: ## [{version}] - YYYY-MM-DD"
    elif not re.fullmatch(r"\[.*\] - \d{4}-\d\d-\d\d", of_version[0]):
        yield f"CHANGELOG.md: ## {of_version[0]}: write the date: ## [{version}] - YYYY-MM-DD"
    elif not sections[of_version[0]].strip():
        yield f"CHANGELOG.md: the section {of_version[0]} is empty"


def notes(project: dict[str, Any]) -> Iterator[str]:
    """Yield what a reader of the package will miss."""
    reserved = [name for name, url in project["urls"].items() if RESERVED.match(url)]
    if reserved:
        yield f"pyproject.toml: the URLs {', '.join(reserved)} are placeholders: write your own before you publish"


def build(version: str) -> Path:
    """Make the source package, and the wheel from it; check that the index will accept both. Return the wheel."""
    shutil.rmtree(DIST, ignore_errors=True)
    run("build", "--no-isolation", "--outdir", str(DIST), str(ROOT))
    packages = sorted(map(str, DIST.iterdir()))
    run("twine", "check", "--strict", *packages)
    return DIST / f"latehook-{version}-py3-none-any.whl"


def try_out(wheel: Path, version: str) -> None:
    """Install the wheel in an environment of its own, and run it there."""
    print(f"installing {wheel.name} in an environment of its own")
    with tempfile.TemporaryDirectory(prefix="latehook-release-") as name:
        folder = Path(name)
        latehook = str(install(wheel, folder) / "latehook")

        def run(*arguments: str) -> str:
            return subprocess.run(
                [latehook, *arguments], cwd=folder, check=True, stdout=subprocess.PIPE, text=True
            ).stdout

        versions = run("--version")
        if not versions.startswith(f"Latehook {version}, "):
            sys.exit(f"scripts/release: the wheel says that it is {versions}")
        (folder / "mocks.yaml").write_text(run("providers", "stripe"))
        run("check", "mocks.yaml")
        print(versions, end="")


def install(wheel: Path, folder: Path) -> Path:
    """Install a wheel with its dependencies in a new environment, by uv if it is here. Return the programs' folder."""
    programs = folder / "environment" / "bin"
    if uv := shutil.which("uv"):
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder / "environment"], check=True)
        command = [uv, "pip", "install", "--python", str(programs / "python")]
    else:
        venv.create(folder / "environment", with_pip=True)
        command = [str(programs / "python"), "-m", "pip", "install", "--disable-pip-version-check"]
    subprocess.run([*command, "--quiet", "--constraint", str(ROOT / "constraints.txt"), str(wheel)], check=True)
    return programs


def commands(version: str) -> str:
    """Return the shell commands that publish."""
    return (
        f"git tag -a v{version} -m 'Latehook {version}' && git push origin v{version} && .venv/bin/twine upload dist/*"
    )


def run(module: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", module, *arguments], cwd=ROOT, check=True)


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
