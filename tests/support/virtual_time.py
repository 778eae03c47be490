"""An asyncio event loop with virtual time: instead of waiting for the next timer it sets its time to that timer's."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any

from support.limits import LIMIT

NOON = 1_800_000_000.0
"""What `SettableClock` shows, in Unix seconds, when the loop starts."""


class LoopWithoutThreads(asyncio.BaseEventLoop):
    """A loop that does the work of a thread itself."""

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """Do the work of a thread at once: it takes no time."""
        result = self.create_future()
        try:
            result.set_result(func(*args))
        except Exception as error:
            result.set_exception(error)
        return result


class VirtualTimeLoop(LoopWithoutThreads, asyncio.SelectorEventLoop):
    """A loop whose time stands still while callbacks run, and jumps when only timers are left.

    While `is_waiting`, a server works for the test: the loop waits for it, and its time stands still too.
    """

    def __init__(self, is_waiting: Callable[[], bool] = lambda: False) -> None:
        self.now = 0.0
        self.is_waiting = is_waiting
        self.timers: list[asyncio.TimerHandle] = []
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[..., object], *args: Any, **options: Any) -> asyncio.TimerHandle:
        timer = super().call_at(when, callback, *args, **options)
        self.timers.append(timer)
        return timer

    @property
    def running_timers(self) -> int:
        """How many timers have neither run nor been cancelled."""
        return sum(not timer.cancelled() and timer.when() > self.now for timer in self.timers)


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        if self._loop.is_waiting():
            return super().select(0 if timeout == 0 else LIMIT)
        assert timeout is not None, "deadlock: nothing is scheduled, so the loop would wait forever"
        self._loop.now += timeout
        return super().select(0)


def loop_time() -> float:
    """Return the time of the running loop in seconds; 0 before it runs."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return 0.0


class SettableClock:
    """The clock of the machine in Unix seconds. It runs with the loop's time; add to `offset` to set it."""

    def __init__(self) -> None:
        self.offset = NOON

    def __call__(self) -> float:
        return loop_time() + self.offset


def run(coroutine: Coroutine[Any, Any, None], is_waiting: Callable[[], bool] = lambda: False) -> None:
    """Run the coroutine on a `VirtualTimeLoop`."""
    with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(is_waiting)) as runner:
        runner.run(coroutine)
