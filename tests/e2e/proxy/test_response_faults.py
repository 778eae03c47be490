"""Faults of responses, as real clients see them."""

import asyncio
import json
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import requests
from mitmproxy import http
from mitmproxy.io import FlowReader

from latehook.base.messages import ResponseFault
from latehook.proxy.faults import GARBAGE
from support.limits import LIMIT, PROMPT, SILENCE
from support.process import Proxy, mitmdump
from support.programs import curl, start_curl
from support.receivers import Receiver, receiver
from support.waiting import wait_until

MOCKS = """
mocks:
  - {match: POST localhost/fine, response: {delay: 300ms, text: fine}}
  - match: POST localhost/lost-once
    job: {idempotency_key: "{{ request.headers.idempotency_key }}"}
    response: {json: {id: "{{ job.id }}"}, fault: {kind: empty, count: 1}}
"""

MOCK = """
  - match: POST localhost/FAULT
    response: {json: {id: "{{ job.id }}", more: "XXX"}, fault: FAULT}
    webhook: {to: "{{ env.CALLBACK_URL }}/{{ request.query.n }}", json: {id: "{{ job.id }}"}}
  - match: DELETE localhost/FAULT
    response: {status: 204, fault: FAULT}
"""

HALF = 127
"""Bytes of the first half of a body of 255 bytes."""


@dataclass(frozen=True)
class Setup:
    """The proxy, the third party, and the receiver of the webhooks."""

    proxy: Proxy
    third_party: Receiver
    sut: Receiver

    def url(self, path: str, scheme: str = "http") -> str:
        return f"{scheme}://localhost:{self.third_party.port}{path}"

    def curl(self, way: str) -> list[str]:
        """Return curl's arguments for one of WAYS."""
        return ["-x", self.proxy.url, "--cacert", self.proxy.ca, WAYS[way][1]]


@pytest.fixture(scope="module", params=["0", "1"], ids=["not printed", "printed"])
def setup(request: pytest.FixtureRequest, confdir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setup]:
    """Run with flow_detail 0 and 1: where flows are printed, responses take another way through the code."""
    file = tmp_path_factory.mktemp("faults") / "mocks.yaml"
    with receiver() as third_party, receiver() as sut:
        mocks = MOCKS + "".join(MOCK.replace("FAULT", fault).replace("XXX", "x" * 200) for fault in ResponseFault)
        file.write_text(mocks.replace("localhost/", f"localhost:{third_party.port}/"))
        options = "--set", f"mock_file={file}", "--set", f"flow_detail={request.param}"
        with mitmdump(confdir, *options, env={"CALLBACK_URL": sut.url}) as proxy:
            yield Setup(proxy, third_party, sut)
        assert third_party.connections == 0


WAYS = {"http": ("http", "--http1.1"), "tls": ("https", "--http1.1"), "h2": ("https", "--http2")}
CURL_EXIT_STATUS: dict[str, dict[str, int]] = {
    "reset": {"http": 56, "tls": 56, "h2": 56},  # connection reset by peer
    "empty": {"http": 52, "tls": 52, "h2": 92},  # empty reply; a stream not closed cleanly
    "truncate": {"http": 18, "tls": 18, "h2": 92},  # bytes are missing
    "garbage": {"http": 1, "tls": 1, "h2": 92},  # this is not HTTP/1
}
"""Of each fault but hang, by the way."""

ENDING = list(CURL_EXIT_STATUS)


def exit_status(got: subprocess.CompletedProcess[str]) -> int:
    """Return curl's exit status. A reset counts as 56, also when curl notices it while it sends."""
    return 56 if got.returncode == 55 and "Connection reset by peer" in got.stderr else got.returncode


def webhook_of(setup: Setup, number: str) -> bytes:
    """Wait for the webhook of the request with this number; return its body."""
    [webhook] = wait_until(lambda: [one for one in setup.sut.requests if one.path == f"/{number}"], "the webhook")
    body: bytes = webhook.body
    return body


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fault", ENDING)
def test_curl_reports_each_fault_and_the_webhook_is_sent(setup: Setup, fault: str, way: str) -> None:
    number = f"{fault}-{way}"

    got = curl(*setup.curl(way), "-X", "POST", setup.url(f"/{fault}?n={number}", WAYS[way][0]))
    webhook = webhook_of(setup, number)

    assert exit_status(got) == CURL_EXIT_STATUS[fault][way], got.stderr
    assert len(got.stdout) == (HALF if fault == "truncate" else 0)
    assert fault != "truncate" or json.loads(webhook)["id"] in got.stdout


@pytest.mark.parametrize("way", WAYS)
def test_curl_waits_for_the_second_half_of_a_response_that_hangs(setup: Setup, way: str, tmp_path: Path) -> None:
    number, file = f"hang-{way}", tmp_path / "received"
    arguments = [*setup.curl(way), "-X", "POST", "--no-buffer", "-o", str(file)]

    with start_curl(*arguments, setup.url(f"/hang?n={number}", WAYS[way][0])) as process:
        wait_until(lambda: file.exists() and file.stat().st_size == HALF, "the first half")
        webhook = webhook_of(setup, number)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(SILENCE)

    assert file.stat().st_size == HALF
    assert json.loads(webhook)["id"] in file.read_text()


@pytest.mark.parametrize("fault", ENDING)
def test_over_http2_nothing_is_sent_of_a_response_without_a_body(setup: Setup, fault: str) -> None:
    arguments = [*setup.curl("h2"), "-X", "DELETE", "--include", "--suppress-connect-headers"]

    got = curl(*arguments, setup.url(f"/{fault}", "https"))

    assert (exit_status(got), got.stdout) == (CURL_EXIT_STATUS[fault]["h2"], "")


def read_limit(fault: str) -> float:
    """Return the seconds that a client waits for the next byte."""
    return SILENCE if fault == "hang" else LIMIT


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        ("reset", requests.ConnectionError, "Connection reset by peer"),
        ("empty", requests.ConnectionError, "Remote end closed connection without response"),
        ("truncate", requests.exceptions.ChunkedEncodingError, "IncompleteRead(127 bytes read, 128 more expected)"),
        ("hang", requests.ConnectionError, "Read timed out"),
        ("garbage", requests.ConnectionError, "BadStatusLine"),
    ],
)
def test_requests_raises_for_each_fault(
    setup: Setup, scheme: str, fault: str, error: type[Exception], message: str
) -> None:
    proxies = {scheme: setup.proxy.url}
    timeout = LIMIT, read_limit(fault)

    with pytest.raises(error) as raised:
        requests.post(setup.url(f"/{fault}", scheme), proxies=proxies, verify=setup.proxy.ca, timeout=timeout)

    assert message in str(raised.value)


@pytest.mark.parametrize("http2", [False, True], ids=["h1", "h2"])
@pytest.mark.parametrize(
    ("fault", "errors"),
    [
        ("reset", (httpx.ReadError, httpx.WriteError)),
        ("empty", httpx.RemoteProtocolError),
        ("truncate", httpx.RemoteProtocolError),
        ("hang", httpx.ReadTimeout),
        ("garbage", httpx.ProtocolError),
    ],
)
def test_httpx_raises_for_each_fault(
    setup: Setup, fault: str, errors: type[Exception] | tuple[type[Exception], ...], http2: bool
) -> None:
    trusted = ssl.create_default_context(cafile=setup.proxy.ca)
    with httpx.Client(proxy=setup.proxy.url, verify=trusted, http2=http2, trust_env=False) as client:
        with pytest.raises(errors):
            client.post(setup.url(f"/{fault}", "https"), timeout=httpx.Timeout(LIMIT, read=read_limit(fault)))


def receive(setup: Setup, fault: str, method: str = "POST") -> tuple[bytes, str]:
    """Send a request on a bare socket; return all bytes of the response, and how the connection ended."""
    with closing(socket.create_connection(("127.0.0.1", setup.proxy.port), LIMIT)) as client:
        client.sendall(f"{method} {setup.url(f'/{fault}')} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n".encode())
        received = b""
        while True:
            try:
                piece = client.recv(65536)
            except TimeoutError:
                return received, "open"
            except ConnectionResetError:
                return received, "reset"
            if not piece:
                return received, "closed"
            received += piece
            client.settimeout(read_limit(fault))


@pytest.mark.parametrize(
    ("fault", "end", "sent"),
    [("reset", "reset", b""), ("empty", "closed", b""), ("garbage", "closed", GARBAGE)],
)
def test_nothing_of_the_response_is_sent(setup: Setup, fault: str, end: str, sent: bytes) -> None:
    assert receive(setup, fault) == (sent, end)


@pytest.mark.parametrize(("fault", "end"), [("truncate", "closed"), ("hang", "open")])
def test_the_first_half_of_the_body_is_sent_or_of_the_head_if_there_is_no_body(
    setup: Setup, fault: str, end: str
) -> None:
    (received, ended), (without_body, ended_without) = receive(setup, fault), receive(setup, fault, "DELETE")

    head, _, body = received.partition(b"\r\n\r\n")
    assert (ended, ended_without) == (end, end)
    assert b"content-length: 255" in head.lower()
    assert (len(body), body[:7]) == (HALF, b'{"id":"')
    assert without_body == b"HTTP/1.1 204 "


FINE = "fine[0 200 0]"
"""What curl writes about the request to /fine: its body, its exit status, the HTTP status, the number of the URL."""


@pytest.mark.parametrize("fault", [fault for fault in ENDING if fault != "reset"])
def test_over_http2_the_other_streams_of_the_connection_continue(setup: Setup, fault: str) -> None:
    connections = setup.proxy.output.count("client connect")
    urls = setup.url("/fine", "https"), setup.url(f"/{fault}", "https")

    got = curl(*setup.curl("h2"), "-Z", "-X", "POST", "-w", "[%{exitcode} %{http_code} %{urlnum}]", *urls)

    assert setup.proxy.output.count("client connect") == connections + 1
    assert f"[{CURL_EXIT_STATUS[fault]['h2']} " in got.stdout
    assert FINE in got.stdout


def test_over_http2_the_other_streams_continue_while_one_hangs(setup: Setup, tmp_path: Path) -> None:
    trusted = ssl.create_default_context(cafile=setup.proxy.ca)
    with httpx.Client(proxy=setup.proxy.url, verify=trusted, http2=True, trust_env=False, timeout=LIMIT) as client:
        with client.stream("POST", setup.url("/hang", "https")) as hanging:
            assert len(next(hanging.iter_raw())) == HALF
            connections = setup.proxy.output.count("client connect")
            assert client.post(setup.url("/fine", "https")).text == "fine"

    assert setup.proxy.output.count("client connect") == connections


async def test_a_reset_ends_all_streams_of_its_connection(setup: Setup) -> None:
    trusted = ssl.create_default_context(cafile=setup.proxy.ca)
    async with httpx.AsyncClient(
        proxy=setup.proxy.url, verify=trusted, http2=True, trust_env=False, timeout=LIMIT
    ) as client:
        assert (await client.post(setup.url("/fine", "https"))).text == "fine"
        urls = setup.url("/fine", "https"), setup.url("/reset", "https")
        ended = await asyncio.gather(*map(client.post, urls), return_exceptions=True)

    assert [type(end) for end in ended] == [httpx.ReadError] * 2


def test_a_client_that_repeats_its_request_gets_the_job_whose_response_was_lost(setup: Setup) -> None:
    def post() -> requests.Response:
        headers = {"idempotency-key": "a"}
        proxies = {"http": setup.proxy.url}
        return requests.post(setup.url("/lost-once"), proxies=proxies, headers=headers, timeout=LIMIT)

    with pytest.raises(requests.ConnectionError):
        post()

    assert post().json() == post().json()


def test_a_fault_is_logged_in_one_line_and_printed_with_its_flow(setup: Setup) -> None:
    receive(setup, "empty")
    setup.proxy.wait_for(rf"latehook: POST localhost:{setup.third_party.port}/empty: the response's fault: empty")

    if "flow_detail=1" in setup.proxy.process.args:
        setup.proxy.wait_for("<< empty on purpose")


def test_a_flow_file_has_the_response_and_the_fault(start: Callable[..., Proxy], tmp_path: Path) -> None:
    proxy = start(
        *("-w", str(tmp_path / "flows")),
        mocks="mocks: [{match: GET api.slow.example/, response: {text: meant, fault: empty}}]",
    )
    with pytest.raises(requests.ConnectionError):
        requests.get("http://api.slow.example/", proxies={"http": proxy.url}, timeout=LIMIT)
    assert proxy.stop() == 0

    with (tmp_path / "flows").open("rb") as file:
        [flow] = FlowReader(file).stream()

    assert isinstance(flow, http.HTTPFlow)
    assert flow.response is not None and flow.error is not None
    assert (flow.response.text, flow.error.msg) == ("meant", "empty on purpose (latehook)")


def test_a_response_that_hangs_does_not_delay_the_shutdown(start: Callable[..., Proxy]) -> None:
    proxy = start(mocks="mocks: [{match: GET api.slow.example/, response: {text: slow, fault: hang}}]")
    with closing(socket.create_connection(("127.0.0.1", proxy.port), LIMIT)) as client:
        client.sendall(b"GET http://api.slow.example/ HTTP/1.1\r\nhost: api.slow.example\r\n\r\n")
        assert client.recv(65536)

        assert proxy.stop(limit=PROMPT) == 0
