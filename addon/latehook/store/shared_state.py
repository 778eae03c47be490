"""The world of this process: the values that all jobs share. The store keeps them for the next process."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from latehook.base.clock import Clock
from latehook.base.errors import MocksError, StoreError
from latehook.store.group_commit import GroupCommit
from latehook.store.protocol import Store
from latehook.store.world import ADDED, CLOCK, HOLDING, VARS, AddedMocks, ClockSetting, World

Apply = Callable[[World, World], Awaitable[None]]
"""Acts on a change from one world to the next. The clock and the hold are as in the next one already."""


class SharedState:
    """The world, and Latehook's clock. `holding` is that of the world.

    The world changes by `change` and `reset` alone. Each writes the new one, commits it, and applies it then: `apply`
    is awaited. Raises StoreError: the old world stays.
    """

    def __init__(self, store: Store, commits: GroupCommit, clock: Clock, apply: Apply) -> None:
        self.clock = clock
        self.world = World(ClockSetting(clock.now(), clock.real(), clock.speed))
        self.holding = False  # an attribute, as every webhook reads it
        self._written = 0.0  # the time of the clock that the store has
        self._store = store
        self._commits = commits
        self._act = apply
        self._changing = asyncio.Lock()

    @property
    def problem(self) -> str | None:
        """Why this process must not answer requests: it lacks what another one has changed. None: it may answer."""
        return None

    async def load(self, speed: float) -> None:
        """Apply what the store's last process has written, and run the clock at `speed`.

        The clock has gone on meanwhile, by real time. If the machine's clock was set back, no time has passed.
        """
        real = self._real()
        settings = await self._store.get_value(CLOCK, list[tuple[float, float, float]])
        moment = ClockSetting(*settings[-1]).at(real) if settings else real
        await self.write_clock(moment, speed)
        await self._apply(await self._read(ClockSetting(moment, real, speed)))

    async def reload(self) -> None:
        """Apply what the store has, except the clock."""
        await self._apply(await self._read(self.world.clock))

    async def change(self, change: Callable[[World], World]) -> None:
        """Change the world to what `change` returns for it."""
        async with self._changing:
            world = change(self.world)
            async with self._commits.transaction():
                for name, value in world.changes(self.world).items():
                    self._store.set_value(name, value)
            if world.clock is not self.world.clock:
                self._written = world.clock.moment
            await self._apply(world)

    async def reset(self, speed: float) -> None:
        """Clear the store, and go back to the world of a new process, with the clock at `speed`."""
        async with self._changing:
            async with self._commits.transaction():
                self._store.clear()
            self._written = 0.0
            await self._apply(self._new_world(self.world, speed))

    async def close(self) -> None:
        """Apply nothing any more."""

    def _new_world(self, world: World, speed: float) -> World:
        """Return the world of a new process, after another one."""
        real = self._real()
        return World(ClockSetting(real, real, speed), resets=world.resets + 1)

    def clock_setting(self, speed: float) -> ClockSetting:
        """Return the clock as it is now, to go on at `speed`."""
        return ClockSetting(self.clock.now(), self._real(), speed)

    # The clock, for the next process

    async def write_clock(self, moment: float, speed: float) -> None:
        """Write the clock as it will be, without changing it: an advance moves it step by step."""
        async with self._commits.transaction():
            self._store.set_value(CLOCK, [(moment, self._real(), speed)])
        self._written = moment

    async def keep_clock(self) -> None:
        """Write the clock as it is now, or as a running advance will leave it: the next process goes on from there."""
        await self.write_clock(max(self.clock.now(), self._written), self.clock.speed)

    def _real(self) -> float:
        """Return the real time that settings of the clock are in."""
        return self.clock.real()

    async def _read(self, clock: ClockSetting) -> World:
        """Return the world that the store has, with this clock."""
        return World(
            clock,
            bool(await self._store.get_value(HOLDING, bool)),
            await self._store.get_value(VARS, dict[str, Any]) or {},
            await self._store.get_value(ADDED, tuple[AddedMocks, ...]) or (),
            self.world.resets,
        )

    async def _apply(self, world: World) -> None:
        before, self.world = self.world, world
        self.holding = world.holding
        if world.clock is not before.clock:
            self.clock.set(world.clock.at(self._real()), world.clock.speed)
        try:
            await self._act(before, world)
        except (MocksError, StoreError):
            self.world = before  # the next attempt applies again what is new
            raise
