"""PURE: where webhooks may go: to this machine, to private networks, and where `mock_targets` allows or maps it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_network

from latehook.base.hostnames import (
    DEFAULT_PORTS,
    Address,
    address_of,
    canonical_host,
    host_in_url,
    host_matches,
    standard_address_of,
)
from latehook.base.urls import origin_of

URL_HINT = "write http://host[:port]/path"
"""What errors say about a text that is not a URL."""


@lru_cache(maxsize=256)  # webhooks go to few URLs, and parsing is a twentieth of the cost of a webhook's decision
def is_url(text: str) -> bool:
    """Return whether a text is a URL that a webhook could be sent to."""
    origin = origin_of(text)
    return origin is not None and origin.scheme in ("http", "https") and bool(origin.host) and origin.port != 0


Network = IPv4Network | IPv6Network

OPTION = "mock_targets"
SYNTAX = (
    "write a host, *.suffix, an address or a network, each with :PORT if only that one is meant, or *; "
    "or https://hooks.acme.com=http://app:8000"
)
PRIVATE, PUBLIC = "private", "public"


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(map(ip_network, texts))


_KINDS: tuple[tuple[str, tuple[Network, ...]], ...] = (
    (
        "cloud's metadata",  # in ranges that look private or public: AWS, Google, Oracle, Scaleway, Alibaba, Azure
        _networks("fd00:ec2::/32", "fd20:ce::/64", "fd00:c1::a9fe:a9fe", "fd00:42::42")
        + _networks("100.100.100.200", "168.63.129.16", "192.0.0.192"),
    ),
    (PRIVATE, _networks("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1", "fc00::/7")),
    (PRIVATE, _networks("0.0.0.0", "::")),  # to a client, its own machine
    ("link-local", _networks("169.254.0.0/16", "fe80::/10")),
    ("multicast", _networks("224.0.0.0/4", "ff00::/8")),
    ("unspecified", _networks("0.0.0.0/8", "::")),
    ("reserved", _networks("192.0.0.0/24", "192.88.99.0/24", "240.0.0.0/4", "2001::/32", "2002::/16")),
    (PUBLIC, _networks("0.0.0.0/0", "2000::/3")),
)
"""Kinds of addresses and their networks. The first kind whose network has an address applies; else it is reserved.

The kinds of `ipaddress` do not fit: there, unspecified and reserved addresses are private too.
"""
_NAT64 = ip_network("64:ff9b::/96")


@lru_cache(4096)
def kind_of(address: Address) -> str:
    """Return the kind of an address: PRIVATE, PUBLIC, or the name of a kind to which no webhook goes."""
    if address in _NAT64:  # translated to an IPv4 address, which may be public or not
        return PUBLIC if kind_of(IPv4Address(int(address) & 0xFFFFFFFF)) == PUBLIC else "reserved"
    return next((kind for kind, networks in _KINDS if any(address in network for network in networks)), "reserved")


@dataclass(frozen=True, slots=True)
class Origin:
    """A scheme, a host in the form in which it is resolved, and a port."""

    scheme: str
    host: str
    port: int

    @property
    def url(self) -> str:
        return f"{self.scheme}://{host_in_url(self.host)}:{self.port}"


@dataclass(frozen=True, slots=True)
class _Rule:
    """An entry that allows a name or a network; a `port` of None allows all."""

    name: str
    network: Network | None
    port: int | None

    def allows(self, host: str, port: int, address: Address, kind: str) -> bool:
        """Return whether a webhook may go to this host and port; `address` is the host's, `kind` the address's."""
        if self.port not in (None, port):
            return False
        if self.network is not None:
            return address in self.network
        # The owner of a name decides its addresses, so a name allows public addresses only.
        return kind == PUBLIC and _matches(self.name, host)


@dataclass(frozen=True, slots=True)
class Targets:
    """The entries of `mock_targets`: rules that allow targets, and origins mapped to those to connect to instead."""

    allowed: tuple[_Rule, ...] = ()
    mapped: tuple[tuple[Origin, Origin], ...] = ()

    def route(self, origin: Origin) -> Origin:
        """Return the origin to connect to for a webhook to this one: the same, unless an entry maps it."""
        host = canonical_host(origin.host)
        for public, other in self.mapped:
            if (public.scheme, public.port) == (origin.scheme, origin.port) and _matches(public.host, host):
                return other
        return origin

    def refusal(self, host: str, port: int, address: str | None = None) -> str | None:
        """Return why no webhook may go to a host, None if it may; `address` is what its name was resolved to.

        A name without an address is not refused: it is not known yet where it leads.
        """
        found = address_of(host) if address is None else standard_address_of(address)
        if found is None:
            return None if address is None else f"refused: {address} is not an address"
        kind = kind_of(found)
        if kind == PRIVATE or any(rule.allows(canonical_host(host), port, found, kind) for rule in self.allowed):
            return None
        leads = "is" if address is None or address_of(host) else f"leads to {found},"
        entry = canonical_host(host) if kind == PUBLIC else found
        article = "an" if kind == "unspecified" else "a"
        return f"refused: {host} {leads} {article} {kind} address: --set {OPTION}={entry} would open it to webhooks"


def _matches(pattern: str, host: str) -> bool:
    return pattern == "*" or host_matches(pattern, host)


def parse_targets(texts: Iterable[str]) -> Targets:
    """Parse all entries. Raises ValueError that quotes the wrong entry and says what to write."""
    allowed: list[_Rule] = []
    mapped: list[tuple[Origin, Origin]] = []
    for text in filter(None, map(str.strip, texts)):
        try:
            if "=" in text:
                public, other = (_parse_origin(part) for part in text.split("=", 1))
                if other.host.startswith("*"):
                    raise ValueError("the target of a mapping is one host")
                mapped.append((public, other))
                allowed.append(_rule(other.host, other.port))
            else:
                allowed.append(_parse_rule(text))
        except ValueError as error:
            raise ValueError(f"{text}: {error}: {SYNTAX}") from None
    return Targets(tuple(allowed), tuple(mapped))


_ENTRY = re.compile(r"(?:\[(?P<v6>[^\[\]]+)\]|(?P<host>[^:\[\]]+))(?::(?P<port>.*))?")
_ORIGIN = re.compile(r"(?P<scheme>https?)://(?P<rest>[^/?#@\s]+)/?", re.IGNORECASE)
_LABELS = re.compile(r"(?:[\w-]+\.)*[\w-]+")


def _parse_rule(text: str) -> _Rule:
    if "://" in text:
        raise ValueError("an entry that is not a mapping has no scheme")
    if text.count(":") > 1 and "[" not in text:
        return _rule(text, None)
    return _rule(*_host_and_port(text))


def _parse_origin(text: str) -> Origin:
    found = _ORIGIN.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text.strip()!r} is not scheme://host[:port]")
    scheme = found["scheme"].lower()
    host, port = _host_and_port(found["rest"])
    rule = _rule(host, port)
    if rule.network is not None and rule.network.num_addresses > 1:
        raise ValueError(f"{host!r} is a network")
    return Origin(scheme, rule.name, port or DEFAULT_PORTS[scheme])


def _host_and_port(text: str) -> tuple[str, int | None]:
    found = _ENTRY.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not host[:port]")
    port = found["port"]
    if port is not None and not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536):
        raise ValueError(f"{port!r} is not a port from 1 to 65535")
    return found["v6"] or found["host"], None if port is None else int(port)


def _rule(host: str, port: int | None) -> _Rule:
    """Return the rule for a host as it is written: `*`, a name, an address or a network. Raises ValueError."""
    if (address := standard_address_of(host)) is not None:
        return _Rule(canonical_host(host), ip_network(address), port)
    if "/" in host or ":" in host:
        network = ip_network(host)
        if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped:
            raise ValueError(f"{host!r} is a network of IPv4 addresses: write it as an IPv4 network")
        return _Rule(host, network, port)
    name = canonical_host(host)
    labels = name.removeprefix("*.")
    if name != "*" and not _LABELS.fullmatch(labels):
        raise ValueError(f"{host!r} is not a host")
    if re.fullmatch(r"\d+|0x[0-9a-f]*", labels.rpartition(".")[2]):
        raise ValueError(f"{host!r} is neither a name nor an address in its usual form")
    return _Rule(name, None, port)
