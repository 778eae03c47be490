"""haproxy in front of proxies of this machine, with the configuration of `scripts/image/haproxy.cfg`."""

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.limits import LIMIT
from support.paths import ROOT
from support.ports import free_port
from support.waiting import wait_until

CONFIGURATION = ROOT / "scripts" / "image" / "haproxy.cfg"


def program() -> str | None:
    """Return the path of haproxy; None where it is not installed."""
    return shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def require() -> str:
    """Return the path of haproxy. Skip the test where it is not installed, unless `CI` is set."""
    found = program()
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs haproxy (Debian: haproxy)")
    return found


def configuration(port: int, servers: Sequence[int], control: Path) -> str:
    """Return the configuration for a port of this machine, the ports of the proxies, and a socket that controls haproxy."""
    text = CONFIGURATION.read_text().replace("bind :8080", f"bind 127.0.0.1:{port}")
    text = text.replace("global\n", f"global\n    stats socket {control}\n")
    text = re.sub(r"^    server .*\n", "", text, flags=re.MULTILINE)
    return text + "".join(f"    server latehook-{server} 127.0.0.1:{server}\n" for server in servers)


class Balancer:
    """haproxy that runs. Clients connect to `port`."""

    def __init__(self, port: int, control: Path) -> None:
        self.port = port
        self._control = control

    def wait_until_up(self, server: int) -> None:
        """Wait until haproxy connects clients to the proxy at this port."""
        wait_until(lambda: f",latehook-{server},2," in self._states(), f"haproxy knows that {server} is up")

    def _states(self) -> str:
        """Return lines with the number, the name and the state of each server: 2 is up."""
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(str(self._control))
            control.sendall(b"show servers state latehook\n")
            lines = control.makefile().read().splitlines()
        return "\n".join(f"{fields[2]},{fields[3]},{fields[5]}," for line in lines if len(fields := line.split()) > 5)


@contextmanager
def balancer(folder: Path, servers: Sequence[int]) -> Iterator[Balancer]:
    """Run haproxy in front of the proxies at these ports until the end of the block."""
    made = Balancer(free_port(), folder / "haproxy")
    file, log = folder / "haproxy.cfg", folder / "haproxy.log"
    file.write_text(configuration(made.port, servers, folder / "haproxy"))
    with log.open("wb") as output:
        process = subprocess.Popen([require(), "-db", "-f", file], stdout=output, stderr=output)
    try:
        wait_until(lambda: process.poll() is not None or _listens(made.port), "haproxy listens")
        assert process.poll() is None, log.read_text()
        yield made
    finally:
        process.terminate()
        process.wait(LIMIT)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
