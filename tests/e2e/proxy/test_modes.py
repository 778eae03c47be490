"""The same mocks in the modes reverse, socks5, upstream and regular, each in a process of its own and all in one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import socks

from support.limits import PROMPT
from support.modes import BY_ADDRESS, FORWARDED, GREETING, OTHER, PATH, Proxies, Servers, run_proxies, run_servers
from support.ports import free_port
from support.process import HOST
from support.programs import curl


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with run_servers(tmp_path_factory.mktemp("other")) as servers:
        yield servers


@pytest.fixture(scope="module", params=["alone", "together"])
def proxies(
    request: pytest.FixtureRequest, servers: Servers, confdir: Path, tmp_path_factory: Any
) -> Iterator[Proxies]:
    with run_proxies(servers, confdir, tmp_path_factory.mktemp("mocks"), request.param == "together") as proxies:
        yield proxies


@pytest.fixture(autouse=True)
def nothing_mocked_is_contacted(proxies: Proxies) -> Iterator[None]:
    yield
    proxies.check_nothing_mocked_was_contacted()


# Reverse


@pytest.mark.parametrize("mode", ["reverse http", "reverse https", "reverse http, a name", "reverse https, a name"])
@pytest.mark.parametrize("client", ["http", "https", "https, h1", "https, an address"])
def test_a_reverse_proxy_serves_clients_without_proxy_settings(proxies: Proxies, mode: str, client: str) -> None:
    name = "127.0.0.1" if client in ("http", "https, an address") else "localhost"
    version = "--http1.1" if client == "https, h1" else "--http2"
    url = f"{client.partition(',')[0]}://{name}:{proxies.ports[mode]}{PATH}"

    proxies.check_mocked(
        url, "--cacert", proxies.ca, version if client != "http" else "--http1.1", "-d", "anything", "-4"
    )


def test_a_reverse_proxy_does_not_forward_a_path_without_a_mock(proxies: Proxies) -> None:
    done = curl(f"http://127.0.0.1:{proxies.ports['reverse http, a name']}/other", "-w", "%{http_code}", limit=PROMPT)

    assert done.stdout.endswith("501")
    assert "no mock matches" in done.stdout


def test_the_host_header_does_not_change_the_host_of_a_reverse_proxy(proxies: Proxies) -> None:
    proxies.check_mocked(f"http://127.0.0.1:{proxies.ports['reverse http, a name']}{PATH}", "-H", "host: sut.example")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_reverse_proxy_for_another_host_works(proxies: Proxies, servers: Servers, scheme: str) -> None:
    before = len(servers.other.requests)

    done = curl(
        f"{scheme}://localhost:{proxies.ports['reverse other']}/path", "-4", "--cacert", proxies.ca, limit=PROMPT
    )

    assert done.stdout == "ok"
    assert [got.path for got in servers.other.requests[before:]] == ["/path"]


def test_a_reverse_proxy_for_another_host_speaks_tls_to_it(proxies: Proxies, servers: Servers) -> None:
    before = len(servers.other_tls.requests)

    done = curl(f"http://localhost:{proxies.ports['reverse other tls']}/path", "-4", limit=PROMPT)

    assert done.stdout == "ok"
    assert [got.path for got in servers.other_tls.requests[before:]] == ["/path"]


def test_a_reverse_proxy_for_a_dead_host_closes_at_once_as_mitmproxy_does(proxies: Proxies) -> None:
    done = curl(f"http://127.0.0.1:{proxies.ports['reverse dead']}/", limit=PROMPT)

    assert done.returncode in (52, 56), done.stderr  # an empty reply, or reset while the client still writes


# SOCKS


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_name_that_the_socks_proxy_resolves_is_mocked(
    proxies: Proxies, servers: Servers, scheme: str, version: str
) -> None:
    arguments = "-x", proxies.url("socks5h"), "--cacert", proxies.ca, version if scheme == "https" else "--http1.1"

    proxies.check_mocked(f"{scheme}://{HOST}{PATH}", *arguments)
    proxies.check_mocked(f"{scheme}://localhost:{servers.third_party.port}{PATH}", *arguments)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_name_that_the_client_resolves_is_mocked_and_its_address_is_not_contacted(
    proxies: Proxies, servers: Servers, scheme: str
) -> None:
    noticing = servers.other_for(scheme)
    before = noticing.connections

    proxies.check_mocked(
        f"{scheme}://{BY_ADDRESS}:{noticing.port}{PATH}",
        *("-x", proxies.url("socks5"), "--resolve", f"{BY_ADDRESS}:{noticing.port}:127.0.0.1", "--cacert", proxies.ca),
    )

    assert noticing.connections == before


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_default_ports_of_an_address_are_mocked_too(proxies: Proxies, scheme: str) -> None:
    port = 443 if scheme == "https" else 80

    proxies.check_mocked(
        f"{scheme}://{HOST}{PATH}",
        *("-x", proxies.url("socks5"), "--resolve", f"{HOST}:{port}:127.0.0.9", "--cacert", proxies.ca),
    )


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_another_name_at_the_same_address_and_port_is_not_mocked(
    proxies: Proxies, servers: Servers, scheme: str
) -> None:
    server = servers.other_for(scheme)
    before = len(server.requests)

    done = curl(
        f"{scheme}://{OTHER}:{server.port}/path",
        *("-x", proxies.url("socks5"), "--resolve", f"{OTHER}:{server.port}:127.0.0.1"),
        *("--cacert", servers.certificate.ca),  # so it is the server's own certificate that came
        limit=PROMPT,
    )

    assert done.stdout == "ok", done.stderr
    assert [got.path for got in server.requests[before:]] == ["/path"]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_socks_proxy_connects_to_another_host(proxies: Proxies, servers: Servers, scheme: str) -> None:
    server = servers.other_for(scheme)
    before = len(server.requests)
    url = f"{scheme}://localhost:{server.port}/path"

    done = curl("-x", proxies.url("socks5h"), "--cacert", servers.certificate.ca, url, limit=PROMPT)

    assert done.stdout == "ok", done.stderr
    assert [got.path for got in server.requests[before:]] == ["/path"]


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_the_greeting_of_a_server_that_speaks_first_arrives_through_the_socks_proxy(
    proxies: Proxies, servers: Servers, name: str
) -> None:
    with connect_through_socks(proxies, name, servers.greeter) as connection:
        assert connection.recv(len(GREETING)) == GREETING


def test_the_socks_proxy_refuses_a_dead_host(proxies: Proxies) -> None:
    with pytest.raises(socks.GeneralProxyError) as raised:
        connect_through_socks(proxies, "localhost", free_port())

    assert "0x04: Host unreachable" in str(raised.value.socket_err)  # as mitmproxy says it


def test_a_dead_address_is_noticed_when_the_client_has_said_for_whom_it_is(proxies: Proxies) -> None:
    with connect_through_socks(proxies, "127.0.0.1", free_port()) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: other.example\r\n\r\n")

        assert connection.recv(100) == b""


def test_a_connection_to_a_mocked_host_that_is_not_http_is_closed(proxies: Proxies, servers: Servers) -> None:
    with connect_through_socks(proxies, "localhost", servers.third_party.port) as connection:
        connection.sendall(b"\0\1\2\3 not HTTP\r\n")

        assert connection.recv(100) == b""


def connect_through_socks(proxies: Proxies, host: str, port: int) -> Any:
    to = {"proxy_type": socks.SOCKS5, "proxy_addr": "127.0.0.1", "proxy_port": proxies.ports["socks5"]}
    return socks.create_connection((host, port), timeout=PROMPT, **to)


# Upstream


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_upstream_proxy_gets_no_mocked_request(
    proxies: Proxies, servers: Servers, scheme: str, version: str
) -> None:
    arguments = "-x", proxies.url("http"), "--cacert", proxies.ca, version if scheme == "https" else "--http1.1"

    proxies.check_mocked(f"{scheme}://{HOST}{PATH}", *arguments)
    proxies.check_mocked(f"{scheme}://localhost:{servers.third_party.port}{PATH}", *arguments)


def test_the_upstream_proxy_gets_no_mocked_request_on_the_connection_of_another_one(
    proxies: Proxies, servers: Servers
) -> None:
    mocked = f"http://localhost:{servers.third_party.port}{PATH}x"

    done = curl("-x", proxies.url("http"), f"{servers.other.url}/path", mocked, "-w", "%{num_connects}", limit=PROMPT)

    assert done.stdout == 'ok1{"mocked":"x"}0'


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_upstream_proxy_gets_requests_to_another_host(proxies: Proxies, servers: Servers, scheme: str) -> None:
    server = servers.other_for(scheme)
    before = len(servers.upstream.asked)
    authority = f"{OTHER}:{server.port}"

    done = curl(
        "-x", proxies.url("http"), "--cacert", servers.certificate.ca, f"{scheme}://{authority}/path", limit=PROMPT
    )

    assert done.stdout == "ok", done.stderr
    asked = f"GET http://{authority}/path" if scheme == "http" else f"CONNECT {authority}"
    assert servers.upstream.asked[before:] == [asked]


def test_of_a_mocked_host_the_upstream_proxy_gets_only_what_is_forwarded(proxies: Proxies, servers: Servers) -> None:
    before = len(servers.upstream.asked)
    host = f"https://{FORWARDED}:{servers.other_tls.port}"
    arguments = "-x", proxies.url("http"), "--cacert", proxies.ca

    forwarded = curl(*arguments, f"{host}/path", limit=PROMPT)
    stays = curl(*arguments, f"{host}/other", limit=PROMPT)

    assert forwarded.stdout == "ok", forwarded.stderr
    assert "no mock matches" in stays.stdout
    assert servers.upstream.asked[before:] == [f"CONNECT {FORWARDED}:{servers.other_tls.port}"]


def test_the_upstream_proxy_gets_no_connection_to_a_mocked_host_that_is_not_http(proxies: Proxies) -> None:
    to = {"proxy_type": socks.HTTP, "proxy_addr": "127.0.0.1", "proxy_port": proxies.ports["upstream"]}
    with socks.create_connection((HOST, 2525), timeout=PROMPT, **to) as connection:
        connection.sendall(b"\0\1\2\3 not HTTP\r\n")

        assert connection.recv(100) == b""


# Regular


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_regular_mode_works_beside_the_others(proxies: Proxies, servers: Servers, scheme: str) -> None:
    proxy = f"http://127.0.0.1:{proxies.ports['regular']}"
    other = servers.other_for(scheme)

    proxies.check_mocked(f"{scheme}://{HOST}{PATH}", "-x", proxy, "--cacert", proxies.ca)
    done = curl(
        "-x", proxy, "--cacert", servers.certificate.ca, f"{scheme}://localhost:{other.port}/path", limit=PROMPT
    )

    assert done.stdout == "ok", done.stderr
