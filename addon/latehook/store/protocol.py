"""What every store does: the interface between Latehook and its databases."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from latehook.base.messages import Outcome
from latehook.base.model import Attempt, Content, Criteria, Job, State, StoredWebhook, Webhook
from latehook.base.redaction import Redaction
from latehook.store.cluster import Cluster
from latehook.store.shared import Shared

MEMORY = ":memory:"
"""The path of a store in memory, which ends with the process."""

MAX_ENDED_JOBS = 100_000
"""Ended jobs that are kept. The oldest are deleted first."""


@dataclass(frozen=True, slots=True)
class Due:
    """A pending webhook, as far as is needed to decide whether its attempt may start, and when it may be tried again.

    `due` is in seconds of Latehook's clock. `after` has the keys of the job's earlier webhooks whose first attempt must
    come first. `job` is its job's key. A `late` webhook is still to be decided: its `url` may be empty. `definition`
    and `mock_stage` are those of Webhook, and `attempts` is how many have ended. `elsewhere`: another process makes an
    attempt at it now.
    """

    due: float
    url: str
    after: Sequence[int]
    job: int
    stage: int
    late: bool
    definition: str
    mock_stage: int
    attempts: int
    elsewhere: bool = False


class Match(NamedTuple):
    """A job or a webhook that matches criteria. `size` is in bytes: what has to be read for it."""

    key: int
    size: int


class AddedKeys(NamedTuple):
    """The keys of a new job and of its webhooks, in their order."""

    job: int
    webhooks: Sequence[int]


class Committed(NamedTuple):
    """What a commit has done.

    `changed` are the keys of the webhooks that it has written. `refused` are the keys of those whose attempt must not
    start, because the condition of `begin` was false. `repeated` are the keys of jobs that were not added, because
    another one that was written at the same time has the same idempotency key.
    """

    changed: AbstractSet[int] = frozenset()
    refused: AbstractSet[int] = frozenset()
    repeated: AbstractSet[int] = frozenset()


class AtOnce(Protocol):
    """What a store does without waiting: the reads that decisions ask for, and the commit."""

    def all(self) -> Sequence[Job]:
        """Return all jobs, the newest first."""

    def find(self, id: str) -> Job | None:
        """Return the newest job with this id."""

    def webhooks_of(self, job: Job) -> Sequence[StoredWebhook]:
        """Return the webhooks of a job, by stage."""

    def repeated(self, mock: str, idempotency_key: str) -> Job | None:
        """Return the newest job that the mock with this name has started for an idempotency key."""

    def commit_now(self) -> Committed:
        """Commit as `Store.commit` does. Raises StoreError."""


class Writes(Protocol):
    """The writes. Each returns at once, and counts when the next `commit` has returned. Each may raise StoreError.

    Keys are given by the store. They grow with time, and are never given again.
    """

    def add_job(self, job: Job) -> AddedKeys:
        """Write a job and its webhooks. Raises UnstorableError, and has then written nothing."""

    def replace_stages(self, job: Job, kept_stages: int) -> Sequence[int]:
        """Write a job with new stages behind the first `kept_stages`, and their webhooks. Return the webhooks' keys.

        Unfinished webhooks of the stages that were there before are canceled. Raises UnstorableError.
        """

    def update_job(self, job: Job) -> None:
        """Write a job whose stages, clock or response are different now."""

    def set_due(self, key: int, due: float) -> None:
        """Write when a webhook is due, of which that was UNKNOWN."""

    def decide_webhook(self, late: StoredWebhook, decided: Sequence[Webhook]) -> Sequence[int]:
        """Write what a late webhook has turned out to be: itself, and more of the same stage. Return their keys.

        Raises UnstorableError, and has then written nothing.
        """

    def delete_jobs(self, jobs: Iterable[int]) -> None:
        """Delete the jobs with these keys, their webhooks and attempts."""

    def begin(self, key: int, number: int, content: Content, by_hand: bool = False) -> None:
        """Write that attempt `number` at a webhook begins, and what it says: after a crash it is made again alike.

        The condition: the webhook is pending, and `number - 1` attempts at it have ended. In a store that processes
        share, also: this process owns its job, no attempt at it is under way, and not all webhooks are held, unless
        an operation sends it (`by_hand`). See `Committed.refused`.
        """

    def add_attempt(
        self, key: int, number: int, outcome: Outcome, state: State, due: float, content: Content, clock_at: float
    ) -> None:
        """Write an attempt that has ended, the webhook's state after it, and when the webhook is due again.

        `clock_at` is when the attempt started by the job's clock. A webhook that was held or canceled during the
        attempt stays so, unless the attempt has delivered it. Writing the same attempt again changes nothing.
        """

    def set_state(self, key: int, state: State, reason: str | None = None) -> None:
        """Write a webhook's state and the reason for it. One that has finished meanwhile stays as it is."""

    def set_pending(self, key: int, due: float, ordered: bool = True, again: bool = False) -> None:
        """Make a webhook pending and due at `due`. Unless `ordered`, it waits for no earlier webhook of its job.

        Unless it is to be sent `again`, one that has finished meanwhile stays as it is.
        """

    def bring_forward(self, job: int, seconds: float) -> None:
        """Write that all webhooks of a job (by its key) are, or were, due earlier by so many seconds."""

    def add_definition(self, hash: str, written: bytes) -> None:
        """Write a mock as its file has it, for the jobs that it starts."""

    def set_value(self, name: str, value: Any) -> None:
        """Write plain data under a name. Raises UnstorableError."""

    def clear(self) -> None:
        """Delete everything. Definitions may stay until `prune`."""

    def prune(self, before: float, clock: float, keep: int = MAX_ENDED_JOBS) -> None:
        """Delete ended jobs that came before `before` (Unix seconds of real time), or are not among the newest `keep`.

        A job has ended when its last stage is past (`clock` is the time of Latehook's clock) and no webhook of it is
        unfinished. One call examines a limited number of jobs, and the next one continues behind them.
        """

    async def commit(self) -> Committed:
        """Commit everything that was written since the last commit. Raises StoreError: none of it counts."""


class Reads(Protocol):
    """The reads. They also see what is written and not committed yet. Each may raise StoreError.

    A row can be damaged: its value cannot be decoded. A webhook with such a row, or whose job has one, has failed, with
    the reason. A job with such a row has the status `failed`, and what is left of it.
    """

    async def job(self, key: int) -> Job | None: ...

    async def find_job(self, id: str) -> Job | None:
        """Return the newest job with this id."""

    async def job_for_idempotency_key(self, mock: str, idempotency_key: str) -> Job | None:
        """Return the newest job that the mock with this name has started for an idempotency key."""

    async def jobs(self) -> Sequence[Job]:
        """Return all jobs, the newest first."""

    async def jobs_by_key(self, keys: Iterable[int]) -> Sequence[Job]:
        """Return the jobs with these keys, the newest first. Those that are not there any more are left out."""

    async def job_ids(self) -> Sequence[str]:
        """Return the ids of all jobs, the newest first."""

    async def count_jobs(self) -> int: ...

    async def last_job_key(self) -> int:
        """Return the key of the newest job; 0 where there is none."""

    async def open_jobs(self) -> Sequence[int]:
        """Return the keys of the jobs with open stages, and of those that may still be taken back."""

    async def dues(self, keys: Sequence[int]) -> Sequence[Due | None]:
        """Return of each of these webhooks, in this order, what decides about its attempt; None if it is not pending.

        Raises StoreError where none of them can be read.
        """

    async def webhook(self, key: int) -> StoredWebhook | None:
        """Return a webhook with its job, in any state."""

    async def pending_webhook(self, key: int) -> StoredWebhook | None:
        """Return a webhook with its job; None if it is not pending."""

    async def webhook_key(self, id: str) -> int | None:
        """Return the key of the newest webhook with this id."""

    async def webhooks(self, job: int | None = None, states: Iterable[State] = tuple(State)) -> Sequence[StoredWebhook]:
        """Return the webhooks in these states, of one job (by its key) or of all, in the order of their due times."""

    async def webhooks_of_jobs(self, jobs: Sequence[Job]) -> Sequence[StoredWebhook]:
        """Return the webhooks of these jobs, by stage."""

    async def webhooks_by_key(self, keys: Iterable[int]) -> Sequence[StoredWebhook]:
        """Return the webhooks with these keys, the newest first. Those that are not there any more are left out."""

    async def pending_dues(self) -> list[tuple[float, int]]:
        """Return (due, key) of every pending webhook."""

    async def overdue(self, moment: float, limit: int) -> Sequence[int]:
        """Return the keys of at most `limit` pending webhooks that were due by `moment`, in seconds of the clock."""

    async def attempts(self, webhooks: Iterable[int]) -> Sequence[tuple[int, Attempt]]:
        """Return (webhook's key, attempt) of every ended attempt at these webhooks, in order."""

    async def count_unfinished(self) -> int:
        """Return how many webhooks are still to be delivered."""

    async def count_states(self, keys: Iterable[int] | None = None) -> dict[State, int]:
        """Return how many webhooks are in each state: of those with these keys, or of all."""

    async def matching_jobs(self, criteria: Criteria, before: int | None, limit: int) -> Sequence[Match]:
        """Return the newest jobs that match or have a webhook that matches, with a key lower than `before`.

        The sizes include the jobs' webhooks.
        """

    async def matching_webhooks(self, criteria: Criteria, before: int | None, limit: int) -> Sequence[Match]:
        """Return the newest webhooks that match, with a key lower than `before`."""

    async def sizes_of_webhooks(self, keys: Iterable[int]) -> Sequence[Match]:
        """Return the sizes of the webhooks with these keys, the newest first."""

    async def definition(self, hash: str) -> bytes | None:
        """Return a mock as it was written."""

    async def get_value[Value](self, name: str, kind: type[Value]) -> Value | None:
        """Return the value of this type that `set_value` has written under a name; None where there is none."""


class Store(Writes, Reads, Protocol):
    """A store, used on one event loop."""

    name: str
    """What the option `mock_store` names, without a password: for messages."""

    remedy: str
    """What to do if its data cannot be read."""

    redaction: Redaction
    """Hides secrets in what people read."""

    @property
    def at_once(self) -> AtOnce | None:
        """What this store does without waiting; None where it has to be waited for."""

    @property
    def is_durable(self) -> bool:
        """Whether the store outlives the process."""

    @property
    def cluster(self) -> Cluster | None:
        """This process among those that share the store; None where no other process can use it."""

    @property
    def shared(self) -> Shared | None:
        """What the processes share besides jobs; None where no other process can use the store."""

    on_connected: Callable[[], Awaitable[None]] | None
    """Called when a connection that was broken has been made again: what is in the store may be new to its user."""

    @property
    def problem(self) -> str | None:
        """Why the store cannot be used at the moment; None where it can."""

    def new_problems(self) -> Sequence[str]:
        """Return what has happened to the store since the last call, each in one line. Nothing is said twice."""

    async def open(self) -> None:
        """Connect to the database. Call this before anything else. Raises StoreError, which names the remedy."""

    async def close(self) -> None:
        """Commit, and release everything that the store holds."""
