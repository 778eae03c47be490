"""What an advance has to know of webhooks before they are due: how soon each can be due again."""

from collections.abc import Collection

from latehook.base.errors import LatehookError
from latehook.delivery.compiled_mocks import CompiledMocks
from latehook.store.protocol import Due, Store
from latehook.webhooks import retries

AHEAD = 500
"""Webhooks that are read ahead at once."""


class Foresight:
    """The fewest seconds from the next attempt at a webhook to the one after it, by the webhook's key.

    Without it, the clock would stand still at each due time until the attempt has been made, which tells the same.
    """

    def __init__(self, store: Store, compiled_mocks: CompiledMocks) -> None:
        self._store = store
        self._compiled_mocks = compiled_mocks
        self._least_waits: dict[int, float | None] = {}  # None: it cannot be told before the attempt is made

    @property
    def is_short(self) -> bool:
        """Whether webhooks are to be read ahead."""
        return len(self._least_waits) < AHEAD // 2

    async def look(self, webhooks: Collection[int]) -> None:
        """Read these webhooks ahead. Raises StoreError."""
        if keys := [key for key in webhooks if key not in self._least_waits]:
            for key, due in zip(keys, await self._store.dues(keys), strict=True):
                self._least_waits[key] = None if due is None or due.late else await self._least_wait(due)

    async def _least_wait(self, due: Due) -> float | None:
        try:
            _, spec = await self._compiled_mocks.webhook_spec(due.definition, due.mock_stage)
        except LatehookError:  # its attempt fails, and says why
            return None
        return retries.least_wait(spec.retry, due.attempts + 1)

    def pop(self, webhook: int) -> float | None:
        """Return what is known of a webhook that is due now; None: nothing."""
        return self._least_waits.pop(webhook, None)

    def clear(self) -> None:
        self._least_waits.clear()
