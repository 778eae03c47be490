"""An event loop with virtual time: instead of waiting for the next timer it sets its time to that timer's."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any


class _VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop whose time stands still while callbacks run, and jumps when only timers are left."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        return self.now


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: _VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        self._loop.now += timeout or 0.0
        return super().select(0 if timeout is not None else None)


def run[Result](coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Run the coroutine, and return its result. Nothing in it waits in real time."""
    with asyncio.Runner(loop_factory=_VirtualTimeLoop) as runner:
        return runner.run(coroutine)
