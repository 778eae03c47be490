"""Make the parts that accept requests and send webhooks, start and stop them, and apply what operations change."""

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from msgspec.structs import replace

from latehook.base import logs
from latehook.base.clock import Clock
from latehook.base.errors import MocksError, StoreError
from latehook.base.messages import Request
from latehook.base.terminal import show_while_waiting
from latehook.delivery.attempts import AttemptObserver, Sender
from latehook.delivery.compiled_mocks import CompiledMocks, Restore
from latehook.delivery.dispatcher import DEFAULT_WORKERS
from latehook.delivery.outbox import Outbox
from latehook.delivery.ownership import Ownership
from latehook.delivery.progress import Progress
from latehook.delivery.results import PendingResults
from latehook.engine.accepting import Acceptor
from latehook.engine.added_mocks import AddedMocksCompiler, LoadMocks
from latehook.engine.choices import Choices
from latehook.engine.context import LiveContext
from latehook.engine.deciding import Decider
from latehook.engine.delayed_responses import DelayedResponses
from latehook.engine.long_polls import LongPolls
from latehook.engine.recording import Recorder
from latehook.engine.sharing import make_journal, make_notifier
from latehook.engine.standing import Standing
from latehook.engine.starting import DEFAULT_KEEP, JobStarter
from latehook.engine.store_watch import StoreWatch
from latehook.mocks.decisions import Decision
from latehook.mocks.definitions import Mocks
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
        self.notifier = make_notifier(store, clock.real)
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
        self.choices = Choices(store, self.commits, self.outbox, self.ownership, self.context, self.notifier)
        self.journal = make_journal(store, self.notifier)
        self._recorder = Recorder(self.journal, self.notifier, clock)
        self._decider = Decider(self.context)
        self._starter = JobStarter(
            store, self.commits, clock, self.compiled_mocks, self.outbox, self.choices, self.ownership
        )
        delayed = DelayedResponses(store, self.commits, self.context, self.ownership)
        self._workers = DEFAULT_WORKERS
        self._acceptor = Acceptor(
            self.standing,
            self._decider,
            self._recorder,
            self._starter,
            self.choices,
            self.long_polls,
            delayed,
            self.context.redaction,
        )
        self._is_opening = False
        self._store_watch = StoreWatch(store, self.state, self.outbox, self.notifier, self._look)

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
        self._acceptor.close()
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
        return self._acceptor.is_closed

    # Requests

    def accept(self, request: Request, left: asyncio.Event | None = None) -> Coroutine[Any, Any, Decision]:
        """Decide what a request gets, and start its job: see `Acceptor.accept`."""
        return self._acceptor.accept(request, left)

    def forwards_at_once(self, requests: Sequence[Request]) -> bool:
        """Return whether a request is forwarded by its headers alone, before its body has come. Record it if so.

        `requests` is the request once for each mocked host that it names: the mocks of all must say so.
        """
        decision = self._decider.forwards_at_once(requests)
        if decision is not None:
            self._recorder.record(requests[0], decision)
        return decision is not None

    async def forwards(self, request: Request) -> bool:
        """Return whether a request is forwarded. Nothing is recorded or counted."""
        return (await self._decider.decide(request)).forwards

    def note_other(self, method: str, url: str) -> None:
        """Note that a request, or a connection, leaves for a host that no mock names."""
        self._recorder.other(method, url)
