"""The changes of one batch in the model of the database: see writing_sql.py."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from latehook.store.postgresql.batches import Change
from support.simulation.tables import FINISHED, UNFINISHED, Guard, Job, Webhook

if TYPE_CHECKING:
    from support.simulation.database import Database


class Batch:
    """One call of the function `write`."""

    def __init__(self, database: "Database", me: int) -> None:
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
        webhooks = self._database.webhooks_of(change.key)
        for w in webhooks:
            if w.job not in self._lost and w.stage >= (change.number or 0) and w.state in UNFINISHED:
                w.state, w.reason = "canceled", change.reason
        self.changed += [w.key for w in webhooks]

    def _forward(self, change: Change) -> None:
        for w in self._database.webhooks_of(change.key):
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


CHANGES: dict[str, Callable[[Batch, Change], None]] = {
    "job": Batch._job,
    "webhook": Batch._webhook,
    "begin": Batch._begin,
    "attempt": Batch._attempt,
    "state": Batch._state,
    "pending": Batch._pending,
    "due": Batch._due,
    "decided": Batch._decided,
    "job value": Batch._job_value,
    "replaced stages": Batch._replaced_stages,
    "forward": Batch._forward,
    "deleted job": Batch._deleted_job,
    "definition": Batch._definition,
    "last job": Batch._last_job,
    "value": Batch._value,
    "clear": Batch._clear,
    "prune": Batch._prune,
}
