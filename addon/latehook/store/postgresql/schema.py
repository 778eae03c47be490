"""The tables and functions of the store, and their versions."""

import zlib

from asyncpg import Connection, LockNotAvailableError

from latehook.base.errors import StoreError
from latehook.store.postgresql import nodes_sql, world_sql

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

# A process on the schema: `id` is its place in keys, `epoch` names it as long as it is alive.
VERSION_2 = """
CREATE SEQUENCE epoch;
CREATE TABLE node (
    id integer PRIMARY KEY, epoch bigint NOT NULL UNIQUE, until timestamptz NOT NULL, applied bigint NOT NULL,
    about text NOT NULL
) WITH (fillfactor = 50);
"""

MIGRATIONS = (VERSION_1, VERSION_2 + world_sql.TABLES)
"""Each makes the tables of the next version. An empty schema gets all of them."""

# The function makes all changes of one batch, in their order. It returns the webhooks that it has changed, those whose
# attempt must not begin, the jobs that it has not added, as another one has the same idempotency key, and the last job
# that a prune has examined.
WRITE = """
CREATE OR REPLACE FUNCTION write(
    changes change[], me bigint,
    OUT changed bigint[], OUT refused bigint[], OUT repeated bigint[], OUT pruned_to bigint
) LANGUAGE plpgsql AS $$
DECLARE
    c change;
BEGIN
    PERFORM be_alive(me);
    changed := '{}';
    refused := '{}';
    repeated := '{}';
    FOREACH c IN ARRAY changes LOOP
        CASE c.what
        WHEN 'job' THEN
            INSERT INTO job SELECT (c.job).* ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING;
            IF NOT FOUND THEN
                repeated := repeated || c.key;
            END IF;
        WHEN 'webhook' THEN
            IF (c.webhook).job != ALL (repeated) THEN
                INSERT INTO webhook SELECT (c.webhook).*;
                changed := changed || c.key;
            END IF;
        WHEN 'begin' THEN
            UPDATE webhook w SET content = c.value
            WHERE w.key = c.key AND w.state = 'pending' AND w.attempts = c.number - 1;
            IF NOT FOUND THEN
                refused := refused || c.key;
            END IF;
        WHEN 'attempt' THEN
            INSERT INTO attempt SELECT (c.attempt).* ON CONFLICT (webhook, number) DO UPDATE SET
                started_at = excluded.started_at, ended_at = excluded.ended_at, status = excluded.status,
                error = excluded.error, body = excluded.body, clock_at = excluded.clock_at,
                redirects = excluded.redirects, content_type = excluded.content_type;
            UPDATE webhook w SET due = c.moment, attempts = c.number, content = c.value,
                reason = CASE WHEN w.state = 'pending' OR c.state = 'delivered' THEN c.reason ELSE w.reason END,
                state = CASE WHEN w.state = 'pending' OR c.state = 'delivered' THEN c.state ELSE w.state END
            WHERE w.key = c.key;
            changed := changed || c.key;
        WHEN 'state' THEN
            UPDATE webhook w SET state = c.state, reason = c.reason
            WHERE w.key = c.key AND w.state NOT IN ('delivered', 'failed', 'canceled', 'skipped');
            changed := changed || c.key;
        WHEN 'pending' THEN
            UPDATE webhook w SET state = 'pending', reason = NULL, due = c.moment, ordered = w.ordered AND c.ordered
            WHERE w.key = c.key
                AND (c.number = 1 OR w.state NOT IN ('delivered', 'failed', 'canceled', 'skipped'));
            changed := changed || c.key;
        WHEN 'due' THEN
            UPDATE webhook w SET due = c.moment WHERE w.key = c.key;
            changed := changed || c.key;
        WHEN 'decided' THEN
            UPDATE webhook w SET value = c.value, url = c.name, state = c.state, reason = c.reason WHERE w.key = c.key;
            changed := changed || c.key;
        WHEN 'job value' THEN
            UPDATE job j SET value = c.value, ends = c.moment WHERE j.key = c.key;
        WHEN 'replaced stages' THEN
            UPDATE webhook w SET state = 'canceled', reason = c.reason
            WHERE w.job = c.key AND w.stage >= c.number AND w.state IN ('pending', 'held');
            changed := changed || ARRAY(SELECT w.key FROM webhook w WHERE w.job = c.key);
        WHEN 'forward' THEN
            UPDATE webhook w SET due = w.due - c.moment WHERE w.job = c.key;
        WHEN 'deleted job' THEN
            DELETE FROM attempt a USING webhook w WHERE a.webhook = w.key AND w.job = c.key;
            DELETE FROM webhook w WHERE w.job = c.key;
            DELETE FROM job j WHERE j.key = c.key;
        WHEN 'definition' THEN
            INSERT INTO definition VALUES (c.name, c.value) ON CONFLICT (hash) DO NOTHING;
        WHEN 'last job' THEN
            UPDATE definition d SET last_job = c.key WHERE d.hash = c.name;
        WHEN 'value' THEN
            INSERT INTO meta VALUES (c.name, c.value) ON CONFLICT (name) DO UPDATE SET value = excluded.value;
        WHEN 'clear' THEN
            DELETE FROM meta;
            DELETE FROM definition;
            DELETE FROM attempt;
            DELETE FROM webhook;
            DELETE FROM job;
        WHEN 'prune' THEN
            pruned_to := prune(c.key, c.number, c.moment, c.clock);
        END CASE;
    END LOOP;
END $$;
"""

# Like SqliteStore.prune. It returns the key of the job behind which the next call goes on, 0 for the first one.
PRUNE = """
CREATE OR REPLACE FUNCTION prune(pruned_to bigint, keep integer, before double precision, clock double precision)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    newest_old bigint := coalesce((SELECT key FROM job ORDER BY key DESC OFFSET keep LIMIT 1), 0);
    last bigint;
    examined integer;
    is_old boolean;
    ended bigint[];
BEGIN
    SELECT max(key), count(*), bool_and(old), array_agg(key) FILTER (WHERE old AND done)
    INTO last, examined, is_old, ended
    FROM (
        SELECT key, key <= newest_old OR created_at < before AS old, ends <= prune.clock AND NOT EXISTS (
            SELECT 1 FROM webhook w WHERE w.job = job.key AND w.state IN ('pending', 'held')
        ) AS done
        FROM job WHERE key > prune.pruned_to ORDER BY key LIMIT 5000
    ) AS examined_jobs;
    IF ended IS NOT NULL THEN
        DELETE FROM attempt a USING webhook w WHERE a.webhook = w.key AND w.job = ANY (ended);
        DELETE FROM webhook w WHERE w.job = ANY (ended);
        DELETE FROM job j WHERE j.key = ANY (ended);
        DELETE FROM definition d WHERE d.last_job < coalesce((SELECT min(key) FROM job), 'Infinity'::float8)
            AND NOT EXISTS (SELECT 1 FROM webhook w WHERE w.definition = d.hash);
    END IF;
    RETURN CASE WHEN examined = 5000 AND is_old THEN last ELSE 0 END;
END $$;
"""


OLD_FUNCTIONS = "DROP FUNCTION IF EXISTS write(change[])"

FUNCTIONS = (OLD_FUNCTIONS, nodes_sql.FUNCTIONS, PRUNE, WRITE, world_sql.FUNCTIONS)


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
            await connection.execute(f"CREATE SCHEMA {schema}")
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
