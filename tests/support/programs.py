"""Command-line programs that tests run: curl, `latehook`, pytest with the plugin."""

import io
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

from latehook import cli
from support.limits import LIMIT

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
    """Run the command `latehook` with only `env` as its environment, in this process: a new one takes half a second."""
    output, errors = io.StringIO(), io.StringIO()
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(env)
    try:
        with redirect_stdout(output), redirect_stderr(errors):
            status = cli.main(list(map(str, arguments)))
    finally:
        os.environ.clear()
        os.environ.update(before)
    return subprocess.CompletedProcess(["latehook", *map(str, arguments)], status, output.getvalue(), errors.getvalue())
