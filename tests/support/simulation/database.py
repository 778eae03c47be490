"""A model of the PostgreSQL schema: each statement of the store with the same conditions, on rows in memory.

It executes one statement after the other. So do the real functions, as far as it matters: they lock (see nodes_sql.py).
A contract test holds the model equal to the real database. To see what a condition is for, a test takes it out: see
`Guard`.
"""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import astuple, dataclass
from enum import StrEnum
from operator import attrgetter
from typing import Any

from latehook.store.postgresql import batches, counters, journal, nodes, owners, reading, rows, schema, world
from latehook.store.postgresql.batches import Change

FINISHED = ("delivered", "failed", "canceled", "skipped")
UNFINISHED = ("pending", "held")
OPEN = float("inf")


class Guard(StrEnum):
    """A condition of the database that a test can take out."""

    ALIVE = "only a process that is alive writes"
    LEASE = "a process is declared dead only when its lease is over"
    TAKE_OVER = "what a dead process owned is taken over"
    OWNER = "only the owner of a job begins attempts"
    BEGUN = "an attempt begins only where none is under way"
    NUMBER = "an attempt begins only after the one before it"
    HOLD = "no attempt begins while all webhooks are held"
    ORDER = "a first attempt waits for those of earlier stages"
    IDEMPOTENCY = "one idempotency key has one job"
    COUNT = "counts do not grow beyond their limit"
    APPLIED = "a change returns when all processes have applied it"


class Refused(Exception):
    """A statement has failed with this SQLSTATE, and has done nothing."""

    def __init__(self, sqlstate: str, text: str) -> None:
        super().__init__(text)
        self.sqlstate = sqlstate


@dataclass(slots=True)
class Job:
    key: int
    id: str
    mock: str
    idempotency_key: str | None
    created_at: float
    ends: float
    value: bytes
    owner: int
    undecided: bool


@dataclass(slots=True)
class Webhook:
    key: int
    job: int
    id: str
    stage: int
    ordered: bool
    due: float
    url: str | None
    event: str | None
    definition: str
    state: str
    reason: str | None
    attempts: int
    value: bytes
    content: bytes | None
    begun: int | None


@dataclass(slots=True)
class Node:
    id: int
    epoch: int
    until: float
    applied: int
    about: str


@dataclass(slots=True)
class World:
    revision: int
    resets: int
    holding: bool


Row = Sequence[Any]
Statement = Callable[..., Iterable[Row]]


class Database:
    """The tables, and `execute`. `time` returns its time in Unix seconds. The conditions in `without` are out."""

    def __init__(self, time: Callable[[], float], without: Collection[Guard] = ()) -> None:
        self.jobs: dict[int, Job] = {}
        self.webhooks: dict[int, Webhook] = {}
        self.attempts: dict[tuple[int, int], Row] = {}
        self.nodes: dict[int, Node] = {}
        """By their epoch."""
        self.definitions: dict[str, tuple[bytes, int | None]] = {}
        self.meta: dict[str, bytes] = {}
        self.on_begun: Callable[[int, Webhook, int], None] = lambda me, webhook, number: None
        """Called with the process, the webhook and the number of each attempt that begins, before it is written."""
        self.on_attempt: Callable[[int, Webhook, int], None] = lambda me, webhook, number: None
        """Called in the same way with each result of an attempt that is written."""
        self.started_at = -OPEN
        self.world = World(0, 0, False)
        self.turn = 0
        self.counts: dict[str, int] = {}
        self._epochs = 0
        self.time = time
        self._without = frozenset(without)
        self._of_job: dict[int, list[Webhook]] = {}

    def execute(self, sql: str, *values: Any) -> list[Row]:
        """Execute a statement. Raises Refused, and AssertionError for one that the model does not know."""
        statement = STATEMENTS.get(sql) or STATEMENTS.get(_normal(sql))
        assert statement is not None, f"the model of the database has no such statement; add it to {__name__}: {sql}"
        STATEMENTS[sql] = statement
        return list(statement(self, *values))

    def has(self, guard: Guard) -> bool:
        return guard not in self._without

    # Processes: nodes_sql.py

    def be_alive(self, me: int) -> None:
        if self.has(Guard.ALIVE) and me not in self.nodes:
            raise Refused("LH001", "the other processes have declared this one dead")

    def join_nodes(self, about: str, lease: float, starts: bool) -> list[Row]:
        now = self.time()
        if starts and self.started_at < now - lease:
            self.nodes = {epoch: node for epoch, node in self.nodes.items() if node.until >= now}
        used = {node.id for node in self.nodes.values()}
        self._epochs += 1
        node = Node(min(set(range(64)) - used), self._epochs, now + lease, 0, about)
        self.nodes[node.epoch] = node
        return [(node.id, node.epoch)]

    def beat(self, me: int, applied: int, lease: float) -> list[Row]:
        now, node = self.time(), self.nodes.get(me)
        if node is None:
            return []
        node.until, node.applied = now + lease, applied
        left = {
            each.epoch: each.until - now if self.has(Guard.LEASE) or each is node else -1.0
            for each in self.nodes.values()
        }
        return [(each.epoch, left[each.epoch], each.applied) for each in self.nodes.values()]

    def declare_dead(self, me: int, dead: Collection[int]) -> list[Row]:
        self.be_alive(me)
        for epoch in dead:
            if epoch in self.nodes and (self.nodes[epoch].until < self.time() or not self.has(Guard.LEASE)):
                del self.nodes[epoch]
        return [(None,)]

    def take(self, me: int, jobs: Collection[int]) -> list[Row]:
        self.be_alive(me)
        return self.own(me, [job.key for job in self._jobs(jobs) if not job.undecided])

    def own(self, me: int, jobs: Collection[int]) -> list[Row]:
        pending, taken = list[Row](), list[Row]()
        for job in self._jobs(jobs):
            if job.owner != me:
                job.owner = me
                taken.append((job.key, None, job.ends))
                pending += [(job.key, w.key, w.due) for w in self._webhooks_of(job.key) if w.state == "pending"]
        return pending + taken

    def take_over(self, me: int, behind: int) -> list[Row]:
        self.be_alive(me)
        if not self.has(Guard.TAKE_OVER):
            return []
        for webhook in self.webhooks.values():
            if behind == 0 and webhook.begun is not None and webhook.begun not in self.nodes:
                webhook.begun = None
        behind_it = (job for job in self.jobs.values() if job.key > behind)
        orphans = [job.key for job in behind_it if job.owner not in self.nodes and self._is_unfinished(job)]
        return self.own(me, orphans)

    def take_due(self, me: int, behind: int, moment: float) -> list[Row]:
        self.be_alive(me)
        due = {w.job for w in self.webhooks.values() if w.state == "pending" and w.due <= moment}
        others = (job for job in self.jobs.values() if job.key > behind and not job.undecided)
        return self.own(me, [job.key for job in others if job.ends == OPEN or job.key in due])

    def under_way(self, me: int, webhooks: Collection[int]) -> list[Row]:
        return [(key,) for key in sorted(set(webhooks)) if key in self.webhooks and self._is_elsewhere(me, key)]

    def under_way_until(self, me: int, moment: float) -> list[Row]:
        pending = (w for w in self.webhooks.values() if w.state == "pending" and w.due <= moment)
        return [(w.key,) for w in pending if self._is_elsewhere(me, w.key)]

    def _is_elsewhere(self, me: int, webhook: int) -> bool:
        begun = self.webhooks[webhook].begun
        return begun is not None and begun != me and begun in self.nodes

    def abandon(self, me: int, webhooks: Collection[int]) -> list[Row]:
        for key in webhooks:
            if key in self.webhooks and self.webhooks[key].begun == me:
                self.webhooks[key].begun = None
        return []

    def take_turn(self, me: int) -> list[Row]:
        if self.turn != me and self.turn in self.nodes:
            return []
        self.turn = me
        return [(me,)]

    def end_turn(self, me: int) -> list[Row]:
        self.turn = 0 if self.turn == me else self.turn
        return []

    def leave(self, me: int) -> list[Row]:
        self.nodes.pop(me, None)
        return []

    def not_applied(self, revision: int, me: int) -> list[Row]:
        if not self.has(Guard.APPLIED):
            return []
        return [(node.epoch,) for node in self.nodes.values() if node.applied < revision and node.epoch != me]

    def _is_unfinished(self, job: Job) -> bool:
        return job.ends == OPEN or any(webhook.state in UNFINISHED for webhook in self._webhooks_of(job.key))

    def holding(self) -> bool:
        return self.world.holding

    # What all processes share: world_sql.py

    def change_world(self, changes: Sequence[Change], me: int, expected: int, clears: bool, holding: bool) -> list[Row]:
        self.be_alive(me)
        if self.world.revision != expected:
            return [(None,)]
        self.world = World(expected + 1, self.world.resets + clears, holding)
        self.write(changes, me)
        return [(self.world.revision,)]

    def count(self, name: str, limit: int) -> list[Row]:
        number = self.counts.get(name, 0)
        if name in self.counts and number >= limit and self.has(Guard.COUNT):
            return []
        self.counts[name] = number + 1
        return [(number + 1,)]

    def read_world(self, parts: Collection[str]) -> list[Row]:
        found = [(name, value) for name, value in self.meta.items() if name in parts] or [(None, None)]
        return [(self.world.revision, self.world.resets, *each, self.time()) for each in found]

    # Changes: writing_sql.py

    def write(self, changes: Sequence[Change], me: int) -> list[Row]:
        self.be_alive(me)
        batch = _Batch(self, me)
        for change in changes:
            batch.make(change)
        return [(batch.changed, batch.refused, batch.repeated, batch.pruned_to)]

    def add_job(self, job: Job) -> bool:
        """Add a job. Return False if another one has its idempotency key."""
        key = job.idempotency_key
        is_repeated = key is not None and any(each.idempotency_key == key for each in self.jobs.values())
        if is_repeated and self.has(Guard.IDEMPOTENCY):
            return False
        self.jobs[job.key] = job
        return True

    def add_webhook(self, webhook: Webhook) -> None:
        if webhook.key in self.webhooks:
            raise Refused("23505", "duplicate key value violates unique constraint")
        self.webhooks[webhook.key] = webhook
        self._of_job.setdefault(webhook.job, []).append(webhook)

    def delete_job(self, key: int) -> None:
        for webhook in self._of_job.pop(key, []):
            self.webhooks.pop(webhook.key, None)
            self.attempts = {at: row for at, row in self.attempts.items() if at[0] != webhook.key}
        self.jobs.pop(key, None)

    def clear(self) -> None:
        for table in (self.meta, self.definitions, self.attempts, self.webhooks, self.jobs, self._of_job, self.counts):
            table.clear()

    def owns(self, me: int, job: int) -> bool:
        return job in self.jobs and self.jobs[job].owner == me

    # Reads: reading.py, rows.py

    def _jobs(self, keys: Iterable[int]) -> list[Job]:
        return [self.jobs[key] for key in sorted(set(keys)) if key in self.jobs]

    def _webhooks_of(self, job: int) -> list[Webhook]:
        return self._of_job.get(job, [])

    def _webhook_rows(self, webhooks: Iterable[Webhook]) -> list[Row]:
        found = []
        for webhook in webhooks:
            job = self.jobs.get(webhook.job)
            found.append(_webhook_row(webhook) + (NO_JOB if job is None else _job_row(job)))
        return found

    def dues(self, keys: Collection[int], me: int) -> list[Row]:
        found = []
        for key in sorted(set(keys)):
            w = self.webhooks.get(key)
            if w is None or w.state != "pending" or not (self.owns(me, w.job) or not self.has(Guard.OWNER)):
                continue
            is_elsewhere = w.begun is not None and w.begun != me and self.has(Guard.BEGUN)
            found.append((w.key, w.due, w.value, w.job, w.stage, is_elsewhere, self._earlier(w)))
        return found

    def _earlier(self, w: Webhook) -> list[int]:
        if not (w.stage > 0 and w.ordered and w.attempts == 0 and self.has(Guard.ORDER)):
            return []
        earlier = [
            each.key
            for each in self._webhooks_of(w.job)
            if each.stage < w.stage and each.attempts == 0 and each.ordered and each.state == "pending"
        ]
        return sorted(earlier, reverse=True)

    def tables(self) -> dict[str, list[Row]]:
        """Return all rows of each table by its name, sorted, for the contract test. Times of leases are left out."""
        return {
            "job": sorted(astuple(job) for job in self.jobs.values()),
            "webhook": sorted((astuple(webhook) for webhook in self.webhooks.values()), key=lambda row: row[0]),
            "attempt": [tuple(self.attempts[at]) for at in sorted(self.attempts)],
            "node": sorted((node.id, node.epoch, node.applied, node.about) for node in self.nodes.values()),
            "world": [astuple(self.world)],
            "turn": [(self.turn,)],
            "counter": sorted(self.counts.items()),
            "meta": sorted(self.meta.items()),
            "definition": sorted((hash, written, last) for hash, (written, last) in self.definitions.items()),
        }


class _Batch:
    """One call of the function `write`."""

    def __init__(self, database: Database, me: int) -> None:
        self.changed: list[int] = []
        self.refused: list[int] = []
        self.repeated: list[int] = []
        self.pruned_to: int | None = None
        self._database = database
        self._me = me
        self._lost: list[int] = []
        self._is_held: bool | None = None

    def make(self, change: Change) -> None:
        CHANGES[change.what](self, change)

    def _job(self, change: Change) -> None:
        assert change.job is not None
        job = Job(*change.job)
        job.owner = self._me
        if not self._database.add_job(job):
            self.repeated.append(change.key)

    def _webhook(self, change: Change) -> None:
        assert change.webhook is not None
        webhook = Webhook(*change.webhook)
        if webhook.job not in self.repeated and webhook.job not in self._lost:
            self._database.add_webhook(webhook)
            self.changed.append(change.key)

    def _begin(self, change: Change) -> None:
        db, me, number = self._database, self._me, change.number or 0
        if self._is_held is None:
            self._is_held = db.holding()
        w = db.webhooks.get(change.key)
        if (
            w is not None
            and w.state == "pending"
            and (w.attempts == number - 1 or not db.has(Guard.NUMBER))
            and (w.begun is None or w.begun == me or not db.has(Guard.BEGUN))
            and (change.ordered or not self._is_held or not db.has(Guard.HOLD))
            and (db.owns(me, w.job) or not db.has(Guard.OWNER))
        ):
            db.on_begun(me, w, number)
            w.content, w.begun = change.value, me
            self.changed.append(change.key)
        else:
            self.refused.append(change.key)

    def _attempt(self, change: Change) -> None:
        db, number, state = self._database, change.number or 0, change.state
        w = db.webhooks.get(change.key)
        if w is None or w.attempts >= number:
            return
        if w.begun != self._me and not (w.begun is None and (state == "delivered" or db.owns(self._me, w.job))):
            return
        assert state is not None and change.moment is not None and change.attempt is not None
        db.on_attempt(self._me, w, number)
        if w.state == "pending" or state == "delivered":
            w.state, w.reason = state, change.reason
        w.due, w.attempts, w.content, w.begun = change.moment, number, change.value, None
        db.attempts.setdefault((change.key, number), change.attempt)
        self.changed.append(change.key)

    def _state(self, change: Change) -> None:
        w = self._database.webhooks.get(change.key)
        if w is not None and w.state not in FINISHED:
            w.state, w.reason = str(change.state), change.reason
        self.changed.append(change.key)

    def _pending(self, change: Change) -> None:
        w = self._database.webhooks.get(change.key)
        if w is not None and (change.number == 1 or w.state not in FINISHED):
            assert change.moment is not None
            w.state, w.reason, w.due, w.ordered = "pending", None, change.moment, w.ordered and bool(change.ordered)
        self.changed.append(change.key)

    def _due(self, change: Change) -> None:
        w = self._database.webhooks.get(change.key)
        if w is not None and self._database.owns(self._me, w.job):
            assert change.moment is not None
            w.due = change.moment
        self.changed.append(change.key)

    def _decided(self, change: Change) -> None:
        w = self._database.webhooks.get(change.key)
        if w is not None and self._database.owns(self._me, w.job):
            assert change.value is not None
            w.value, w.url, w.state, w.reason = change.value, change.name, str(change.state), change.reason
            self.changed.append(change.key)
        elif w is not None:
            self._lost.append(w.job)

    def _job_value(self, change: Change) -> None:
        job = self._database.jobs.get(change.key)
        if job is not None and (job.owner == self._me or job.owner not in self._database.nodes):
            assert change.value is not None and change.moment is not None
            job.value, job.ends, job.owner, job.undecided = change.value, change.moment, self._me, bool(change.ordered)
        else:
            self._lost.append(change.key)

    def _replaced_stages(self, change: Change) -> None:
        webhooks = self._database._webhooks_of(change.key)
        for w in webhooks:
            if w.job not in self._lost and w.stage >= (change.number or 0) and w.state in UNFINISHED:
                w.state, w.reason = "canceled", change.reason
        self.changed += [w.key for w in webhooks]

    def _forward(self, change: Change) -> None:
        for w in self._database._webhooks_of(change.key):
            w.due -= change.moment or 0.0

    def _deleted_job(self, change: Change) -> None:
        self._database.delete_job(change.key)

    def _definition(self, change: Change) -> None:
        assert change.name is not None and change.value is not None
        self._database.definitions.setdefault(change.name, (change.value, None))

    def _last_job(self, change: Change) -> None:
        definitions, hash = self._database.definitions, change.name
        if hash in definitions:
            written, last = definitions[hash]
            definitions[hash] = written, max(last or 0, change.key)

    def _value(self, change: Change) -> None:
        assert change.name is not None and change.value is not None
        self._database.meta[change.name] = change.value

    def _clear(self, change: Change) -> None:
        self._database.clear()

    def _prune(self, change: Change) -> None:
        self.pruned_to = 0  # histories are short: nothing is old


CHANGES: dict[str, Callable[[_Batch, Change], None]] = {
    "job": _Batch._job,
    "webhook": _Batch._webhook,
    "begin": _Batch._begin,
    "attempt": _Batch._attempt,
    "state": _Batch._state,
    "pending": _Batch._pending,
    "due": _Batch._due,
    "decided": _Batch._decided,
    "job value": _Batch._job_value,
    "replaced stages": _Batch._replaced_stages,
    "forward": _Batch._forward,
    "deleted job": _Batch._deleted_job,
    "definition": _Batch._definition,
    "last job": _Batch._last_job,
    "value": _Batch._value,
    "clear": _Batch._clear,
    "prune": _Batch._prune,
}


def _columns(columns: str, table: str) -> Callable[[Any], tuple[Any, ...]]:
    """Return a function that returns these columns of a row of a table."""
    return attrgetter(*re.findall(rf"\b{table}\.(\w+)", columns))


_job_row = _columns(rows.JOB, "j")
_webhook_row = _columns(rows.WEBHOOK, "w")
NO_JOB = (None,) * len(rows.JOB.split(", "))


def _newest_key(db: Database) -> Iterable[Row]:
    yield (max([0, *db.jobs, *db.webhooks]),)


def _webhooks_by_due(db: Database, states: Collection[str], job: int | None) -> Iterable[Row]:
    found = [w for w in db.webhooks.values() if w.state in states and (job is None or w.job == job)]
    return db._webhook_rows(sorted(found, key=lambda w: (w.due, w.key)))


def _webhooks_by_stage(db: Database, jobs: Collection[int]) -> Iterable[Row]:
    found = [w for job in set(jobs) for w in db._webhooks_of(job)]
    return db._webhook_rows(sorted(found, key=lambda w: (w.stage, w.key)))


def _webhooks_by_key(db: Database, keys: Collection[int]) -> Iterable[Row]:
    return db._webhook_rows(db.webhooks[key] for key in sorted(set(keys), reverse=True) if key in db.webhooks)


def _jobs_by_id(db: Database, ids: Collection[str]) -> Iterable[Row]:
    return [_job_row(job) for _, job in sorted(db.jobs.items()) if job.id in ids]


def _jobs_by_key(db: Database, keys: Collection[int]) -> Iterable[Row]:
    return [_job_row(job) for job in reversed(db._jobs(keys))]


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
