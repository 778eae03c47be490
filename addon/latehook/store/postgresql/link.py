"""The connections to PostgreSQL: one that writes, one that reads, one that listens. Broken ones are made again."""

import asyncio
import logging
import secrets
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol

import asyncpg

from latehook.base import logs
from latehook.base.errors import StoreError, StoreUnreachable
from latehook.store.address import PostgresAddress
from latehook.store.postgresql import schema

log = logging.getLogger(logs.LOGGER)

CONNECT_TIMEOUT = 5.0
"""Seconds for making one connection."""

COMMAND_TIMEOUT = 5.0
"""Seconds for one statement. After that, the connection counts as broken."""

DEADLOCKS = 5
"""How often a statement is executed that the server gives up, as it and one of another process wait for each other."""

LONG_TIMEOUT = 120.0
"""Seconds for a statement that may read everything."""

RECONNECT_AFTER = (0.05, 0.1, 0.2, 0.5, 1.0)
"""Seconds between attempts to connect again. The last one is repeated."""

BROKEN = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # the server is shutting down, or starting
    asyncpg.InternalClientError,
)
"""Errors after which a connection is of no use. What was under way may or may not have happened."""

DEAD = "LH001"
"""SQLSTATE of our functions: the other processes have declared this one dead, and nothing was written."""


class LinkEvents(Protocol):
    """What happens to a link."""

    async def reconnected(self) -> None:
        """The connections have been made again. An error closes them, and they are made again."""

    def declared_dead(self) -> None:
        """The database says that this process was declared dead."""

    def heard(self, text: str) -> None:
        """Another process, or this one, has sent a notice."""


class Link:
    """The connections to a schema. While they are broken, everything raises StoreUnreachable."""

    def __init__(self, address: PostgresAddress, events: LinkEvents) -> None:
        self.problem: str | None = None
        """Why the database cannot be reached; None while it can."""
        self._address = address
        self._events = events
        self._name = f"latehook {secrets.token_hex(8)}"  # finds our own connections among those of the server
        self._channel = schema.channel(address.schema)
        self._writer: asyncpg.Connection | None = None
        self._reader: asyncpg.Connection | None = None
        self._listener: asyncpg.Connection | None = None
        self._writing, self._reading, self._beating = asyncio.Lock(), asyncio.Lock(), asyncio.Lock()
        self._reconnecting: asyncio.Task[None] | None = None
        self._closed = False

    async def open(self) -> None:
        """Connect for the first time. Raises StoreError, which names the remedy."""
        try:
            await self._connect()
        except StoreError as error:
            raise StoreError(f"mock_store={self._address}: {error}") from None
        except Exception as error:  # asyncpg raises ValueError and others for a URL that it does not understand
            raise StoreError(f"mock_store={self._address}: {reason_of(error)}") from None

    async def close(self) -> None:
        self._closed = True
        if self._reconnecting is not None:
            self._reconnecting.cancel()
        for connection in self._connections:
            if connection is not None:
                with suppress(Exception):  # what was written is committed: nothing depends on a good end
                    await connection.close(timeout=1)

    async def fetch(self, sql: str, *values: Any, timeout: float | None = None) -> list[Any]:
        """Return the rows of a query, within `timeout` seconds or COMMAND_TIMEOUT. Raises StoreError."""
        async with self._reading:
            return await self._run("read", self._reader, sql, values, timeout or COMMAND_TIMEOUT)

    async def write(self, sql: str, *values: Any, timeout: float | None = None) -> list[Any]:
        """Execute a statement in a transaction of its own, and return its rows.

        Raises StoreUnreachable if it may or may not have happened, and StoreError if it has not.
        """
        async with self._writing:
            for _ in range(DEADLOCKS):
                with suppress(asyncpg.DeadlockDetectedError):  # with another process: nothing has happened
                    return await self._run("write", self._writer, sql, values, timeout or COMMAND_TIMEOUT)
            raise StoreError("the store cannot write: other processes write the same rows all the time")

    async def beat(self, sql: str, *values: Any, timeout: float | None = None) -> list[Any]:
        """Execute a short statement beside those that read and write, within `timeout` seconds or COMMAND_TIMEOUT.

        Return its rows. Raises StoreError.
        """
        async with self._beating:
            return await self._run("be reached", self._listener, sql, values, timeout or COMMAND_TIMEOUT)

    async def notify(self, text: str, timeout: float) -> None:
        """Send a notice to all processes on the schema, within `timeout` seconds. Raises StoreError."""
        await self.beat("SELECT pg_notify($1, $2)", self._channel, text, timeout=timeout)

    async def _run(
        self, verb: str, connection: asyncpg.Connection | None, sql: str, values: Sequence[Any], timeout: float
    ) -> list[Any]:
        if self._closed:
            raise StoreError("Latehook is ending, and answers no more")
        if connection is None:
            raise StoreUnreachable(f"the store cannot {verb}: {self.problem}")
        try:
            rows: list[Any] = await connection.fetch(sql, *values, timeout=timeout)
        except BROKEN as error:
            self._lose(connection, error)
            raise StoreUnreachable(f"the store cannot {verb}: {reason_of(error)}") from None
        except asyncpg.DeadlockDetectedError:
            raise
        except asyncpg.PostgresError as error:
            if error.sqlstate == DEAD:
                self._events.declared_dead()
                raise StoreUnreachable(f"the store cannot {verb}: {reason_of(error)}") from None
            raise StoreError(f"the store cannot {verb}: {reason_of(error)}") from None
        return rows

    # Connecting

    @property
    def _connections(self) -> Sequence[asyncpg.Connection | None]:
        return self._writer, self._reader, self._listener

    async def _connect(self) -> None:
        made: list[asyncpg.Connection] = []
        try:
            made.append(await self._new_connection())
            await self._end_old_ones(made[0])
            await schema.prepare(made[0], self._address.schema, CONNECT_TIMEOUT)
            made += [await self._new_connection(), await self._new_connection()]
            await made[2].add_listener(self._channel, lambda *notice: self._events.heard(notice[3]))
        except BaseException:
            for connection in made:
                connection.terminate()
            raise
        self._writer, self._reader, self._listener = made

    async def _new_connection(self) -> asyncpg.Connection:
        return await asyncpg.connect(
            self._address.url,
            timeout=CONNECT_TIMEOUT,
            command_timeout=COMMAND_TIMEOUT,
            server_settings={"search_path": self._address.schema, "application_name": self._name},
        )

    async def _end_old_ones(self, connection: asyncpg.Connection) -> None:
        """End our earlier connections. If only the network has broken them, the server may still execute for them."""
        async with asyncio.timeout(CONNECT_TIMEOUT):
            while old := await connection.fetch(OLD, self._name):
                for (pid,) in old:
                    await connection.execute("SELECT pg_terminate_backend($1)", pid)
                await asyncio.sleep(RECONNECT_AFTER[0])

    def _lose(self, connection: asyncpg.Connection, error: BaseException) -> None:
        """Give up all connections after an error of one of them, and begin to connect again."""
        if connection not in self._connections:
            return
        self.problem = reason_of(error)
        log.error("latehook: the store cannot be reached: %s: requests get a 503 until it can", self.problem)
        self._drop()
        if not self._closed and self._reconnecting is None:
            self._reconnecting = asyncio.get_running_loop().create_task(self._reconnect(), name="latehook: reconnect")

    def _drop(self) -> None:
        for connection in self._connections:
            if connection is not None:
                connection.terminate()
        self._writer = self._reader = self._listener = None

    async def _reconnect(self) -> None:
        waits = iter(RECONNECT_AFTER)
        wait = 0.0
        while self._writer is None:
            wait = next(waits, wait)
            await asyncio.sleep(wait)
            try:
                await self._connect()
                await self._events.reconnected()
            except Exception as error:  # of any kind: to give up would leave the store unreachable for ever
                self._drop()
                self.problem = reason_of(error)
        log.info("latehook: the store can be reached again")
        self.problem = self._reconnecting = None


OLD = "SELECT pid FROM pg_stat_activity WHERE application_name = $1 AND pid <> pg_backend_pid()"
"""The server's processes of the connections with a name, without the one that asks."""


def reason_of(error: BaseException) -> str:
    """Return an error's text in one line, with the remedy for those that a user can repair."""
    text = " ".join(str(error).split()) or type(error).__name__
    for kind, remedy in REMEDIES.items():
        if isinstance(error, kind):
            return f"{text}: {remedy}"
    return text


REMEDIES: dict[type[BaseException] | tuple[type[BaseException], ...], str] = {
    asyncpg.InvalidAuthorizationSpecificationError: "correct user and password: in the URL, PGPASSWORD or ~/.pgpass",
    asyncpg.InvalidCatalogNameError: "create the database, or name another one",
    asyncpg.InsufficientPrivilegeError: "GRANT CREATE ON DATABASE to this user, or create the schema for it",
    ConnectionRefusedError: "start PostgreSQL, or correct host and port",
    asyncpg.DiskFullError: "make room on the server's disk",
}
