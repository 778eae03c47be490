"""A proxy of one's own: a mitmdump process on a free port, with its own folder for CA, mocks and log."""

import asyncio
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from latehook.base.errors import LatehookError
from latehook.base.installation import SCRIPTS
from latehook.client.mocks import Mocks, read_mocks

LIMIT = 30.0
"""Seconds that the start, and the end, may take on a busy machine."""

PACKAGE = Path(__file__).parent.parent
_LISTENING = re.compile(r"proxy listening at \S*:(\d+)")
_CONNECTION_LINE = re.compile(r"\]\[\S+\] (client|server) (dis)?connect\b")
_READY = "latehook: ready"

Options = Mapping[str, str | Sequence[str]]
"""Options of mitmproxy and Latehook, as `--set` takes them; a list sets an option several times."""


class ProxyProcess:
    """A running proxy. `port` is the port on which it listens, 0 before it is ready."""

    def __init__(self, process: "subprocess.Popen[bytes]", log_file: Path) -> None:
        self._process = process
        self._log_file = log_file
        self._whole_log: bytes | None = None  # when the process has ended, and the file is deleted
        self.port = 0

    def log(self, since: int = 0) -> str:
        """Return what the proxy has logged, from a position in bytes on."""
        whole = self._log_file.read_bytes() if self._whole_log is None else self._whole_log
        return whole[since:].decode(errors="replace")

    def log_of_test(self, since: int) -> str:
        """Return what the proxy has logged from a position on, without mitmproxy's lines about each connection."""
        lines = self.log(since).splitlines()
        return "\n".join(line for line in lines if _CONNECTION_LINE.search(line) is None)

    def log_size(self) -> int:
        """Return the size of the log in bytes: the position of what is logged from now on."""
        return self._log_file.stat().st_size

    def wait_until_ready(self) -> None:
        """Wait until the proxy listens. Raises LatehookError, with the log, if it ends before or takes too long."""
        end = time.monotonic() + LIMIT
        while _READY not in (log := self.log()):
            if (status := self._process.poll()) is not None:
                raise LatehookError(f"the proxy ended with status {status} while it started:\n{self.log().strip()}")
            if time.monotonic() > end:
                raise LatehookError(f"the proxy was not ready within {LIMIT:g} s; its log:\n{log.strip()}")
            time.sleep(0.01)
        listening = _LISTENING.search(log)
        if listening is None:
            raise LatehookError(f"the proxy does not say where it listens; its log:\n{log.strip()}")
        self.port = int(listening[1])

    def stop(self) -> None:
        """End the process, by force if it does not end in time."""
        self._process.terminate()
        try:
            self._process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._whole_log = self._log_file.read_bytes()
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()


@contextmanager
def run_proxy(mocks: Mocks | None, options: Options) -> Iterator[ProxyProcess]:
    """Start a proxy, wait until it is ready, and end it with the block."""
    with TemporaryDirectory(prefix="latehook-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        process = _launch(folder, {"mock_file": str(_mock_file(mocks, folder)), **options})
        try:
            process.wait_until_ready()
            yield process
        finally:
            process.stop()


@asynccontextmanager
async def run_proxy_async(mocks: Mocks | None, options: Options) -> AsyncIterator[ProxyProcess]:
    """Do the same without blocking the event loop."""
    proxy = run_proxy(mocks, options)
    async with AsyncExitStack() as stack:
        process = await asyncio.to_thread(proxy.__enter__)
        stack.push_async_exit(lambda *raised: asyncio.to_thread(proxy.__exit__, *raised))
        yield process


def _mock_file(mocks: Mocks | None, folder: Path) -> Path:
    """Return the mocks file, written into `folder` unless the mocks are a file already."""
    read = read_mocks({"mocks": []} if mocks is None else mocks, [Path.cwd()])
    if read.file is not None:
        return read.file
    file = folder / "mocks.yaml"
    file.write_text(read.content, encoding="utf-8")
    return file


def _launch(folder: Path, options: Options) -> ProxyProcess:
    own = {"confdir": str(folder), "listen_host": "127.0.0.1", "listen_port": "0", "flow_detail": "0"}
    settings = [f"{name}={value}" for name, given in {**own, **options}.items() for value in _values(given)]
    log_file = folder / "log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-u", str(PACKAGE / "client" / "mitmdump.py"), "-s", str(SCRIPTS / "mock.py")]
            + [argument for setting in settings for argument in ("--set", setting)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the tests: they end the proxy when they have shown what is left
        )
    return ProxyProcess(process, log_file)


def _values(given: str | Sequence[str]) -> Sequence[str]:
    return [given] if isinstance(given, str) else given
