"""End what is open to a host when it becomes a mocked one: else a client could go on to talk to the real service."""

import logging
from collections.abc import Callable, Iterable

from mitmproxy.connection import Client, Connection, Server

from latehook.base import logs
from latehook.base.hostnames import host_in_url
from latehook.proxy import compat

log = logging.getLogger(logs.LOGGER)

Name = tuple[str, int]
"""A host and a port."""


class OpenConnections:
    """The connections that pass untouched, each with the hosts for which it is, and all connections to servers."""

    def __init__(self) -> None:
        self._passing: dict[str, set[Name]] = {}

    def passes(self, client: Client, names: Iterable[Name], too: bool = False) -> None:
        """Note that what a client sends next passes to a host with these names.

        `too`: what it has sent before goes on. Otherwise its connection is from now on for these names only.
        """
        before = self._passing.get(client.id, set()) if too else set()
        self._passing[client.id] = before.union(names)

    def forget(self, client: Client) -> None:
        """Note that a client has disconnected."""
        self._passing.pop(client.id, None)

    def end(self, is_newly_mocked: Callable[[str, int], bool]) -> None:
        """End all connections to hosts that are mocked now and were not before.

        What is not sent yet is dropped. A client that passes untouched is disconnected. One that speaks HTTP with the
        proxy stays: its next request is answered by a mock.
        """
        for client, connections in compat.open_connections():
            passing = [name for name in self._passing.get(client.id, ()) if is_newly_mocked(*name)]
            servers = [other for other in connections if isinstance(other, Server)]
            if passing:
                self._end(passing[0], client, [*servers, client])
            else:
                for server in servers:
                    if (name := _newly_mocked(server, client, is_newly_mocked)) is not None:
                        self._end(name, client, [server])

    def _end(self, name: Name, client: Client, connections: Iterable[Connection]) -> None:
        log.info("latehook: %s:%d is mocked now: a connection to it ends", host_in_url(name[0]), name[1])
        for connection in connections:
            compat.end(client, connection)


def _newly_mocked(server: Server, client: Client, is_newly_mocked: Callable[[str, int], bool]) -> Name | None:
    """Return the name by which a server is newly mocked: its own, or that in the client's TLS handshake."""
    if server.address is None:
        return None
    host, port = server.address[:2]
    names = [(host, port), *([(client.sni, port)] if client.sni else [])]
    return next((name for name in names if is_newly_mocked(*name)), None)
