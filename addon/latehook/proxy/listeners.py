"""The addresses that mitmproxy itself listens on."""

import socket
from collections.abc import Iterator

from mitmproxy import ctx
from mitmproxy.proxy import mode_specs

from latehook.base.control_path import CONTROL_PATH
from latehook.base.hostnames import address_of, host_in_url
from latehook.proxy import compat
from latehook.proxy.mocked_hosts import MockedHosts

BACKLOG = 1024
"""New connections that wait at a port until they are accepted.

A client whose connection finds no place tries again after a second. asyncio has 100 places: fewer than load tests, or
many clients that wait for an event, need at one moment.
"""


def keep_bursts() -> None:
    """Let many connections wait at the ports of the proxy, also at those that options open later."""
    compat.on_new_listeners(_set_backlog)
    _set_backlog()


def _set_backlog() -> None:
    compat.set_backlog(BACKLOG)


def is_own_proxy(host: str, port: int) -> bool:
    """Return whether an explicit proxy of this mitmproxy listens on this port and the host is this machine."""
    return port in compat.listening_ports(mode_specs.RegularMode, mode_specs.UpstreamMode) and _is_this_machine(host)


def is_own(host: str, port: int) -> bool:
    """Return whether mitmproxy, or its web interface, listens on this port and the host is this machine."""
    return port in _ports() and _is_this_machine(host)


def page_url() -> str | None:
    """Return the address of the page for a browser on this machine; None if no mode of the proxy serves it."""
    for mode, host, port in compat.listening_addresses():
        if _is_explicit(mode) or _is_reverse_http(mode):
            return f"{_url(host, port)}{CONTROL_PATH}/"
    return None


def explicit_proxy() -> tuple[str, int] | None:
    """Return host and port of an explicit HTTP proxy, for a client on this machine; None without such a mode."""
    for mode, host, port in compat.listening_addresses():
        if _is_explicit(mode):
            return _for_this_machine(host), port
    return None


def addresses() -> Iterator[tuple[str, str]]:
    """Yield what the proxy is at each of its addresses, with the URL or address, for a client on this machine."""
    seen = set()
    for mode, host, port in compat.listening_addresses():
        if _is_explicit(mode):
            row = "proxy", _url(host, port)
        elif _is_reverse_http(mode):
            row = "reverse proxy", f"{_url(host, port)}, in place of {mode.data}"
        else:
            row = mode.type_name, _url(host, port).removeprefix("http://")
        if row not in seen:
            seen.add(row)
            yield row


def _is_explicit(mode: mode_specs.ProxyMode) -> bool:
    return isinstance(mode, (mode_specs.RegularMode, mode_specs.UpstreamMode))


def _is_reverse_http(mode: mode_specs.ProxyMode) -> bool:
    return isinstance(mode, mode_specs.ReverseMode) and mode.scheme in ("http", "https")


def _url(host: str, port: int) -> str:
    return f"http://{host_in_url(_for_this_machine(host))}:{port}"


def _for_this_machine(host: str) -> str:
    """Return the host by which a client on this machine reaches a listening address."""
    address = address_of(host)
    return "127.0.0.1" if address is None or address.is_unspecified else host


def refusal(hosts: MockedHosts, host: str, port: int, address: str | None = None) -> str | None:
    """Return why no webhook may go to a host: it would come back to Latehook. None if it may.

    `address` is the IP address that the host's name was resolved to.
    """
    for name in dict.fromkeys((host, str(address_of(address or host) or host))):
        if hosts.contains(name, port):
            return f"refused: {name} is mocked here, so the webhook would come back to Latehook"
        if is_own(name, port):
            return f"refused: {name}:{port} is Latehook's own port"
    return None


def _ports() -> set[int]:
    return compat.listening_ports() | ({ctx.options.web_port} if "web_port" in ctx.options else set())


def _is_this_machine(host: str) -> bool:
    """Return whether a host is `localhost` or one of this machine's addresses: only those can be bound."""
    if address_of(host) is None:
        return host.lower().rstrip(".") == "localhost"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True
