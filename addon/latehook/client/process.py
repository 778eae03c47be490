"""A proxy of one's own: a mitmdump process on a free port, with a folder of its own for CA, mocks and log."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import latehook
from latehook.base.errors import LatehookError
from latehook.client.mocks import Mocks, read_mocks

LIMIT = 30.0
"""Seconds that the start, and the end, may take on a busy machine."""

PACKAGE = Path(latehook.__file__).parent
_LISTENING = re.compile(r"proxy listening at \S*:(\d+)")
_READY = "latehook: ready"

Options = Mapping[str, str | Sequence[str]]


class Process:
    """A proxy that runs. `port` is there once it is ready."""

    def __init__(self, process: "subprocess.Popen[bytes]", log_file: Path) -> None:
        self._process = process
        self._log_file = log_file
        self.port = 0

    def log(self, since: int = 0) -> str:
        """What it has said, from a position in bytes."""
        return self._log_file.read_bytes()[since:].decode(errors="replace")

    def position(self) -> int:
        """Where its log ends now."""
        return self._log_file.stat().st_size

    def wait_until_ready(self) -> None:
        end = time.monotonic() + LIMIT
        while _READY not in (log := self.log()):
            if (status := self._process.poll()) is not None:
                raise LatehookError(f"the proxy ended with status {status} while it started:\n{self.log().strip()}")
            if time.monotonic() > end:
                raise LatehookError(f"the proxy was not ready within {LIMIT:g} s; it said:\n{log.strip()}")
            time.sleep(0.01)
        listening = _LISTENING.search(log)
        if listening is None:
            raise LatehookError(f"the proxy does not say where it listens; it said:\n{log.strip()}")
        self.port = int(listening[1])

    def end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()


@contextmanager
def started(mocks: Mocks | None, options: Options) -> Iterator[Process]:
    """A proxy that is ready. `options` are mitmproxy's and Latehook's own, as `--set` takes them."""
    with TemporaryDirectory(prefix="latehook-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        process = _launch(folder, {"mock_file": str(_mock_file(mocks, folder)), **options})
        try:
            process.wait_until_ready()
            yield process
        finally:
            process.end()


def _mock_file(mocks: Mocks | None, folder: Path) -> Path:
    read = read_mocks({"mocks": []} if mocks is None else mocks, [Path.cwd()])
    if read.file is not None:
        return read.file
    file = folder / "mocks.yaml"
    file.write_text(read.content, encoding="utf-8")
    return file


def _launch(folder: Path, options: Options) -> Process:
    own = {"confdir": str(folder), "listen_host": "127.0.0.1", "listen_port": "0", "flow_detail": "0"}
    settings = [f"{name}={text}" for name, given in {**own, **options}.items() for text in _texts(given)]
    log_file = folder / "log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-u", str(PACKAGE / "client" / "mitmdump.py"), "-s", str(_script())]
            + [argument for setting in settings for argument in ("--set", setting)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the tests: they end it when they have seen what is left
        )
    return Process(process, log_file)


def _texts(given: str | Sequence[str]) -> Sequence[str]:
    return [given] if isinstance(given, str) else given


def _script() -> Path:
    """mock.py lies beside the package in a checkout, within it in a wheel."""
    within = PACKAGE / "script" / "mock.py"
    return within if within.exists() else PACKAGE.parent / "mock.py"
