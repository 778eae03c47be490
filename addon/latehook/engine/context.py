"""The context of decisions and attempts: the mocks in use, the variables, the jobs so far, and counts."""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from latehook.base.model import Job, Moment, StoredWebhook
from latehook.base.notifier import Notifier
from latehook.base.redaction import texts_in
from latehook.delivery.progress import Progress
from latehook.engine import counts
from latehook.engine.answers import Answers, Lacking
from latehook.engine.counts import Counts
from latehook.mocks.context import Context
from latehook.mocks.definitions import Mock, Mocks
from latehook.store.protocol import AtOnce, Store
from latehook.store.shared_state import SharedState


class LiveContext:
    """The context of one process: a `Context` of mocks/context.py, and what an attempt needs besides.

    `before_use` is called with all mocks before they answer their first request.
    """

    def __init__(
        self,
        store: Store,
        state: SharedState,
        progress: Progress,
        notifier: Notifier,
        source: random.Random,
        mocks: Mocks,
        before_use: Callable[[Mocks], None],
    ) -> None:
        self.mocks: Mocks
        """The mocks in use, those that were added first."""
        self.vars: Mapping[str, Any]
        """The variables: as the mocks files have them, or as they were set since."""
        self.secret_vars: frozenset[str]
        """The names of those that hold a secret."""
        self.redaction = store.redaction  # one for everything that people read
        self._store = store
        self._state = state
        self._progress = progress
        self._clock = state.clock
        self._notifier = notifier
        self._random = source
        self._before_use = before_use
        self._counts = Counts(None if store.shared is None else store.shared.counters)
        self._apply(mocks, ())

    @property
    def keeps_answers(self) -> bool:
        return self.mocks.reads_answers

    def moment(self, now: float | None = None) -> Moment:
        return Moment(self._clock.now() if now is None else now, self._clock.real(), self._random)

    async def decide[Result](self, decide: Callable[[Moment, Context], Result], now: float | None = None) -> Result:
        """Return what `decide` returns for the time `now` of Latehook's clock, or for the present.

        If the store has to be waited for, `decide` is called again with each answer that it lacked. It then draws the
        same random values.
        """
        if self._store.at_once is not None:
            return decide(self.moment(now), self)
        moment, seed, answers = self.moment(now), self._random.getrandbits(64), Answers(self, self._progress)
        while True:
            try:
                return decide(Moment(moment.now, moment.real_now, random.Random(seed)), answers)
            except Lacking as lacking:
                await answers.ask(lacking.question, self._store)

    # Jobs

    def jobs(self) -> Sequence[Job]:
        return self._jobs_at_once.all()

    def find_job(self, id: str) -> Job | None:
        return self._jobs_at_once.find(id)

    def job_for_idempotency_key(self, mock: str, key: str) -> Job | None:
        return self._jobs_at_once.repeated(mock, key)

    def webhooks(self, job: Job) -> Sequence[StoredWebhook]:
        found = self._jobs_at_once.webhooks_of(job) if job.key else ()
        return [self._progress.current(stored) for stored in found]

    @property
    def _jobs_at_once(self) -> AtOnce:
        assert self._store.at_once is not None, "this store has to be waited for: see `decide`"
        return self._store.at_once

    # Counts

    def answer_count(self, definition: str) -> int:
        return self._counts[counts.of_answers(definition)]

    def fault_count(self, definition: str, stage: int | None = None, response: int = 0) -> int:
        return self._counts[counts.of_faults(definition, stage, response)]

    async def claim_answer(self, mock: Mock) -> bool:
        """Count an answer of a mock with `times`. Return False if it has answered so often. Raises StoreError."""
        return mock.times is None or await self._counts.claim(counts.of_answers(mock.definition), mock.times)

    async def claim_fault(
        self, definition: str, limit: int | None, stage: int | None = None, response: int = 0
    ) -> bool:
        """Count a fault of this mock: of the webhook of a stage, or of a response. None: there is no `limit`.

        Return False if it has happened so often. Raises StoreError.
        """
        return limit is None or await self._counts.claim(counts.of_faults(definition, stage, response), limit)

    def forget_counts(self) -> None:
        """Forget how often mocks have answered, and faults have happened."""
        self._counts.clear()

    # Mocks and variables

    def use(self, mocks: Mocks) -> None:
        """Put these mocks in the place of the mocks files' last ones. Added mocks stay in front of them."""
        self._apply(mocks, self._added)

    def set_added(self, added: Sequence[Mocks]) -> None:
        """Put these mocks in front of those of mocks files, in the place of those that were added before."""
        self._apply(self._from_files, added)

    def update_vars(self) -> None:
        """Take over the variables that were set from the shared state, as far as a mocks file has them."""
        known = self.mocks.vars
        self.vars = {**known, **{name: value for name, value in self._state.world.vars.items() if name in known}}
        secrets = [self.vars[name] for name in self.mocks.secret_vars & self.vars.keys()]
        self.redaction.add(texts_in(secrets))
        hiding = {name for name, value in self.vars.items() if self.redaction.redact(value) != value}
        self.secret_vars = self.mocks.secret_vars | hiding
        self._notifier.notify(None)

    def _apply(self, from_files: Mocks, added: Sequence[Mocks]) -> None:
        mocks = Mocks.combine(*added, from_files)
        self._before_use(mocks)
        self._from_files, self._added, self.mocks = from_files, added, mocks
        self.redaction.add(mocks.secrets)
        self.update_vars()
