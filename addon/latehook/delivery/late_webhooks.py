"""Decides late webhooks: whether they are sent, and where to, is known only when their turn comes."""

import logging
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from latehook.base import logs
from latehook.base.clock import Clock
from latehook.base.errors import StoreError, UnstorableError
from latehook.base.model import State, StoredWebhook
from latehook.delivery.late_values import LateValues, failed
from latehook.delivery.reporting import log_unsent
from latehook.delivery.results import REWRITE_AFTER
from latehook.store.group_commit import GroupCommit
from latehook.store.protocol import Store

log = logging.getLogger(logs.LOGGER)


class LateWebhooks:
    """Decides late webhooks, once each. They are named by their keys in the store.

    `schedule(due, key)` is called with a webhook that is to be decided again later, in seconds of Latehook's clock.
    """

    def __init__(
        self,
        store: Store,
        commits: GroupCommit,
        clock: Clock,
        late_values: LateValues,
        schedule: Callable[[float, int], None],
    ) -> None:
        self._store = store
        self._commits = commits
        self._clock = clock
        self._late_values = late_values
        self._schedule = schedule

    async def decide(self, key: int) -> tuple[StoredWebhook, Sequence[int]] | None:
        """Decide a late webhook whose turn has come: whether it is sent, and where to.

        Return it, and the keys of more that its `to` gives; None if it is decided already, or the store cannot be used.
        """
        try:
            async with self._commits.changes:
                stored = await self._store.pending_webhook(key)
                if stored is None or not stored.webhook.late:
                    return None
                found = await self._late_values.webhooks(stored)
                self._commits.schedule()
                try:
                    more = self._store.decide_webhook(stored, found)
                except UnstorableError as error:
                    found = [failed(stored.webhook, error)]
                    more = self._store.decide_webhook(stored, found)
                await self._commits.readable()
        except StoreError as error:
            log.error("latehook: a webhook cannot be decided yet: %s", error)
            self._schedule(self._clock.now() + REWRITE_AFTER, key)
            return None
        for webhook in found:
            if webhook.state is not State.PENDING:
                log_unsent(stored.job, webhook)
        return replace(stored, webhook=found[0]), more
