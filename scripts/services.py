"""PostgreSQL and haproxy for other scripts: each runs on 127.0.0.1, in a folder of its own, and ends with its block."""

import asyncio
import os
import re
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from demo import PATIENCE, Failed, running, show

HAPROXY_CONFIGURATION = Path(__file__).parent / "image" / "haproxy.cfg"
USER = "latehook"


@dataclass(frozen=True)
class Service:
    """A program that runs. `pid` is its process, which may have children."""

    pid: int
    port: int

    def store(self, schema: str) -> str:
        """Return what `mock_store` needs for a schema, if this is PostgreSQL."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/postgres?schema={schema}"


async def install_missing() -> None:
    """Install Debian's packages of PostgreSQL and haproxy where they are missing. Raises Failed if it cannot."""
    missing = [name for name, found in (("postgresql", _initdb()), ("haproxy", _haproxy())) if not found]
    if missing:
        command = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
        if os.geteuid() != 0:
            command.insert(0, "sudo")
        show("install", " ".join(command))
        if not shutil.which(command[0]) or await _run(*command) != 0:
            raise Failed(f"cannot install {' and '.join(missing)}: install them, then try again")


@asynccontextmanager
async def postgresql() -> AsyncIterator[Service]:
    """Run a PostgreSQL server that is new and empty."""
    initdb = _initdb()
    assert initdb
    with tempfile.TemporaryDirectory(prefix="latehook-postgresql-") as folder:
        user: list[str] = []
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
            shutil.chown(folder, "nobody", "nogroup")
        data, log = f"--pgdata={folder}/data", Path(folder) / "log"
        options = "--auth=trust", f"--username={USER}", "--encoding=UTF8", "--locale=C"
        if await _run(*user, str(initdb), data, *options, quiet=True) != 0:
            raise Failed("PostgreSQL's initdb failed")
        port = free_port()
        settings = f"--port={port}", "--listen-addresses=127.0.0.1", "--unix-socket-directories="
        with log.open("wb") as output:
            server = [*user, str(initdb.with_name("postgres")), "-D", f"{folder}/data", *settings]
            async with running(*server, cwd="/", stdout=output, stderr=output) as process:
                await _listening(port, "PostgreSQL", process, log)
                yield Service(process.pid, port)
                process.send_signal(2)  # SIGINT: do not wait for clients


@asynccontextmanager
async def haproxy(folder: Path, servers: Sequence[int]) -> AsyncIterator[Service]:
    """Run haproxy in front of the proxies at these ports, with the configuration of `image/haproxy.cfg`."""
    port = free_port()
    text = re.sub(r"^    server .*\n", "", HAPROXY_CONFIGURATION.read_text(), flags=re.MULTILINE)
    text = text.replace("bind :8080", f"bind 127.0.0.1:{port}")
    file, log = folder / "haproxy.cfg", folder / "haproxy.log"
    file.write_text(text + "".join(f"    server latehook-{server} 127.0.0.1:{server}\n" for server in servers))
    program = _haproxy()
    assert program
    with log.open("wb") as output:
        async with running(program, "-db", "-f", str(file), stdout=output, stderr=output) as process:
            await _listening(port, "haproxy", process, log)
            yield Service(process.pid, port)


def free_port() -> int:
    """Return a port of 127.0.0.1 at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def _initdb() -> Path | None:
    """Return PostgreSQL's `initdb`; beside it are the other programs of the server. None: it is not installed."""
    debian = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")))
    found = debian[-1] if debian else shutil.which("initdb")
    return Path(found).resolve() if found else None


def _haproxy() -> str | None:
    return shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")


async def _run(*command: str, quiet: bool = False) -> int:
    """Run a command; return its exit status. `quiet` hides its output."""
    output = asyncio.subprocess.DEVNULL if quiet else None
    async with running(*command, cwd="/", stdout=output, stderr=output) as process:
        return await process.wait()


async def _listening(port: int, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
    """Return when something listens at the port. Raises Failed if the process has ended, or does not listen in time."""
    for _ in range(20 * PATIENCE):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.returncode is not None:
            break
        await asyncio.sleep(0.05)
    raise Failed(f"{name} did not start:\n{log.read_text().rstrip()}")
