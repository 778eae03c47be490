"""UDP in transparent modes (WireGuard, local): a mocked host's name is answered or refused, all else passes unchanged."""

import asyncio
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from mitmproxy import ctx, dns
from mitmproxy.addons.next_layer import NextLayer as NextLayerAddon
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.connection import Client, ConnectionState
from mitmproxy.proxy.commands import OpenConnection, SendData, StartHook
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.events import DataReceived, HookCompleted, OpenConnectionCompleted, Start
from mitmproxy.proxy.layer import NextLayerHook
from mitmproxy.proxy.layers import ClientQuicLayer, UDPLayer
from mitmproxy.proxy.layers.modes import TransparentProxy
from mitmproxy.proxy.layers.quic import QuicStartClientHook
from mitmproxy.proxy.layers.tls import TlsClienthelloHook
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import taddons

from latehook.mocks.matching import Matcher
from latehook.options import Others
from latehook.proxy.guard import Guard
from latehook.proxy.mocked_hosts import ClosedHosts, MockedHosts
from latehook.proxy.modes import adopt
from latehook.proxy.open_connections import OpenConnections
from latehook.proxy.other_hosts import OtherHosts
from latehook.proxy.request_state import RequestStates

NAME_SERVER = ("198.51.100.53", 53)
THIRD_PARTY = ("203.0.113.7", 443)


@pytest.fixture
def guard() -> Iterator[Guard]:
    hosts = MockedHosts()
    hosts.add([Matcher("GET api.slow.example/", None, None, "api.slow.example", None, (), False)])
    closed = ClosedHosts(hosts, lambda: False)
    others = OtherHosts(lambda: Others.PASS, lambda method, url: None)
    unused: Any = None  # needed for HTTP only
    with taddons.context(Proxyserver(), NextLayerAddon()):
        yield Guard(closed, others, RequestStates(closed), unused, unused, OpenConnections(), asyncio.Event())


def send(guard: Guard, server: tuple[str, int], *datagrams: bytes) -> tuple[Context, list[Any]]:
    """Return what happens when a client of WireGuard sends these datagrams: mitmproxy's layers, and their commands."""
    client = Client(
        peername=("10.0.0.1", 4000),
        sockname=server,
        transport_protocol="udp",
        state=ConnectionState.OPEN,
        proxy_mode=ProxyMode.parse("wireguard"),
    )
    context = Context(client, ctx.options)
    context.server.address = server
    context.server.transport_protocol = "udp"
    layer = TransparentProxy(context)
    adopt(layer, guard)
    commands: list[Any] = []
    events: list[Any] = [Start(), *(DataReceived(client, datagram) for datagram in datagrams)]
    while events:
        for command in layer.handle_event(events.pop(0)):
            commands.append(command)
            if isinstance(command, NextLayerHook):
                guard.next_layer(command.data)
            if isinstance(command, (TlsClienthelloHook, QuicStartClientHook)):
                return context, commands
            if isinstance(command, StartHook):
                events.insert(0, HookCompleted(command))
            elif isinstance(command, OpenConnection):
                events.insert(0, OpenConnectionCompleted(command, None))
    return context, commands


def query(name: str) -> bytes:
    """Return a DNS query for the IPv4 address of a name."""
    fields = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    return struct.pack(">HHHHHH", len(name), 0x100, 1, 0, 0, 0) + fields + struct.pack(">HH", 1, 1)


def sent_to(connection: object, commands: list[Any]) -> list[bytes]:
    return [command.data for command in commands if isinstance(command, SendData) and command.connection == connection]


def test_a_query_for_a_mocked_name_is_answered_and_one_for_another_name_passes(guard: Guard) -> None:
    context, commands = send(guard, NAME_SERVER, query("API.slow.example"), query("other.example"))

    (answer,) = (dns.DNSMessage.unpack(data) for data in sent_to(context.client, commands))
    assert [str(record) for record in answer.answers] == [NAME_SERVER[0]]
    assert sent_to(context.server, commands) == [query("other.example")]


def quic(name: str) -> list[bytes]:
    """Return the first datagrams of a QUIC client."""
    client = QuicConnection(configuration=QuicConfiguration(server_name=name, alpn_protocols=["h3"]))
    client.connect(THIRD_PARTY, now=0.0)
    return [data for data, _ in client.datagrams_to_send(now=0.0)]


def test_quic_for_a_mocked_name_is_decrypted_and_that_for_another_name_passes(guard: Guard) -> None:
    mocked, commands = send(guard, THIRD_PARTY, *quic("api.slow.example"))
    assert any(isinstance(layer, ClientQuicLayer) for layer in mocked.layers)
    assert not any(isinstance(command, OpenConnection) for command in commands)

    datagrams = quic("other.example")
    other, commands = send(guard, THIRD_PARTY, *datagrams, b"and more")
    assert isinstance(other.layers[-1], UDPLayer)
    assert sent_to(other.server, commands) == [*datagrams, b"and more"]
