"""A SOCKS client in a tunnel to another proxy, which then asks for a mocked host: nothing for this host gets there."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.attack_clients import read_response
from support.ports import free_port
from support.process import Proxy, mitmdump
from support.raw_servers import raw_server
from support.tunnel_clients import Tls, connect, send, socks5
from support.waiting import wait_until

NAME = b"api.slow.example"
MOCKS = f"mocks: [{{match: 'ANY {NAME.decode()}/**', response: {{text: mocked}}}}, {{match: 'ANY 203.0.113.7/**'}}]"
ADDRESS = bytes([203, 0, 113, 7])

ASKED = {
    "SOCKS4": b"\4\1\0\x50" + ADDRESS + b"me\0",
    "SOCKS4a": b"\4\1\1\xbb\0\0\0\1\0" + NAME + b"\0",
    "SOCKS5, an address": b"\5\1\0\1" + ADDRESS + b"\0\x50",
    "SOCKS5, an address in IPv6": b"\5\1\0\4" + bytes(10) + b"\xff\xff" + ADDRESS + b"\0\x50",
    "SOCKS5, a name": b"\5\1\0\3\x10" + NAME + b"\1\xbb",
    "SOCKS5, a name spelt otherwise": b"\5\1\0\3\x11" + NAME.upper() + b"." + b"\0\x50",
    "SOCKS5, UDP": b"\5\3\0\3\x10" + NAME + b"\1\xbb",
}
GREETINGS = {"alone": b"\5\1\0", "with a password": b"\5\2\0\2\1\2me\6secret"}
OTHER = b"\5\1\0\3\x0dother.example\1\xbb"
HEAD = b"POST /jobs HTTP/1.1\r\nHost: " + NAME + b"\r\ncontent-length: 0\r\n\r\n"


class SocksProxy:
    """A SOCKS5 proxy that agrees to everything, and what it has received."""

    def __init__(self) -> None:
        self.received = b""
        self.port = 0

    def serve(self, connection: socket.socket) -> None:
        while data := connection.recv(65536):
            self.received += data
            connection.sendall(b"\5\0" if data.startswith(b"\5\1\0") and len(data) == 3 else b"\5\0\0\1" + bytes(6))


@pytest.fixture(scope="module", params=["pass", "intercept"])
def ports(
    request: pytest.FixtureRequest, confdir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Proxy, dict[str, int]]]:
    file = tmp_path_factory.mktemp("mocks") / "mocks.yaml"
    file.write_text(MOCKS)
    ports = {"CONNECT": free_port(), "SOCKS5": free_port()}
    modes = "--mode", f"regular@{ports['CONNECT']}", "--mode", f"socks5@{ports['SOCKS5']}"
    options = "--set", f"mock_file={file}", "--set", f"mock_others={request.param}"
    with mitmdump(confdir, *options, *modes) as proxy:
        yield proxy, ports
    assert "Traceback" not in proxy.output and "crashed" not in proxy.output


@pytest.fixture
def far() -> Iterator[SocksProxy]:
    far = SocksProxy()
    with raw_server(far.serve) as far.port:
        yield far


def open_tunnel(ports: tuple[Proxy, dict[str, int]], mode: str, host: str, far: SocksProxy) -> socket.socket:
    return {"CONNECT": connect, "SOCKS5": socks5}[mode](ports[1][mode], host, far.port)


@pytest.mark.parametrize("piece", [0, 1])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("how", ASKED)
@pytest.mark.parametrize("mode", ["CONNECT", "SOCKS5"])
def test_a_request_for_a_mocked_host_ends_the_tunnel(
    mode: str, how: str, host: str, piece: int, ports: tuple[Proxy, dict[str, int]], far: SocksProxy
) -> None:
    greeting = b"" if how.startswith("SOCKS4") else GREETINGS["with a password" if piece else "alone"]
    with open_tunnel(ports, mode, host, far) as client:
        send(client, greeting + ASKED[how], piece)
        while client.recv(1000):
            pass

    wait_until(lambda: far.received in (b"", greeting), "the greeting is received whole, or nothing")
    ports[0].wait_for(rf"latehook: a connection to {host}:{far.port} ends: a SOCKS client on it asks for a mocked host")


@pytest.mark.parametrize("through", ["HTTP", "TLS"])
def test_what_follows_another_request_is_answered_if_it_is_for_a_mocked_host(
    through: str, ports: tuple[Proxy, dict[str, int]], far: SocksProxy
) -> None:
    with open_tunnel(ports, "CONNECT", "127.0.0.1", far) as client:
        client.sendall(GREETINGS["alone"])
        assert client.recv(2) == b"\5\0"
        client.sendall(OTHER)
        assert client.recv(10) == b"\5\0\0\1" + bytes(6)
        wrapped = Tls(client, NAME.decode()) if through == "TLS" else client
        wrapped.sendall(HEAD)
        _, response, _ = read_response(wrapped, b"POST")  # type: ignore[arg-type]

    assert response.endswith(b"mocked")
    assert far.received == GREETINGS["alone"] + OTHER


def test_a_request_for_another_host_and_what_follows_pass_unchanged(
    ports: tuple[Proxy, dict[str, int]], far: SocksProxy
) -> None:
    with open_tunnel(ports, "CONNECT", "127.0.0.1", far) as client:
        for said in (GREETINGS["alone"], OTHER, b"\0\1 neither TLS nor HTTP"):
            client.sendall(said)
            assert client.recv(10)

    assert far.received == GREETINGS["alone"] + OTHER + b"\0\1 neither TLS nor HTTP"
