"""Pass the bytes of a connection to a host that no mock names, as long as anything may leave."""

from collections.abc import Generator
from typing import Any, Protocol

from mitmproxy.proxy.context import Context

from latehook.proxy.compat import CloseConnection, DataReceived, Event, TCPLayer

Commands = Generator[Any, Any, Any]


class RelayPolicy(Protocol):
    """Decides about connections that pass. Its methods raise nothing."""

    def lets_nothing_leave(self) -> bool:
        """Return whether nothing may leave for any host now."""

    def ends(self, context: Context, reason: str) -> None:
        """Note that a connection ends, and why."""


class Relay(TCPLayer):
    """Passes both directions. When nothing may leave any more, the connection ends with what its client sends next."""

    def __init__(self, context: Context, policy: RelayPolicy) -> None:
        super().__init__(context, ignore=True)
        self._policy = policy

    def handle_event(self, event: Event) -> Commands:
        is_clients = isinstance(event, DataReceived) and event.connection == self.context.client
        if is_clients and self._policy.lets_nothing_leave():
            self._policy.ends(self.context, "nothing may leave now")
            self.handle_event = self._drop  # type: ignore[method-assign]
            yield CloseConnection(self.context.server)
            yield CloseConnection(self.context.client)
        else:
            yield from super().handle_event(event)

    def _drop(self, event: Event) -> Commands:
        yield from ()
