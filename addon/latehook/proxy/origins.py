"""The origins at which browsers may use the control API.

A page can send requests to its own origin and read the answers. So the control API must not share an origin with pages
of a mocked host, nor with those of a host that this proxy passes on.
"""

from mitmproxy import http
from mitmproxy.proxy import mode_specs

from latehook.base.hostnames import DEFAULT_PORTS
from latehook.proxy import listeners, sniffing
from latehook.proxy.mocked_hosts import MockedHosts


def is_own(flow: http.HTTPFlow, named: str, direct: bool, hosts: MockedHosts) -> bool:
    """Return whether no page of another server can be at the origin of a request to the control API.

    `named` is its Host header. `direct`: its request line names no host, so it came to this server, not to a proxy.
    In reverse mode all pages at the origin are those of the host behind it. They are made here if that host is mocked,
    unless a mock forwards requests.
    """
    host, given_port = sniffing.authority(named)
    port = given_port or DEFAULT_PORTS["https" if flow.client_conn.tls else "http"]
    if isinstance(flow.client_conn.proxy_mode, mode_specs.ReverseMode):
        made_here = hosts.contains(flow.request.host, flow.request.port) and not hosts.forwards
        return made_here and not hosts.contains(host, port)
    return listeners.is_own_proxy(host, port) or (direct and not hosts.contains(host, port))
