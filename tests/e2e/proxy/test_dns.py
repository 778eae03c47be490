"""mitmproxy as a name server: a query for a mocked host is answered by the proxy itself, any other one is passed on."""

import socket
import struct
import threading
from collections.abc import Iterator

import pytest
from mitmproxy import dns
from mitmproxy.net.dns import response_codes, types

from support.limits import PROMPT
from support.ports import free_port
from support.process import mitmdump
from support.raw_servers import raw_server

MOCKS = (
    "mocks: [{match: GET api.slow.example/}, {match: 'GET *.wild.example:8443/'}, {match: GET b\u00fccher.example/}]\n"
)
MOCKED = ["api.slow.example", "API.Slow.EXAMPLE", "a.wild.example", "xn--bcher-kva.example"]
MOCKED += ["_8443._https.api.slow.example", "_https._tcp.a.wild.example"]


@pytest.fixture(scope="module")
def asked() -> list[str]:
    """The names that the real name server was asked for."""
    return []


@pytest.fixture(scope="module")
def ports(confdir: object, tmp_path_factory: pytest.TempPathFactory, asked: list[str]) -> Iterator[dict[str, int]]:
    """The ports of the mode `dns`, and of one that passes queries on to a real name server."""
    file = tmp_path_factory.mktemp("dns") / "mocks.yaml"
    file.write_text(MOCKS)
    ports = {"dns": free_port(), "reverse": free_port()}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, raw_server(lambda c: serve_tcp(c, asked)) as port:
        server.bind(("127.0.0.1", port))
        threading.Thread(target=serve, args=(server, asked), daemon=True).start()
        modes = ["--mode", f"dns@{ports['dns']}"]
        modes += ["--mode", f"reverse:dns://127.0.0.1:{server.getsockname()[1]}@{ports['reverse']}"]
        with mitmdump(confdir, "--set", f"mock_file={file}", *modes, wait=False) as proxy:  # type: ignore[arg-type]
            proxy.wait_for("latehook: ready")
            yield ports
        server.sendto(b"", server.getsockname())


def serve(server: socket.socket, asked: list[str]) -> None:
    while True:
        data, client = server.recvfrom(65536)
        if not data:
            return
        server.sendto(answer(data, asked), client)


def serve_tcp(connection: socket.socket, asked: list[str]) -> None:
    while data := connection.recv(65536):
        answered = answer(data[2:], asked)
        connection.sendall(struct.pack(">H", len(answered)) + answered)


def answer(data: bytes, asked: list[str]) -> bytes:
    query = dns.DNSMessage.unpack(data)
    asked.extend(question.name for question in query.questions)
    return query.fail(response_codes.NXDOMAIN).packed


def query(name: str, kind: int) -> dns.DNSMessage:
    fields = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    return dns.DNSMessage.unpack(struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + fields + struct.pack(">HH", kind, 1))


def ask(port: int, message: bytes, tcp: bool) -> dns.DNSMessage:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as client:
        client.settimeout(PROMPT)
        client.connect(("127.0.0.1", port))
        client.sendall(struct.pack(">H", len(message)) + message if tcp else message)
        return dns.DNSMessage.unpack(client.recv(65536)[2 if tcp else 0 :])


WAYS = [(mode, tcp) for mode in ("dns", "reverse") for tcp in (False, True)]


@pytest.mark.parametrize(("mode", "tcp"), WAYS)
def test_a_mocked_name_leads_to_the_proxy(mode: str, tcp: bool, ports: dict[str, int], asked: list[str]) -> None:
    for name in MOCKED:
        got = {kind: ask(ports[mode], query(name, kind).packed, tcp) for kind in (types.A, types.AAAA, types.MX, 65)}

        assert [(record.type, record.data) for record in got[types.A].answers] == [(types.A, bytes([127, 0, 0, 1]))]
        assert {message.response_code for message in got.values()} == {response_codes.NOERROR}
        assert [kind for kind, message in got.items() if message.answers] == [types.A]
    assert asked == []


@pytest.mark.parametrize("tcp", [False, True])
def test_what_is_no_plain_question_about_a_mocked_name_is_refused(
    tcp: bool, ports: dict[str, int], asked: list[str]
) -> None:
    first = query("api.slow.example", types.A)
    several = first.copy()
    several.questions = [*query("other.example", types.A).questions, *first.questions]
    update = first.copy()
    update.op_code = 5

    for message in (several, update):
        assert ask(ports["reverse"], message.packed, tcp).response_code == response_codes.REFUSED
    assert asked == []


@pytest.mark.parametrize("tcp", [False, True])
def test_another_name_is_passed_on(tcp: bool, ports: dict[str, int], asked: list[str]) -> None:
    answered = ask(ports["reverse"], query("other.example", types.A).packed, tcp)

    assert answered.response_code == response_codes.NXDOMAIN
    assert asked == ["other.example"]
    asked.clear()
