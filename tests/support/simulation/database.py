"""A model of the PostgreSQL schema: its functions with the same conditions, on rows in memory.

It executes one statement after the other. So do the real functions, as far as it matters: they lock (see nodes_sql.py).
A contract test holds the model equal to the real database. To see what a condition is for, a test takes it out: see
`Guard`.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import astuple

from latehook.store.postgresql.batches import Change
from support.simulation.changes import Batch
from support.simulation.tables import OPEN, UNFINISHED, Guard, Job, Node, Refused, Row, Webhook, World


class Database:
    """The tables, and what the functions do. `time` returns its time in Unix seconds. The conditions in `without` are out."""

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
        return self.own(me, [job.key for job in self.jobs_by_key(jobs) if not job.undecided])

    def own(self, me: int, jobs: Collection[int]) -> list[Row]:
        pending, taken = list[Row](), list[Row]()
        for job in self.jobs_by_key(jobs):
            if job.owner != me:
                job.owner = me
                taken.append((job.key, None, job.ends))
                pending += [(job.key, w.key, w.due) for w in self.webhooks_of(job.key) if w.state == "pending"]
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
        return job.ends == OPEN or any(webhook.state in UNFINISHED for webhook in self.webhooks_of(job.key))

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
        batch = Batch(self, me)
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
        for table in (self.meta, self.attempts, self.webhooks, self.jobs, self._of_job, self.counts):
            table.clear()

    def owns(self, me: int, job: int) -> bool:
        return job in self.jobs and self.jobs[job].owner == me

    # Reads: reading.py, rows.py

    def jobs_by_key(self, keys: Iterable[int]) -> list[Job]:
        return [self.jobs[key] for key in sorted(set(keys)) if key in self.jobs]

    def webhooks_of(self, job: int) -> list[Webhook]:
        return self._of_job.get(job, [])

    def dues(self, keys: Collection[int], me: int) -> list[Row]:
        found = []
        for key in sorted(set(keys)):
            w = self.webhooks.get(key)
            if w is None or w.state != "pending" or not (self.owns(me, w.job) or not self.has(Guard.OWNER)):
                continue
            is_elsewhere = w.begun is not None and w.begun != me and self.has(Guard.BEGUN)
            found.append((w.key, w.due, w.value, w.job, w.stage, w.attempts, is_elsewhere, self._earlier(w)))
        return found

    def _earlier(self, w: Webhook) -> list[int]:
        if not (w.stage > 0 and w.ordered and w.attempts == 0 and self.has(Guard.ORDER)):
            return []
        earlier = [
            each.key
            for each in self.webhooks_of(w.job)
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
