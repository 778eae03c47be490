"""PURE: The hosts that are mocked."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from latehook.base.hostnames import DEFAULT_PORTS, canonical_host, host_matches
from latehook.mocks.matching import Matcher


@dataclass(slots=True)
class MockedHosts:
    """The mocked hosts, each with the ports it is mocked on (None: any). A host once closed stays closed."""

    exact: dict[str, set[int | None]] = field(default_factory=dict)
    suffixes: dict[str, set[int | None]] = field(default_factory=dict)

    def close(self, matchers: Iterable[Matcher]) -> None:
        for matcher in matchers:
            kind = self.suffixes if matcher.host.startswith("*.") else self.exact
            kind.setdefault(matcher.host, set()).add(matcher.port)

    def closed(self, host: str, port: int) -> bool:
        host = canonical_host(host)
        ports = self.exact.get(host)
        if ports is not None and (None in ports or port in ports):
            return True
        return any(
            host_matches(suffix, host) and (None in ports or port in ports) for suffix, ports in self.suffixes.items()
        )

    def ports(self) -> set[int]:
        """The ports at which a mocked host may be asked for: the schemes' own and those the mocks name."""
        named = (*self.exact.values(), *self.suffixes.values())
        return {*DEFAULT_PORTS.values(), *(port for ports in named for port in ports if port is not None)}
