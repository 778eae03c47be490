"""The packages that are published, and an installation of the wheel: a virtual environment without this source tree."""

import ensurepip
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import NamedTuple

from support.limits import LONG_LIMIT
from support.paths import ROOT


class Installation(NamedTuple):
    """Its interpreter, and a folder with nothing but the command `latehook`.

    An installation by `uv tool install` or `pipx install` is like that: mitmdump and python are not on PATH.
    """

    python: Path
    tools: Path


class Packages(NamedTuple):
    """The files that are published."""

    source: Path
    wheel: Path


def build(folder: Path) -> Packages:
    """Build the source package in a folder, unless it is there, and the wheel from that."""
    if not folder.exists():
        command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
        subprocess.run(command, check=True, capture_output=True, timeout=LONG_LIMIT)
    [source], [wheel] = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return Packages(source, wheel)


def install(wheel: Path, folder: Path) -> Installation:
    """Install a wheel in a folder, unless it is there, without its dependencies: they are those of the tests."""
    environment, tools = folder / "environment", folder / "tools"
    python = environment / "bin" / "python"
    if not folder.exists():
        venv.create(environment)
        [pip] = Path(ensurepip.__file__).parent.glob("_bundled/pip-*.whl")  # to install it, too, would take seconds
        command = [python, pip / "pip", "install", "--no-deps", "--no-index", "--disable-pip-version-check", wheel]
        subprocess.run(command, check=True, capture_output=True, timeout=LONG_LIMIT)
        [packages] = environment.glob("lib/python*/site-packages")
        (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
        tools.mkdir()
        (tools / "latehook").symlink_to(environment / "bin" / "latehook")
    return Installation(python, tools)
