"""Access to the control API: on which URLs it is reached, who may use it, and what it leaves in flow files and lists."""

import json
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from mitmproxy.io import FlowReader

from support.attack_clients import read_response
from support.limits import LIMIT, PROMPT
from support.ports import free_port, own_address
from support.process import Proxy, mitmdump, mitmweb
from support.programs import curl
from support.receivers import Receiver
from support.waiting import wait_until

MOCKS = """
vars: {verdict: good}
mocks:
  - match: POST api.slow.example/jobs
    webhook: {after: 1h, to: "http://127.0.0.1:1/hook", retry: none}
"""
STATUS = "/_latehook/status"
MOCKED = "api.slow.example"


@pytest.fixture(scope="module")
def proxy(confdir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """Run a proxy in the regular mode."""
    file = tmp_path_factory.mktemp("access") / "mocks.yaml"
    file.write_text(MOCKS)
    with mitmdump(confdir, "--set", f"mock_file={file}") as proxy:
        yield proxy


def fetch(*arguments: str) -> Any:
    """Run curl; return the JSON of the response, which must be a success."""
    done = curl("--fail-with-body", *arguments)
    assert done.returncode == 0, done.stderr + done.stdout
    return json.loads(done.stdout)


def refused(status: int, *arguments: str) -> str:
    """Run curl; return the detail of the problem with this status."""
    done = curl("-w", "\n%{http_code} %{content_type}", *arguments)
    body, _, tail = done.stdout.rpartition("\n")
    assert tail == f"{status} application/problem+json", done.stdout
    detail: str = json.loads(body)["detail"]
    return detail


# Where it is reached


def test_the_first_requests_are_answered_even_if_they_come_at_once(start: Callable[..., Proxy]) -> None:
    base = f"http://127.0.0.1:{start(mocks=MOCKS).port}/_latehook"
    urls = [f"{base}/{path}" for path in ("status", "jobs", "vars", "webhooks") * 2]

    with ThreadPoolExecutor(len(urls)) as pool:
        assert all(isinstance(answer, dict) for answer in pool.map(fetch, urls))


@pytest.mark.parametrize(
    "arguments",
    [
        ["http://127.0.0.1:{port}"],
        ["http://localhost:{port}"],
        ["--http1.0", "http://127.0.0.1:{port}"],
        ["-x", "{proxy}", "http://api.slow.example"],
        ["-x", "{proxy}", "http://127.0.0.1:{port}"],
        ["-x", "{proxy}", "--http1.1", "https://api.slow.example"],
        ["-x", "{proxy}", "--http2", "https://api.slow.example"],
        ["--http1.1", "--insecure", "https://127.0.0.1:{port}"],
        ["--http2", "--insecure", "https://127.0.0.1:{port}"],
        ["--resolve", "localhost:{port}:127.0.0.1", "https://localhost:{port}"],
    ],
    ids=" ".join,
)
def test_it_is_reached_directly_and_through_the_proxy(proxy: Proxy, arguments: list[str]) -> None:
    *options, base = [argument.format(port=proxy.port, proxy=proxy.url) for argument in arguments]

    assert fetch(*options, "--cacert", proxy.ca, f"{base}{STATUS}")["ready"] is True
    assert refused(404, *options, "--cacert", proxy.ca, f"{base}/_latehook/none").startswith(
        "there is no GET /_latehook/none"
    )
    head = curl(*options, "--cacert", proxy.ca, "--suppress-connect-headers", "--head", f"{base}{STATUS}").stdout
    assert re.match(r"HTTP/[0-9.]+ 200", head)


@pytest.mark.parametrize("mode", ["reverse:http://api.slow.example", "reverse:https://api.slow.example", "socks5"])
def test_it_is_reached_in_other_modes(start: Callable[..., Proxy], mode: str) -> None:
    port = free_port()
    proxy = start("--mode", f"{mode}@127.0.0.1:{port}", mocks=MOCKS)
    proxy.wait_for("listening at")
    if mode == "socks5":
        status = fetch("-x", f"socks5h://127.0.0.1:{port}", f"http://{MOCKED}{STATUS}")
    else:
        own = f"http://127.0.0.1:{port}"
        status = fetch("-H", f"origin: {own}", f"{own}{STATUS}")  # a browser's page: the Host is the one it was sent

    assert status["mocks"][0]["match"] == "POST api.slow.example/jobs"


def test_a_reverse_proxy_for_a_host_that_is_not_mocked_has_it_too(start: Callable[..., Proxy], sut: Receiver) -> None:
    port = free_port()
    proxy = start("--mode", f"reverse:{sut.url}@127.0.0.1:{port}", mocks=MOCKS)
    proxy.wait_for("listening at")

    assert fetch(f"http://127.0.0.1:{port}{STATUS}")["ready"] is True
    assert sut.requests == []


def test_its_path_on_another_host_is_forwarded(proxy: Proxy, sut: Receiver) -> None:
    for path in ("/_latehook/x", "/_latehook/status", "/_latehook"):
        assert curl("-x", proxy.url, f"{sut.url}{path}").stdout == "ok"

    assert [request.path for request in sut.requests] == ["/_latehook/x", "/_latehook/status", "/_latehook"]


def test_a_path_that_only_begins_like_its_own_belongs_to_the_mocked_host(proxy: Proxy) -> None:
    unmatched = json.loads(curl("-x", proxy.url, f"http://{MOCKED}/_latehooks").stdout)
    assert unmatched["error"] == "latehook: no mock matches this request"


# Who may use it


def write(*arguments: str) -> list[str]:
    """Return curl's arguments for a POST of an empty JSON object."""
    return ["-X", "POST", "-d", "{}", "-H", "content-type: application/json", *arguments]


@pytest.mark.parametrize(
    ("target", "host", "status", "detail"),
    [
        ("jobs?limit=\u0663", "localhost", 400, "\u0663"),
        ("jobs?where='\u00e9\u0663'=='%C3%A9\u0663'", "localhost", 200, ""),
        ("jobs/\u0663", "localhost", 404, "\u0663"),
        ("status", "\u0663.example", 403, ""),
    ],
)
def test_characters_that_are_not_ascii_may_be_sent_as_they_are(
    target: str, host: str, status: int, detail: str, proxy: Proxy
) -> None:
    with socket.create_connection(("127.0.0.1", proxy.port), PROMPT) as client:
        client.sendall(f"GET /_latehook/{target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        got, response, _ = read_response(client, b"GET")

    assert got == status, response
    assert detail in response.decode(), response
    assert "Traceback" not in proxy.output


def test_a_page_of_another_site_is_refused(proxy: Proxy) -> None:
    url = f"{proxy.url}/_latehook/release"

    for origin in ("http://evil.example", "null", f"https://evil.example:{proxy.port}", "http://127.0.0.1:1"):
        assert refused(403, *write("-H", f"origin: {origin}"), url).startswith(f"the origin '{origin}' is another site")
    assert fetch(*write("-H", f"origin: {proxy.url}"), url) == {"items": []}


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example", "[", ""])
def test_a_foreign_name_that_resolves_to_this_machine_is_refused(proxy: Proxy, host: str) -> None:
    """DNS rebinding: a page of evil.example sends a request to evil.example, which resolves to 127.0.0.1 by now."""
    named = host.format(port=proxy.port)
    with socket.create_connection(("127.0.0.1", proxy.port), LIMIT) as client:
        client.sendall(f"GET {STATUS} HTTP/1.1\r\nHost: {named}\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: client.recv(65536), b"")).decode()

    assert answer.startswith(("HTTP/1.1 403", "HTTP/1.1 400"))
    assert '"ready"' not in answer


@pytest.mark.parametrize("host", ["localhost", "test.localhost", "127.0.0.1", "[::1]:8080", "192.0.2.7", MOCKED])
def test_names_that_cannot_belong_to_another_site_are_accepted(proxy: Proxy, host: str) -> None:
    assert fetch("-H", f"host: {host}", f"{proxy.url}{STATUS}")["ready"] is True


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
@pytest.mark.parametrize("path", ["hold", "vars", "mocks", "webhooks/x/fire"])
def test_a_write_needs_the_content_type_json(proxy: Proxy, content_type: str, path: str) -> None:
    method = "PUT" if path == "vars" else "POST"
    arguments = ["-X", method, "-d", "{}", "-H", f"content-type:{content_type}", f"{proxy.url}/_latehook/{path}"]

    wanted = "application/yaml" if path == "mocks" else "application/json"
    assert refused(415, *arguments).endswith(f"send the header `content-type: {wanted}`")


@contextmanager
def open_to_others(confdir: Path, tmp_path: Path, *arguments: str) -> Iterator[tuple[Proxy, str]]:
    address = own_address()
    if address is None:
        pytest.skip("this machine has no address but loopback")
    port = free_port()
    (tmp_path / "mocks.yaml").write_text(MOCKS)
    options = ("--set", f"mock_file={tmp_path}/mocks.yaml", "--listen-host", "0.0.0.0", "-p", str(port), *arguments)
    with mitmdump(confdir, *options) as proxy:
        proxy.port = port
        proxy.wait_for("listening at")
        yield proxy, f"http://{address}:{port}"


def test_other_machines_need_the_token(confdir: Path, tmp_path: Path) -> None:
    with open_to_others(confdir, tmp_path, "--set", "mock_token=s3cret") as (proxy, others):
        assert refused(401, f"{others}{STATUS}").startswith("a token is needed: send the header `Authorization: Bearer")
        assert refused(401, *write(), f"{others}/_latehook/hold").startswith("a token is needed")
        for wrong in ("Bearer other", "Bearer", "Basic s3cret", "s3cret"):
            assert refused(401, "-H", f"authorization: {wrong}", f"{others}{STATUS}").startswith("the token is wrong")
        token = ["-H", "authorization: Bearer s3cret"]
        assert fetch(*token, f"{others}{STATUS}")["holding"] is False
        assert fetch(*token, "-H", "host: latehook:8080", f"{others}{STATUS}")["ready"] is True
        assert fetch(*write(*token), f"{others}/_latehook/hold") == {"items": []}
        assert fetch(f"{proxy.url}{STATUS}")["holding"] is True


def test_another_machine_needs_the_token_through_the_proxy_too(confdir: Path, tmp_path: Path) -> None:
    """Otherwise a CONNECT to the loopback address of the proxy would make every machine look like this one."""
    with open_to_others(confdir, tmp_path, "--set", "mock_token=s3cret") as (proxy, others):
        for host in ("127.0.0.1", "localhost"):
            assert refused(401, "-x", others, f"http://{host}:{proxy.port}{STATUS}").startswith("a token is needed")
        by_another_name = f"http://127.0.0.2:{proxy.port}"  # mitmproxy refuses to connect to itself by the usual ones
        for tunnel in ([], ["--proxytunnel"]):
            assert refused(401, *tunnel, "-x", others, f"{by_another_name}{STATUS}").startswith("a token is needed")
            assert fetch(*tunnel, "-x", proxy.url, f"{by_another_name}{STATUS}")["ready"] is True
        twice = ["--proxytunnel", "-x", by_another_name, "--preproxy", others]
        assert refused(401, *twice, f"http://127.0.0.3:{proxy.port}{STATUS}").startswith("a token is needed")
        assert refused(401, "-x", others, f"http://{MOCKED}{STATUS}").startswith("a token is needed")


def test_without_a_token_other_machines_get_the_name_of_the_option(confdir: Path, tmp_path: Path) -> None:
    with open_to_others(confdir, tmp_path) as (_, others):
        details = {refused(403, "-H", "authorization: Bearer ", f"{others}{path}") for path in (STATUS, "/_latehook/")}

    assert details == {f"{own_address()} is not this machine: start with --set mock_token=TOKEN to permit others"}


# What it leaves behind


def test_a_wait_ends_when_its_client_disconnects(proxy: Proxy) -> None:
    with socket.create_connection(("127.0.0.1", proxy.port), LIMIT) as client:
        client.sendall(b"GET /_latehook/wait?timeout=10m HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: waiting(proxy) == 1, "the client waits")

    wait_until(lambda: waiting(proxy) == 0, "no client waits")


def test_a_wait_ends_when_its_http2_stream_is_reset(proxy: Proxy) -> None:
    context = ssl.create_default_context(cafile=proxy.ca)
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection(("127.0.0.1", proxy.port), LIMIT) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as client,
    ):
        http2 = H2Connection(H2Configuration(client_side=True))
        http2.initiate_connection()
        authority = f"localhost:{proxy.port}"
        headers = [(":method", "GET"), (":scheme", "https"), (":authority", authority)]
        http2.send_headers(1, [*headers, (":path", "/_latehook/wait?timeout=10m")], end_stream=True)
        client.sendall(http2.data_to_send())
        wait_until(lambda: waiting(proxy) == 1, "the client waits")
        http2.reset_stream(1)
        client.sendall(http2.data_to_send())

        wait_until(lambda: waiting(proxy) == 0, "no client waits")


def waiting(proxy: Proxy) -> int:
    """Return how many clients wait."""
    count: int = fetch(f"{proxy.url}{STATUS}")["waiting"]
    return count


def test_its_requests_are_not_counted_and_not_in_flow_files(start: Callable[..., Proxy], tmp_path: Path) -> None:
    proxy = start("-w", str(tmp_path / "flows"), mocks=MOCKS)
    for arguments in (
        [f"{proxy.url}{STATUS}"],
        ["-x", proxy.url, f"http://{MOCKED}{STATUS}"],
        write(f"{proxy.url}/_latehook/hold"),
    ):
        fetch(*arguments)
    curl("-x", proxy.url, "-d", "{}", f"http://{MOCKED}/jobs")
    counts = fetch(f"{proxy.url}{STATUS}")["counts"]
    assert proxy.stop() == 0
    with (tmp_path / "flows").open("rb") as file:
        paths = [flow.request.path for flow in FlowReader(file).stream()]  # type: ignore[attr-defined]

    assert (counts["requests"], counts["jobs"]) == (1, 1)
    assert paths == ["/jobs"]
    assert "_latehook" not in proxy.output.partition("latehook: ready")[2]  # the start prints the page's address


def test_its_requests_are_not_in_the_list_of_mitmweb(confdir: Path, tmp_path: Path) -> None:
    (tmp_path / "mocks.yaml").write_text(MOCKS)
    port, web = free_port(), free_port()
    with mitmweb(confdir, tmp_path, port, web):
        fetch(f"http://127.0.0.1:{port}{STATUS}")
        fetch("-x", f"http://127.0.0.1:{port}", f"http://{MOCKED}{STATUS}")
        curl("-x", f"http://127.0.0.1:{port}", "-d", "{}", f"http://{MOCKED}/jobs")
        flows = fetch(f"http://127.0.0.1:{web}/flows?token=open")

    assert [flow["request"]["path"] for flow in flows] == ["/jobs"]
