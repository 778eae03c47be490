"""Where the installation has mock.py and the files beside it, and how a shell calls the command `latehook`."""

import shlex
import shutil
import sys
from pathlib import Path

_PACKAGE = Path(__file__).parent.parent
_IN_WHEEL = _PACKAGE / "script"

SCRIPTS = _IN_WHEEL if _IN_WHEEL.exists() else _PACKAGE.parent
"""The folder of mock.py, mocks.yaml and `providers`: within the package in a wheel, beside it in a checkout."""


def command() -> str:
    """Return what a shell must call: `latehook` if its PATH leads to this installation, otherwise a path."""
    own = shutil.which("latehook", path=str(Path(sys.executable).parent))
    if own is None:
        return f"{shlex.quote(sys.executable)} -m latehook.cli"
    found = shutil.which("latehook")
    is_first = found is not None and Path(found).resolve() == Path(own).resolve()
    return "latehook" if is_first else shlex.quote(own)
