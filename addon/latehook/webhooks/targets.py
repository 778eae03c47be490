"""PURE: where webhooks may go: this machine, its private networks, and what `mock_targets` opens or maps."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_network
from urllib.parse import urlsplit

from latehook.base.hostnames import DEFAULT_PORTS, Address, address_of, canonical_host, host_matches, usual_address_of


@lru_cache(maxsize=256)  # webhooks go to few URLs, and parsing is a twentieth of the cost of a webhook's decision
def is_url(text: str) -> bool:
    """Return whether a text is a URL that a webhook could be sent to."""
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # an invalid port or IPv6 address
        return False


Network = IPv4Network | IPv6Network

OPTION = "mock_targets"
SHAPE = (
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
"""The first that holds an address says of which kind it is; what none holds is reserved.

`ipaddress` has kinds of its own, but by those the unspecified and the reserved addresses are private too.
"""
_NAT64 = ip_network("64:ff9b::/96")


@lru_cache(4096)
def kind_of(address: Address) -> str:
    """What an address is: private, public, or why it is neither."""
    if address in _NAT64:  # a way to an IPv4 address: to a public one, or round this check
        return PUBLIC if kind_of(IPv4Address(int(address) & 0xFFFFFFFF)) == PUBLIC else "reserved"
    return next((kind for kind, networks in _KINDS if any(address in network for network in networks)), "reserved")


@dataclass(frozen=True, slots=True)
class Origin:
    """A scheme, a host as it is looked up, and a port."""

    scheme: str
    host: str
    port: int

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class _Opened:
    """An entry that opens a name, or a network; `port` is None for any."""

    name: str
    network: Network | None
    port: int | None

    def opens(self, host: str, port: int, address: Address, kind: str) -> bool:
        if self.port not in (None, port):
            return False
        if self.network is not None:
            return address in self.network
        # Whoever a name belongs to says where it leads. So a name opens the public addresses only.
        return kind == PUBLIC and _takes(self.name, host)


@dataclass(frozen=True, slots=True)
class Targets:
    """What `mock_targets` says: entries that open, and origins with those that are connected to instead."""

    opened: tuple[_Opened, ...] = ()
    mapped: tuple[tuple[Origin, Origin], ...] = ()

    def route(self, origin: Origin) -> Origin:
        """Where a webhook to this origin is connected to: the same, unless an entry maps it."""
        host = _canonical(origin.host)
        for public, other in self.mapped:
            if (public.scheme, public.port) == (origin.scheme, origin.port) and _takes(public.host, host):
                return other
        return origin

    def refusal(self, host: str, port: int, address: str | None = None) -> str | None:
        """Why no webhook may go to a host, if it may not; `address` is what its name has led to.

        A name alone is never refused: nobody knows yet where it leads.
        """
        found = address_of(host) if address is None else usual_address_of(address)
        if found is None:
            return None if address is None else f"refused: {address} is not an address"
        kind = kind_of(found)
        if kind == PRIVATE or any(entry.opens(canonical_host(host), port, found, kind) for entry in self.opened):
            return None
        leads = "is" if address is None or address_of(host) else f"leads to {found},"
        entry = canonical_host(host) if kind == PUBLIC else found
        article = "an" if kind == "unspecified" else "a"
        return f"refused: {host} {leads} {article} {kind} address: --set {OPTION}={entry} would open it to webhooks"


def _canonical(host: str) -> str:
    return canonical_host(host)


def _takes(pattern: str, host: str) -> bool:
    return pattern == "*" or host_matches(pattern, host)


def parse_targets(texts: Iterable[str]) -> Targets:
    """Read all entries. ValueError names the one that is wrong, and what to write."""
    opened: list[_Opened] = []
    mapped: list[tuple[Origin, Origin]] = []
    for text in filter(None, map(str.strip, texts)):
        try:
            if "=" in text:
                public, other = (_origin(part) for part in text.split("=", 1))
                if other.host.startswith("*"):
                    raise ValueError("what is connected to is one host")
                mapped.append((public, other))
                opened.append(_named(other.host, other.port))
            else:
                opened.append(_opened(text))
        except ValueError as error:
            raise ValueError(f"{text}: {error}: {SHAPE}") from None
    return Targets(tuple(opened), tuple(mapped))


_ENTRY = re.compile(r"(?:\[(?P<v6>[^\[\]]+)\]|(?P<host>[^:\[\]]+))(?::(?P<port>.*))?")
_ORIGIN = re.compile(r"(?P<scheme>https?)://(?P<rest>[^/?#@\s]+)/?", re.IGNORECASE)
_LABELS = re.compile(r"(?:[\w-]+\.)*[\w-]+")


def _opened(text: str) -> _Opened:
    if "://" in text:
        raise ValueError("no scheme stands here")
    if text.count(":") > 1 and "[" not in text:
        return _named(text, None)
    return _named(*_host_and_port(text))


def _origin(text: str) -> Origin:
    found = _ORIGIN.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text.strip()!r} is not scheme://host[:port]")
    scheme = found["scheme"].lower()
    host, port = _host_and_port(found["rest"])
    entry = _named(host, port)
    if entry.network is not None and entry.network.num_addresses > 1:
        raise ValueError(f"{host!r} is a network")
    return Origin(scheme, entry.name, port or DEFAULT_PORTS[scheme])


def _host_and_port(text: str) -> tuple[str, int | None]:
    found = _ENTRY.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not host[:port]")
    port = found["port"]
    if port is not None and not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536):
        raise ValueError(f"{port!r} is not a port from 1 to 65535")
    return found["v6"] or found["host"], None if port is None else int(port)


def _named(host: str, port: int | None) -> _Opened:
    """An entry for a host as it is written: `*`, a name, an address or a network."""
    if (address := usual_address_of(host)) is not None:
        return _Opened(canonical_host(host), ip_network(address), port)
    if "/" in host or ":" in host:
        network = ip_network(host)
        if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped:
            raise ValueError(f"{host!r} is a network of IPv4 addresses: they are compared as such")
        return _Opened(host, network, port)
    name = canonical_host(host)
    labels = name.removeprefix("*.")
    if name != "*" and not _LABELS.fullmatch(labels):
        raise ValueError(f"{host!r} is not a host")
    if re.fullmatch(r"\d+|0x[0-9a-f]*", labels.rpartition(".")[2]):
        raise ValueError(f"{host!r} is neither a name nor an address in its usual form")
    return _Opened(name, None, port)
