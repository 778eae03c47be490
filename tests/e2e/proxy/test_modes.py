"""Other doors: the same mocks through reverse, socks5 and upstream, each alone and all at once with regular."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import socks

from support.certificates import Certificate, certificate
from support.forward_proxy import ForwardProxy, forward_proxy
from support.ports import free_port
from support.process import HOST, Proxy, mitmdump
from support.programs import curl
from support.raw_servers import raw_server
from support.receivers import Receiver, receiver
from support.waiting import wait_until

ELSEWHERE = "by-address.slow.example"
OTHER = "other.example"
FORWARDED = "forwarded.example"
GREETING = b"220 mail.example ready\r\n"
PROMPT = 5.0
"""Seconds in which every request of these tests must end: one that hangs fails."""

PATH = "/api/endpoint?some_parameter="


@dataclass
class World:
    """What is around the proxy: a third party that must never be reached, other services, the SUT's receiver."""

    third_party: Receiver
    other: Receiver
    other_tls: Receiver
    certificate: Certificate
    company: ForwardProxy
    greeter: int
    sut: Receiver

    @property
    def mocks(self) -> str:
        hosts = HOST, f"localhost:{self.third_party.port}", ELSEWHERE
        ports = "".join(f"  - match: GET {ELSEWHERE}:{server.port}/none\n" for server in (self.other, self.other_tls))
        forward = f"  - {{match: 'GET {FORWARDED}/path', response: forward}}\n"
        return "mocks:\n" + forward + ports + "".join(MOCK.format(host=host, sut=self.sut.url) for host in hosts)


MOCK = """
  - match: ANY {host}/api/endpoint
    response:
      json: {{mocked: "{{{{ request.query.some_parameter }}}}"}}
    webhook:
      to: {sut}/hook
      query: {{some_parameter: "{{{{ request.query.some_parameter }}}}"}}
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    own = certificate(tmp_path_factory.mktemp("other"), "localhost", OTHER, FORWARDED)
    with ExitStack() as stack:
        yield World(
            third_party=stack.enter_context(receiver()),
            other=stack.enter_context(receiver()),
            other_tls=stack.enter_context(receiver(tls=own.context)),
            certificate=own,
            company=stack.enter_context(forward_proxy()),
            greeter=stack.enter_context(raw_server(_greet)),
            sut=stack.enter_context(receiver()),
        )


def _greet(connection: Any) -> None:
    connection.sendall(GREETING)
    connection.recv(1)


@dataclass
class Doors:
    """Ports by mode, and the processes behind them."""

    ports: dict[str, int]
    proxies: list[Proxy]
    world: World

    def proxy(self, scheme: str) -> str:
        """For curl's -x."""
        return f"{scheme}://127.0.0.1:{self.ports['socks5' if scheme.startswith('socks5') else 'upstream']}"

    @property
    def ca(self) -> str:
        return self.proxies[0].ca

    @property
    def output(self) -> str:
        return "\n".join(proxy.output for proxy in self.proxies)

    def ask(self, url: str, *arguments: str) -> None:
        """A request to a mocked host: it is answered, and its webhook comes."""
        value = uuid4().hex
        done = curl("--fail-with-body", *arguments, url + value, limit=PROMPT)
        assert done.stdout, f"{done.stderr}\n{self.output}"
        assert json.loads(done.stdout) == {"mocked": value}
        wait_until(lambda: value in {hook.query["some_parameter"] for hook in self.world.sut.requests}, "the webhook")


@pytest.fixture(scope="module", params=["alone", "together"])
def doors(request: pytest.FixtureRequest, world: World, confdir: Path, tmp_path_factory: Any) -> Iterator[Doors]:
    """Each mode in a process of its own, or all in one, with regular. Their options are mitmproxy's own."""
    file = tmp_path_factory.mktemp("mocks") / "mocks.yaml"
    file.write_text(world.mocks)
    modes = {
        "reverse http": f"reverse:http://{HOST}",
        "reverse https": f"reverse:https://{HOST}",
        "reverse http, a name": f"reverse:http://localhost:{world.third_party.port}",
        "reverse https, a name": f"reverse:https://localhost:{world.third_party.port}",
        "reverse other": f"reverse:http://127.0.0.1:{world.other.port}",
        "reverse other tls": f"reverse:https://localhost:{world.other_tls.port}",
        "reverse dead": f"reverse:http://127.0.0.1:{free_port()}",
        "socks5": "socks5",
        "upstream": f"upstream:{world.company.url}",
        "regular": "regular",
    }
    ports = {name: free_port() for name in modes}
    given = {name: ("--mode", f"{spec}@{ports[name]}") for name, spec in modes.items()}
    if request.param == "alone":
        reverse = [argument for name in modes if name.startswith("reverse") for argument in given[name]]
        processes = [reverse, given["socks5"], given["upstream"], given["regular"]]
    else:
        processes = [[argument for arguments in given.values() for argument in arguments]]
    trust = f"ssl_verify_upstream_trusted_ca={world.certificate.ca}"
    with ExitStack() as stack:
        proxies = [
            stack.enter_context(mitmdump(confdir, "--set", f"mock_file={file}", "--set", trust, *arguments, wait=False))
            for arguments in processes
        ]
        for proxy in proxies:
            proxy.wait_for("latehook: ready")
        yield Doors(ports, proxies, world)


@pytest.fixture(autouse=True)
def nothing_mocked_is_contacted(doors: Doors, world: World) -> Iterator[None]:
    yield
    assert world.third_party.connections == 0
    mocked = re.compile(rf"{re.escape(HOST)}|{re.escape(ELSEWHERE)}|localhost:{world.third_party.port}")
    assert [asked for asked in world.company.asked if mocked.search(asked)] == []
    tried = re.compile(r"server connect |error establishing")
    assert [line for line in doors.output.splitlines() if tried.search(line) and mocked.search(line)] == []
    assert "Name or service not known" not in doors.output
    assert "Traceback" not in doors.output and "crashed" not in doors.output


# Reverse


@pytest.mark.parametrize("mode", ["reverse http", "reverse https", "reverse http, a name", "reverse https, a name"])
@pytest.mark.parametrize("client", ["http", "https", "https, h1", "https, an address"])
def test_a_client_that_knows_of_no_proxy_is_served_by_a_reverse_one(doors: Doors, mode: str, client: str) -> None:
    name = "127.0.0.1" if client in ("http", "https, an address") else "localhost"
    version = "--http1.1" if client == "https, h1" else "--http2"
    url = f"{client.partition(',')[0]}://{name}:{doors.ports[mode]}{PATH}"

    doors.ask(url, "--cacert", doors.ca, version if client != "http" else "--http1.1", "-d", "anything", "-4")


def test_a_path_without_a_mock_is_not_passed_on_by_a_reverse_proxy(doors: Doors) -> None:
    done = curl(f"http://127.0.0.1:{doors.ports['reverse http, a name']}/other", "-w", "%{http_code}", limit=PROMPT)

    assert done.stdout.endswith("501")
    assert "no mock matches" in done.stdout


def test_a_host_header_of_its_own_changes_nothing_of_a_reverse_proxys_host(doors: Doors) -> None:
    doors.ask(f"http://127.0.0.1:{doors.ports['reverse http, a name']}{PATH}", "-H", "host: sut.example")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_reverse_proxy_for_another_host_works(doors: Doors, world: World, scheme: str) -> None:
    before = len(world.other.requests)

    done = curl(f"{scheme}://localhost:{doors.ports['reverse other']}/path", "-4", "--cacert", doors.ca, limit=PROMPT)

    assert done.stdout == "ok"
    assert [got.path for got in world.other.requests[before:]] == ["/path"]


def test_a_reverse_proxy_for_another_host_speaks_tls_to_it(doors: Doors, world: World) -> None:
    before = len(world.other_tls.requests)

    done = curl(f"http://localhost:{doors.ports['reverse other tls']}/path", "-4", limit=PROMPT)

    assert done.stdout == "ok"
    assert [got.path for got in world.other_tls.requests[before:]] == ["/path"]


def test_a_reverse_proxy_for_a_dead_host_closes_at_once_as_mitmproxy_does(doors: Doors) -> None:
    done = curl(f"http://127.0.0.1:{doors.ports['reverse dead']}/", limit=PROMPT)

    assert done.returncode in (52, 56), done.stderr  # an empty reply, or reset while the client still writes


# SOCKS


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_name_that_the_socks_proxy_resolves_is_mocked(doors: Doors, world: World, scheme: str, version: str) -> None:
    arguments = "-x", doors.proxy("socks5h"), "--cacert", doors.ca, version if scheme == "https" else "--http1.1"

    doors.ask(f"{scheme}://{HOST}{PATH}", *arguments)
    doors.ask(f"{scheme}://localhost:{world.third_party.port}{PATH}", *arguments)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_name_that_the_client_resolves_is_mocked_and_its_address_not_contacted(
    doors: Doors, world: World, scheme: str
) -> None:
    noticing = world.other if scheme == "http" else world.other_tls
    before = noticing.connections

    doors.ask(
        f"{scheme}://{ELSEWHERE}:{noticing.port}{PATH}",
        *("-x", doors.proxy("socks5"), "--resolve", f"{ELSEWHERE}:{noticing.port}:127.0.0.1", "--cacert", doors.ca),
    )

    assert noticing.connections == before


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_well_known_ports_of_an_address_are_mocked_too(doors: Doors, scheme: str) -> None:
    port = 443 if scheme == "https" else 80

    doors.ask(
        f"{scheme}://{HOST}{PATH}",
        *("-x", doors.proxy("socks5"), "--resolve", f"{HOST}:{port}:127.0.0.9", "--cacert", doors.ca),
    )


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_another_name_at_the_same_address_and_port_passes(doors: Doors, world: World, scheme: str) -> None:
    server = world.other if scheme == "http" else world.other_tls
    before = len(server.requests)

    done = curl(
        f"{scheme}://{OTHER}:{server.port}/path",
        *("-x", doors.proxy("socks5"), "--resolve", f"{OTHER}:{server.port}:127.0.0.1"),
        *("--cacert", world.certificate.ca),  # so it is the server's own certificate that came
        limit=PROMPT,
    )

    assert done.stdout == "ok", done.stderr
    assert [got.path for got in server.requests[before:]] == ["/path"]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_another_host_passes_through_the_socks_proxy(doors: Doors, world: World, scheme: str) -> None:
    server = world.other if scheme == "http" else world.other_tls
    before = len(server.requests)
    url = f"{scheme}://localhost:{server.port}/path"

    done = curl("-x", doors.proxy("socks5h"), "--cacert", world.certificate.ca, url, limit=PROMPT)

    assert done.stdout == "ok", done.stderr
    assert [got.path for got in server.requests[before:]] == ["/path"]


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_a_server_that_speaks_first_is_heard_through_the_socks_proxy(doors: Doors, world: World, name: str) -> None:
    with _through_socks(doors, name, world.greeter) as connection:
        assert connection.recv(len(GREETING)) == GREETING


def test_a_dead_host_is_refused_by_the_socks_proxy(doors: Doors) -> None:
    with pytest.raises(socks.GeneralProxyError) as raised:
        _through_socks(doors, "127.0.0.1", free_port())

    assert "0x04: Host unreachable" in str(raised.value.socket_err)  # as mitmproxy says it


def test_what_is_not_http_to_a_mocked_host_is_closed_and_not_passed_on(doors: Doors, world: World) -> None:
    with _through_socks(doors, "localhost", world.third_party.port) as connection:
        connection.sendall(b"\0\1\2\3 not HTTP\r\n")

        assert connection.recv(100) == b""


def _through_socks(doors: Doors, host: str, port: int) -> Any:
    to = {"proxy_type": socks.SOCKS5, "proxy_addr": "127.0.0.1", "proxy_port": doors.ports["socks5"]}
    return socks.create_connection((host, port), timeout=PROMPT, **to)


# Upstream


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_mocked_host_is_not_asked_of_the_upstream_proxy(
    doors: Doors, world: World, scheme: str, version: str
) -> None:
    arguments = "-x", doors.proxy("http"), "--cacert", doors.ca, version if scheme == "https" else "--http1.1"

    doors.ask(f"{scheme}://{HOST}{PATH}", *arguments)
    doors.ask(f"{scheme}://localhost:{world.third_party.port}{PATH}", *arguments)


def test_a_mocked_request_after_another_on_the_same_connection_is_not_asked_of_the_upstream_proxy(
    doors: Doors, world: World
) -> None:
    mocked = f"http://localhost:{world.third_party.port}{PATH}x"

    done = curl("-x", doors.proxy("http"), f"{world.other.url}/path", mocked, "-w", "%{num_connects}", limit=PROMPT)

    assert done.stdout == 'ok1{"mocked":"x"}0'


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_another_host_is_asked_of_the_upstream_proxy(doors: Doors, world: World, scheme: str) -> None:
    server = world.other if scheme == "http" else world.other_tls
    before = len(world.company.asked)
    authority = f"{OTHER}:{server.port}"

    done = curl(
        "-x", doors.proxy("http"), "--cacert", world.certificate.ca, f"{scheme}://{authority}/path", limit=PROMPT
    )

    assert done.stdout == "ok", done.stderr
    asked = f"GET http://{authority}/path" if scheme == "http" else f"CONNECT {authority}"
    assert world.company.asked[before:] == [asked]


def test_only_what_is_forwarded_of_a_mocked_host_is_asked_of_the_upstream_proxy(doors: Doors, world: World) -> None:
    before = len(world.company.asked)
    host = f"https://{FORWARDED}:{world.other_tls.port}"
    arguments = "-x", doors.proxy("http"), "--cacert", doors.ca

    forwarded = curl(*arguments, f"{host}/path", limit=PROMPT)
    stays = curl(*arguments, f"{host}/other", limit=PROMPT)

    assert forwarded.stdout == "ok", forwarded.stderr
    assert "no mock matches" in stays.stdout
    assert world.company.asked[before:] == [f"CONNECT {FORWARDED}:{world.other_tls.port}"]


def test_what_is_not_http_to_a_mocked_host_is_not_asked_of_the_upstream_proxy(doors: Doors) -> None:
    to = {"proxy_type": socks.HTTP, "proxy_addr": "127.0.0.1", "proxy_port": doors.ports["upstream"]}
    with socks.create_connection((HOST, 2525), timeout=PROMPT, **to) as connection:
        connection.sendall(b"\0\1\2\3 not HTTP\r\n")

        assert connection.recv(100) == b""


# Regular


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_regular_works_beside_the_others(doors: Doors, world: World, scheme: str) -> None:
    proxy = f"http://127.0.0.1:{doors.ports['regular']}"
    other = world.other if scheme == "http" else world.other_tls

    doors.ask(f"{scheme}://{HOST}{PATH}", "-x", proxy, "--cacert", doors.ca)
    done = curl("-x", proxy, "--cacert", world.certificate.ca, f"{scheme}://localhost:{other.port}/path", limit=PROMPT)

    assert done.stdout == "ok", done.stderr
