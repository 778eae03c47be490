"""The transport of attempts, imported for the first webhook: neither the start nor the first response waits for it."""

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING

from latehook.base.messages import Outcome, Outgoing

if TYPE_CHECKING:
    from latehook.delivery.attempts import ConnectObserver
    from latehook.delivery.connections import Refusal
    from latehook.delivery.transport import Route, Transport


class LazyTransport:
    """Sends attempts with a Transport. Its module is imported when the first webhook is scheduled."""

    def __init__(self, refusal: "Refusal", route: "Route") -> None:
        self._refusal = refusal
        self._route = route
        self._transport: asyncio.Task[Transport] | None = None

    def preload(self) -> "asyncio.Task[Transport]":
        """Start the import, unless it has started before. It runs in a thread, for a fifth of a second."""
        if self._transport is None:
            self._transport = asyncio.get_running_loop().create_task(self._import(), name="latehook: transport")
        return self._transport

    async def send(self, outgoing: Outgoing, observer: "ConnectObserver | None" = None) -> Outcome:
        transport = await asyncio.shield(self.preload())  # an attempt that is canceled must not cancel the import
        return await transport.send(outgoing, observer)

    async def close(self) -> None:
        if self._transport is not None:
            await (await self._transport).close()

    async def _import(self) -> "Transport":
        module = await asyncio.to_thread(import_module, "latehook.delivery.transport")
        transport: Transport = module.Transport(self._refusal, self._route)
        return transport
