"""mitmdump and mitmweb processes with the addon."""

import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from support.fork_server import ForkedProcess
from support.limits import LIMIT
from support.paths import MITMDUMP, MOCK_SCRIPT, ROOT
from support.programs import curl
from support.waiting import wait_until

HOST = "api.thirdparty.example"
"""The host that the default mocks file mocks."""

VARIABLES = {"http_proxy", "https_proxy", "no_proxy", "all_proxy", "callback_url", "third_party", "delay"}
"""Environment variables, in lower case, that change what the programs under test do. No test inherits them."""


AT_IMPORT = ("LATEHOOK_", "LD_", "PYTHON")
"""Beginnings of the names of environment variables that act while a process starts or imports; LEASE does not."""

LEASE = "LATEHOOK_LEASE"
"""The environment variable with the seconds after which a silent process that shares its store counts as ended."""


def clean_environment() -> dict[str, str]:
    """Return this process's environment without VARIABLES."""
    return {name: value for name, value in os.environ.items() if name.lower() not in VARIABLES}


class Proxy:
    """A mitmdump process with the addon, and the lines that it has printed so far."""

    def __init__(self, process: subprocess.Popen[bytes] | ForkedProcess, confdir: Path) -> None:
        self.process = process
        self.confdir = confdir
        self.port = 0
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ca(self) -> str:
        """The file of mitmproxy's CA certificate."""
        return str(self.confdir / "mitmproxy-ca-cert.pem")

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, pattern: str, count: int = 1, limit: float = LIMIT) -> str:
        """Return the first printed line that matches the regular expression, as soon as `count` lines do.

        Raises AssertionError after `limit` seconds, or when the process has ended without these lines.
        """

        def found() -> str | None:
            ended = self.process.poll() is not None and not self._reader.is_alive()
            lines = [line for line in list(self.lines) if re.search(pattern, line)]
            assert len(lines) >= count or not ended, f"the process ended without a line that matches {pattern!r}"
            return lines[0] if len(lines) >= count else None

        try:
            return wait_until(found, f"a line that matches {pattern!r}", limit)
        except AssertionError as error:
            raise AssertionError(f"{error}\n--- mitmdump printed:\n{self.output}") from None

    def wait(self, limit: float = LIMIT) -> int:
        """Wait for the process to end; return its exit status. `lines` is complete then."""
        status = self.process.wait(limit)
        self._reader.join(limit)
        return status

    def stop(self, sign: signal.Signals = signal.SIGTERM, limit: float = LIMIT) -> int:
        """Ask the process to end; return its exit status. `lines` is complete then."""
        if self.process.poll() is None:
            self.process.send_signal(sign)
        return self.wait(limit)

    def kill(self) -> None:
        """End the process as a crash does."""
        self.process.kill()
        self.wait()

    def close(self) -> None:
        """End the process at once, and close its output. A test that looks at its end calls `stop`."""
        self.kill()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def memory_peak(self) -> int:
        """Return the largest resident size so far, in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        peak = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert peak is not None
        return int(peak[1]) * 1024

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.decode(errors="replace").rstrip())


def _run(command: list[str], cwd: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


@contextmanager
def mitmdump(
    confdir: Path,
    *arguments: str,
    env: dict[str, str] | None = None,
    script: Path = MOCK_SCRIPT,
    cwd: Path = ROOT,
    wait: bool = True,
    by: Sequence[str] = (),
    fork: bool = False,
) -> Iterator[Proxy]:
    """Run `mitmdump -s addon/mock.py` on a free port until the end of the block.

    `by` is the command that runs it, if it is not run directly. `env` is added to the environment. With `wait=False` the
    block starts before the proxy is ready: for a process that is to end by itself. `fork` says that another script than
    mock.py works the same when Latehook is imported already.
    """
    listen = ["--listen-host", "127.0.0.1", "-p", "0"]
    command = [*by, MITMDUMP, "--set", f"confdir={confdir}", *listen, "-s", script, *arguments]
    environment = clean_environment() | {"PYTHONUNBUFFERED": "1", **(env or {})}
    changes_imports = (
        by
        or (script != MOCK_SCRIPT and not fork)
        or any(name.startswith(AT_IMPORT) for name in (env or {}).keys() - {LEASE})
    )
    run = _run if changes_imports else ForkedProcess
    proxy = Proxy(run(list(map(str, command)), cwd, environment), confdir)
    try:
        if wait:
            proxy.wait_for(r"latehook: ready")
            if listening := re.search(r"HTTP\(S\) proxy[^\n]* listening at 127\.0\.0\.1:(\d+)", proxy.output):
                proxy.port = int(listening[1])
        yield proxy
    finally:
        proxy.close()


@contextmanager
def mitmweb(confdir: Path, folder: Path, port: int, web: int) -> Iterator[None]:
    """Run mitmweb with the addon and `folder/mocks.yaml` until the end of the block.

    The proxy listens at `port`. The web interface listens at `web` and accepts `?token=open`.
    """
    options = [f"confdir={confdir}", f"mock_file={folder}/mocks.yaml", f"web_port={web}", "web_password=open"]
    listen = ["--no-web-open-browser", "--listen-host", "127.0.0.1", "-p", str(port)]
    command = [str(MITMDUMP.with_name("mitmweb")), *listen, "-s", str(MOCK_SCRIPT)]
    command += [part for option in options for part in ("--set", option)]
    process = subprocess.Popen(command, env=clean_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: curl(f"http://127.0.0.1:{port}/_latehook/status").returncode == 0, "mitmweb is ready")
        yield
    finally:
        process.terminate()
        process.wait(LIMIT)
