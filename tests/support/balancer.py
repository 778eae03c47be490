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


def configuration(port: int, servers: Sequence[int]) -> str:
    """Return the configuration for a port of this machine, and for the ports of the proxies."""
    text = CONFIGURATION.read_text().replace("bind :8080", f"bind 127.0.0.1:{port}")
    text = re.sub(r"^    server .*\n", "", text, flags=re.MULTILINE)
    return text + "".join(f"    server latehook-{server} 127.0.0.1:{server}\n" for server in servers)


@contextmanager
def balancer(folder: Path, servers: Sequence[int]) -> Iterator[int]:
    """Run haproxy in front of the proxies at these ports until the end of the block. Yield its own port."""
    port = free_port()
    file = folder / "haproxy.cfg"
    file.write_text(configuration(port, servers))
    log = folder / "haproxy.log"
    with log.open("wb") as output:
        process = subprocess.Popen([require(), "-db", "-f", file], stdout=output, stderr=output)
    try:
        wait_until(lambda: process.poll() is not None or _listens(port), "haproxy listens")
        assert process.poll() is None, log.read_text()
        yield port
    finally:
        process.terminate()
        process.wait(LIMIT)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
