"""Clients for hostile requests: bare HTTP/1 sockets, and an HTTP/2 client without checks."""

import re
import socket
import ssl
from contextlib import suppress

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from support.attacks import AttackRequest
from support.limits import LIMIT

LEAK = re.compile(rb"Traceback|File \"|\.py\b|site-packages|mitmproxy has crashed")
"""What appears only in the message of an unexpected exception. No response and no log line may hold it."""


def check_no_leak(request: bytes, response: bytes) -> None:
    """Check the response, without the parts that echo the body of the request."""
    assert not LEAK.search(response.replace(request or b"\0", b"")), (request[:200], response[:2000])


def connect(port: int) -> socket.socket:
    """Connect to a port of 127.0.0.1; small writes are sent at once."""
    connection = socket.create_connection(("127.0.0.1", port), LIMIT)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def read_response(connection: socket.socket, method: bytes) -> tuple[int, bytes, bool]:
    """Read one HTTP/1 response.

    Return its status (0 if none came), its bytes, and whether the connection can be used again.
    """
    received = b""
    while b"\r\n\r\n" not in received:
        data = connection.recv(65536)
        if not data:
            return 0, received, False
        received += data
        if received.startswith(b"HTTP/1.1 100 "):
            received = received.partition(b"\r\n\r\n")[2]
    head, _, _ = received.partition(b"\r\n\r\n")
    length = re.search(rb"\ncontent-length: *(\d+)", head, re.IGNORECASE)
    missing = 0 if length is None or method == b"HEAD" else int(length[1]) - (len(received) - len(head) - 4)
    while missing > 0 and (data := connection.recv(65536)):
        received += data
        missing -= len(data)
    return int(head[9:12]), received, b"connection: close" not in head.lower()


class Http2Client:
    """An HTTP/2 client that sends whatever it is given, valid or not."""

    def __init__(self, connection: socket.socket) -> None:
        config = h2.config.H2Configuration(
            validate_outbound_headers=False, normalize_outbound_headers=False, header_encoding=None
        )
        self.socket = connection
        self.state = h2.connection.H2Connection(config)
        self.state.initiate_connection()
        self.flush()
        self.open = True
        self.used = 0

    def close(self) -> None:
        self.socket.close()

    def flush(self) -> None:
        self.socket.sendall(self.state.data_to_send())

    def start(self, request: AttackRequest, host: bytes, ends: bool) -> int:
        """Send the headers of a request, which end it if `ends`; return the stream's id."""
        stream = self.state.get_next_available_stream_id()
        self.state.send_headers(stream, request.over_http2(host), end_stream=ends)
        self.flush()
        self.used += 1
        return stream

    def send(self, request: AttackRequest, host: bytes) -> int:
        """Send a request; return the status of the response, or 0 if none came."""
        status, received, ended, body = 0, b"", False, request.body
        with suppress(ConnectionError, ssl.SSLError, h2.exceptions.ProtocolError):
            stream = self.start(request, host, ends=not body)
            while not ended:
                while body and (room := self.state.local_flow_control_window(stream)):
                    size = min(room, self.state.max_outbound_frame_size, len(body))
                    self.state.send_data(stream, body[:size], end_stream=size == len(body))
                    body = body[size:]
                self.flush()
                for event in self.receive():
                    if isinstance(event, h2.events.ResponseReceived) and event.stream_id == stream:
                        status = int(dict(event.headers)[b":status"])
                    elif isinstance(event, h2.events.DataReceived):
                        received += event.data
                        self.state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    elif isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)):
                        ended = ended or event.stream_id == stream
                    elif isinstance(event, h2.events.ConnectionTerminated):
                        self.open = False
                ended = ended or not self.open
            self.flush()
            check_no_leak(request.body, received)
            return status
        self.open = False
        return status

    def receive(self) -> list[h2.events.Event]:
        """Wait for bytes; return the events that they cause."""
        data = self.socket.recv(65536)
        if not data:
            self.open = False
            return []
        return self.state.receive_data(data)


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Return the bytes of an HTTP/2 frame."""
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload
