"""PURE: Host names and addresses as they are compared."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

Address = IPv4Address | IPv6Address


@lru_cache(4096)  # asked some times for each attempt, of the same few
def address_of(host: str) -> Address | None:
    """The address that a host is; None for a name. An IPv4 address written as an IPv6 one is the IPv4 address."""
    try:
        address = ip_address(host.partition("%")[0] if ":" in host else host)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


DEFAULT_PORTS = {"http": 80, "https": 443}


LONGEST_HOST = 253
"""Characters of a name (RFC 1035 2.3.4): a longer one is nobody's, and not worth to be remembered."""


def canonical_host(host: str) -> str:
    """A host as it is compared: lower case, without the root's dot, its international labels as `xn--`."""
    return _canonical(host) if len(host) <= LONGEST_HOST else host.lower().rstrip(".")


@lru_cache(4096)
def _canonical(host: str) -> str:
    host = host.lower().rstrip(".").strip("[]")
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        return host


def host_matches(pattern: str, host: str) -> bool:
    """Whether a canonical host is the pattern's, or below it for `*.suffix`."""
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern
