"""An installation of the wheel, as a user has it: a virtual environment without this source tree."""

import ensurepip
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import NamedTuple

from support.limits import LIMIT, LONG_LIMIT
from support.paths import ROOT


class Installation(NamedTuple):
    """Its interpreter, its site-packages, and a folder with nothing but the command `latehook`.

    An installation by `uv tool install` or `pipx install` is like that: mitmdump and python are not on PATH.
    """

    python: Path
    packages: Path
    tools: Path


def build_wheel(folder: Path) -> Path:
    """Build the wheel in a folder; return its path."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=LIMIT)
    [wheel] = folder.glob("*.whl")
    return wheel


def install(wheel: Path, folder: Path) -> Installation:
    """Install a wheel in a folder, without its dependencies: they are those of the tests."""
    environment = folder / "environment"
    venv.create(environment)
    python = environment / "bin" / "python"
    [pip] = Path(ensurepip.__file__).parent.glob("_bundled/pip-*.whl")  # to install it, too, would take seconds
    command = [python, pip / "pip", "install", "--no-deps", "--no-index", "--disable-pip-version-check", wheel]
    subprocess.run(command, check=True, capture_output=True, timeout=LONG_LIMIT)
    [packages] = environment.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    tools = folder / "tools"
    tools.mkdir()
    (tools / "latehook").symlink_to(environment / "bin" / "latehook")
    return Installation(python, packages, tools)
