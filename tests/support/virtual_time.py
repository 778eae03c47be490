"""A real event loop whose time jumps to the next timer: hours pass at once, and nothing else differs."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any

NOON = 1_800_000_000.0


class JumpingLoop(asyncio.SelectorEventLoop):
    """When nothing is left to do but to wait, the waiting is over."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[asyncio.TimerHandle] = []
        super().__init__(_Jumps(self))

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[..., object], *args: Any, **options: Any) -> asyncio.TimerHandle:
        timer = super().call_at(when, callback, *args, **options)
        self.timers.append(timer)
        return timer

    @property
    def running_timers(self) -> int:
        return sum(not timer.cancelled() and timer.when() > self.now for timer in self.timers)


class _Jumps(selectors.DefaultSelector):
    def __init__(self, loop: JumpingLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        assert timeout is not None, "nothing will ever happen any more"
        self._loop.now += timeout
        return super().select(0)


class Wall:
    """The machine's clock: it goes with the loop's time, until somebody sets it."""

    def __init__(self) -> None:
        self.offset = NOON

    def __call__(self) -> float:
        return asyncio.get_running_loop().time() + self.offset


def run(act: Coroutine[Any, Any, None]) -> None:
    """Run it on such a loop."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(act)
