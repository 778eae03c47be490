"""The processes on one schema: this one joins, renews its lease, and takes over from those whose lease has ended."""

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress

from latehook.base import logs
from latehook.base.errors import StoreError
from latehook.store.cluster import MANY, ROWS, JobOwners, Taken
from latehook.store.membership import Membership, Node
from latehook.store.postgresql.link import Link
from latehook.store.postgresql.notices import Callback, Notices
from latehook.store.postgresql.owners import OwnersInPostgres

log = logging.getLogger(logs.LOGGER)

JOIN = "SELECT id, epoch FROM join_nodes($1, $2, $3)"
BEAT = "SELECT epoch, remaining, applied FROM beat($1, $2, $3)"
DECLARE_DEAD = "SELECT declare_dead($1, $2::bigint[])"
LEAVE = "DELETE FROM node WHERE epoch = $1"
NOT_APPLIED = "SELECT epoch FROM node WHERE applied < $1 AND epoch <> $2"
"""Also processes whose lease is over, until they are declared dead: one may be alive again at its next heartbeat."""

JOINED, LEFT, APPLIED = "joined", "left", "applied"
"""Kinds of notices."""

LOOK_AGAIN = 0.2
"""Seconds after which the other processes are looked at again that have to apply a revision."""


class Nodes:
    """This process among those on its schema. `on_rejoined` is called when it has joined again after it was dead.

    `lease` is in seconds. `written` returns when the writes that are on their way have been answered. `steady` returns
    seconds that pass evenly.
    """

    def __init__(
        self,
        link: Link,
        lease: float,
        on_rejoined: Callable[[], Awaitable[None]],
        written: Callable[[], Awaitable[None]],
        steady: Callable[[], float],
    ) -> None:
        self._owners = OwnersInPostgres(link, lambda: self.epoch)
        self.lease = lease
        self.applied = 0
        self.number = 0
        """The place of this process in keys. No two processes that are alive have the same."""
        self.on_taken: Callable[[Taken], Awaitable[None]] | None = None
        self._link = link
        self._membership = Membership(lease)
        self._notices = Notices(self._notify, lambda: self.epoch)
        self._on_rejoined = on_rejoined
        self._written = written
        self._steady = steady
        self._joining = asyncio.Lock()
        self._wake = asyncio.Event()
        self._has_news = False  # a process has left, or it was declared dead
        self._must_reload = False  # it may own more than it knows of, until `on_rejoined` has succeeded
        self._applied_elsewhere = asyncio.Event()
        self._beating: asyncio.Task[None] | None = None
        self._catching_up: asyncio.Task[None] | None = None
        self._has_joined_before = False
        self.subscribe(JOINED, lambda _: self._wake.set())
        self.subscribe(LEFT, self._on_left)
        self.subscribe(APPLIED, lambda _: self._applied_elsewhere.set())

    # What others ask

    @property
    def owners(self) -> JobOwners:
        return self._owners

    @property
    def epoch(self) -> int:
        return self._membership.epoch or 0

    @property
    def is_fresh(self) -> bool:
        return self._membership.is_fresh(self._steady())

    @property
    def is_unreachable(self) -> bool:
        return self._link.problem is not None

    @property
    def live(self) -> int:
        return 1 + sum(node.left > 0 for node in self._membership.others)

    @property
    def others(self) -> Collection[int]:
        return [node.epoch for node in self._membership.others if node.left > 0]

    @property
    def has_company(self) -> bool:
        return self._membership.has_company

    def publish(self, kind: str, numbers: Collection[int] | None = MANY) -> None:
        if self._membership.others:
            self._notices.publish(kind, numbers)

    def subscribe(self, kind: str, callback: Callback) -> None:
        self._notices.subscribe(kind, callback)

    def hear(self, text: str) -> None:
        """Act on a notice that has come."""
        self._notices.hear(text)

    async def acknowledge(self, revision: int) -> None:
        await self._written()  # attempts that have begun before a hold are sent before it is acknowledged
        self.applied = max(self.applied, revision)
        await self._beat()
        self.publish(APPLIED, [revision])

    async def applied_by_all(self, revision: int) -> None:
        while await self._link.fetch(NOT_APPLIED, revision, self.epoch):
            self._applied_elsewhere.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._applied_elsewhere.wait(), LOOK_AGAIN)

    # Joining and leaving

    async def join(self) -> bool:
        """Join, unless this process is alive already. Return whether it is new here. Raises StoreError."""
        async with self._joining:
            if self._membership.epoch is not None and await self._beat():
                return False
            if self._has_joined_before:
                log.warning("latehook: the other processes have declared this one dead: it joins again")
            began = self._steady()
            about = f"{socket.gethostname()} {os.getpid()}"
            rows = await self._link.beat(JOIN, about, self._membership.lease, not self._has_joined_before)
            [(self.number, epoch)] = rows
            self._membership.joined(epoch, began)
            self._has_joined_before = True
        self._notices.publish(JOINED)
        self._wake.set()  # the first heartbeat sees the others
        if self._beating is None:
            self._beating = asyncio.get_running_loop().create_task(self._beat_on(), name="latehook: heartbeat")
        return True

    def excluded(self) -> None:
        """Join again soon: the database says that this process was declared dead."""
        self._membership.excluded()
        self._wake.set()

    async def leave(self) -> None:
        """Give up the lease, and all that this process owns."""
        for task in (self._beating, self._catching_up):
            if task is not None:
                task.cancel()
        if self._membership.epoch is not None:
            with suppress(StoreError):  # the lease ends by itself
                await self._link.beat(LEAVE, self.epoch)
                await self._notices.send_now(LEFT)
        self._notices.close()
        self._membership.excluded()

    async def take_over(self) -> Taken:
        """Own what nobody alive owns and is not done yet, and return that. Raises StoreError."""
        if dead := self._membership.dead(self._steady()):
            await self._link.write(DECLARE_DEAD, self.epoch, dead)
        return await self._owners.take_over()

    # Heartbeats

    async def _beat(self) -> bool:
        """Renew the lease. Return False if this process was declared dead. Raises StoreError."""
        began, epoch = self._steady(), self.epoch
        others = {node.epoch for node in self._membership.others}
        membership = self._membership
        rows = await self._link.beat(BEAT, epoch, self.applied, membership.lease, timeout=membership.timeout)
        if epoch != self.epoch:
            return True
        is_alive = self._membership.beaten([Node(*row) for row in rows], began)
        if others - {node.epoch for node in self._membership.others}:
            self._has_news = True
        return is_alive

    async def _notify(self, text: str) -> None:
        await self._link.notify(text, self._membership.timeout)  # the next heartbeat waits for it

    async def _beat_on(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._membership.wait)
            self._wake.clear()
            try:
                await self._look()
            except StoreError:  # the link connects again, and then joins
                continue
            except Exception:  # without heartbeats, this process would answer nothing for ever
                log.exception("latehook: a heartbeat failed")

    async def _look(self) -> None:
        """Renew the lease, or join again if this process was declared dead. Begin what follows from it."""
        if self._membership.epoch is None or not await self._beat():
            self._must_reload = await self.join() or self._must_reload
        has_to_catch_up = self._must_reload or self._has_news or self._membership.dead(self._steady())
        if has_to_catch_up and (self._catching_up is None or self._catching_up.done()):
            task = asyncio.get_running_loop().create_task(self._catch_up(), name="latehook: take over")
            self._catching_up = task

    # What may take longer than a lease: heartbeats go on meanwhile

    async def _catch_up(self) -> None:
        """Reload what this process owns if it has to, and take over from the dead. Errors leave it to the next time."""
        must_reload, self._must_reload, self._has_news = self._must_reload, False, False
        try:
            if must_reload:
                await self._on_rejoined()
            await self._take_over_from_dead()
        except Exception as error:
            self._must_reload = True  # what was taken before the error is known to the database only
            if not isinstance(error, StoreError):  # the link has told of those
                log.exception("latehook: taking over from other processes failed")

    async def _take_over_from_dead(self) -> None:
        epoch = self.epoch
        taken = await self.take_over()
        self._notices.act(ROWS, None)  # it may have ended before it could send its last notice
        if epoch != self.epoch:  # declared dead meanwhile: `on_rejoined` follows, and finds what this process owns then
            return
        if self.on_taken is not None and (taken.dues or taken.open_jobs):
            log.warning("latehook: %d webhooks of a process that has ended are sent by this one", len(taken.dues))
            await self.on_taken(taken)

    def _on_left(self, _: Collection[int] | None) -> None:
        self._has_news = True
        self._wake.set()
