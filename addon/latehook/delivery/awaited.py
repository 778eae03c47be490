"""What jobs wait for before their open stages can be decided: ends of webhooks, first attempts, and statuses."""

from collections import defaultdict
from collections.abc import Collection, Sequence

from latehook.base.model import UNKNOWN


class Awaited:
    """Notes what jobs wait for, and what waits for them. Jobs and webhooks are named by their keys in the store."""

    def __init__(self) -> None:
        self._ends: defaultdict[int, dict[int, float]] = defaultdict(dict)  # webhook → jobs that wait for its end
        self._first_attempts: defaultdict[int, set[int]] = defaultdict(set)  # webhook → jobs that wait for its first
        self._undecided: dict[int, int] = {}  # job → the index of its first stage whose status is open
        self._blocked: defaultdict[int, list[int]] = defaultdict(list)  # job → its due webhooks of that stage or later

    # Webhooks

    def wait_for_end(self, job: int, webhook: int, plus: float) -> None:
        """Note that something is due in a job `plus` seconds after the end of a webhook."""
        waits = self._ends[webhook]
        waits[job] = min(plus, waits.get(job, UNKNOWN))

    def wait_for_first_attempt(self, job: int, webhook: int) -> None:
        """Note that a job waits for the first attempt at a webhook."""
        self._first_attempts[webhook].add(job)

    def least_wait(self, webhook: int) -> float:
        """Return the fewest seconds from the end of a webhook to what waits for it; UNKNOWN where nothing does."""
        return min(self._ends[webhook].values(), default=UNKNOWN) if webhook in self._ends else UNKNOWN

    def among(self, webhooks: Collection[int] | None) -> Sequence[int]:
        """Return those of these webhooks for which jobs wait; None: of all webhooks."""
        if not self._ends and not self._first_attempts:
            return ()
        found = {*self._ends, *self._first_attempts} if webhooks is None else webhooks
        return [key for key in found if key in self._ends or key in self._first_attempts]

    def take_jobs(self, webhook: int) -> Collection[int]:
        """Return the jobs that wait for a webhook. They wait for it no longer."""
        return {*self._ends.pop(webhook, ()), *self._first_attempts.pop(webhook, ())}

    def take_jobs_of_first_attempt(self, webhook: int) -> Collection[int]:
        """Return the jobs that wait for the first attempt at a webhook. They wait for it no longer."""
        return self._first_attempts.pop(webhook, ())

    # Statuses

    def set_undecided(self, job: int, stage: int) -> None:
        """Note the index of a job's first stage whose status is open."""
        self._undecided[job] = stage

    def set_decided(self, job: int) -> None:
        """Note that no status of a job is open."""
        self._undecided.pop(job, None)

    def undecided(self, job: int) -> int | None:
        """Return the index of a job's first stage whose status is open; None if none is."""
        return self._undecided.get(job)

    def blocks(self, job: int, stage: int, webhook: int) -> bool:
        """Return whether a due webhook must wait, because a status of its stage or an earlier one is open."""
        if self._undecided.get(job, UNKNOWN) > stage:
            return False
        self._blocked[job].append(webhook)
        return True

    def take_blocked(self, job: int) -> Sequence[int]:
        """Return the webhooks of a job that `blocks` has made wait. They wait no longer."""
        return self._blocked.pop(job, ())

    @property
    def has_blocked(self) -> bool:
        """Whether a due webhook waits for a status."""
        return bool(self._blocked)

    def clear(self) -> None:
        """Forget all jobs."""
        for noted in (self._ends, self._first_attempts, self._undecided, self._blocked):
            noted.clear()
