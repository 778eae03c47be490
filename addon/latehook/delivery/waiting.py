"""The webhooks that are due, and that something else must come before."""

from collections import defaultdict
from collections.abc import Collection, Sequence

from latehook.delivery.results import PendingResults
from latehook.store.protocol import Due
from latehook.store.shared_state import SharedState


class Waiting:
    """Webhooks that wait for the end of the hold, for the choice of a response, or for an earlier webhook of their job.

    They are named by their keys in the store. The methods return those that need not wait any more.
    """

    def __init__(self, state: SharedState) -> None:
        self._state = state
        self._held_back: list[int] = []  # they were due during the hold
        self._blocked: set[int] = set()  # the response to their request is not chosen yet
        self._blocked_due: list[int] = []  # these of them were due
        self._followers: defaultdict[int, list[int]] = defaultdict(list)  # they wait for this webhook's first attempt
        self._exempt: set[int] = set()  # neither the hold nor a choice stops them
        self._ended: set[int] = set()  # attempts at these have ended since `reading`

    def stops(self, key: int, due: Due, unwritten: PendingResults) -> bool:
        """Return whether a webhook that is due must wait. If so, note what it waits for.

        The first attempt at a webhook with an unwritten result has ended, although the store does not have that yet.
        """
        if key not in self._exempt:
            if self._state.holding:
                self._held_back.append(key)
                return True
            if key in self._blocked:
                self._blocked_due.append(key)
                return True
        for earlier in due.after:
            if earlier not in unwritten and earlier not in self._ended:
                self._followers[earlier].append(key)
                return True
        return False

    def reading(self) -> None:
        """Note that the store is asked for dues: its answer may lack the attempts that end before that comes."""
        self._ended.clear()

    def attempt_ended(self, key: int) -> None:
        """Note that an attempt at a webhook has ended, and is written."""
        self._ended.add(key)

    def exempt(self, keys: Collection[int]) -> None:
        """Let neither the hold nor a choice stop the next attempts at these webhooks."""
        self._exempt.update(keys)

    def is_exempt(self, key: int) -> bool:
        """Return whether neither the hold nor a choice stops the next attempt at this webhook."""
        return key in self._exempt

    def end_exemption(self, key: int) -> None:
        self._exempt.discard(key)

    def block(self, keys: Collection[int]) -> None:
        """Stop these webhooks until `unblock`."""
        self._blocked.update(keys)

    def unblock(self, keys: Collection[int]) -> Sequence[int]:
        self._blocked.difference_update(keys)
        due = [key for key in self._blocked_due if key not in self._blocked]
        self._blocked_due = [key for key in self._blocked_due if key in self._blocked]
        return due

    def release(self) -> Sequence[int]:
        """Return the webhooks that the hold has stopped, if it is over."""
        if self._state.holding:
            return ()
        held_back, self._held_back = self._held_back, []
        return held_back

    def after_first_attempt(self, key: int) -> Sequence[int]:
        """Return the webhooks that have waited for the first attempt at this one."""
        return self._followers.pop(key, ())

    def forget(self, keys: Collection[int]) -> None:
        self._exempt.difference_update(keys)
        self._blocked.difference_update(keys)
        self._held_back = [key for key in self._held_back if key not in keys]
        self._blocked_due = [key for key in self._blocked_due if key not in keys]

    def clear(self) -> None:
        for webhooks in (self._held_back, self._blocked, self._blocked_due, self._followers, self._exempt):
            webhooks.clear()

    def __bool__(self) -> bool:
        """Return whether webhooks are due and wait."""
        return bool(self._held_back or self._blocked_due or self._followers)
