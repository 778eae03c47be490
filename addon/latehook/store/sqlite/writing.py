"""The writes of the store."""

import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from msgspec.structs import replace

from latehook.base import logs
from latehook.base.errors import StoreError
from latehook.base.messages import Outcome
from latehook.base.model import FINISHED, STORED_UNFINISHED, Content, Job, State, StoredWebhook, Webhook
from latehook.store.protocol import AddedKeys
from latehook.store.sqlite.guarding import write_operation
from latehook.store.sqlite.lists import as_list
from latehook.store.sqlite.reading import Reader
from latehook.store.sqlite.searching import Searches
from latehook.store.values import digest, encode, end_of, write_redirects

log = logging.getLogger(logs.LOGGER)

_FINISHED = f"({', '.join(repr(str(state)) for state in FINISHED)})"
"""The states of a webhook of which nothing more is sent, in SQL."""


class Writer(Reader, Searches):
    """Writes jobs, webhooks, attempts and single values. It collects what the next commit has to tell."""

    _changed: set[int]
    _definitions: set[str]
    _last_job: dict[str, int]
    _has_failed: bool
    _is_closed: bool
    _refused: set[int]

    # Jobs

    @write_operation
    def add_job(self, job: Job) -> AddedKeys:
        sql = "INSERT INTO job (id, mock, idempotency_key, created_at, ends, value) VALUES (?, ?, ?, ?, ?, ?)"
        mock = self.redaction.redact(job.mock)
        idempotency_key = None if job.idempotency_key is None else digest(job.mock, job.idempotency_key)
        row = (job.id, mock, idempotency_key, job.received_at, end_of(job), encode(replace(job, webhooks=())))
        values = list(map(encode, job.webhooks))  # before the first write: one of them may raise UnstorableError
        key = self._write(sql, row)
        return AddedKeys(key, self._add_webhooks(key, job.webhooks, values))

    @write_operation
    def replace_stages(self, job: Job, kept_stages: int) -> list[int]:
        values = list(map(encode, job.webhooks))
        self._update_job(job)
        sql = "UPDATE webhook SET state = ?, reason = ? WHERE job = ? AND stage >= ? AND state IN (?, ?)"
        self._write(sql, (State.CANCELED, "its stage was replaced", job.key, kept_stages, *STORED_UNFINISHED))
        self._changed.update(key for (key,) in self._db.execute("SELECT key FROM webhook WHERE job = ?", (job.key,)))
        return self._add_webhooks(job.key, job.webhooks, values)

    @write_operation
    def update_job(self, job: Job) -> None:
        self._update_job(job)

    @write_operation
    def set_due(self, key: int, due: float) -> None:
        self._update_webhook("UPDATE webhook SET due = ? WHERE key = ?", (due,), key)

    @write_operation
    def decide_webhook(self, late: StoredWebhook, decided: Sequence[Webhook]) -> list[int]:
        values = list(map(encode, decided))
        first = decided[0]
        url, reason = self.redaction.redact([first.to, first.reason])
        sql = "UPDATE webhook SET value = ?, url = ?, state = ?, reason = ? WHERE key = ?"
        self._update_webhook(sql, (values[0], url, first.state, reason), late.key)
        return self._add_webhooks(late.job.key, decided[1:], values[1:])

    def _update_job(self, job: Job) -> None:
        row = (encode(replace(job, webhooks=())), end_of(job), job.key)
        self._write("UPDATE job SET value = ?, ends = ? WHERE key = ?", row)

    def _add_webhooks(self, job: int, webhooks: Sequence[Webhook], values: Sequence[bytes]) -> list[int]:
        for definition in {webhook.definition for webhook in webhooks}:
            self._last_job[definition] = max(job, self._last_job.get(definition, 0))
        sql = """
            INSERT INTO webhook (job, id, stage, ordered, due, url, state, reason, value)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
        """
        keys = []
        for one, value in zip(webhooks, values, strict=True):
            url, reason = self.redaction.redact(one.to), self.redaction.redact(one.reason)
            row = (job, one.id, one.stage, one.ordered, one.due, url, one.state, reason, value)
            keys.append(self._write(sql, row))
        self._changed.update(keys)
        return keys

    @write_operation
    def delete_jobs(self, jobs: Iterable[int]) -> None:
        keys = as_list(jobs)
        of_webhooks = "SELECT key FROM webhook WHERE job IN (SELECT value FROM json_each(?))"
        self._write(f"DELETE FROM attempt WHERE webhook IN ({of_webhooks})", (keys,))
        self._write("DELETE FROM webhook WHERE job IN (SELECT value FROM json_each(?))", (keys,))
        self._write("DELETE FROM job WHERE key IN (SELECT value FROM json_each(?))", (keys,))

    # Webhooks and attempts

    @write_operation
    def begin(self, key: int, number: int, content: Content, by_hand: bool = False) -> None:
        sql = "UPDATE webhook SET content = ? WHERE key = ? AND state = ? AND attempts = ?"
        self._begin()
        if self._db.execute(sql, (encode(content), key, State.PENDING, number - 1)).rowcount == 0:
            self._refused.add(key)

    @write_operation
    def add_attempt(
        self, key: int, number: int, outcome: Outcome, state: State, due: float, content: Content, clock_at: float
    ) -> None:
        encoded = encode(content)
        sql = "INSERT OR REPLACE INTO attempt VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        redacted = self.redaction.redact([outcome.error, outcome.body])
        more = self.redaction.redact([write_redirects(outcome.redirects), outcome.content_type])
        row = (key, number, outcome.started_at, outcome.ended_at, outcome.status, *redacted, clock_at, *more)
        self._write(sql, row)
        sql = """
            UPDATE webhook SET due = ?, attempts = ?, content = ?,
            reason = CASE WHEN state = ? OR ? THEN ? ELSE reason END,
            state = CASE WHEN state = ? OR ? THEN ? ELSE state END WHERE key = ?
        """
        reason = self.redaction.redact(outcome.error or f"status {outcome.status}") if state is State.FAILED else None
        delivered = state is State.DELIVERED
        pending = State.PENDING
        self._update_webhook(sql, (due, number, encoded, pending, delivered, reason, pending, delivered, state), key)

    @write_operation
    def set_state(self, key: int, state: State, reason: str | None = None) -> None:
        row = (state, self.redaction.redact(reason))
        sql = f"UPDATE webhook SET state = ?, reason = ? WHERE state NOT IN {_FINISHED} AND key = ?"
        self._update_webhook(sql, row, key)

    def give_up(self, key: int, reason: str) -> None:
        """Write that the webhook with this key has failed, because its row is damaged. Another read does it otherwise.

        The next commit is for this write too.
        """
        log.error("latehook: webhook number %d of the store failed: %s", key, reason)
        with suppress(StoreError):
            self.set_state(key, State.FAILED, reason)

    @write_operation
    def set_pending(self, key: int, due: float, ordered: bool = True, again: bool = False) -> None:
        sql = f"""
            UPDATE webhook SET state = ?, reason = NULL, due = ?, ordered = ordered AND ?
            WHERE (? OR state NOT IN {_FINISHED}) AND key = ?
        """
        self._update_webhook(sql, (State.PENDING, due, ordered, again), key)

    @write_operation
    def bring_forward(self, job: int, seconds: float) -> None:
        self._write("UPDATE webhook SET due = due - ? WHERE job = ?", (seconds, job))

    # Definitions and single values

    @write_operation
    def add_definition(self, hash: str, written: bytes) -> None:
        if hash not in self._definitions:
            self._write("INSERT INTO definition VALUES (?, ?)", (hash, written))
            self._definitions.add(hash)

    @write_operation
    def set_value(self, name: str, value: Any) -> None:
        self._write("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, encode(value)))

    @write_operation
    def clear(self) -> None:
        for table in ("meta", "definition", "attempt", "webhook", "job"):
            self._write(f"DELETE FROM {table}", ())
        self._definitions.clear()

    # Transactions

    def fail_transaction(self) -> None:
        """Make the next commit roll back and raise StoreError."""
        self._has_failed = True

    def _roll_back(self) -> None:
        if self._db.in_transaction:  # SQLite may have rolled back by itself
            self._db.execute("ROLLBACK")
        self._definitions = self._definition_hashes()

    def _write(self, sql: str, values: tuple[Any, ...]) -> int:
        """Execute a statement inside the transaction. Return the key of the row that it has inserted."""
        self._begin()
        return self._db.execute(sql, values).lastrowid or 0

    def _update_webhook(self, sql: str, values: tuple[Any, ...], key: int) -> None:
        """Execute a statement on the webhook with this key, which is its last parameter."""
        self._write(sql, (*values, key))
        self._changed.add(key)

    def _begin(self) -> None:
        if not self._db.in_transaction:
            self._db.execute("BEGIN")

    def failure(self, verb: str, error: Exception) -> StoreError:
        if self._is_closed:
            return StoreError("Latehook is ending, and answers no more")
        return super().failure(verb, error)
