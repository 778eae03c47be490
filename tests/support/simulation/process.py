"""A process of a simulation: a whole engine with its store, on an event loop and a clock of its own."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from latehook.base.clock import Clock
from latehook.base.errors import LatehookError
from latehook.base.messages import Outcome, Outgoing
from latehook.base.redaction import Redaction
from latehook.engine.engine import Engine
from latehook.engine.operations import Operations
from latehook.mocks.definitions import Mock, Mocks
from latehook.mocksfile import loading
from latehook.proxy.mocked_hosts import ClosedHosts, MockedHosts
from latehook.store.address import PostgresAddress, parse_address
from latehook.store.membership import FRESH
from latehook.store.postgresql import PostgresStore
from support.simulation.kernel import NEVER, Kernel
from support.simulation.loop import SimulatedLoop
from support.simulation.server import Connection, Server
from support.virtual_time import NOON

LEASE = 2.0
"""Seconds, of every process of a simulation."""

Receive = Callable[["Process", Outgoing], Awaitable[Outcome]]


@dataclass
class Interval:
    """A time in which a fault has effects on a process. `end` is NEVER while it lasts."""

    start: float
    end: float = NEVER


def overlaps(intervals: Iterable[Interval], start: float, end: float) -> bool:
    return any(interval.start <= end and interval.end >= start for interval in intervals)


class Process:
    """A process, which `start` starts. Its clocks run at `rate`, and its real time is `skew` seconds off.

    `receive` is the receiver of its attempts. `after_turn` is called after each turn of its loop, and `on_error` with
    exceptions that nobody catches: faults of Latehook.
    """

    def __init__(
        self,
        kernel: Kernel,
        server: Server,
        mocks: Mocks,
        receive: Receive,
        after_turn: Callable[["Process"], None],
        on_error: Callable[[BaseException], None],
        seed: int,
    ) -> None:
        self.name = f"P{seed}"
        self.is_cut = False
        self.is_dead = False
        self.is_ready = False
        """Whether it has started, and is not ending."""
        self.faults: list[Interval] = []
        self.rate = 1 + kernel.source.uniform(-0.05, 0.05)
        self.skew = kernel.source.uniform(-5, 5)
        self._kernel = kernel
        self._server = server
        self._receive = receive
        self._after_turn = after_turn
        self._on_exception = on_error
        self._paused_until = 0.0
        self._start = 1000.0 * seed
        self._hosts = ClosedHosts(MockedHosts(), lambda: self.engine.standing.closes_all_hosts is not None)
        self.loop = SimulatedLoop(self.steady)
        self.loop.process = self  # type: ignore[attr-defined]
        self.loop.set_exception_handler(self._on_error)
        self.store = PostgresStore(_address(), lease=LEASE, real=self.real, steady=self.steady_of_store)
        self.engine = Engine(
            mocks,
            self.store,
            self,
            Clock(self.real, self.steady),
            random.Random(seed),
            _restore,
            lambda text, file, variables, files: compiled(text),
            self._use,
        )
        self.operations = Operations(self.engine)
        kernel.runners.append(self)

    # Clocks

    def steady(self) -> float:
        return self._start + self._kernel.now * self.rate

    def steady_of_store(self) -> float:
        return self.steady()

    def real(self) -> float:
        return NOON + self._kernel.now + self.skew

    def wakes_at(self) -> float:
        at = self.loop.wakes_at()
        if at == NEVER:
            return NEVER
        at = (at - self._start) / self.rate
        return at if at > self._paused_until else self._paused_until

    def turn(self) -> None:
        self.loop.turn()
        if not self.is_dead:
            self._after_turn(self)

    # What happens to it

    def start(self, failed: Callable[[], None]) -> None:
        """Start it. If it cannot use the store, it ends, and `failed` is called."""

        def started(result: object) -> None:
            if isinstance(result, Exception):
                self._kernel.after(0.0, self.crash)
                failed()
            else:
                self.is_ready = True

        self.run(lambda: self.engine.resume(1.0), started)

    def run(self, work: Callable[[], Awaitable[Any]], done: Callable[[Any], None] = lambda result: None) -> None:
        """Start a task. Call `done` with its result, or with its LatehookError, unless the process ends before."""

        async def run() -> None:
            try:
                result = await work()
            except LatehookError as error:
                result = error
            if not self.is_dead:
                done(result)

        task = self.loop.create_task(run())
        task.add_done_callback(self._check)

    def pause(self, seconds: float) -> None:
        self.faults.append(Interval(self._kernel.now, self._kernel.now + seconds))
        self._paused_until = max(self._kernel.now + seconds, self._paused_until)

    def cut(self) -> None:
        self.faults.append(Interval(self._kernel.now))
        self.is_cut = True

    def mend(self) -> None:
        """End a cut. It has effects as long as the process may trust a heartbeat from before it.

        Its connections do not tell that they are broken: its lease may end before it has connected again.
        """
        if self.is_cut:
            self.is_cut = False
            for fault in self.faults:
                if fault.end == NEVER:
                    fault.end = max(self._kernel.now, fault.start + FRESH * LEASE / self.rate)
            self._server.mended(self)

    def lose_connections(self) -> None:
        """Break all connections. What was under way may or may not happen."""
        self.faults.append(Interval(self._kernel.now, self._kernel.now))
        for connection in list(self._server.connections):
            if connection.client is self:
                connection.drop()

    def crash(self) -> None:
        self.faults.append(Interval(self._kernel.now))
        self._end()
        for connection in list(self._server.connections):
            if connection.client is self:
                connection.terminate()

    def stop(self, done: Callable[[], None]) -> None:
        """End as after SIGTERM."""
        self.faults.append(Interval(self._kernel.now))
        self.is_ready = False

        def ended(_: Any) -> None:
            self._kernel.after(0.0, self._end)
            done()

        self.run(self.engine.close, ended)

    def _end(self) -> None:
        if not self.is_dead:
            self.is_dead, self.is_ready = True, False
            self._kernel.runners.remove(self)
            self.loop.end()

    def end(self) -> None:
        """Free what it holds, at the end of a history."""
        self._end()

    def had_fault(self, start: float, end: float) -> bool:
        """Return whether a fault has acted on it between these times."""
        return overlaps(self.faults, start, end)

    @property
    def is_running(self) -> bool:
        return not self.is_dead and self._paused_until <= self._kernel.now

    # What it asks its surroundings

    async def connect(self, timeout: float) -> Connection:
        return await self._server.connect(self, timeout)

    def preload(self) -> None:
        pass

    async def send(self, outgoing: Outgoing, observer: object = None) -> Outcome:
        return await self._receive(self, outgoing)

    async def close(self) -> None:
        pass

    def _use(self, mocks: Mocks) -> None:
        self._hosts.mocked.add(mock.matcher for mock in mocks.all)

    def lets_out(self, host: str) -> bool:
        """Return whether a connection to this host would leave now."""
        if not self.is_ready or not self.is_running or self.engine.is_closing:
            return False
        return not self._hosts.contains(host, 443)

    @property
    def was_alone(self) -> bool:
        """Whether it knew of no other process when it lost the store: it then lets out what it does not know."""
        return self.store.cluster.live == 1 and self.store.cluster.is_unreachable

    def _check(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_exception(error)

    def _on_error(self, loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, BaseException) and not self.is_dead:
            self._on_exception(error)


@cache
def compiled(text: str) -> Mocks:
    """Compile mocks. They are immutable: all processes and histories use the same ones."""
    return loading.load_text(text, None, {}, {}, {})


def _restore(excerpt: bytes) -> Mock:
    return _restored(excerpt)


@cache
def _restored(excerpt: bytes) -> Mock:
    return loading.restore(excerpt, {}, Redaction())


@cache
def _address() -> PostgresAddress:
    address = parse_address("postgresql://latehook@db.test/db?schema=simulated")
    assert isinstance(address, PostgresAddress)
    return address
