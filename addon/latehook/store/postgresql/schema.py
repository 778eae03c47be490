"""The tables and functions of the store, and their versions."""

import zlib

from asyncpg import Connection, LockNotAvailableError

from latehook.base.errors import StoreError
from latehook.store.postgresql import nodes_sql, world_sql, writing_sql

VERSION = 2
"""The version of the tables, in the table `version`."""

VERSION_1 = """
CREATE TABLE version (number integer NOT NULL);
CREATE TABLE meta (name text PRIMARY KEY, value bytea NOT NULL);
CREATE TABLE definition (hash text PRIMARY KEY, written bytea NOT NULL, last_job bigint);
CREATE TABLE job (
    key bigint PRIMARY KEY, id text NOT NULL, mock text NOT NULL, idempotency_key text,
    created_at double precision NOT NULL, ends double precision NOT NULL, value bytea NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX job_id ON job (id);
CREATE INDEX job_open ON job (key) WHERE ends = 'Infinity';
CREATE UNIQUE INDEX job_idempotency_key ON job (idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE TABLE webhook (
    key bigint PRIMARY KEY, job bigint NOT NULL, id text NOT NULL, stage integer NOT NULL, ordered boolean NOT NULL,
    due double precision NOT NULL, url text, event text, definition text NOT NULL, state text NOT NULL, reason text,
    attempts integer NOT NULL, value bytea NOT NULL, content bytea
) WITH (fillfactor = 70);
CREATE INDEX webhook_of_job ON webhook (job);
CREATE TABLE attempt (
    webhook bigint NOT NULL, number integer NOT NULL, started_at double precision NOT NULL,
    ended_at double precision NOT NULL, status integer, error text, body bytea NOT NULL,
    clock_at double precision NOT NULL, redirects text, content_type text, PRIMARY KEY (webhook, number)
);
CREATE TYPE change AS (
    what text, key bigint, number integer, moment double precision, clock double precision, ordered boolean,
    state text, reason text, name text, value bytea, job job, webhook webhook, attempt attempt
);
INSERT INTO version VALUES (1);
"""

# A process on the schema: `id` is its place in keys, `epoch` names it as long as it is alive. The `owner` of a job is
# the process that sends its webhooks. `begun` is the one that makes an attempt at a webhook now. The owner of the
# `turn` does what only one process may do at a time. A job is `undecided` while its owner may take it back.
VERSION_2 = """
CREATE SEQUENCE epoch;
CREATE TABLE node (
    id integer PRIMARY KEY, epoch bigint NOT NULL UNIQUE, until timestamptz NOT NULL, applied bigint NOT NULL,
    about text NOT NULL
) WITH (fillfactor = 50);
ALTER TABLE job ADD owner bigint NOT NULL DEFAULT 0, ADD undecided boolean NOT NULL DEFAULT false;
ALTER TABLE webhook ADD begun bigint;
CREATE TABLE turn (owner bigint NOT NULL);
INSERT INTO turn VALUES (0);
"""

MIGRATIONS = (VERSION_1, VERSION_2 + world_sql.TABLES)
"""Each makes the tables of the next version. An empty schema gets all of them."""

OLD_FUNCTIONS = "DROP FUNCTION IF EXISTS write(change[])"

FUNCTIONS = (OLD_FUNCTIONS, nodes_sql.FUNCTIONS, writing_sql.PRUNE, writing_sql.WRITE, world_sql.FUNCTIONS)


def channel(schema: str) -> str:
    """Return the channel of NOTIFY for a schema."""
    return f"latehook_{zlib.crc32(schema.encode()):x}"


async def prepare(connection: Connection, schema: str, timeout: float) -> None:
    """Make the schema, its tables and functions, or bring them up to date, within `timeout` seconds.

    Raises StoreError, and asyncpg's errors.
    """
    if await _version(connection, schema) == VERSION:
        return
    async with connection.transaction():
        await _lock(connection, schema, timeout / 2)
        if await connection.fetchval("SELECT 1 FROM pg_namespace WHERE nspname = $1", schema) is None:
            await connection.execute(f'CREATE SCHEMA "{schema}"')
        version = await _version(connection, schema)
        if version > VERSION:
            raise StoreError("it is of a newer Latehook: use that one, or another schema (?schema=NAME)")
        if version == VERSION:
            return
        if version > 1 and await connection.fetchval("SELECT count(*) FROM node WHERE until > clock_timestamp()"):
            raise StoreError(OLDER)
        for statements in (*MIGRATIONS[version:], *FUNCTIONS):
            await connection.execute(statements)
        await connection.execute(f"UPDATE version SET number = {VERSION}")


async def _lock(connection: Connection, schema: str, timeout: float) -> None:
    """Let no other process prepare the schema before the transaction ends. One of version 1 always has it."""
    await connection.execute(f"SET LOCAL lock_timeout = {1000 * timeout:.0f}")
    keys = 0x1A7E_400C, zlib.crc32(schema.encode()) >> 1
    try:
        await connection.execute("SELECT pg_advisory_xact_lock($1::integer, $2::integer)", *keys)
    except LockNotAvailableError:
        raise StoreError(OLDER) from None


OLDER = "an older Latehook uses this schema: end that one first, or name another schema (?schema=NAME)"


async def _version(connection: Connection, schema: str) -> int:
    """Return the version of the tables in a schema; 0 where it is empty."""
    sql = """
        SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = $1 AND relkind IN ('r', 'v', 'm', 'p')
    """
    tables = {row[0] for row in await connection.fetch(sql, schema)}
    if not tables:
        return 0
    if not tables >= {"version", "job", "webhook", "attempt"}:
        raise StoreError("this schema has another program's tables: name another one (?schema=NAME)")
    version: int = await connection.fetchval("SELECT max(number) FROM version")
    return version
