"""Accept requests and start jobs: a job is written, and its webhooks are scheduled, before its response is sent."""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from functools import partial

from msgspec.structs import replace

from latehook.base import logs
from latehook.base.clock import Clock
from latehook.base.errors import MocksError, StoreError, UnstorableError
from latehook.base.messages import Request
from latehook.base.notifier import Notifier
from latehook.base.terminal import show_while_waiting
from latehook.delivery.attempts import AttemptObserver, Sender
from latehook.delivery.compiled_mocks import CompiledMocks, Restore
from latehook.delivery.dispatcher import DEFAULT_WORKERS
from latehook.delivery.outbox import Outbox
from latehook.delivery.ownership import Ownership
from latehook.delivery.progress import Progress
from latehook.delivery.results import PendingResults
from latehook.engine.added_mocks import AddedMocksCompiler, LoadMocks
from latehook.engine.choices import Choices
from latehook.engine.cluster_notifier import ClusterNotifier
from latehook.engine.context import LiveContext
from latehook.engine.delayed_responses import DelayedResponses
from latehook.engine.journal import Journal, JournalEntry
from latehook.engine.long_polls import LongPolls, TooManyLongPolls
from latehook.engine.shared_journal import SharedJournal
from latehook.engine.standing import Standing
from latehook.engine.starting import DEFAULT_KEEP, JobStarter
from latehook.engine.store_watch import StoreWatch
from latehook.mocks import decide, error_responses
from latehook.mocks.decisions import Decision
from latehook.mocks.definitions import Mock, Mocks
from latehook.store.choosing import make_state
from latehook.store.cluster import Taken
from latehook.store.group_commit import GroupCommit
from latehook.store.protocol import Store
from latehook.store.world import AddedMocks, World

log = logging.getLogger(logs.LOGGER)


class Engine:
    """Accepts requests, on one event loop.

    The design depends on this: all stages and webhooks of a job are made at its request. So the job is written and
    scheduled once; what is open then is decided later, in place (`delivery/decisions.py`). Operations and Queries are
    given an engine, and use the public methods of its parts.
    """

    def __init__(
        self,
        mocks: Mocks,
        store: Store,
        sender: Sender,
        clock: Clock,
        source: random.Random,
        restore: Restore,
        load_mocks: LoadMocks,
        before_use: Callable[[Mocks], None] = lambda _: None,
    ) -> None:
        """`source` gives all random values. `before_use` is called with mocks before they answer a request."""
        self.store = store
        self.clock = clock
        self.random = source
        self.notifier = Notifier() if store.cluster is None else ClusterNotifier(store.cluster, clock.real)
        self.commits = GroupCommit(store, self.notifier)
        self.state = make_state(store, self.commits, clock, self._apply)
        self.standing = Standing(store, self.state)
        self.progress = Progress(self.state, PendingResults(store, self.commits))
        self.context = LiveContext(store, self.state, self.progress, self.notifier, source, mocks, before_use)
        self.compiled_mocks = CompiledMocks(store, restore)
        self._added_mocks = AddedMocksCompiler(load_mocks)
        self.outbox = Outbox(
            store,
            self.commits,
            self.notifier,
            self.state,
            self.progress,
            self.context,
            self.compiled_mocks,
            sender,
        )
        self.long_polls = LongPolls(store, self.context, clock, self.notifier)
        self.ownership = Ownership(store, self.commits, self.progress, self.outbox)
        self.choices = Choices(store, self.commits, self.outbox, self.ownership, self.context)
        self.journal = self._make_journal()
        self._starter = JobStarter(
            store, self.commits, clock, self.compiled_mocks, self.outbox, self.choices, self.ownership
        )
        self._delayed = DelayedResponses(store, self.commits, self.context, self.ownership)
        self._workers = DEFAULT_WORKERS
        self._is_opening = False
        self._closing = False
        self._store_watch = StoreWatch(store, self.state, self.outbox, self.notifier, self._look)

    def _make_journal(self) -> Journal:
        shared, cluster = self.store.shared, self.store.cluster
        if shared is None or cluster is None:
            return Journal()
        return SharedJournal(shared.journal, cluster, self.notifier.notify)

    # Life

    @property
    def mocks(self) -> Mocks:
        """The mocks in use."""
        return self.context.mocks

    def use(self, mocks: Mocks) -> None:
        """Decide requests from now on by these mocks, of the mocks files. Jobs keep the mock that started them."""
        self.context.use(mocks)
        self.compiled_mocks.drop_old(self.context.mocks.all)

    async def add(self, added: AddedMocks) -> Mocks:
        """Put mocks in front of all others, until `reset`. Return them, compiled. Raises MocksError, StoreError."""
        mocks = await self._added_mocks.compile(added)
        await self.state.change(lambda world: replace(world, added=(added, *world.added)))
        return mocks

    @property
    def problems(self) -> list[str]:
        """What is wrong with the store, each in one line."""
        problems = self._store_watch.problems
        if self.state.problem is not None:
            problems.append(self.state.problem)
        if self.outbox.results.problem is not None:
            problems.append(f"results of attempts wait: {self.outbox.results.problem}")
        return problems

    def configure(self, workers: int = DEFAULT_WORKERS, keep: float = DEFAULT_KEEP) -> None:
        """Set how many attempts to one destination run at once, and for how many seconds ended jobs are kept."""
        self._workers = workers
        self._share_workers()
        self._starter.keep = keep

    def _look(self) -> None:
        """Do what has to be done every second, while the store is durable."""
        self.notifier.look()
        self._share_workers()

    def _share_workers(self) -> None:
        """Use a part of the slots of each destination, if other processes send to it too."""
        live = 1 if self.store.cluster is None else self.store.cluster.live
        self.outbox.set_workers(max(self._workers // live, 1))

    def observe_attempts(self, observer: AttemptObserver | None) -> None:
        """Call `observer` with every attempt that has ended; None: call none."""
        self.outbox.observe(observer)

    async def resume(self, speed: float) -> int:
        """Open the store, and continue the work of its last process. The clock runs at `speed`.

        Return how many webhooks are still to be delivered. Raises StoreError.
        """
        self._is_opening = True  # until then, nothing can be read from it
        await self.store.open()
        self._is_opening = False
        self.store.on_connected = self._reload
        if self.store.cluster is not None:
            self.store.cluster.on_taken = self._take_over
        try:
            with show_while_waiting(f"reading {self.store.name}" if self.store.is_durable else ""):
                return await self._resume(speed)
        except StoreError as error:
            raise StoreError(f"mock_store={self.store.name}: {error}: {self.store.remedy}") from error
        except MocksError as error:
            problem = f"mock_store={self.store.name}: mocks that were added before cannot be used any more"
            raise StoreError(f"{problem}: {error}; start as before, or name another store") from error

    async def _resume(self, speed: float) -> int:
        await self.state.load(speed)
        await self._load_webhooks()
        if self.store.is_durable:
            self._store_watch.start()
        return await self.store.count_unfinished()

    async def _reload(self) -> None:
        """Go on with what is in the store, after its connection was broken. Raises StoreError."""
        await self.state.reload()
        await self._load_webhooks()

    async def _load_webhooks(self) -> None:
        """Schedule what is pending in the store, and go on with its open jobs. Raises StoreError."""
        jobs = await self.choices.take_back_undecided(await self.store.open_jobs())
        await self.outbox.reload()
        for key in jobs:
            await self.outbox.decisions.continue_job(key)

    async def _take_over(self, taken: Taken) -> None:
        """Go on with the jobs of a process that has ended. Raises StoreError."""
        open_jobs = await self.choices.take_back_undecided(taken.open_jobs)
        await self.ownership.go_on(taken._replace(open_jobs=open_jobs))

    async def close(self, seconds: float = 1.5) -> int:
        """Wait up to `seconds` for running attempts, and close the store. Return how many webhooks are unfinished."""
        self._closing = True
        self.long_polls.close()
        await self.outbox.close(seconds)
        await self.journal.flush()
        await self._store_watch.stop()
        await self.state.close()
        try:
            return 0 if self._is_opening else await self.store.count_unfinished()
        except StoreError as error:
            log.error("latehook: %s", error)
            return 0
        finally:
            await self.store.close()

    async def _apply(self, before: World, world: World) -> None:
        """Act on a change of the world. Hosts that added mocks name are closed before anything else happens."""
        is_reset = world.resets != before.resets
        if is_reset or world.added is not before.added:
            self.context.set_added(await self._added_mocks.compile_all(world.added))
            self._added_mocks.drop_others(world.added)
            self.compiled_mocks.drop_old(self.context.mocks.all)
        elif world.vars is not before.vars:
            self.context.update_vars()
        if is_reset:
            await self.journal.clear()
            self.context.forget_counts()
            self.compiled_mocks.clear()
            self.choices.clear()
            await self.outbox.forget_all()
            if self.store.shared is not None:  # jobs of requests that came meanwhile may be in the store again
                self.store.shared.world.forget()
                await self._load_webhooks()
        elif world.clock is not before.clock or world.holding is not before.holding:
            self.outbox.recheck()
        self.notifier.notify(None)

    async def reset(self, speed: float) -> None:
        """Forget all jobs, and go back to the state of a new process, with the clock at `speed`. Raises StoreError."""
        number = self.journal.last_number()
        await self.state.reset(speed)
        await self.journal.drop_before(number)

    @property
    def is_closing(self) -> bool:
        """Whether the process ends."""
        return self._closing

    # Requests

    async def accept(self, request: Request, left: asyncio.Event | None = None) -> Decision:
        """Decide what a request gets. Return when its job is in the store and its webhooks are scheduled.

        Also wait for attempts that must come before the response, and for the response's delay, until `left` is set:
        the client has disconnected. A request that cannot be answered, or a store that cannot write, gives a decision
        with an error response.
        """
        if self._closing:
            return self._failure(503, "shutting down", request)
        if (problem := self.standing.problem) is not None:
            return self._failure(503, problem, request)
        try:
            decision = await self._decide_and_count(request)
        except StoreError as error:
            log.error("latehook: %s", error)
            decision = self._failure(503, str(error), request)
        entry = self._record(request, decision)
        mock = decision.mock
        if self.journal.is_shared and (mock is None or decision.problems):  # who asks another process sees it
            await self.journal.flush()
        try:
            return await self._carry_out(request, decision, entry, left)
        except UnstorableError as error:
            place = mock.place if mock is not None else "a mock"
            status, reason = 500, f"{place}: {error}"
        except StoreError as error:
            log.error("latehook: %s", error)
            status, reason = 503, str(error)
        except TooManyLongPolls as error:
            status, reason = 503, str(error)
        entry.set_failed(status)
        self.journal.write(entry)
        return self._failure(status, reason, request, mock)

    def _failure(self, status: int, reason: str, request: Request, mock: Mock | None = None) -> Decision:
        """Return the decision for a request that cannot be answered as its mock says."""
        return Decision(error_responses.failure(status, reason, request, self.context.redaction), mock)

    async def _carry_out(
        self, request: Request, decision: Decision, entry: JournalEntry, left: asyncio.Event | None
    ) -> Decision:
        """Start the decision's job, and return the decision with the response that the request gets in the end.

        Raises StoreError, UnstorableError, TooManyLongPolls.
        """
        mock = decision.mock
        started = await self._starter.start(decision)
        if started is None:  # another request with the same idempotency key was faster
            started, decision = 0, await self._decide(request)
            entry.job = decision.job_id
            self.journal.write(entry)
        decision = await self._choose(decision, started, entry)
        if decision.delay:
            await self.long_polls.delay(decision, started, left)
        if mock is None or decision.delayed is None:
            return decision
        response = await self._delayed.render(mock, decision.delayed, started)
        entry.status = response.status
        self.journal.write(entry)
        self.notifier.notify()
        return replace(decision, response=response, delayed=None)

    async def _decide(self, request: Request) -> Decision:
        return await self.context.decide(partial(decide.decide, self.context.mocks, request))

    async def _decide_and_count(self, request: Request) -> Decision:
        """Return the decision, with its answer and its fault counted.

        Another process may have used up the `times` of its mock meanwhile: then it is decided again. Raises StoreError.
        """
        while True:
            decision = await self._decide(request)
            mock = decision.mock
            if mock is None or mock.times is None or await self.context.claim_answer(mock):
                return decision if mock is None or decision.fault is None else await self._with_fault(mock, decision)

    async def _choose(self, decision: Decision, started: int, entry: JournalEntry) -> Decision:
        """Return the decision for one response, if that was not chosen at the request. Raises StoreError."""
        mock = decision.mock
        if mock is None or decision.delayed is None or decision.delayed.number is not None:
            return decision
        decision = await self._with_fault(mock, await self.choices.choose(mock, decision, started))
        entry.job = decision.job_id
        if decision.response is not None:
            entry.status = decision.response.status
        self.journal.write(entry)
        self.notifier.notify()
        return decision

    def forwards_at_once(self, requests: Sequence[Request]) -> bool:
        """Return whether a request is forwarded by its headers alone, before its body has come. Record it if so.

        `requests` is the request once for each mocked host that it names: the mocks of all must say so.
        """
        decisions = [decide.forwards_at_once(self.context.mocks, request) for request in requests]
        if decisions[0] is None or None in decisions:
            return False
        self._record(requests[0], decisions[0])
        return True

    async def forwards(self, request: Request) -> bool:
        """Return whether a request is forwarded. Nothing is recorded or counted."""
        return (await self._decide(request)).forwards

    def note_other(self, method: str, url: str) -> None:
        """Note that a request, or a connection, leaves for a host that no mock names."""
        self.journal.add_other(self.clock.real(), method, url)
        self.notifier.notify()

    def _record(self, request: Request, decision: Decision) -> JournalEntry:
        """Add a request to the journal."""
        status = None if decision.response is None else decision.response.status
        if decision.delayed is not None and decision.delayed.number is not None and decision.mock is not None:
            fixed = decision.mock.response_number(decision.delayed.number).status
            status = fixed if isinstance(fixed, int) else None
        mock = None if decision.mock is None else decision.mock.name
        self.notifier.notify()
        if decision.problems:
            log.warning("latehook: %s: the request does not fit its document: %s", mock, "; ".join(decision.problems))
        return self.journal.add(
            self.clock.real(), request, status, mock, decision.job_id, decision.near_misses, decision.problems
        )

    async def _with_fault(self, mock: Mock, decision: Decision) -> Decision:
        """Return a decision, without its fault if this one has happened as often as it may. Raises StoreError."""
        fault = mock.response_number(decision.chosen).fault if decision.fault is not None else None
        if fault is None:
            return decision
        if not await self.context.claim_fault(mock.definition, fault.count, response=decision.chosen):
            return replace(decision, fault=None)
        log.info("latehook: %s: the response's fault: %s", mock.name, decision.fault)
        return decision
