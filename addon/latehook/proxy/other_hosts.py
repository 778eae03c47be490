"""What happens to hosts that no mock names (`mock_others`), and a note of what leaves for them."""

import logging
from collections.abc import Callable
from weakref import WeakSet

from mitmproxy import http
from mitmproxy.connection import Client
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from latehook.base import logs
from latehook.base.hostnames import host_in_url
from latehook.options import Others
from latehook.proxy import listeners

log = logging.getLogger(logs.LOGGER)

Address = tuple[str, int]


class OtherHosts:
    """The option `mock_others`, and the notes of what leaves: each request, and each connection of another kind.

    `others` returns the option. `note` is called with the method and the URL of what leaves. `closed` returns why
    nothing may leave for any host, whatever the option says; None where that is not so.
    """

    def __init__(
        self,
        others: Callable[[], Others],
        note: Callable[[str, str], None],
        closed: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._others = others
        self._note = note
        self._closed = closed
        self._noted: WeakSet[http.HTTPFlow] = WeakSet()
        self._connecting: set[tuple[str, Address]] = set()
        """The clients' ids, with the servers to which a noted request of theirs connects."""

    @property
    def intercepted(self) -> bool:
        """Whether mitmproxy handles these hosts as it does without Latehook."""
        return self._others() is Others.INTERCEPT

    @property
    def refused(self) -> bool:
        """Whether nothing may leave for these hosts."""
        return self._others() is Others.REFUSE or self.is_closed

    @property
    def is_closed(self) -> bool:
        """Whether nothing may leave for any host, whatever the option says."""
        return self._closed() is not None

    def refusal(self, host: str, port: int) -> str:
        """Return the line that is logged about a connection that is refused, and log it."""
        reason = self._closed() or "no mock names it, and mock_others=refuse"
        line = f"{host_in_url(host)}:{port} is refused: {reason}"
        log.warning("latehook: %s", line)
        return f"latehook: {line}"

    def request_leaves(self, flow: http.HTTPFlow) -> None:
        """Note a request once, however often this is called."""
        request = flow.request
        host, port = request.host, request.port
        if flow in self._noted or listeners.is_own(host, port):  # mitmproxy does not connect to itself
            return
        self._noted.add(flow)
        self._connecting.add((flow.client_conn.id, (host, port)))
        is_connect = request.method == "CONNECT"
        self._note(request.method, f"{host_in_url(host)}:{port}" if is_connect else request.url)

    def connection_leaves(self, data: ServerConnectionHookData) -> None:
        """Note a connection, unless it is that of a request."""
        address = data.server.address
        if address is None or data.server.error is not None or (data.client.id, address[:2]) in self._connecting:
            return
        if listeners.is_own(*address[:2]):  # mitmproxy does not connect to itself
            return
        self._note(data.server.transport_protocol.upper(), f"{host_in_url(address[0])}:{address[1]}")

    def forget(self, client: Client) -> None:
        """Note that a client has disconnected."""
        self._connecting = {entry for entry in self._connecting if entry[0] != client.id}
