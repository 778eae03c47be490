"""PURE: The type of a running attempt, and the interfaces that attempts need."""

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from latehook.base.messages import Outcome, Outgoing
from latehook.base.model import Content, Moment, StoredWebhook
from latehook.mocks.context import Context
from latehook.webhooks.retries import RetrySchedule


class RunningAttempt(Struct, frozen=True):
    """An attempt at a webhook that has started and not ended.

    `started_at` is real time, `clock_at` is the same moment by the job's clock, both in Unix seconds. `keeps_answer`:
    an expression may read what it is answered.
    """

    stored: StoredWebhook
    content: Content
    retry: RetrySchedule
    started_at: float
    clock_at: float
    outgoing: Outgoing
    keeps_answer: bool = False

    @property
    def number(self) -> int:
        """The attempt's number. The first attempt at a webhook has number 1."""
        return self.stored.attempts + 1


AttemptObserver = Callable[[RunningAttempt, Outcome], None]
"""Called with each attempt that has ended, and how."""


class ConnectObserver(Protocol):
    """Is told how a receiver takes connections."""

    def connected(self) -> None:
        """Take note that a connection was made."""

    def stalled(self) -> None:
        """Take note that a connection was not made at once."""


class Sender(Protocol):
    """Sends attempts."""

    def preload(self) -> object:
        """Prepare for the first attempt. Called for every job with webhooks."""

    async def send(self, outgoing: Outgoing, observer: ConnectObserver | None = None) -> Outcome:
        """Send an attempt and return how it ended. Never raises.

        `observer` is told how the receiver takes the connection, if a new one is made.
        """

    async def close(self) -> None: ...


class DeliveryContext(Context, Protocol):
    """What an attempt needs besides its webhook."""

    @property
    def keeps_answers(self) -> bool:
        """Whether a mock in use reads what receivers answer."""

    async def decide[Result](self, decide: Callable[[Moment, Context], Result], now: float | None = None) -> Result:
        """Return what `decide` returns for the time `now` of Latehook's clock, or for the present.

        It is called again if the store has to be waited for.
        """

    async def claim_fault(self, definition: str, limit: int | None, stage: int | None = None) -> bool:
        """Count a fault of the webhook of this stage of a mock. Return False if it has happened `limit` times."""
