"""Command-line programs that tests run: curl, `latehook`, pytest with the plugin."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from support.limits import LIMIT
from support.paths import ADDON

WITH_PLUGIN = ("-p", "no:latehook", "-p", "latehook.pytest_plugin", "--strict-markers")
"""Arguments that make a pytest process load the plugin of this source tree, even if another Latehook is installed."""


_CURL = ["curl", "--silent", "--show-error", "--noproxy", ""]
"""curl without a progress bar and without the proxy settings of this machine."""


def curl(*arguments: str, limit: float = LIMIT) -> subprocess.CompletedProcess[str]:
    """Run curl for at most `limit` seconds."""
    command = [*_CURL, "--max-time", str(limit), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=limit + LIMIT)


@contextmanager
def start_curl(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run curl during the block."""
    with subprocess.Popen([*_CURL, *arguments]) as process:
        try:
            yield process
        finally:
            process.kill()


def latehook(*arguments: object, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the command `latehook` with only `env` as its environment."""
    command = [sys.executable, "-m", "latehook.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": str(ADDON), **env})
