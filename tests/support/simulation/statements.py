"""The statements of the store, by their text, on the model of the database."""

import re
from collections.abc import Callable, Collection, Iterable
from operator import attrgetter
from typing import Any

from latehook.store.postgresql import batches, counters, journal, nodes, owners, reading, rows, schema, world
from support.simulation.database import Database
from support.simulation.tables import OPEN, Row, Webhook

Statement = Callable[..., Iterable[Row]]


def execute(database: Database, sql: str, *values: Any) -> list[Row]:
    """Execute a statement. Raises Refused, and AssertionError for one that the model does not know."""
    statement = STATEMENTS.get(sql) or STATEMENTS.get(_normal(sql))
    assert statement is not None, f"the model of the database has no such statement; add it to {__name__}: {sql}"
    STATEMENTS[sql] = statement
    return list(statement(database, *values))


def _columns(columns: str, table: str) -> Callable[[Any], tuple[Any, ...]]:
    """Return a function that returns these columns of a row of a table."""
    return attrgetter(*re.findall(rf"\b{table}\.(\w+)", columns))


_job_row = _columns(rows.JOB, "j")
_webhook_row = _columns(rows.WEBHOOK, "w")
NO_JOB = (None,) * len(rows.JOB.split(", "))


def _webhook_rows(db: Database, webhooks: Iterable[Webhook]) -> list[Row]:
    jobs = db.jobs
    return [_webhook_row(w) + (NO_JOB if w.job not in jobs else _job_row(jobs[w.job])) for w in webhooks]


def _newest_key(db: Database) -> Iterable[Row]:
    yield (max([0, *db.jobs, *db.webhooks]),)


def _webhooks_by_due(db: Database, states: Collection[str], job: int | None) -> Iterable[Row]:
    found = [w for w in db.webhooks.values() if w.state in states and (job is None or w.job == job)]
    return _webhook_rows(db, sorted(found, key=lambda w: (w.due, w.key)))


def _webhooks_by_stage(db: Database, jobs: Collection[int]) -> Iterable[Row]:
    found = [w for job in set(jobs) for w in db.webhooks_of(job)]
    return _webhook_rows(db, sorted(found, key=lambda w: (w.stage, w.key)))


def _webhooks_by_key(db: Database, keys: Collection[int]) -> Iterable[Row]:
    found = (db.webhooks[key] for key in sorted(set(keys), reverse=True) if key in db.webhooks)
    return _webhook_rows(db, found)


def _jobs_by_id(db: Database, ids: Collection[str]) -> Iterable[Row]:
    return [_job_row(job) for _, job in sorted(db.jobs.items()) if job.id in ids]


def _jobs_by_key(db: Database, keys: Collection[int]) -> Iterable[Row]:
    return [_job_row(job) for job in reversed(db.jobs_by_key(keys))]


def _by_idempotency_key(db: Database, digests: Collection[str]) -> Iterable[Row]:
    return [(job.key, job.idempotency_key) for job in db.jobs.values() if job.idempotency_key in digests]


def _pending_dues(db: Database, me: int) -> Iterable[Row]:
    return [(w.due, w.key) for w in db.webhooks.values() if w.state == "pending" and db.owns(me, w.job)]


def _overdue(db: Database, moment: float, limit: int) -> Iterable[Row]:
    return [(w.key,) for w in db.webhooks.values() if w.state == "pending" and w.due <= moment][:limit]


def _webhooks(rest: str) -> str:
    return f"SELECT {rows.WEBHOOK} FROM webhook w LEFT JOIN job j ON j.key = w.job {rest}"


def _jobs(rest: str) -> str:
    return f"SELECT {rows.JOB} FROM job j {rest}"


def _normal(sql: str) -> str:
    return " ".join(sql.split())


STATEMENTS: dict[str, Statement] = {
    _normal(sql): statement
    for sql, statement in {
        nodes.JOIN: Database.join_nodes,
        nodes.BEAT: Database.beat,
        nodes.DECLARE_DEAD: Database.declare_dead,
        f"{owners.COLUMNS} take($1, $2::bigint[])": Database.take,
        f"{owners.COLUMNS} take_due($1, $3, $2)": Database.take_due,
        f"{owners.COLUMNS} take_over($1, $2)": Database.take_over,
        owners.UNDER_WAY: Database.under_way,
        owners.UNDER_WAY_UNTIL: Database.under_way_until,
        owners.ABANDON: Database.abandon,
        owners.TAKE_TURN: Database.take_turn,
        owners.END_TURN: Database.end_turn,
        nodes.LEAVE: Database.leave,
        nodes.NOT_APPLIED: Database.not_applied,
        batches.WRITE: Database.write,
        world.CHANGE: Database.change_world,
        world.READ: Database.read_world,
        counters.COUNT: Database.count,
        journal.WRITE: lambda db, entries: [(None,)],  # nothing in a history reads the journal
        world.REVISION: lambda db: [(db.world.revision, db.time())],
        reading.DUES: Database.dues,
        reading.OPEN_JOBS: lambda db, me: [(j.key,) for j in db.jobs.values() if j.ends == OPEN and j.owner == me],
        _webhooks(
            "WHERE w.state = ANY($1::text[]) AND ($2::bigint IS NULL OR w.job = $2) ORDER BY w.due, w.key"
        ): _webhooks_by_due,
        _webhooks("WHERE w.job = ANY($1::bigint[]) ORDER BY w.stage, w.key"): _webhooks_by_stage,
        _webhooks("WHERE w.key = ANY($1::bigint[]) ORDER BY w.key DESC"): _webhooks_by_key,
        _jobs("WHERE j.id = ANY($1::text[]) ORDER BY j.key"): _jobs_by_id,
        _jobs("WHERE j.key = ANY($1::bigint[]) ORDER BY j.key DESC"): _jobs_by_key,
        "SELECT key, idempotency_key FROM job WHERE idempotency_key = ANY($1::text[])": _by_idempotency_key,
        "SELECT w.due, w.key FROM webhook w JOIN job j ON j.key = w.job AND j.owner = $1 "
        "WHERE w.state = 'pending'": _pending_dues,
        "SELECT key FROM webhook WHERE state = 'pending' AND due <= $1 LIMIT $2": _overdue,
        "SELECT count(*) FROM webhook WHERE state = ANY($1::text[])": lambda db, states: [
            (sum(w.state in states for w in db.webhooks.values()),)
        ],
        "DELETE FROM received WHERE number < $1": lambda db, number: [],
        "SELECT id FROM job ORDER BY key DESC": lambda db: [
            (job.id,) for _, job in sorted(db.jobs.items(), reverse=True)
        ],
        "SELECT count(*) FROM job": lambda db: [(len(db.jobs),)],
        "SELECT coalesce(max(key), 0) FROM job": lambda db: [(max(db.jobs, default=0),)],
        "SELECT greatest((SELECT max(key) FROM job), (SELECT max(key) FROM webhook), 0)": _newest_key,
        "SELECT written FROM definition WHERE hash = $1": lambda db, hash: [
            db.definitions[hash][:1] for hash in [hash] if hash in db.definitions
        ],
        "SELECT hash FROM definition": lambda db: [(hash,) for hash in db.definitions],
        "SELECT value FROM meta WHERE name = $1": lambda db, name: [
            (db.meta[name],) for name in [name] if name in db.meta
        ],
        "SELECT max(number) FROM version": lambda db: [(schema.VERSION,)],
    }.items()
}
