"""The proxy's own address: the control API there is reached through the proxy too, and `/` leads to the page."""

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.http_clients import NEEDS_NODE, Call, with_node
from support.limits import LIMIT
from support.process import Proxy, mitmdump
from support.programs import curl

MOCKS = "mocks: [{match: ANY api.slow.example/**, response: {text: mocked}}]\n"


@pytest.fixture(scope="module")
def proxy(confdir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    file = tmp_path_factory.mktemp("own") / "mocks.yaml"
    file.write_text(MOCKS)
    with mitmdump(confdir, "--set", f"mock_file={file}") as started:
        yield started


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_tunnel_to_the_proxy_itself_serves_the_control_api(scheme: str, host: str, proxy: Proxy) -> None:
    url = f"{scheme}://{host}:{proxy.port}/_latehook/status"

    answered = curl("--proxytunnel", "-x", proxy.url, "--cacert", proxy.ca, url)

    assert json.loads(answered.stdout)["ready"]


@NEEDS_NODE
def test_undicis_proxy_agent_reaches_the_control_api(proxy: Proxy) -> None:
    [reply] = with_node(proxy, [Call("GET", f"{proxy.url}/_latehook/status")], keep_alive=False)

    assert reply.json["ready"]


@pytest.mark.parametrize(
    "path, headers, status",
    [
        ("/other", [], "502"),
        ("/_latehook/status", ["-H", "host: evil.example"], "403"),
        ("/_latehook/status", ["-H", "origin: http://evil.example"], "403"),
        ("/_latehook/status", ["-H", "sec-fetch-site: cross-site"], "403"),
    ],
)
def test_a_tunnel_to_the_proxy_itself_serves_nothing_else_and_to_nobody_else(
    path: str, headers: list[str], status: str, proxy: Proxy
) -> None:
    written = ["-o", "/dev/null", "-w", "%{http_code}"]

    answered = curl("--proxytunnel", "-x", proxy.url, *headers, *written, f"{proxy.url}{path}")

    assert answered.stdout == status


def test_what_is_no_http_in_such_a_tunnel_is_cut(proxy: Proxy) -> None:
    with socket.create_connection(("127.0.0.1", proxy.port), LIMIT) as client:
        client.sendall(f"CONNECT 127.0.0.1:{proxy.port} HTTP/1.1\r\n\r\n".encode())
        assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
        client.sendall(b"\x00\x01\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        assert b"HTTP" not in b"".join(iter(lambda: client.recv(1000), b""))


def test_the_root_leads_to_the_page(proxy: Proxy) -> None:
    for more in ([], ["--head"], ["-x", proxy.url], ["-x", proxy.url, "--proxytunnel"]):
        redirected = curl(*more, "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}", f"{proxy.url}/")
        assert redirected.stdout == f"302 {proxy.url}/_latehook/"

    assert "<html" in curl("-L", f"{proxy.url}/").stdout
    posted = curl("-d", "x", "-o", "/dev/null", "-w", "%{http_code}", f"{proxy.url}/")
    assert posted.stdout == "502"


def test_the_root_of_a_mocked_host_stays_the_mocks(proxy: Proxy) -> None:
    assert curl("-x", proxy.url, "http://api.slow.example/").stdout == "mocked"


def test_nothing_of_this_counts_as_having_left(proxy: Proxy) -> None:
    curl("--proxytunnel", "-x", proxy.url, f"{proxy.url}/other")
    curl(f"{proxy.url}/other")

    assert json.loads(curl(f"{proxy.url}/_latehook/others").stdout)["items"] == []


def test_the_start_prints_the_pages_address_once(start: Callable[..., Proxy]) -> None:
    proxy = start(mocks=MOCKS)
    proxy.stop()

    assert proxy.output.count(f"latehook: the page with all jobs and webhooks: {proxy.url}/_latehook/") == 1


def test_without_a_mode_that_serves_the_page_no_address_is_printed(start: Callable[..., Proxy]) -> None:
    proxy = start("--mode", "socks5@0", mocks=MOCKS)
    proxy.stop()

    assert "/_latehook/" not in proxy.output
