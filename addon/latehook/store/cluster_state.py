"""The world of several processes that share a store: each change is applied by all before it is done."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec
from msgspec.structs import replace

from latehook.base import logs
from latehook.base.clock import Clock
from latehook.base.errors import MocksError, StoreError
from latehook.store.cluster import Cluster
from latehook.store.damage import DAMAGED
from latehook.store.group_commit import GroupCommit
from latehook.store.protocol import Store
from latehook.store.shared import SharedWorld, StoredWorld
from latehook.store.shared_state import Apply, SharedState
from latehook.store.values import encode, read_value
from latehook.store.world import ADDED, CLOCK, HOLDING, VARS, AddedMocks, ClockSetting, World

log = logging.getLogger(logs.LOGGER)

WORLD = "world"
"""The kind of a notice that the world has changed."""

BEHIND = "this process has joined those that share its store, and has not read yet what they have changed"

LOOK_AFTER = 1.0
"""Seconds after which the store is looked at even if no notice has come."""


class ClusterState(SharedState):
    """As SharedState. A change returns when all processes that are alive have applied it.

    Each process applies the changes of others in their order, and acknowledges them then: a change of hosts has ended
    connections by then, and a hold has stopped attempts. One that cannot apply a change answers nothing any more.
    """

    def __init__(
        self, store: Store, commits: GroupCommit, clock: Clock, apply: Apply, cluster: Cluster, shared: SharedWorld
    ) -> None:
        super().__init__(store, commits, clock, apply)
        self._cluster = cluster
        self._shared = shared
        self._revision = -1  # that was applied here
        self._epoch: int | None = None  # of this process when it has applied that; None: it is still to load
        self._unusable: str | None = None
        self._parts: Mapping[str, bytes] = {}  # of the world that is in use here, as the store has them
        self._wake = asyncio.Event()
        self._following: asyncio.Task[None] | None = None
        cluster.subscribe(WORLD, lambda _: self._wake.set())

    @property
    def problem(self) -> str | None:
        if self._unusable is not None:
            return self._unusable
        return None if self._epoch in (None, self._cluster.epoch) else BEHIND

    async def load(self, speed: float) -> None:
        """Apply the world of the store. If no other process is alive, run the clock at `speed`."""
        async with self._changing:
            await self._catch_up()
        if self._cluster.live == 1:
            await self.change(lambda world: replace(world, clock=self.clock_setting(speed)))
        elif self.clock.speed != speed:
            log.warning("latehook: mock_speed=%g is not used: the other processes run at %g", speed, self.clock.speed)
        if self._following is None:
            self._following = asyncio.get_running_loop().create_task(self._follow(), name="latehook: follow the world")

    async def reload(self) -> None:
        async with self._changing:
            await self._catch_up()

    async def change(self, change: Callable[[World], World]) -> None:
        await self._change(change)

    async def reset(self, speed: float) -> None:
        await self._change(partial(self._new_world, speed=speed), clears=True)

    async def close(self) -> None:
        if self._following is not None:
            self._following.cancel()

    def _real(self) -> float:
        """Return the database's time: the clocks of the machines may differ."""
        return self.clock.real() + self._shared.offset

    async def write_clock(self, moment: float, speed: float) -> None:
        """Write the clock for a later process. While others are alive, they have it."""
        if self._cluster.live == 1:
            await super().write_clock(moment, speed)

    async def _change(self, change: Callable[[World], World], clears: bool = False) -> None:
        async with self._changing:
            while True:
                if self._unusable is not None and not clears:  # it would be a change of a world that is not known here
                    raise StoreError(self._unusable)
                epoch = self._cluster.epoch
                world = change(self.world)
                parts = {name: encode(value) for name, value in world.changes(self.world).items()}
                revision = await self._shared.write(self._revision, parts, world.holding, clears)
                if revision is not None:
                    break
                await self._catch_up()  # another process was faster
            self._cluster.publish(WORLD, [revision])
            await self._apply_revision(revision, world, parts if clears else {**self._parts, **parts}, epoch)
        await self._cluster.applied_by_all(revision)

    async def _catch_up(self) -> None:
        """Apply what other processes have changed. Raises StoreError, and at the start MocksError."""
        epoch = self._cluster.epoch  # before it reads: if it joins again meanwhile, it has to read again
        stored = await self._shared.read()
        if stored.revision == self._revision:
            await self._acknowledge(epoch)
            return
        await self._apply_revision(stored.revision, self._decoded(stored), stored.parts, epoch)

    async def _apply_revision(self, revision: int, world: World, parts: Mapping[str, bytes], epoch: int) -> None:
        """Apply a world that this process has read or written while it had this epoch, and acknowledge it."""
        try:
            await self._apply(world)
        except MocksError as error:
            if self._following is None:
                raise
            self._unusable = f"another process has added mocks that cannot be used here: {error}"
            log.error("latehook: %s; no request is answered until the next reset", self._unusable)
        else:
            self._unusable, self._parts = None, parts
        self._revision = revision
        await self._acknowledge(epoch)

    async def _acknowledge(self, epoch: int) -> None:
        await self._cluster.acknowledge(self._revision)
        self._epoch = epoch

    def _decoded(self, stored: StoredWorld) -> World:
        """Return a world of the store. Parts that are as before are the same objects. Raises StoreError."""
        before = self.world

        def part(name: str, kind: Any, now: Any, default: Any) -> Any:
            value = stored.parts.get(name)
            if value == self._parts.get(name):
                return now
            return default if value is None else msgspec.convert(read_value(value), kind)

        try:
            clock = part(CLOCK, list[tuple[float, float, float]], None, None)
            return World(
                ClockSetting(*clock[-1]) if clock else before.clock,
                part(HOLDING, bool, before.holding, False),
                part(VARS, dict[str, Any], before.vars, {}),
                part(ADDED, tuple[AddedMocks, ...], before.added, ()),
                stored.resets,
            )
        except DAMAGED as error:
            raise StoreError(f"the store cannot read: what all jobs share is damaged: {error}") from error

    async def _follow(self) -> None:
        """Apply what other processes change, until this is canceled."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), LOOK_AFTER)
            self._wake.clear()
            try:
                if self._epoch != self._cluster.epoch or await self._shared.revision() != self._revision:
                    await self.reload()
            except StoreError:  # the next look is in a second
                continue
            except Exception:  # without this, changes would never be applied any more
                log.exception("latehook: a change of another process could not be applied")
