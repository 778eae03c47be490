"""PURE: The hosts that are mocked."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from latehook.base.hostnames import DEFAULT_PORTS, canonical_host, host_matches
from latehook.mocks.matching import Matcher


@dataclass(slots=True)
class MockedHosts:
    """The mocked hosts, each with the ports it is mocked on; None stands for any port.

    Hosts are only added: a host whose last mock was removed from the file is still not contacted. `forwards` is set
    once there has been a mock that forwards requests.
    """

    forwards: bool = False
    _exact: dict[str, set[int | None]] = field(default_factory=dict)
    _suffixes: dict[str, set[int | None]] = field(default_factory=dict)

    def add(self, matchers: Iterable[Matcher], forwards: bool = False) -> None:
        """Add the hosts of these mocks. `forwards` says whether one of them forwards requests."""
        self.forwards = self.forwards or forwards
        for matcher in matchers:
            kind = self._suffixes if matcher.host.startswith("*.") else self._exact
            kind.setdefault(matcher.host, set()).add(matcher.port)

    def copy(self) -> "MockedHosts":
        """Return the hosts as they are now."""
        exact, suffixes = ({host: set(ports) for host, ports in kind.items()} for kind in (self._exact, self._suffixes))
        return MockedHosts(self.forwards, exact, suffixes)

    def names(self) -> Iterator[tuple[str, int | None]]:
        """Yield each host with each port on which it is mocked; a port of None is any port."""
        for hosts in (self._exact, self._suffixes):
            for host, ports in hosts.items():
                yield from ((host, port) for port in ports)

    def contains(self, host: str, port: int) -> bool:
        """Return whether a host, however it is spelled, is mocked on this port."""
        host = canonical_host(host)
        ports = self._exact.get(host)
        if ports is not None and (None in ports or port in ports):
            return True
        return any(
            host_matches(suffix, host) and (None in ports or port in ports) for suffix, ports in self._suffixes.items()
        )

    def contains_name(self, host: str) -> bool:
        """Return whether a host, however it is spelled, is mocked on any port."""
        host = canonical_host(host)
        return host in self._exact or any(host_matches(suffix, host) for suffix in self._suffixes)

    def has_port(self, port: int) -> bool:
        """Return whether any host is mocked on this port."""
        named = (*self._exact.values(), *self._suffixes.values())
        return any(None in ports or port in ports for ports in named)

    def ports(self) -> set[int]:
        """Return the ports on which any host may be mocked: the default ports, and those that mocks name."""
        named = (*self._exact.values(), *self._suffixes.values())
        return {*DEFAULT_PORTS.values(), *(port for ports in named for port in ports if port is not None)}


class ClosedHosts:
    """The hosts to which nothing may be sent: the mocked ones, or all while `refuses_others` returns true."""

    def __init__(self, mocked: MockedHosts, refuses_others: Callable[[], bool]) -> None:
        self.mocked = mocked
        self.refuses_others = refuses_others

    def contains(self, host: str, port: int) -> bool:
        """Return whether nothing may be sent to a host, however it is spelled, on this port."""
        return self.refuses_others() or self.mocked.contains(host, port)

    def refuses(self, host: str, port: int) -> bool:
        """Return whether nothing may be sent to a host only because no mock names it."""
        return self.refuses_others() and not self.mocked.contains(host, port)

    def has_port(self, port: int) -> bool:
        """Return whether there may be a host on this port to which nothing may be sent."""
        return self.refuses_others() or self.mocked.has_port(port)

    def ports(self) -> set[int]:
        """Return the ports on which any host may be mocked."""
        return self.mocked.ports()
