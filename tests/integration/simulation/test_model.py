"""The model of the database does as the real one, in random sequences of the store's statements."""

import random
from collections.abc import Sequence
from dataclasses import astuple
from typing import Any

import pytest

pytest.importorskip("asyncpg")
import asyncpg

from latehook.store.address import PostgresAddress, parse_address
from latehook.store.postgresql import PostgresStore, batches, counters, nodes, owners, reading, world
from latehook.store.postgresql.batches import Change
from support.postgres import PostgresServer
from support.simulation.database import Database
from support.simulation.statements import execute
from support.simulation.tables import OPEN, Job, Refused, Webhook

SEQUENCES = 10
STATEMENTS_IN_EACH = 120

STATES = ("pending", "held", "delivered", "failed", "canceled")
LONG_LEASE = 1000.0

Call = tuple[str, tuple[Any, ...]]


class Statements:
    """Random statements, for a database as it is. `epochs` are those of its processes so far."""

    def __init__(self, seed: int, database: Database) -> None:
        self.source = random.Random(seed)
        self.epochs = [0]
        self._database = database
        self._jobs = 0

    def next(self) -> Call:
        source, alive = self.source, list(self._database.nodes)
        me = source.choice(alive if alive and source.random() < 0.9 else self.epochs)
        jobs, webhooks = list(self._database.jobs), list(self._database.webhooks)
        some_jobs = source.sample(jobs, min(len(jobs), 3))
        some_webhooks = source.sample(webhooks, min(len(webhooks), 4))
        behind = source.choice([0, 0, *jobs])
        revision = source.choice([self._database.world.revision] * 3 + [7])
        moment = source.uniform(0, 10)
        calls: list[Call] = [
            (nodes.JOIN, ("about", source.choice([LONG_LEASE, LONG_LEASE, 0.0]), source.random() < 0.5)),
            (nodes.BEAT, (me, source.randint(0, 3), LONG_LEASE)),
            (nodes.DECLARE_DEAD, (me, source.sample(self.epochs, min(2, len(self.epochs))))),
            (nodes.LEAVE, (me,)),
            (nodes.NOT_APPLIED, (source.randint(0, 3), me)),
            (f"{owners.COLUMNS} take($1, $2::bigint[])", (me, some_jobs)),
            (f"{owners.COLUMNS} take_due($1, $3, $2)", (me, behind, moment)),
            (f"{owners.COLUMNS} take_over($1, $2)", (me, behind)),
            (owners.UNDER_WAY, (me, some_webhooks)),
            (owners.UNDER_WAY_UNTIL, (me, moment)),
            (owners.ABANDON, (me, some_webhooks)),
            (owners.TAKE_TURN, (me,)),
            (owners.END_TURN, (me,)),
            (reading.DUES, (webhooks, source.choice(self.epochs))),
            (reading.DUES, (some_webhooks, me)),
            (reading.OPEN_JOBS, (me,)),
            (counters.COUNT, (source.choice("ab"), 2)),
            (counters.COUNT, ("a", 1)),
            (world.READ, (["holding", "vars"],)),
            (world.CHANGE, (self._changes(), me, revision, source.random() < 0.05, source.random() < 0.5)),
        ]
        if len(alive) < 2:
            return calls[0]
        return (batches.WRITE, (self._changes(), me)) if source.random() < 0.5 else source.choice(calls)

    def _changes(self) -> list[Change]:
        changes = list[Change]()
        for _ in range(self.source.randint(1, 4)):
            changes += self._change()
        return changes

    def _change(self) -> list[Change]:
        source, database = self.source, self._database
        if not database.webhooks or source.random() < 0.1:
            return self._new_job()
        job, webhook = source.choice(list(database.jobs)), source.choice(list(database.webhooks))
        number = database.webhooks[webhook].attempts + source.choice([1, 1, 1, 0, 2])
        state, moment = source.choice(STATES), source.uniform(0, 10)
        attempt = (webhook, number, 1.0, 2.0, 200, None, b"answer", 3.0, None, None)
        by_hand = source.random() < 0.3
        return [
            source.choice(
                [
                    Change("begin", webhook, number=number, ordered=by_hand, value=b"content"),
                    Change("begin", webhook, number=number, ordered=by_hand, value=b"content"),
                    Change("attempt", webhook, number=number, moment=moment, state=state, value=b"c", attempt=attempt),
                    Change("state", webhook, state=state, reason="a reason"),
                    Change("pending", webhook, number=source.randint(0, 1), moment=moment, ordered=by_hand),
                    Change("due", webhook, moment=moment),
                    Change("decided", webhook, state=state, name="http://a.test", value=b"decided"),
                    Change("job value", job, moment=source.choice([5.0, OPEN]), ordered=by_hand, value=b"changed"),
                    Change("replaced stages", job, number=1, reason="replaced"),
                    Change("forward", job, moment=1.0),
                    Change("deleted job", job),
                    Change("definition", name="hash", value=b"written"),
                    Change("last job", job, name="hash"),
                    Change("value", name="vars", value=b"value"),
                ]
            )
        ]

    def _new_job(self) -> list[Change]:
        self._jobs += 1
        source, key = self.source, 100 * self._jobs
        idempotency_key = source.choice([None, "k", "l"])
        ends = source.choice([5.0, OPEN])
        job = Job(key, "id", "mock", idempotency_key, 1.0, ends, b"job", 0, source.random() < 0.2)
        changes = [Change("job", key, job=astuple(job))]
        for stage in range(source.randint(1, 3)):
            due, texts = source.uniform(0, 10), ("http://a.test", None, "hash", "pending", None)
            row = Webhook(key + stage + 1, key, "w", stage, source.random() < 0.8, due, *texts, 0, b"{}", None, None)
            changes.append(Change("webhook", row.key, webhook=astuple(row)))
        return changes


def result_of(sql: str, rows: Sequence[Any]) -> list[Any]:
    """Return rows in an order of their own. Times of the database are left out, except whether a lease has ended."""
    if sql == nodes.BEAT:
        rows = [(epoch, left > 0, applied) for epoch, left, applied in rows]
    if sql == world.READ:
        rows = [row[:-1] for row in rows]
    return sorted((tuple(row) for row in rows), key=repr)


async def in_database(connection: Any, sql: str, values: tuple[Any, ...]) -> Any:
    try:
        return result_of(sql, await connection.fetch(sql, *values))
    except asyncpg.PostgresError as error:
        return error.sqlstate


def in_model(database: Database, sql: str, values: tuple[Any, ...]) -> Any:
    try:
        return result_of(sql, execute(database, sql, *values))
    except Refused as refused:
        return refused.sqlstate


async def test_the_model_does_as_the_database(postgres_server: PostgresServer) -> None:
    address = parse_address(postgres_server.url("model"))
    assert isinstance(address, PostgresAddress)
    store = PostgresStore(address)
    await store.open()
    await store.close()
    connection = await asyncpg.connect(address.url, server_settings={"search_path": "model"})
    try:
        for seed in range(SEQUENCES):
            await compare(connection, seed)
    finally:
        await connection.close()


async def compare(connection: Any, seed: int) -> None:
    """Make one sequence in both. Compare what each statement returns, and the tables at the end."""
    tables = ("job", "webhook", "attempt", "node", "definition", "meta", "counter")
    await connection.execute(f"TRUNCATE {', '.join(tables)}; ALTER SEQUENCE epoch RESTART; UPDATE turn SET owner = 0")
    await connection.execute("UPDATE world SET revision = 0, resets = 0, holding = false")
    now = iter(range(1_000_000))
    database = Database(lambda: next(now) * 1e-6)
    database.started_at = -500.0  # less than a long lease ago
    statements = Statements(seed, database)
    for _ in range(STATEMENTS_IN_EACH):
        sql, values = statements.next()
        expected = await in_database(connection, sql, values)
        assert in_model(database, sql, values) == expected, (seed, sql, values)
        if sql == nodes.JOIN and not isinstance(expected, str):
            statements.epochs.append(expected[0][1])
    for table, rows in database.tables().items():
        columns = {"node": "id, epoch, applied, about", "world": "revision, resets, holding"}.get(table, "*")
        found = await connection.fetch(f"SELECT {columns} FROM {table}")
        assert sorted(map(tuple, found), key=repr) == sorted(map(tuple, rows), key=repr), (seed, table)
