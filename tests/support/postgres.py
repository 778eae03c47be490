"""A PostgreSQL server of its own for the tests, from the programs that are installed: nothing else uses it."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from support.limits import LIMIT, LONG_LIMIT
from support.ports import free_port

USER = "latehook"
PASSWORD_USER, PASSWORD = "with_password", "s3cret/pass?word"
"""A role that needs a password. The others need none."""

SETTINGS = {
    "fsync": "off",  # the machine does not crash during a test
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "unix_socket_directories": "",
    "shared_buffers": "16MB",
}


def programs() -> Path | None:
    """Return the folder of PostgreSQL's server programs; None where there is none."""
    found = [
        Path(path) for path in (os.environ.get("LATEHOOK_TEST_PG"), *sorted(map(str, INSTALLED.glob("*/bin")))) if path
    ]
    on_path = shutil.which("initdb")
    if on_path is not None:
        found.append(Path(on_path).resolve().parent)
    return next((folder for folder in reversed(found) if (folder / "initdb").exists()), None)


INSTALLED = Path("/usr/lib/postgresql")
"""Where Debian has the programs, by version."""


class PostgresServer:
    """A server with a database of its own. Each schema is a world of its own."""

    def __init__(self, folder: Path) -> None:
        found = programs()
        assert found is not None
        self._programs = found
        self._data = folder / "data"
        self._log = folder / "log"
        self.port = free_port()
        # PostgreSQL refuses to run as root
        self._as_user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.geteuid() == 0 else []
        if self._as_user:
            shutil.chown(folder, "nobody", "nogroup")
        self._run("initdb", "--no-sync", "--auth=trust", f"--username={USER}", "--encoding=UTF8", "--locale=C")
        hba = self._data / "pg_hba.conf"
        hba.write_text(f"host all {PASSWORD_USER} 127.0.0.1/32 scram-sha-256\n{hba.read_text()}")

    def url(self, schema: str, port: int | None = None) -> str:
        return f"postgresql://{USER}@127.0.0.1:{port or self.port}/postgres?schema={schema}"

    def start(self) -> None:
        settings = " ".join(f"-c {name}='{value}'" for name, value in {**SETTINGS, "port": self.port}.items())
        self._run("pg_ctl", "start", "-w", f"-t{LIMIT:.0f}", f"-l{self._log}", f"-o{settings}")

    def stop(self, mode: str = "immediate") -> None:
        """Stop the server: `fast` ends its connections, `immediate` is like a crash."""
        self._run("pg_ctl", "stop", "-w", f"-m{mode}")

    def execute(self, sql: str) -> str:
        """Execute statements as a superuser. Return what they print."""
        psql = self._programs / "psql"
        command = [
            str(psql),
            "-X",
            "-A",
            "-t",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-h127.0.0.1",
            f"-p{self.port}",
            f"-U{USER}",
        ]
        run = subprocess.run([*command, "postgres", "-c", sql], check=True, capture_output=True, text=True)
        return run.stdout.strip()

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as_user, str(self._programs / program), "-D", str(self._data), *arguments]
        with open(self._log.with_suffix(".out"), "ab") as output:
            subprocess.run(command, check=True, stdout=output, stderr=output, cwd="/", timeout=LONG_LIMIT)


def shorten_timeouts(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let statements and connections of stores fail after so many seconds. Call it when the stores have been opened.

    The first connections to a server that has just started take longer on a busy machine.
    """
    from latehook.store.postgresql import link

    monkeypatch.setattr(link, "COMMAND_TIMEOUT", seconds)
    monkeypatch.setattr(link, "CONNECT_TIMEOUT", seconds)


_under_way = 0


def is_waiting() -> bool:
    """Return whether a statement is under way in `counted`."""
    return _under_way > 0


@contextmanager
def counted() -> Iterator[None]:
    """Count the statements and connections that are under way in the block."""
    import asyncpg

    def counting(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def count(*args: Any, **options: Any) -> Any:
            global _under_way
            _under_way += 1
            try:
                return await method(*args, **options)
            finally:
                _under_way -= 1

        return count

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in (
            (asyncpg, "connect"),
            (asyncpg.Connection, "_execute"),
            (asyncpg.Connection, "execute"),
            (asyncpg.Connection, "close"),
        ):
            patch.setattr(owner, name, counting(getattr(owner, name)))
        yield


@contextmanager
def server() -> Iterator[PostgresServer]:
    """Run a server. Skip the test where there are no programs, unless `CI` is set."""
    reason = None
    if programs() is None:
        reason = "needs PostgreSQL's server programs (Debian: postgresql), or LATEHOOK_TEST_PG with their folder"
    elif find_spec("asyncpg") is None:
        reason = "needs the package asyncpg: scripts/install"
    if reason is not None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    folder = Path(tempfile.mkdtemp(prefix="latehook-postgres-"))
    try:
        started = PostgresServer(folder)
        started.start()
        try:
            started.execute(
                f"CREATE ROLE {PASSWORD_USER} LOGIN PASSWORD '{PASSWORD}'; "
                f"GRANT CREATE ON DATABASE postgres TO {PASSWORD_USER}"
            )
            yield started
        finally:
            with suppress(subprocess.CalledProcessError):  # a test may have stopped it
                started.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def server_of(request: pytest.FixtureRequest) -> PostgresServer | None:
    """Return the server, for a fixture whose parameter is "postgresql"; None for another parameter, or without one."""
    found: PostgresServer | None = None
    if getattr(request, "param", None) == "postgresql":
        found = request.getfixturevalue("postgres_server")
    return found


SLOW_IN_POSTGRESQL = pytest.mark.parametrize(
    "run", ["memory", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True
)
"""For the fixture `run` of tests of the engine: the store is in memory, and in PostgreSQL, where the test takes seconds."""
