"""The proxy never resolves the name of a mocked host and never connects to it.

An audit hook in the proxy's process writes every name lookup and every connection to a file. Some of the mocked hosts are
addresses where a server listens that would notice a connection.
"""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.limits import LIMIT
from support.process import Proxy, mitmdump
from support.programs import curl
from support.raw_servers import raw_server
from support.receivers import Receiver, receiver
from support.waiting import wait_until
from support.witness import Witness

MOCKS = """
mocks:
  - match: POST {host}/jobs
    response: {{json: {{id: "{{{{ job.id }}}}"}}}}
    webhook: {{after: 0s, to: "{url}/hook", json: {{id: "{{{{ job.id }}}}"}}}}
"""

HOSTS = ["api.slow.example", "127.0.0.1", "localhost"]
HOWS = {"http": ["--http1.1"], "https": ["--http1.1"], "https-http2": ["--http2"]}


@pytest.fixture(scope="module")
def hooks() -> Iterator[Receiver]:
    with receiver() as server:
        yield server


@pytest.fixture(scope="module")
def connections() -> list[str]:
    """The addresses of those that have connected to the third party."""
    return []


@pytest.fixture(scope="module")
def third_party(connections: list[str]) -> Iterator[int]:
    """The port of a third party that listens. Mocked names that do not resolve use it too."""
    with raw_server(lambda connection: connections.append(str(connection.getpeername()))) as port:
        yield port


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("never_touched")


@pytest.fixture(scope="module")
def witness(folder: Path) -> Witness:
    return Witness(folder)


@pytest.fixture(scope="module")
def proxy(confdir: Path, folder: Path, witness: Witness, hooks: Receiver, third_party: int) -> Iterator[Proxy]:
    arguments = []
    for host in HOSTS:
        file = folder / f"{host}.yaml"
        file.write_text(MOCKS.format(host=f"{host}:{third_party}", url=hooks.url))
        arguments += ["--set", f"mock_file={file}"]
    with mitmdump(confdir, *arguments, env=witness.env) as started:
        yield started


@pytest.fixture
def events(witness: Witness) -> Witness:
    witness.forget()
    return witness


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("how", HOWS)
def test_a_mocked_request_causes_no_lookup_and_no_connection_except_to_the_webhooks_receiver(
    how: str,
    host: str,
    proxy: Proxy,
    events: Witness,
    third_party: int,
    hooks: Receiver,
    connections: list[str],
) -> None:
    url = f"{how.partition('-')[0]}://{host}:{third_party}/jobs"

    answered = curl(*HOWS[how], "-x", proxy.url, "--cacert", proxy.ca, "-d", "{}", url)
    proxy.wait_for(f"job {json.loads(answered.stdout)['id']}: webhook delivered")

    assert set(events.events) <= {f"connect to ('127.0.0.1', {hooks.port})"}
    assert connections == []


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("how", HOWS)
def test_a_request_that_no_mock_matches_causes_neither(
    how: str, host: str, proxy: Proxy, events: Witness, third_party: int, connections: list[str]
) -> None:
    url = f"{how.partition('-')[0]}://{host}:{third_party}/nowhere"

    answered = curl(*HOWS[how], "-x", proxy.url, "--cacert", proxy.ca, "-w", "%{http_code}", "-o", "/dev/null", url)

    assert answered.stdout == "501"
    assert events.events == []
    assert connections == []


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("sent", [b"\x00\x01 neither TLS nor HTTP\r\n\r\n", b""], ids=["garbage", "nothing"])
def test_a_tunnel_to_a_mocked_host_with_other_bytes_than_http_causes_neither(
    sent: bytes, host: str, proxy: Proxy, events: Witness, third_party: int, connections: list[str]
) -> None:
    with socket.create_connection(("127.0.0.1", proxy.port), LIMIT) as client:
        client.sendall(f"CONNECT {host}:{third_party} HTTP/1.1\r\nhost: {host}:{third_party}\r\n\r\n".encode())
        head = client.recv(65536)
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        rest = b"".join(iter(lambda: client.recv(65536), b""))

    assert head.startswith(b"HTTP/1.1 200 ")
    assert rest == b""
    assert events.events == []
    assert connections == []


def test_the_events_have_a_request_to_another_host(proxy: Proxy, events: Witness, hooks: Receiver) -> None:
    """Show that the tests above would fail if the proxy made a lookup or a connection."""
    curl("-x", proxy.url, f"http://localhost:{hooks.port}/")

    assert "look up localhost" in events.events
    assert any(line.startswith("connect to (") and str(hooks.port) in line for line in events.events)


def test_the_events_have_a_tunnel_to_another_host(proxy: Proxy, events: Witness) -> None:
    accepted: list[bytes] = []
    with raw_server(lambda connection: accepted.append(connection.recv(1))) as port:
        curl("-x", proxy.url, "-p", f"http://localhost:{port}/")
        wait_until(lambda: accepted, "the tunnel's far end hears something")

    assert "look up localhost" in events.events
