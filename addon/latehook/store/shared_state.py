"""The values that all jobs share and that operations change. The store keeps them for the next process."""

from collections.abc import Collection, Mapping
from typing import Any

from latehook.base.clock import Clock
from latehook.store.group_commit import GroupCommit
from latehook.store.protocol import Store

CLOCK, HOLDING, VARS = "clock", "holding", "vars"
"""The names under which the store has the values."""


class SharedState:
    """Latehook's clock, the hold, and the variables that operations have set.

    `holding` is whether no webhook starts, unless an operation sends it. `vars` has only the variables that were set.
    They change by the methods below, each of which writes the new value, commits it, and applies it then. Raises
    StoreError: the old value stays.
    """

    def __init__(self, store: Store, commits: GroupCommit, clock: Clock) -> None:
        self.clock = clock
        self.holding = False
        self.vars: Mapping[str, Any] = {}
        self._written = 0.0  # the time of the clock that the store has
        self._store = store
        self._commits = commits

    async def load(self, speed: float) -> None:
        """Apply what the store's last process has written, and run the clock at `speed`.

        The clock has gone on meanwhile, by real time. If the machine's clock was set back, no time has passed.
        """
        moment = self.clock.real()
        if marks := await self._store.get_value(CLOCK, list[tuple[float, float, float]]):
            last_moment, last_real, last_speed = marks[-1]
            moment = last_moment + max(moment - last_real, 0.0) * last_speed
        self.clock.set(moment, speed)
        await self.write_clock(moment, speed)
        await self.reload()

    async def reload(self) -> None:
        """Apply the hold and the variables that the store has."""
        self.holding = bool(await self._store.get_value(HOLDING, bool))
        self.vars = await self._store.get_value(VARS, dict[str, Any]) or {}

    async def set_holding(self, holding: bool) -> None:
        await self._write(HOLDING, holding)
        self.holding = holding

    async def set_vars(self, values: Mapping[str, Any]) -> None:
        """Set these variables, and no others."""
        await self._write(VARS, values)
        self.vars = values

    async def set_speed(self, speed: float) -> None:
        await self.write_clock(self.clock.now(), speed)
        self.clock.set(self.clock.now(), speed)

    async def write_clock(self, moment: float, speed: float) -> None:
        """Write the clock as it will be, without changing it: an advance moves it step by step."""
        await self._write(CLOCK, [(moment, self.clock.real(), speed)])
        self._written = moment

    async def keep_clock(self) -> None:
        """Write the clock as it is now, or as a running advance will leave it: the next process goes on from there."""
        await self.write_clock(max(self.clock.now(), self._written), self.clock.speed)

    def drop_vars(self, known: Collection[str]) -> None:
        """Forget the values of variables that are not `known`: no mocks file has them any more."""
        self.vars = {name: value for name, value in self.vars.items() if name in known}

    def reset(self, speed: float) -> None:
        """Go back to the values of a new process, with the clock at `speed`. The store has been cleared before."""
        self.clock.set(self.clock.real(), speed)
        self._written = 0.0
        self.holding = False
        self.vars = {}

    async def _write(self, name: str, value: Any) -> None:
        async with self._commits.transaction():
            self._store.set_value(name, value)
