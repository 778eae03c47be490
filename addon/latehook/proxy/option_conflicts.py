"""Say which of mitmproxy's options name hosts that are mocked: they do not apply to these hosts."""

import logging
import re
from collections.abc import Iterable, Mapping, Sequence

from latehook.base import logs
from latehook.base.hostnames import DEFAULT_PORTS, host_in_url
from latehook.proxy.mocked_hosts import MockedHosts

log = logging.getLogger(logs.LOGGER)

OPTIONS = ("ignore_hosts", "allow_hosts", "tcp_hosts", "udp_hosts")
"""Options by which mitmproxy leaves hosts alone. Their values are regular expressions."""

MOST_HOSTS = 5
"""Hosts that one line names."""


class OptionConflicts:
    """The options that name mocked hosts, and the lines about them that were logged."""

    def __init__(self, hosts: MockedHosts) -> None:
        self._hosts = hosts
        self._logged: set[str] = set()

    def report(self, options: Mapping[str, Sequence[str]]) -> None:
        """Log a line for each of these options that names mocked hosts, unless it was logged before."""
        lines = set(describe(options, self._hosts.names()))
        for line in sorted(lines - self._logged):
            log.warning("latehook: %s", line)
        self._logged = lines


def describe(options: Mapping[str, Sequence[str]], hosts: Iterable[tuple[str, int | None]]) -> Iterable[str]:
    """Yield what to say about each option that names mocked hosts. A port of None is any port."""
    hosts = list(hosts)
    for name in OPTIONS:
        values = options.get(name) or ()
        matching = [value for value in values if any(_matches(name, value, *host) for host in hosts)]
        if name == "allow_hosts":
            named = [host for host in hosts if values and not any(_matches(name, value, *host) for value in values)]
            verb, shown = "leaves out", list(values)
        else:
            named = [host for host in hosts if any(_matches(name, value, *host) for value in matching)]
            verb, shown = "names", matching
        if named:
            option = ", ".join(f"{name}={value}" for value in shown)
            yield f"the option {option} {verb} {_list(named)}: mocked hosts are answered by their mocks all the same"


def _matches(option: str, pattern: str, host: str, port: int | None) -> bool:
    """Return whether mitmproxy finds the pattern in `host:port`, or in the host alone where it knows only that."""
    name = host_in_url(host.replace("*", "any", 1))
    texts = [name] if option in ("tcp_hosts", "udp_hosts") else [f"{name}:{each}" for each in _ports(port)]
    try:
        return any(re.search(pattern, text, re.IGNORECASE) for text in texts)
    except re.error:
        return False  # mitmproxy has refused it


def _ports(port: int | None) -> Iterable[int]:
    return DEFAULT_PORTS.values() if port is None else (port,)


def _list(hosts: Sequence[tuple[str, int | None]]) -> str:
    names = [host_in_url(host) + ("" if port is None else f":{port}") for host, port in hosts]
    more = len(names) - MOST_HOSTS
    return ", ".join(names[:MOST_HOSTS]) + (f" and {more} more" if more > 0 else "")
