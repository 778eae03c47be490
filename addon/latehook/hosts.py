"""PURE: mocks found by host, method and path, however many there are; and the hosts that are mocked."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from latehook.matching import PORTS, Matcher, PathTree, canonical_host, covers


class ByHost[Item]:
    """Items by the hosts and methods of their matches; each host's are put in a tree when it is first asked for."""

    def __init__(self, items: Iterable[tuple[Matcher, Item]]) -> None:
        self._items = tuple(items)
        patterns = {matcher.host for matcher, _ in self._items}
        self._suffixes = [pattern for pattern in patterns if pattern.startswith("*.")]
        self._exact = patterns - set(self._suffixes)
        self._methods = {"HEAD"}.union(*(matcher.methods for matcher, _ in self._items if matcher.methods))
        self._tree = lru_cache(1024)(self._make_tree)

    def find(self, host: str, method: str, path: str) -> list[tuple[Item, dict[str, str]]]:
        patterns = frozenset(pattern for pattern in self._suffixes if covers(pattern, host))
        method = method if method in self._methods else ""  # any other is taken by what takes ANY
        return self._tree(patterns | {host} if host in self._exact else patterns, method).find(path)

    def _make_tree(self, patterns: frozenset[str], method: str) -> PathTree[Item]:
        return PathTree(item for item in self._items if item[0].host in patterns and item[0].takes(method))


@dataclass(slots=True)
class Hosts:
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
        return any(covers(suffix, host) and (None in ports or port in ports) for suffix, ports in self.suffixes.items())

    def ports(self) -> set[int]:
        """The ports at which a mocked host may be asked for: the schemes' own and those the mocks name."""
        named = (*self.exact.values(), *self.suffixes.values())
        return {*PORTS.values(), *(port for ports in named for port in ports if port is not None)}
