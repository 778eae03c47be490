"""Carry out the faults of responses: send a part of the response, or close or reset the connection.

Over HTTP/2 a fault affects only its own stream. A reset is one of TCP and ends all streams of the connection.
"""

import socket
import struct
from collections.abc import Iterator

from mitmproxy import http
from mitmproxy.connection import Client

from latehook.base.messages import ResponseFault
from latehook.proxy import compat
from latehook.proxy.compat import (
    CloseConnection,
    Command,
    ErrorCode,
    ResponseData,
    ResponseHeaders,
    ResponseProtocolError,
    SendData,
    SendHttp,
    assemble_response_head,
)

GARBAGE = bytes(range(128, 256)) + b"\r\n\r\n"


def send(fault: ResponseFault, flow: http.HTTPFlow, client: Client, stream: int) -> Iterator[Command]:
    """Yield the commands that send the fault in place of the flow's response."""
    match fault:
        case ResponseFault.RESET:
            if not _reset(client):
                yield CloseConnection(client)
        case ResponseFault.EMPTY:
            yield _end(client, stream)
        case ResponseFault.TRUNCATE:
            yield from _first_half(flow, client, stream)
            yield _end(client, stream)
        case ResponseFault.HANG:
            yield from _first_half(flow, client, stream)
        case ResponseFault.GARBAGE if _has_streams(flow):
            yield SendData(client, _malformed_headers(stream))
        case ResponseFault.GARBAGE:
            yield SendData(client, GARBAGE)
            yield CloseConnection(client)


def _has_streams(flow: http.HTTPFlow) -> bool:
    return flow.request.is_http2


def _end(client: Client, stream: int) -> SendHttp:
    """Return the command that ends the connection over HTTP/1, and the stream over HTTP/2."""
    return SendHttp(ResponseProtocolError(stream, "fault", ErrorCode.KILL), client)


def _first_half(flow: http.HTTPFlow, client: Client, stream: int) -> Iterator[Command]:
    """Send the head and half of the body; without a body half of the head, which HTTP/2 cannot send."""
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
    """Return a HEADERS frame that is no valid response: an error of the stream, not of the connection (RFC 9113 8.1.1).

    Some clients check the status, some the length, so both are wrong. They are literals that are not added to the
    compression table: responses on other streams are read as before (RFC 7541 6.2.2).
    """
    names, value = (b":status", b"content-length"), b"garbage"
    fields = b"".join(b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value for name in names)
    headers, end_of_stream_and_headers = 0x1, 0x5
    return struct.pack(">I", len(fields))[1:] + struct.pack(">BBI", headers, end_of_stream_and_headers, stream) + fields


def _reset(client: Client) -> bool:
    """Reset the TCP connection, as a socket does that may not linger. Return False for a transport without a socket."""
    transport = compat.transport_of(client)
    opened = None if transport is None else transport.get_extra_info("socket")
    if transport is not None and opened is not None:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return opened is not None
