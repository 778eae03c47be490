"""What Latehook uses of mitmproxy beyond its documented API: the only module that imports it.

`missing` checks the attributes at the start; a name that cannot be imported fails the import of this module.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from h2 import errors as h2_errors
from h2 import events as h2_events
from hpack import Decoder as HpackDecoder
from hpack import HPACKError
from mitmproxy import ctx, exceptions
from mitmproxy.addonmanager import AddonManager, traverse
from mitmproxy.addons.next_layer import NeedsMoreData
from mitmproxy.addons.next_layer import NextLayer as NextLayerAddon
from mitmproxy.addons.proxyserver import Proxyserver, Servers
from mitmproxy.connection import Client, Connection
from mitmproxy.hooks import all_hooks as all_hooks
from mitmproxy.http import RequestData as RequestFields
from mitmproxy.http import ResponseData as ResponseFields
from mitmproxy.log import LegacyLogEvents
from mitmproxy.master import Master
from mitmproxy.net.http.http1 import (
    assemble_response_head,
    connection_close,
    expected_http_body_size,
    read_request_head,
)
from mitmproxy.net.http.url import parse_authority
from mitmproxy.optmanager import OptManager
from mitmproxy.proxy.commands import CloseConnection, Command, OpenConnection, RequestWakeup, SendData, StartHook
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.events import CommandCompleted, ConnectionClosed, DataReceived, Event, Start, Wakeup
from mitmproxy.proxy.layer import Layer, NextLayer
from mitmproxy.proxy.layers import DNSLayer, TCPLayer, UDPLayer
from mitmproxy.proxy.layers.dns import DnsRequestHook
from mitmproxy.proxy.layers.http import (
    DropStream,
    ErrorCode,
    Http1Server,
    HttpErrorHook,
    HttpLayer,
    HTTPMode,
    HttpRequestHeadersHook,
    HttpRequestHook,
    HttpResponseHeadersHook,
    HttpResponseHook,
    HttpStream,
    ReceiveHttp,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    ResponseData,
    ResponseHeaders,
    ResponseProtocolError,
    SendHttp,
)
from mitmproxy.proxy.layers.http._http1 import make_body_reader, make_error_response
from mitmproxy.proxy.layers.http._http2 import Http2Server
from mitmproxy.proxy.layers.http._http_h2 import BufferedH2Connection
from mitmproxy.proxy.layers.modes import (
    DestinationKnown,
    HttpProxy,
    HttpUpstreamProxy,
    ReverseProxy,
    Socks5Proxy,
    TransparentProxy,
)
from mitmproxy.proxy.mode_servers import AsyncioServerInstance, ServerInstance
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.proxy.server import ConnectionHandler, ConnectionIO
from mitmproxy.tls import ClientHello

ATTRIBUTES: Mapping[type, str] = {
    AddonManager: "chain get add invoke_addon_sync",
    OptManager: "deferred has_changed keys process_deferred",
    Proxyserver: "connections servers",
    Servers: "changed",
    ServerInstance: "mode listen_addrs",
    AsyncioServerInstance: "_servers",
    NextLayerAddon: "next_layer _ignore_connection _get_client_hello",
    LegacyLogEvents: "master addFilter",
    ConnectionHandler: "client layer transports",
    ConnectionIO: "handler writer",
    Context: "client server options layers fork",
    Layer: "context handle_event _handle_event",
    DNSLayer: "handle_request handle_response",
    DestinationKnown: "child_layer finish_start",
    NextLayer: "context layer data_client data_server",
    HttpLayer: "connections streams make_stream event_to_child",
    HttpStream: (
        "stream_id mode flow request_body_buf child_layer client_state server_state"
        " state_wait_for_request_headers state_consume_request_body state_errored"
        " check_body_size check_killed start_request_stream send_response make_server_connection"
        " handle_connect_regular handle_connect_upstream handle_connect_finish passthrough"
    ),
    Http1Server: "conn stream_id request response buf body_reader state read_headers read_body wait",
    Http2Server: "conn h2_conn streams handle_h2_event protocol_error",
    BufferedH2Connection: "stream_buffers reset_stream",
    RequestFields: (
        "http_version headers content trailers timestamp_start timestamp_end host port method scheme authority path"
    ),
    ResponseFields: "http_version headers content trailers timestamp_start timestamp_end status_code reason",
}
"""The attributes that Latehook reads, sets, calls or overrides, by class."""


def missing() -> list[str]:
    """Return those of ATTRIBUTES that the running mitmproxy lacks, as `Class.attribute`."""
    return [
        f"{owner.__name__}.{name}"
        for owner, names in ATTRIBUTES.items()
        for name in names.split()
        if name not in _attributes(owner)
    ]


def _attributes(owner: type) -> set[str]:
    """Return the names of a class: its members, its annotations, and what its initializers set."""
    names = set(dir(owner))
    for base in owner.__mro__:
        names.update(vars(base).get("__annotations__", ()))
        names.update(getattr(vars(base).get("__init__"), "__code__", _NO_CODE).co_names)
    return names


_NO_CODE = compile("", "", "exec")


# The addons


def all_addons(master: Master) -> Iterator[Any]:
    """Yield mitmproxy's addons and those inside them: of a script, its module and what is in the module's `addons`."""
    yield from traverse(master.addons.chain)


def place(master: Master, addon: Any, first: bool) -> None:
    """Move an addon to the first place of mitmproxy's chain, or to the place behind the scripts.

    The place behind the scripts is behind the addons that refuse requests and before those that choose layers and TLS.
    """
    others = [other for other in master.addons.chain if other is not addon]
    at = 0 if first else 1 + others.index(master.addons.get("scriptloader"))
    master.addons.chain = [*others[:at], addon, *others[at:]]


def choose_layer(next_layer: NextLayer) -> None:
    """Have mitmproxy choose the next layer of a connection."""
    ctx.master.addons.get("nextlayer").next_layer(next_layer)


class _NextLayerForMockedHost(NextLayerAddon):
    """mitmproxy's choice without its options `ignore_hosts`, `allow_hosts`, `tcp_hosts` and `udp_hosts`."""

    def _ignore_connection(self, context: Context, data_client: bytes, data_server: bytes) -> bool:
        return False


_for_mocked_host = _NextLayerForMockedHost()


def choose_layer_for_mocked_host(next_layer: NextLayer) -> None:
    """Have mitmproxy choose the next layer, without the options that take hosts out of its hands."""
    _for_mocked_host.next_layer(next_layer)


def datagram_hello(next_layer: NextLayer) -> ClientHello | None:
    """Return the ClientHello of a client that speaks QUIC or DTLS; None if it speaks anything else.

    Raises AddonHalt if more must come.
    """
    try:
        return NextLayerAddon._get_client_hello(next_layer.context, next_layer.data_client())
    except NeedsMoreData:
        raise exceptions.AddonHalt from None


# Connections


def outermost_layer(client: Client) -> Layer:
    """Return the outermost layer of a client's connection, which its mode has made."""
    layer: Layer = _handlers()[client.id].layer
    return layer


def replays(client: Client) -> bool:
    """Return whether mitmproxy itself is the client: it replays a saved request, and there is no connection."""
    return client.id not in _handlers()


def transport_of(client: Client) -> Any:
    """Return the asyncio transport of a client's connection; None where there is none.

    mitmproxy's own command for closing leaves a connection open if more data arrives at that moment.
    """
    handler = _handlers().get(client.id)
    if handler is None or client not in handler.transports:
        return None
    return getattr(handler.transports[client].writer, "transport", None)


@contextmanager
def reading_paused(client: Client) -> Iterator[None]:
    """Read nothing of a client in the block, in which its `client_connected` waits.

    mitmproxy fails if a client's end is there already when it begins to handle the connection (its server.py, with the
    eager tasks of its master.py): it cancels a task that it has not kept yet.
    """
    transport = transport_of(client)
    if transport is None:
        yield
        return
    transport.pause_reading()
    try:
        yield
    finally:
        asyncio.get_running_loop().call_soon(transport.resume_reading)


def unsent(client: Client) -> int:
    """Return how many bytes wait to be sent to a client because it does not read."""
    transport = transport_of(client)
    return 0 if transport is None else transport.get_write_buffer_size()


def end(client: Client, connection: Connection) -> None:
    """Close one of the connections of a client at once: to a server, what is not sent yet is dropped."""
    opened = _handlers()[client.id].transports.get(connection)
    transport = getattr(getattr(opened, "writer", None), "transport", None)
    if transport is not None and connection is not client:
        transport.abort()
    elif transport is not None:
        transport.close()
    elif opened is not None and opened.handler is not None:  # it is being opened, or is none of asyncio's
        opened.handler.cancel("its host is mocked now")


def open_connections() -> Iterator[tuple[Client, list[Connection]]]:
    """Yield each client that is connected, with the client's and the servers' connections that are open for it."""
    for handler in list(_handlers().values()):
        yield handler.client, list(handler.transports)


def listening_ports(*modes: type[ProxyMode]) -> set[int]:
    """Return the ports on which the proxy listens in these modes; without any, in all modes."""
    return {
        address[1]
        for server in _servers()
        if not modes or isinstance(server.mode, modes)
        for address in server.listen_addrs
    }


def listening_addresses() -> Iterator[tuple[ProxyMode, str, int]]:
    """Yield each mode with each host and port on which the proxy listens for it."""
    for server in _servers():
        yield from ((server.mode, address[0], address[1]) for address in server.listen_addrs)


def on_new_listeners(callback: Callable[[], None]) -> None:
    """Call `callback`, a function of a module, when the proxy listens on other ports than before."""
    if (proxyserver := ctx.master.addons.get("proxyserver")) is not None:
        proxyserver.servers.changed.connect(callback)


def set_backlog(backlog: int) -> None:
    """Set how many connections wait at each TCP port of the proxy until they are accepted."""
    for server in _servers():
        for listener in server._servers if isinstance(server, AsyncioServerInstance) else ():
            for opened in listener.sockets if isinstance(listener, asyncio.Server) else ():
                with opened.dup() as same:  # asyncio's own has no `listen`
                    same.listen(backlog)


def _servers() -> Iterable[ServerInstance[Any]]:
    proxyserver = ctx.master.addons.get("proxyserver")
    return proxyserver.servers if proxyserver else ()


def _handlers() -> Mapping[Any, Any]:
    handlers: Mapping[Any, Any] = ctx.master.addons.get("proxyserver").connections
    return handlers
