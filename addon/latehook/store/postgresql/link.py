"""The connections to PostgreSQL: one that writes, one that reads. Broken ones are made again."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

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

IN_USE = "another process has this schema: end that one, or name another schema (?schema=NAME)"


class Link:
    """The connections to a schema that only this process uses.

    While they are broken, everything raises StoreUnreachable. `on_connected` is called each time they have been made
    again.
    """

    def __init__(self, address: PostgresAddress, on_connected: Callable[[], Awaitable[None]]) -> None:
        self.problem: str | None = None
        """Why the database cannot be reached; None while it can."""
        self._address = address
        self._on_connected = on_connected
        self._writer: asyncpg.Connection | None = None
        self._reader: asyncpg.Connection | None = None
        self._writer_pid = 0
        self._writing, self._reading = asyncio.Lock(), asyncio.Lock()
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
        for connection in (self._writer, self._reader):
            if connection is not None:
                with suppress(Exception):  # what was written is committed: nothing depends on a good end
                    await connection.close(timeout=1)

    async def fetch(self, sql: str, *values: Any, timeout: float | None = None) -> list[Any]:
        """Return the rows of a query, within `timeout` seconds or COMMAND_TIMEOUT. Raises StoreError."""
        async with self._reading:
            return await self._run("read", self._reader, sql, values, timeout or COMMAND_TIMEOUT)

    async def write(self, sql: str, *values: Any) -> list[Any]:
        """Execute a statement in a transaction of its own, and return its rows.

        Raises StoreUnreachable if it may or may not have happened, and StoreError if it has not.
        """
        async with self._writing:
            return await self._run("write", self._writer, sql, values, COMMAND_TIMEOUT)

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
        except asyncpg.PostgresError as error:
            raise StoreError(f"the store cannot {verb}: {reason_of(error)}") from None
        return rows

    # Connecting

    async def _connect(self) -> None:
        writer = await self._new_connection()
        try:
            await self._lock(writer)
            await schema.prepare(writer, self._address.schema)
            reader = await self._new_connection()
        except BaseException:
            writer.terminate()
            raise
        self._writer, self._reader = writer, reader
        self._writer_pid = writer.get_server_pid()

    async def _new_connection(self) -> asyncpg.Connection:
        return await asyncpg.connect(
            self._address.url,
            timeout=CONNECT_TIMEOUT,
            command_timeout=COMMAND_TIMEOUT,
            server_settings={"search_path": self._address.schema, "application_name": "latehook"},
        )

    async def _lock(self, connection: asyncpg.Connection) -> None:
        """Lock the schema for this process, as long as the connection lives. Raises StoreError where another has it.

        The server may still have our last connection, if only the network has broken it: that is ended.
        """
        keys = schema.lock_keys(self._address.schema)
        async with asyncio.timeout(CONNECT_TIMEOUT):
            while not await connection.fetchval("SELECT pg_try_advisory_lock($1::integer, $2::integer)", *keys):
                holders = [pid for (pid,) in await connection.fetch(HOLDERS, *keys)]
                if any(pid != self._writer_pid for pid in holders):
                    raise StoreError(IN_USE)
                for pid in holders:
                    await connection.execute("SELECT pg_terminate_backend($1)", pid)
                await asyncio.sleep(RECONNECT_AFTER[0])

    def _lose(self, connection: asyncpg.Connection, error: BaseException) -> None:
        """Give up both connections after an error of one of them, and begin to connect again."""
        if connection not in (self._writer, self._reader):
            return
        self.problem = reason_of(error)
        log.error("latehook: the store cannot be reached: %s: requests get a 503 until it can", self.problem)
        self._drop()
        if not self._closed and self._reconnecting is None:
            self._reconnecting = asyncio.get_running_loop().create_task(self._reconnect(), name="latehook: reconnect")

    def _drop(self) -> None:
        for connection in (self._writer, self._reader):
            if connection is not None:
                connection.terminate()
        self._writer = self._reader = None

    async def _reconnect(self) -> None:
        waits = iter(RECONNECT_AFTER)
        wait = 0.0
        while self._writer is None:
            wait = next(waits, wait)
            await asyncio.sleep(wait)
            try:
                await self._connect()
                await self._on_connected()
            except Exception as error:  # of any kind: to give up would leave the store unreachable for ever
                self._drop()
                self.problem = reason_of(error)
        log.info("latehook: the store can be reached again")
        self.problem = self._reconnecting = None


HOLDERS = """
SELECT pid FROM pg_locks
WHERE locktype = 'advisory' AND granted AND classid = $1 AND objid = $2
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
"""The server's processes that have the lock with these two keys."""


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
