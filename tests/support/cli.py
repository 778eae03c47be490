"""The console command as a process."""

import subprocess
import sys

from support.process import ROOT

ADDON = ROOT / "addon"


def latehook(*arguments: object, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "latehook.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": str(ADDON), **env})
