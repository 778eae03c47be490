"""Starts of mitmdump that take a fifth of the time: a process imports mitmproxy and Latehook once, and forks for each start.

The forked process runs mitmdump's own `main`, or that of the command `latehook`, with its own arguments, environment,
folder and output. It differs from a new process only in that the imports are done. Whatever could change an import makes
`process.mitmdump` start a new process instead.
"""

import gc
import json
import os
import signal
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import IO

from support.paths import ADDON, ROOT

_MESSAGE = 2**20
"""Largest size of a message in bytes: the arguments and the environment of a process."""


class ForkedProcess:
    """A process that the fork server started: the part of `subprocess.Popen` that the tests use.

    The first of `arguments` is the program: mitmdump or latehook.
    """

    def __init__(self, arguments: list[str], cwd: Path, environment: dict[str, str]) -> None:
        self.args = arguments
        self.returncode: int | None = None
        output, its_output = os.pipe()
        self._status, its_status = socket.socketpair(type=socket.SOCK_SEQPACKET)
        message = json.dumps({"arguments": arguments, "cwd": str(cwd), "environment": environment}).encode()
        socket.send_fds(_server(), [message], [its_output, its_status.fileno()])
        os.close(its_output)
        its_status.close()
        self.stdout: IO[bytes] = os.fdopen(output, "rb")
        self.pid = int(self._read())

    def poll(self) -> int | None:
        """Return the exit status, or None while the process runs; a negative number is the signal that ended it."""
        try:
            return self._end(0)
        except BlockingIOError:
            return None

    def wait(self, limit: float | None = None) -> int:
        """Wait for the process to end; return its exit status. Raises subprocess.TimeoutExpired after `limit` seconds."""
        try:
            return self._end(limit)
        except TimeoutError:
            raise subprocess.TimeoutExpired(self.args, limit or 0) from None

    def send_signal(self, sign: int) -> None:
        """Send the process a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, sign)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _end(self, limit: float | None) -> int:
        if self.returncode is None:
            self._status.settimeout(limit)
            self.returncode = os.waitstatus_to_exitcode(int(self._read()))
            self._status.close()
        return self.returncode

    def _read(self) -> bytes:
        """Read a line of what the fork server says of this process: first its id, then its wait status."""
        line = self._status.recv(64)
        assert line, "the fork server ended"
        return line


@cache
def _server() -> socket.socket:
    """Start the fork server, which ends together with this process. Return the connection to it."""
    ours, its = socket.socketpair(type=socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _MESSAGE)
    command = [sys.executable, "-u", "-m", "support.fork_server", str(its.fileno())]
    path = os.pathsep.join([str(ROOT / "tests"), str(ADDON)])
    subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}, pass_fds=[its.fileno()], stdin=subprocess.DEVNULL)
    its.close()
    return ours


def _serve(connection: socket.socket) -> None:
    """Fork for each message of the connection. Return in a new process that is to run a program; exit in the server."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the processes that watch are never waited for
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for pytest, which then ends
    while True:
        message, files, _, _ = socket.recv_fds(connection, _MESSAGE, 2)
        if not message:
            os._exit(0)
        output, status = files
        if os.fork() == 0:
            connection.close()
            return _become(json.loads(message), output, socket.socket(fileno=status))
        os.close(output)
        os.close(status)


def _become(start: dict[str, object], output: int, status: socket.socket) -> None:
    """Fork again. Watch in one process; in the other set what belongs to the new process, and return."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if child := os.fork():
        os.close(output)
        status.send(b"%d" % child)
        status.send(b"%d" % os.waitpid(child, 0)[1])
        os._exit(0)
    status.close()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    os.chdir(str(start["cwd"]))
    os.environ.clear()
    os.environ.update(start["environment"])  # type: ignore[call-overload]
    sys.argv[:] = start["arguments"]  # type: ignore[call-overload]
    sys.dont_write_bytecode = True  # a test that ends the process, or fills its disk, would leave half a file


def _main() -> None:
    from mitmproxy.tools import dump, main  # noqa: F401

    from latehook import cli, wiring  # noqa: F401

    gc.freeze()  # a collection in a forked process would copy these pages
    _serve(socket.socket(fileno=int(sys.argv[1])))
    if Path(sys.argv[0]).name == "latehook":
        sys.exit(cli.main())
    main.mitmdump()


if __name__ == "__main__":
    _main()
