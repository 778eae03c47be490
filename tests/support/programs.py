"""Command-line programs that tests run: curl, `latehook`, pytest with the plugin."""

import io
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

from latehook import cli
from support.limits import LIMIT

_SLOW_TO_IMPORT = ("schemathesis", "hypothesispytest", "anyio")
WITH_PLUGIN = (
    *("-p", "no:latehook", "-p", "latehook.pytest_plugin", "--strict-markers"),
    *(part for name in _SLOW_TO_IMPORT for part in ("-p", f"no:{name}")),
)
"""Arguments that make a pytest process load the plugin of this source tree, even if another Latehook is installed.

Other plugins that have nothing to do with it are left out where their import takes half of a second.
"""


_CURL = ["curl", "--silent", "--show-error", "--noproxy", ""]
"""curl without a progress bar and without the proxy settings of this machine."""


def curl(*arguments: str, limit: float = LIMIT) -> subprocess.CompletedProcess[str]:
    """Run curl for at most `limit` seconds."""
    command = [*_CURL, "--max-time", str(limit), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=limit + LIMIT)


def curl_each(*requests: Sequence[str], limit: float = LIMIT) -> list[subprocess.CompletedProcess[str]]:
    """Send several requests, one after the other, each for at most `limit` seconds. Return the end of each.

    One process of curl sends them all, which takes a third of the time. They share no connection if no two of them have
    the same proxy, scheme and host.
    """
    said = "%{exitcode} %{http_code} %{errormsg}\\n"
    with TemporaryDirectory() as folder:
        command = ["curl"]
        for number, arguments in enumerate(requests):
            options = [*_CURL[1:], "--max-time", str(limit), "--output", f"{folder}/{number}", "--write-out", said]
            command += [*(["--next"] if number else []), *options, *arguments]
        run = subprocess.run(command, capture_output=True, text=True, timeout=limit * len(requests) + LIMIT)
        ends = [line.split(" ", 2) for line in run.stdout.splitlines()]
        assert len(ends) == len(requests), run.stderr
        bodies = [Path(folder, str(number)) for number in range(len(requests))]
        return [
            subprocess.CompletedProcess(
                list(arguments), int(code), f"{body.read_text() if body.exists() else ''}\n{status}", message
            )
            for arguments, (code, status, message), body in zip(requests, ends, bodies, strict=True)
        ]


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
