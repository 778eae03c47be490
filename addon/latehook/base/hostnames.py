"""PURE: Host names and addresses as they are compared."""

import re
import unicodedata
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

Address = IPv4Address | IPv6Address

DEFAULT_PORTS = {"http": 80, "https": 443}

LONGEST_HOST = 253
"""Characters of a host name (RFC 1035 section 2.3.4). What is read of a longer one is not cached."""

_THIS_MACHINE = {ip_address("0.0.0.0"): ip_address("127.0.0.1"), ip_address("::"): ip_address("::1")}
"""The addresses that clients connect to themselves by, and the loopback addresses that they reach by them."""


def address_of(host: str) -> Address | None:
    """Return the address that a host is, in whatever form; None for a name.

    An IPv4 address is read in each form that `inet_aton` takes: `127.1`, `2130706433`, `0x7f.0.0.1`, `0177.0.0.1`.
    An IPv4 address that is written as an IPv6 one (`::ffff:127.0.0.1`) is the IPv4 address.
    """
    return (_address_of if len(host) <= LONGEST_HOST else _address_of.__wrapped__)(host)


def usual_address_of(host: str) -> Address | None:
    """As `address_of`, but None for an IPv4 address that is not in the form of four decimal numbers."""
    try:
        address = ip_address(host.partition("%")[0] if ":" in host else host)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


@lru_cache(4096)  # asked some times for each attempt, of the same few hosts
def _address_of(host: str) -> Address | None:
    return usual_address_of(host) or _by_inet_aton(host)


def _by_inet_aton(host: str) -> IPv4Address | None:
    """Read up to four numbers, each decimal, octal or hexadecimal. The last one fills the bytes that are left."""
    texts = host.split(".")
    if len(texts) > 4 or not all(_NUMBER.fullmatch(text) for text in texts):
        return None
    *firsts, last = [int(text, 16 if text[:2] in ("0x", "0X") else 8 if text[:1] == "0" else 10) for text in texts]
    if any(number > 255 for number in firsts) or last >= 256 ** (4 - len(firsts)):
        return None
    return IPv4Address(sum(number << 8 * (3 - at) for at, number in enumerate(firsts)) + last)


_NUMBER = re.compile(r"0[xX][0-9a-fA-F]{1,300}|0[0-7]{0,300}|[1-9][0-9]{0,9}")


def canonical_host(host: str) -> str:
    """Return a host as it is compared.

    A name is in lower case, without full stops at its end, its international labels as `xn--`. An address is in its
    shortest form; `0.0.0.0` and `::`, by which a client reaches its own machine, are the loopback addresses.
    """
    return (_canonical if len(host) <= LONGEST_HOST else _canonical.__wrapped__)(host)


@lru_cache(4096)
def _canonical(host: str) -> str:
    if not host.isascii():
        host = _in_ascii(host)
    host = host.lower().rstrip(".").strip("[]")
    address = address_of(host)
    return host if address is None else str(_THIS_MACHINE.get(address, address))


def _in_ascii(host: str) -> str:
    """Return a host in ASCII (IDNA), its full stops of other scripts as `.` (RFC 3490 section 3.1)."""
    host = unicodedata.normalize("NFKC", host).replace("\u3002", ".").rstrip(".")
    if len(host) > LONGEST_HOST:  # no name; IDNA takes long for a long text
        return host
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        return host


def host_matches(pattern: str, host: str) -> bool:
    """Return whether a canonical host is the pattern's, or below it for `*.suffix`."""
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern
