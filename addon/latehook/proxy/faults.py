"""Faults toward the client carried out: what is sent of a response, and what becomes of the connection.

Over HTTP/2 a fault is its stream's own and the others go on; only a reset is TCP's, and ends them all.
"""

import socket
import struct
from collections.abc import Iterator
from typing import Any

from mitmproxy import ctx, http
from mitmproxy.connection import Client
from mitmproxy.net.http.http1 import assemble_response_head
from mitmproxy.proxy.commands import CloseConnection, Command, SendData
from mitmproxy.proxy.layers.http import ErrorCode, ResponseData, ResponseHeaders, ResponseProtocolError, SendHttp

from latehook.base.model import ResponseFault

GARBAGE = bytes(range(128, 256)) + b"\r\n\r\n"


def carry_out(fault: ResponseFault, flow: http.HTTPFlow, client: Client, stream: int) -> Iterator[Command]:
    """What is sent to the client in place of the flow's response."""
    match fault:
        case ResponseFault.RESET:
            if not _reset(client):
                yield CloseConnection(client)
        case ResponseFault.EMPTY:
            yield _broken_off(client, stream)
        case ResponseFault.TRUNCATE:
            yield from _first_half(flow, client, stream)
            yield _broken_off(client, stream)
        case ResponseFault.HANG:
            yield from _first_half(flow, client, stream)
        case ResponseFault.GARBAGE if _has_streams(flow):
            yield SendData(client, _malformed_headers(stream))
        case ResponseFault.GARBAGE:
            yield SendData(client, GARBAGE)
            yield CloseConnection(client)


def _has_streams(flow: http.HTTPFlow) -> bool:
    return flow.request.is_http2


def _broken_off(client: Client, stream: int) -> SendHttp:
    """Over HTTP/1 the end of the connection, over HTTP/2 of the stream."""
    return SendHttp(ResponseProtocolError(stream, "fault", ErrorCode.KILL), client)


def _first_half(flow: http.HTTPFlow, client: Client, stream: int) -> Iterator[Command]:
    """Of the body, behind its whole head; where there is no body, of the head. HTTP/2 knows no half of a head."""
    response = flow.response
    assert response is not None
    if body := response.raw_content:
        yield SendHttp(ResponseHeaders(stream, response, end_stream=False), client)
        if half := body[: len(body) // 2]:
            yield SendHttp(ResponseData(stream, half), client)
    elif not _has_streams(flow):
        head = assemble_response_head(response)
        yield SendData(client, head[: len(head) // 2])


def _malformed_headers(stream: int) -> bytes:
    """A HEADERS frame that is no response's: the stream's error, and not the connection's (RFC 9113 8.1.1).

    Some clients look at the status, some at the length. Both are literals that no table remembers, so what comes
    after them on other streams is read as before (RFC 7541 6.2.2).
    """
    names, value = (b":status", b"content-length"), b"garbage"
    fields = b"".join(b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value for name in names)
    headers, end_of_stream_and_headers = 0x1, 0x5
    return struct.pack(">I", len(fields))[1:] + struct.pack(">BBI", headers, end_of_stream_and_headers, stream) + fields


def _reset(client: Client) -> bool:
    """Have TCP end the connection with a reset: what becomes of a socket that may not linger. Some are no sockets."""
    transport = transport_of(client)
    opened = None if transport is None else transport.get_extra_info("socket")
    if transport is not None and opened is not None:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return opened is not None


def transport_of(client: Client) -> Any:
    """What a client's connection is closed by. By mitmproxy's command it would stay open, when more comes just then."""
    handler = ctx.master.addons.get("proxyserver").connections.get(client.id)  # None: mitmproxy replays a request
    if handler is None or client not in handler.transports:
        return None
    return getattr(handler.transports[client].writer, "transport", None)
