"""PURE: An attempt under way."""

from collections.abc import Callable

from msgspec import Struct

from latehook.base.model import Content, Outcome, Outgoing, StoredWebhook
from latehook.webhooks import retries


class UnderWay(Struct, frozen=True):
    """A webhook whose attempt has started, at `since` (Unix seconds). `retry` is what follows if it fails."""

    owed: StoredWebhook
    content: Content
    retry: retries.RetrySchedule
    since: float
    outgoing: Outgoing

    @property
    def number(self) -> int:
        """Which attempt it is."""
        return self.owed.attempts + 1


Show = Callable[[UnderWay, Outcome], None]
"""Shows an attempt that has ended."""
