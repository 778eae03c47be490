"""Latehook's variant of mitmproxy's DNS: a query for a mocked host is answered here, and never passed on."""

import ipaddress
import socket
from collections.abc import Callable, Generator
from typing import Any, Protocol

from mitmproxy import dns
from mitmproxy.connection import Client
from mitmproxy.net.dns import classes, op_codes, response_codes, types
from mitmproxy.proxy.context import Context

from latehook.base.hostnames import Address, standard_address_of
from latehook.proxy.compat import DNSLayer, DnsRequestHook

Commands = Generator[Any, Any, Any]

TTL = 0
"""Seconds for which a client may keep an answer: none, for it holds only as long as this process runs."""

PORTS = (53, 5353)
"""Ports at which mitmproxy takes a connection for DNS (its addons/next_layer.py)."""

_ADDRESS_TYPES = {4: types.A, 6: types.AAAA}


class DnsPolicy(Protocol):
    """Decides about queries. Its methods raise nothing."""

    def answer_query(self, query: dns.DNSMessage, client: Client) -> dns.DNSMessage | None:
        """Return the answer to a query for a mocked host; None to a query for another one."""


class Dns(DNSLayer):
    """The queries of one client."""

    policy: DnsPolicy

    def handle_request(self, flow: dns.DNSFlow, msg: dns.DNSMessage) -> Commands:
        answer = self.policy.answer_query(msg, flow.client_conn)
        if answer is None:
            yield from super().handle_request(flow, msg)
            return
        flow.request, flow.response = msg, answer
        yield DnsRequestHook(flow)
        yield from self.handle_response(flow, flow.response or answer)


def answer_for_mocked(
    query: dns.DNSMessage, is_mocked: Callable[[str], bool], own_address: Callable[[], Address | None]
) -> dns.DNSMessage | None:
    """Return the answer to a message that names a mocked host; None to any other one.

    A question for addresses gets the proxy's own, one for other records gets none. All else is refused.
    """
    names = [question.name for question in query.questions]
    names += [record.name for record in (*query.answers, *query.authorities, *query.additionals)]
    if not any(is_mocked(_host_of(name)) for name in names):
        return None
    question = query.question
    address = own_address()
    is_plain = query.query and query.op_code == op_codes.QUERY and question is not None
    if not is_plain or question is None or question.class_ != classes.IN or address is None:
        return query.fail(response_codes.REFUSED)
    if question.type != _ADDRESS_TYPES[address.version]:
        return query.succeed([])
    return query.succeed([dns.ResourceRecord(question.name, question.type, classes.IN, TTL, address.packed)])


def _host_of(name: str) -> str:
    """Return the host of a service's name: `_8443._https.api.slow.example` leads to it, too (RFC 9460 section 2.3)."""
    while name.startswith("_"):
        name = name.partition(".")[2]
    return name


def refuse(query: dns.DNSMessage) -> dns.DNSMessage:
    """Return an answer that refuses a query."""
    return query.fail(response_codes.REFUSED)


def own_address(client: Client) -> Address | None:
    """Return the address of this machine by which a client reaches it; None if it cannot be told."""
    address = standard_address_of(client.sockname[0]) if client.sockname else None
    if address is None or not address.is_unspecified:
        return address
    peer = standard_address_of(client.peername[0])
    if peer is None:
        return None
    family = socket.AF_INET6 if peer.version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((str(peer), 9))  # of a UDP socket: nothing is sent, the system only chooses the address
        except OSError:
            return None
        return ipaddress.ip_address(probe.getsockname()[0])


def is_to_name_server(context: Context) -> bool:
    """Return whether a connection is to a name server, whose queries mitmproxy reads, so that Latehook can answer."""
    address = context.server.address
    return address is not None and address[1] in PORTS
