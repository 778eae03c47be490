"""Requests that come at once are begun a few in each turn of the event loop, so that other clients are served between."""

from collections.abc import Iterator
from typing import Any

import h2.connection
import pytest
from mitmproxy import http
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.connection import Client
from mitmproxy.proxy.commands import CloseConnection, RequestWakeup, SendData
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.events import DataReceived, Start, Wakeup
from mitmproxy.proxy.layers.http import (
    ReceiveHttp,
    RequestEndOfMessage,
    RequestHeaders,
    ResponseEndOfMessage,
    ResponseHeaders,
)
from mitmproxy.test import taddons

from latehook.proxy.http1 import REQUESTS_PER_TURN, Http1
from latehook.proxy.http2 import FRAMES_PER_TURN, MOST_RESETS, STREAMS_PER_TURN, Http2


@pytest.fixture
def context() -> Iterator[Context]:
    with taddons.context(Proxyserver()) as addons:
        yield Context(Client(peername=("127.0.0.1", 1), sockname=("127.0.0.1", 2)), addons.options)


def http2_heads(count: int, reset: bool = False) -> bytes:
    client = h2.connection.H2Connection()
    client.initiate_connection()
    for stream in range(1, 2 * count, 2):
        fields = [(":method", "GET"), (":scheme", "http"), (":authority", "a.example"), (":path", "/")]
        client.send_headers(stream, fields, end_stream=True)
        if reset:
            client.reset_stream(stream)
    return client.data_to_send()


def commands_by_turn(layer: Any, data: bytes) -> list[list[Any]]:
    """Return what a layer does with these bytes, in each turn."""
    list(layer.handle_event(Start()))
    turns = [list(layer.handle_event(DataReceived(layer.conn, data)))]
    while timers := [command for command in turns[-1] if isinstance(command, RequestWakeup)]:
        turns.append(list(layer.handle_event(Wakeup(timers[0]))))
    return turns


def begun(commands: list[Any]) -> int:
    return sum(isinstance(command, ReceiveHttp) and isinstance(command.event, RequestHeaders) for command in commands)


def test_http2(context: Context) -> None:
    turns = commands_by_turn(Http2(context), http2_heads(50))

    assert [begun(commands) for commands in turns] == [STREAMS_PER_TURN] * (50 // STREAMS_PER_TURN) + [2]


PING = b"\0\0\x08\6\0\0\0\0\0" + bytes(8)


def test_frames_of_http2_that_ask_for_nothing(context: Context) -> None:
    turns = commands_by_turn(Http2(context), http2_heads(1) + PING * 1000)

    answers = [sum(isinstance(command, SendData) for command in commands) for commands in turns]
    assert len(turns) == 1 + 1000 // FRAMES_PER_TURN
    assert max(answers) <= FRAMES_PER_TURN


class At(Http2):
    """A connection on which no time passes."""

    clock = staticmethod(lambda: 0.0)


def test_a_client_that_resets_too_many_streams_is_disconnected(context: Context) -> None:
    turns = commands_by_turn(At(context), http2_heads(3 * MOST_RESETS, reset=True))

    assert sum(map(begun, turns)) <= MOST_RESETS
    assert max(map(begun, turns)) <= STREAMS_PER_TURN
    sent = b"".join(command.data for command in turns[-1] if isinstance(command, SendData))
    assert b"too many streams were reset" in sent
    assert any(isinstance(command, CloseConnection) for command in turns[-1])


class Answering(Http1):
    """A connection on which each request is answered at once."""

    def handle_event(self, event: Any) -> Iterator[Any]:  # type: ignore[override]
        pending = list(super().handle_event(event))
        while pending:
            command = pending.pop(0)
            yield command
            if isinstance(command, ReceiveHttp) and isinstance(command.event, RequestEndOfMessage):
                stream = command.event.stream_id
                response = http.Response.make(204)
                pending += self.send(ResponseHeaders(stream, response, True))
                pending += self.send(ResponseEndOfMessage(stream))


def test_pipelined_requests(context: Context) -> None:
    layer = Answering(context)
    layer.is_for_mocked_host = lambda head, context: False

    turns = commands_by_turn(layer, b"GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n" * 20)

    assert [begun(commands) for commands in turns] == [REQUESTS_PER_TURN, REQUESTS_PER_TURN, 4]
