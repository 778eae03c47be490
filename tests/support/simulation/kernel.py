"""Virtual time: what happens when, in an order that a source of random numbers chooses."""

import heapq
import random
from collections.abc import Callable
from itertools import count
from typing import Protocol

NEVER = float("inf")


class Runner(Protocol):
    """Something that runs when its time has come, such as the event loop of a process."""

    def wakes_at(self) -> float:
        """Return when it has something to do, by virtual time; NEVER if it has nothing to do."""

    def turn(self) -> None:
        """Do what is to be done now."""


class Kernel:
    """Runs actions and runners. `now` is virtual time in seconds. `source` chooses delays and orders."""

    def __init__(self, source: random.Random) -> None:
        self.now = 0.0
        self.source = source
        self.runners: list[Runner] = []
        self._actions: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._is_stopped = False

    def after(self, delay: float, action: Callable[[], None]) -> None:
        """Do something in `delay` seconds."""
        heapq.heappush(self._actions, (self.now + delay, next(self._numbers), action))

    def run(self, until: float) -> None:
        """Run until this time, or until `stop`."""
        actions, source = self._actions, self.source
        while not self._is_stopped:
            now, earliest, ready = self.now, NEVER, list[Runner]()
            for runner in self.runners:
                at = runner.wakes_at()
                if at < now:
                    at = now
                if at < earliest:
                    earliest, ready = at, [runner]
                elif at == earliest and at < NEVER:
                    ready.append(runner)
            action_at = actions[0][0] if actions else NEVER
            if earliest > until and action_at > until:
                self.now = until
                return
            if action_at < earliest or (action_at == earliest and source.random() < 0.5):
                self.now, _, action = heapq.heappop(actions)
                action()
            else:
                self.now = earliest
                (ready[0] if len(ready) == 1 else ready[int(source.random() * len(ready))]).turn()

    def stop(self) -> None:
        """Run nothing more."""
        self._is_stopped = True
