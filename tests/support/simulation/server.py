"""A double of asyncpg, and the network to it: connections to the model of the database that delay, break and hang."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from typing import Any, Protocol

import asyncpg
import pytest

from latehook.store.postgresql import link
from support.simulation.database import Database
from support.simulation.kernel import Kernel
from support.simulation.statements import execute
from support.simulation.tables import Guard, Refused, Row
from support.virtual_time import NOON

NOTIFY = "SELECT pg_notify($1, $2)"
TERMINATE = "SELECT pg_terminate_backend($1)"
TABLES = "SELECT relname FROM pg_class"

BROKEN = "connection was closed in the middle of operation"


class Client(Protocol):
    """The process at the other end of a connection."""

    is_cut: bool
    """Whether the network lets nothing through."""

    is_dead: bool


class Server:
    """The database server, and the network to it."""

    def __init__(self, kernel: Kernel, without: Collection[Guard] = ()) -> None:
        self.database = Database(lambda: NOON + kernel.now, without)
        self.loses_notices = 0.0
        """The chance that a notice is lost."""
        self.is_down = False
        self.kernel = kernel
        self.connections: list[Connection] = []
        self.pids = count(1)

    def delay(self) -> float:
        """Return how long a message takes, or a statement that waits for a lock."""
        chance = self.kernel.source.random()
        return chance * 0.004 if chance < 0.93 else self.kernel.source.random() * 0.4

    async def connect(self, client: Client, timeout: float) -> "Connection":
        async with asyncio.timeout(timeout):
            await asyncio.sleep(self.delay())
            if client.is_cut:
                await asyncio.get_running_loop().create_future()
        if self.is_down:
            raise ConnectionRefusedError("connection refused")
        made = Connection(self, client)
        self.connections.append(made)
        return made

    def stop(self) -> None:
        """End all connections. What has arrived and was not executed is lost."""
        self.is_down = True
        for connection in list(self.connections):
            connection.end_backend()

    def start(self) -> None:
        self.is_down = False
        self.database.started_at = self.database.time()

    def mended(self, client: Client) -> None:
        """Deliver what the network has kept while it let nothing through."""
        for connection in list(self.connections):
            if connection.client is client:
                connection.deliver_kept()

    def notify(self, channel: str, text: str) -> None:
        for connection in self.connections:
            if connection.hears is not None and self.kernel.source.random() >= self.loses_notices:
                connection.send_notice(channel, text)


class Connection:
    """A connection, as a process sees it, and its backend in the server."""

    def __init__(self, server: Server, client: Client) -> None:
        self.pid = next(server.pids)
        self.client = client
        self.hears: Callable[..., None] | None = None
        self.name = ""
        self.command_timeout: float | None = None
        self._loop = asyncio.get_running_loop()
        self._server = server
        self._kernel = server.kernel
        self._is_open = True
        self._has_backend = True
        self._kept: list[Callable[[], None]] = []
        self._under_way: asyncio.Future[list[Row]] | None = None
        self._is_executing = False

    # As a process sees it

    async def fetch(self, sql: str, *values: Any, timeout: float | None = None) -> list[Row]:
        if not self._is_open:
            raise asyncpg.InterfaceError("connection is closed")
        assert self._under_way is None, "asyncpg refuses a second statement while one is under way"
        answer = self._under_way = self._loop.create_future()
        self._is_executing = True
        is_there = self._kernel.source.random() < 0.2  # else a cut of the network stops it
        self._kernel.after(
            self._server.delay(), lambda: self._pass(lambda: self._execute(sql, values, answer), is_there)
        )
        limit = timeout or self.command_timeout
        timer = None if limit is None else self._loop.call_later(limit, _time_out, answer)
        try:
            return await answer
        finally:
            self._under_way = None
            if timer is not None:
                timer.cancel()

    async def execute(self, sql: str, *values: Any, timeout: float | None = None) -> None:
        await self.fetch(sql, *values, timeout=timeout)

    async def fetchval(self, sql: str, *values: Any, timeout: float | None = None) -> Any:
        rows = await self.fetch(sql, *values, timeout=timeout)
        return rows[0][0] if rows else None

    async def add_listener(self, channel: str, callback: Callable[..., None]) -> None:
        self.hears = callback

    async def close(self, timeout: float | None = None) -> None:
        self.terminate()

    def terminate(self) -> None:
        self._break()
        self.hears = None
        self._kept.clear()
        if not self.client.is_cut and not self._is_executing:
            self.end_backend()

    def is_closed(self) -> bool:
        return not self._is_open

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        yield

    # The network and the server

    def _pass(self, deliver: Callable[[], None], through_cut: bool = False) -> None:
        """Deliver a message, now or when the network lets it through."""
        if self.client.is_cut and not through_cut:
            if self._is_open:
                self._kept.append(deliver)
        else:
            deliver()

    def deliver_kept(self) -> None:
        kept, self._kept = self._kept, []
        for deliver in kept:
            self._kernel.after(self._server.delay(), lambda deliver=deliver: self._pass(deliver))  # type: ignore[misc]
        if not self._has_backend:
            self._break()

    def _execute(self, sql: str, values: tuple[Any, ...], answer: asyncio.Future[list[Row]]) -> None:
        self._is_executing = False
        if not self._has_backend:
            return
        result: list[Row] | Exception
        try:
            result = self._result(sql, values)
        except Refused as refused:
            result = asyncpg.PostgresError(str(refused))
            result.sqlstate = refused.sqlstate
        if not self._is_open:
            self.end_backend()
        self._kernel.after(self._server.delay(), lambda: self._pass(lambda: self._answer(answer, result)))

    def _result(self, sql: str, values: tuple[Any, ...]) -> list[Row]:
        if sql == NOTIFY:
            self._server.notify(*values)
            return [("",)]
        if sql == link.OLD:
            return [(each.pid,) for each in self._server.connections if each.name == values[0] and each is not self]
        if sql == TERMINATE:
            for each in list(self._server.connections):
                if each.pid == values[0]:
                    each.end_backend()
            return [(True,)]
        if sql.strip().startswith(TABLES):
            return [("version",), ("job",), ("webhook",), ("attempt",)]
        return execute(self._server.database, sql, *values)

    def _answer(self, answer: asyncio.Future[list[Row]], result: list[Row] | Exception) -> None:
        if answer.done() or self.client.is_dead or not self._is_open:
            return
        if isinstance(result, Exception):
            answer.set_exception(result)
        else:
            answer.set_result(result)

    def send_notice(self, channel: str, text: str) -> None:
        def hear() -> None:
            if self.hears is not None and not self.client.is_dead:
                self._loop.call_soon(self.hears, self, self.pid, channel, text)

        self._kernel.after(self._server.delay(), lambda: self._pass(hear))

    def end_backend(self) -> None:
        """End the server's side. A statement that has not been executed is lost."""
        self._has_backend = False
        if self in self._server.connections:
            self._server.connections.remove(self)
        if not self.client.is_cut:
            self._break()

    def drop(self) -> None:
        """Break the connection for the process. What is on its way to the server may still be executed."""
        self.hears = None
        self._break()
        self._is_open = False
        if not self._is_executing:
            self.end_backend()

    def _break(self) -> None:
        """Tell the process that the connection is broken."""
        if self._is_open and not self.client.is_dead:
            if self._under_way is not None and not self._under_way.done():
                self._under_way.set_exception(asyncpg.ConnectionDoesNotExistError(BROKEN))
            self._is_open = False


def _time_out(answer: asyncio.Future[list[Row]]) -> None:
    if not answer.done():
        answer.set_exception(TimeoutError())


@contextmanager
def instead_of_asyncpg() -> Iterator[None]:
    """Let processes of a simulation connect to its server, with shorter limits than those of real networks."""

    async def connect(
        url: str, *, timeout: float, command_timeout: float, server_settings: dict[str, str]
    ) -> Connection:
        loop: Any = asyncio.get_running_loop()
        made: Connection = await loop.process.connect(timeout)
        made.name, made.command_timeout = server_settings["application_name"], command_timeout
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncpg, "connect", connect)
        patch.setattr(link, "COMMAND_TIMEOUT", 1.0)
        patch.setattr(link, "CONNECT_TIMEOUT", 1.0)
        yield
