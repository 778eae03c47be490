"""The writes of the store: they note changes, which the next commit sends."""

import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from msgspec.structs import replace

from latehook.base import logs
from latehook.base.errors import StoreError, UnstorableError
from latehook.base.messages import Outcome
from latehook.base.model import Content, Job, State, StoredWebhook, Webhook
from latehook.base.redaction import Redaction
from latehook.store.postgresql.batches import Change
from latehook.store.postgresql.keys import Keys
from latehook.store.postgresql.values import storable
from latehook.store.protocol import AddedKeys
from latehook.store.values import digest, encode, end_of, write_redirects

log = logging.getLogger(logs.LOGGER)


class Writer:
    """Notes changes. What cannot be stored raises UnstorableError, and notes nothing."""

    redaction: Redaction
    _changes: list[Change]
    _keys: Keys
    _definitions: set[str]
    _last_jobs: dict[str, int]

    # Jobs

    def add_job(self, job: Job) -> AddedKeys:
        key = self._keys.next()
        webhooks, keys = self._rows_of(key, job.webhooks)
        row = (
            key,
            _text(job.id),
            _text(self.redaction.redact(job.mock)),
            None if job.idempotency_key is None else digest(job.mock, job.idempotency_key),
            job.received_at,
            end_of(job),
            encode(replace(job, webhooks=())),
            0,  # the owner: the database writes it
            job.undecided,
        )
        self._changes += [Change("job", key, job=row), *webhooks]
        return AddedKeys(key, keys)

    def replace_stages(self, job: Job, kept_stages: int) -> Sequence[int]:
        webhooks, keys = self._rows_of(job.key, job.webhooks)
        reason = "its stage was replaced"
        self.update_job(job)
        self._changes += [Change("replaced stages", job.key, number=kept_stages, reason=reason), *webhooks]
        return keys

    def update_job(self, job: Job) -> None:
        value = encode(replace(job, webhooks=()))
        self._changes.append(Change("job value", job.key, moment=end_of(job), ordered=job.undecided, value=value))

    def set_due(self, key: int, due: float) -> None:
        self._changes.append(Change("due", key, moment=due))

    def decide_webhook(self, late: StoredWebhook, decided: Sequence[Webhook]) -> Sequence[int]:
        first = decided[0]
        url, reason = map(_text_or_none, self.redaction.redact([first.to, first.reason]))
        value = encode(first)
        more, keys = self._rows_of(late.job.key, decided[1:])
        self._changes.append(Change("decided", late.key, state=first.state, reason=reason, name=url, value=value))
        self._changes += more
        return keys

    def _rows_of(self, job: int, webhooks: Sequence[Webhook]) -> tuple[list[Change], list[int]]:
        """Return the changes that add a job's webhooks, and their keys."""
        changes, keys = [], []
        redacted = self.redaction.redact([[webhook.to, webhook.reason] for webhook in webhooks])
        for one, (url, reason) in zip(webhooks, redacted, strict=True):
            key = self._keys.next()
            texts = (_text_or_none(url), _text_or_none(one.event), one.definition, one.state, _text_or_none(reason))
            row = (key, job, _text(one.id), one.stage, one.ordered, one.due, *texts, 0, encode(one), None, None)
            changes.append(Change("webhook", key, webhook=row))
            keys.append(key)
        for webhook in webhooks:
            self._last_jobs[webhook.definition] = max(job, self._last_jobs.get(webhook.definition, 0))
        return changes, keys

    def delete_jobs(self, jobs: Iterable[int]) -> None:
        self._changes += [Change("deleted job", key) for key in jobs]

    # Webhooks and attempts

    def begin(self, key: int, number: int, content: Content, by_hand: bool = False) -> None:
        self._changes.append(Change("begin", key, number=number, ordered=by_hand, value=encode(content)))

    def add_attempt(
        self, key: int, number: int, outcome: Outcome, state: State, due: float, content: Content, clock_at: float
    ) -> None:
        error, body = self.redaction.redact(outcome.error), self.redaction.redact(outcome.body)
        reason = self.redaction.redact(outcome.error or f"status {outcome.status}") if state is State.FAILED else None
        redirects = _text_or_none(self.redaction.redact(write_redirects(outcome.redirects)))
        content_type = _text_or_none(self.redaction.redact(outcome.content_type))
        times = (outcome.started_at, outcome.ended_at)
        row = (key, number, *times, outcome.status, _text_or_none(error), body, clock_at, redirects, content_type)
        change = Change(
            "attempt",
            key,
            number=number,
            moment=due,
            state=state,
            reason=_text_or_none(reason),
            value=encode(content),
            attempt=row,
        )
        self._changes.append(change)

    def set_state(self, key: int, state: State, reason: str | None = None) -> None:
        reason = _text_or_none(self.redaction.redact(reason))
        self._changes.append(Change("state", key, state=state, reason=reason))

    def give_up(self, key: int, reason: str) -> None:
        """Write that the webhook with this key has failed: its row is damaged. The next commit is for it too."""
        log.error("latehook: webhook number %d of the store failed: %s", key, reason)
        with suppress(StoreError):
            self.set_state(key, State.FAILED, reason)

    def set_pending(self, key: int, due: float, ordered: bool = True, again: bool = False) -> None:
        self._changes.append(Change("pending", key, number=int(again), moment=due, ordered=ordered))

    def bring_forward(self, job: int, seconds: float) -> None:
        self._changes.append(Change("forward", job, moment=seconds))

    # Definitions and single values

    def add_definition(self, hash: str, written: bytes) -> None:
        if hash not in self._definitions:
            self._changes.append(Change("definition", name=hash, value=written))

    def set_value(self, name: str, value: Any) -> None:
        self._changes.append(Change("value", name=name, value=encode(value)))

    def clear(self) -> None:
        self._changes.append(Change("clear"))


def _text(text: str) -> str:
    try:
        return storable(text)
    except UnicodeEncodeError as error:
        raise UnstorableError(f"this cannot be kept: {error}: texts may have no lone surrogates") from None


def _text_or_none(text: str | None) -> str | None:
    return None if text is None else _text(text)
