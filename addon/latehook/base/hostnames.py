"""PURE: host names and addresses in the form in which they are compared."""

import re
import unicodedata
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

Address = IPv4Address | IPv6Address

DEFAULT_PORTS = {"http": 80, "https": 443}
"""Scheme → the port that a URL without one means."""

MAX_HOST_LENGTH = 253
"""Characters of a host name (RFC 1035 section 2.3.4). Results for longer ones are not cached."""

_THIS_MACHINE = {ip_address("0.0.0.0"): ip_address("127.0.0.1"), ip_address("::"): ip_address("::1")}
"""Unspecified addresses, by which clients connect to their own machine → the loopback addresses that they reach."""

_TRANSLATED = ip_network("64:ff9b::/96"), ip_network("::/96")
"""The networks of IPv6 whose last 32 bits are an IPv4 address: NAT64 (RFC 6052), and IPv4-compatible (RFC 4291)."""


def address_of(host: str) -> Address | None:
    """Return a host as an address, whatever its form; None for a name.

    IPv4 addresses are read in each form that `inet_aton` accepts: `127.1`, `2130706433`, `0x7f.0.0.1`, `0177.0.0.1`.
    An IPv4-mapped IPv6 address (`::ffff:127.0.0.1`) gives the IPv4 address.
    """
    return (_address_of if len(host) <= MAX_HOST_LENGTH else _address_of.__wrapped__)(host)


def standard_address_of(host: str) -> Address | None:
    """Return what `address_of` does, but None for an IPv4 address that is not written as four decimal numbers."""
    try:
        address = ip_address(host.partition("%")[0] if ":" in host else host)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


@lru_cache(4096)  # each attempt asks several times, for the same few hosts
def _address_of(host: str) -> Address | None:
    return standard_address_of(host) or _by_inet_aton(host)


def _by_inet_aton(host: str) -> IPv4Address | None:
    """Return the address of up to four numbers, decimal, octal or hexadecimal. The last one fills the other bytes."""
    texts = host.split(".")
    if len(texts) > 4 or not all(_NUMBER.fullmatch(text) for text in texts):
        return None
    *firsts, last = [int(text, 16 if text[:2] in ("0x", "0X") else 8 if text[:1] == "0" else 10) for text in texts]
    if any(number > 255 for number in firsts) or last >= 256 ** (4 - len(firsts)):
        return None
    return IPv4Address(sum(number << 8 * (3 - at) for at, number in enumerate(firsts)) + last)


_NUMBER = re.compile(r"0[xX][0-9a-fA-F]{1,300}|0[0-7]{0,300}|[1-9][0-9]{0,9}")


def canonical_host(host: str) -> str:
    """Return a host in the form in which hosts are compared.

    A name is in lower case, without dots at the end, with international labels in ASCII (`xn--`). An address is in its
    shortest form; `0.0.0.0` and `::`, by which a client reaches its own machine, become the loopback addresses, and an
    IPv6 address by which a client reaches an IPv4 one becomes that one.
    """
    return (_canonical if len(host) <= MAX_HOST_LENGTH else _canonical.__wrapped__)(host)


@lru_cache(4096)
def _canonical(host: str) -> str:
    if not host.isascii():
        host = _in_ascii(host)
    host = host.lower().rstrip(".").strip("[]")
    if "xn--" in host:
        host = ".".join(map(_without_deviations, host.split(".")))
    address = address_of(host)
    return host if address is None else str(_THIS_MACHINE.get(address) or _translated(address) or address)


def _translated(address: Address) -> IPv4Address | None:
    """Return the IPv4 address to which networks translate an IPv6 one; None if there is none."""
    is_translated = any(address in network for network in _TRANSLATED) and int(address) > 0xFFFF
    return IPv4Address(int(address) & 0xFFFFFFFF) if is_translated else None


def _in_ascii(host: str) -> str:
    """Return a host in ASCII (IDNA), with `.` for the dots of other scripts (RFC 3490 section 3.1)."""
    host = unicodedata.normalize("NFKC", host).replace("\u3002", ".").rstrip(".")
    if len(host) > MAX_HOST_LENGTH:  # not a name, and IDNA is slow for long texts
        return host
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        return host


def _without_deviations(label: str) -> str:
    """Return a label as IDNA 2003 writes it. Newer clients write `straße` as `xn--strae-oqa`, older ones as `strasse`.

    That is so for four characters (UTS 46 section 7); a host is the same one for us by whatever client.
    """
    try:
        text = label.removeprefix("xn--").encode().decode("punycode") if label.startswith("xn--") else label
    except UnicodeError:
        return label
    return _in_ascii(text) if _DEVIATIONS.search(text) else label


_DEVIATIONS = re.compile("[\u00df\u03c2\u200c\u200d]")


def host_matches(pattern: str, host: str) -> bool:
    """Return whether a canonical host equals the pattern, or is a subdomain for the pattern `*.DOMAIN`."""
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern


def host_in_url(host: str) -> str:
    """Return a host as URLs have it: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host
