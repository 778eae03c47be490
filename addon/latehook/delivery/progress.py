"""What the store does not know of webhooks: the running attempts, and the results that are not written yet."""

from msgspec.structs import replace

from latehook.base.model import UNFINISHED, State, StoredWebhook
from latehook.delivery.attempts import RunningAttempt
from latehook.delivery.results import AttemptResult, NoAttempt, PendingResults
from latehook.store.shared_state import SharedState


class Progress:
    """The running attempts by their webhook's key, and the results of attempts as far as the store lacks them."""

    def __init__(self, state: SharedState, results: PendingResults) -> None:
        self.running: dict[int, RunningAttempt] = {}
        self.results = results
        self._state = state

    def current(self, stored: StoredWebhook) -> StoredWebhook:
        """Return a webhook with its current state: delivering during an attempt, held while all are held.

        A result that the store cannot write yet counts, too.
        """
        state = stored.webhook.state
        if (stored.begun or stored.key in self.running) and state in UNFINISHED:
            state = State.DELIVERING
        elif (results := self.results.unwritten.get(stored.key)) and state in UNFINISHED:
            stored = _after(stored, results[-1], self.results.problem)
            state = stored.webhook.state
        if self._state.holding and state is State.PENDING:
            state = State.HELD
        if state is stored.webhook.state:
            return stored
        return replace(stored, webhook=replace(stored.webhook, state=state))


def _after(stored: StoredWebhook, result: AttemptResult | NoAttempt, problem: str | None) -> StoredWebhook:
    """Return a webhook after a result that the store does not have yet, because of `problem`."""
    reason = None if problem is None else f"not in the store yet: {problem}"
    if isinstance(result, NoAttempt):
        reason = result.reason if reason is None else f"{result.reason}; {reason}"
        return replace(stored, webhook=replace(stored.webhook, state=result.state, reason=reason))
    webhook = replace(stored.webhook, state=result.state, reason=reason, due=result.due)
    return replace(stored, webhook=webhook, attempts=result.number, content=result.content)
