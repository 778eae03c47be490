"""Faults on purpose, as real clients and real receivers meet them."""

import asyncio
import hashlib
import hmac
import json
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import requests
from mitmproxy import http
from mitmproxy.io import FlowReader

from latehook.base.model import ResponseFault, WebhookFault
from latehook.proxy.faults import GARBAGE
from support.process import Proxy, mitmdump
from support.programs import curl
from support.receivers import Handler, Received, Receiver, answer, receiver
from support.waiting import wait_until

SECRET = b"s3cret"


def _response(kind: str) -> str:
    return f"""
  - match: POST localhost/{kind}
    response: {{json: {{id: "{{{{ job.id }}}}", more: "{"x" * 200}"}}, fault: {kind}}}
    webhook: {{to: "{{{{ env.CALLBACK_URL }}}}/{{{{ request.query.n }}}}", json: {{id: "{{{{ job.id }}}}"}}}}
  - match: DELETE localhost/{kind}
    response: {{status: 204, fault: {kind}}}
"""


def _webhook(kind: str) -> str:
    return f"""
  - match: POST localhost/webhooks/{kind}
    response: {{json: {{id: "{{{{ job.id }}}}"}}}}
    webhook:
      to: "{{{{ request.json.to }}}}"
      json: {{id: "{{{{ job.id }}}}"}}
      sign: {{scheme: github, secret: {SECRET.decode()}}}
      retry: [200ms]
      fault: {kind}
"""


MOCKS = (
    "mocks:"
    + "".join(map(_response, ResponseFault))
    + "".join(map(_webhook, WebhookFault))
    + """
  - {match: POST localhost/fine, response: {delay: 300ms, text: fine}}
  - match: POST localhost/lost-once
    job: {idempotency_key: "{{ request.headers.idempotency_key }}"}
    response: {json: {id: "{{ job.id }}"}, fault: {kind: empty, count: 1}}
"""
)


@dataclass(frozen=True)
class World:
    """The proxy, the third party, and the receiver of the webhooks."""

    proxy: Proxy
    third: Receiver
    sut: Receiver

    def url(self, path: str, scheme: str = "http") -> str:
        return f"{scheme}://localhost:{self.third.port}{path}"


@pytest.fixture(scope="module", params=["0", "1"], ids=["unseen", "printed"])
def world(request: pytest.FixtureRequest, confdir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Where nobody looks flows take another way than where they are printed."""
    file = tmp_path_factory.mktemp("faults") / "mocks.yaml"
    with receiver() as third, receiver() as sut:
        file.write_text(MOCKS.replace("localhost/", f"localhost:{third.port}/"))
        options = "--set", f"mock_file={file}", "--set", f"flow_detail={request.param}"
        with mitmdump(confdir, *options, env={"CALLBACK_URL": sut.url}) as proxy:
            yield World(proxy, third, sut)
        assert third.connections == 0


# Responses


WAYS = {"http": ("http", "--http1.1"), "tls": ("https", "--http1.1"), "h2": ("https", "--http2")}
CURL_SAYS: dict[str, dict[str, int]] = {
    "reset": {"http": 56, "tls": 56, "h2": 56},  # connection reset by peer
    "empty": {"http": 52, "tls": 52, "h2": 92},  # empty reply; a stream not closed cleanly
    "truncate": {"http": 18, "tls": 18, "h2": 92},  # bytes are missing
    "hang": {"http": 28, "tls": 28, "h2": 28},  # timed out
    "garbage": {"http": 1, "tls": 1, "h2": 92},  # this is not HTTP/1
}

SILENCE = 0.3
"""Seconds without a byte that show a response to hang."""


def silence(fault: str) -> float:
    """Seconds that a client waits for the next byte."""
    return SILENCE if fault == "hang" else 10


def with_curl(world: World, way: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    _, version = WAYS[way]
    seconds = "1" if any("/hang" in argument for argument in arguments) else "10"  # in all
    options = "-x", world.proxy.url, "--cacert", world.proxy.ca, version, "--max-time", seconds
    return curl(*options, *arguments)


def code(got: subprocess.CompletedProcess[str]) -> int:
    """curl's. A reset may meet it while it sends, as its part of HTTP/2's beginning, or while it receives."""
    return 56 if got.returncode == 55 and "Connection reset by peer" in got.stderr else got.returncode


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fault", ResponseFault)
def test_curl_meets_each_fault_and_the_webhook_comes_all_the_same(world: World, fault: str, way: str) -> None:
    number = f"{fault}-{way}"

    got = with_curl(world, way, "-X", "POST", world.url(f"/{fault}?n={number}", WAYS[way][0]))
    [webhook] = wait_until(lambda: [one for one in world.sut.requests if one.path == f"/{number}"], "its webhook")

    assert code(got) == CURL_SAYS[fault][way], got.stderr
    if fault in ("truncate", "hang"):
        assert len(got.stdout) == 127
        assert json.loads(webhook.body)["id"] in got.stdout
    else:
        assert got.stdout == ""


@pytest.mark.parametrize("fault", ResponseFault)
def test_over_http2_nothing_is_sent_of_a_response_without_body(world: World, fault: str) -> None:
    got = with_curl(
        world, "h2", "-X", "DELETE", "--include", "--suppress-connect-headers", world.url(f"/{fault}", "https")
    )

    assert (code(got), got.stdout) == (CURL_SAYS[fault]["h2"], "")


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("fault", "raises", "says"),
    [
        ("reset", requests.ConnectionError, "Connection reset by peer"),
        ("empty", requests.ConnectionError, "Remote end closed connection without response"),
        ("truncate", requests.exceptions.ChunkedEncodingError, "IncompleteRead(127 bytes read, 128 more expected)"),
        ("hang", requests.ConnectionError, "Read timed out"),
        ("garbage", requests.ConnectionError, "BadStatusLine"),
    ],
)
def test_requests_meets_each_fault(world: World, scheme: str, fault: str, raises: type[Exception], says: str) -> None:
    proxies = {scheme: world.proxy.url}

    with pytest.raises(raises) as raised:
        requests.post(world.url(f"/{fault}", scheme), proxies=proxies, verify=world.proxy.ca, timeout=silence(fault))

    assert says in str(raised.value)


@pytest.mark.parametrize("http2", [False, True], ids=["h1", "h2"])
@pytest.mark.parametrize(
    ("fault", "raises"),
    [
        ("reset", (httpx.ReadError, httpx.WriteError)),
        ("empty", httpx.RemoteProtocolError),
        ("truncate", httpx.RemoteProtocolError),
        ("hang", httpx.ReadTimeout),
        ("garbage", httpx.ProtocolError),
    ],
)
def test_httpx_meets_each_fault(
    world: World, fault: str, raises: type[Exception] | tuple[type[Exception], ...], http2: bool
) -> None:
    trusted = ssl.create_default_context(cafile=world.proxy.ca)
    with httpx.Client(proxy=world.proxy.url, verify=trusted, http2=http2, trust_env=False) as client:
        with pytest.raises(raises):
            client.post(world.url(f"/{fault}", "https"), timeout=silence(fault))


def received(world: World, fault: str, method: str = "POST") -> tuple[bytes, str]:
    """All bytes that a bare socket gets, and how it ended."""
    with closing(socket.create_connection(("127.0.0.1", world.proxy.port))) as client:
        client.sendall(f"{method} {world.url(f'/{fault}')} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n".encode())
        client.settimeout(10)
        got = b""
        while True:
            try:
                piece = client.recv(65536)
            except TimeoutError:
                return got, "open"
            except ConnectionResetError:
                return got, "reset"
            if not piece:
                return got, "closed"
            got += piece
            client.settimeout(silence(fault))


@pytest.mark.parametrize(
    ("fault", "ends", "sent"),
    [("reset", "reset", b""), ("empty", "closed", b""), ("garbage", "closed", GARBAGE)],
)
def test_nothing_of_the_response_is_sent(world: World, fault: str, ends: str, sent: bytes) -> None:
    assert received(world, fault) == (sent, ends)


@pytest.mark.parametrize(("fault", "ends"), [("truncate", "closed"), ("hang", "open")])
def test_the_first_half_is_sent_of_the_body_or_where_there_is_none_of_the_head(
    world: World, fault: str, ends: str
) -> None:
    (got, how), (without_body, how_without) = received(world, fault), received(world, fault, "DELETE")

    head, _, body = got.partition(b"\r\n\r\n")
    assert (how, how_without) == (ends, ends)
    assert b"content-length: 255" in head.lower()
    assert (len(body), body[:7]) == (127, b'{"id":"')
    assert without_body == b"HTTP/1.1 204 "


@pytest.mark.parametrize("fault", [fault for fault in ResponseFault if fault is not ResponseFault.RESET])
def test_over_http2_the_other_streams_of_the_connection_go_on(world: World, fault: str) -> None:
    connections = world.proxy.output.count("client connect")
    fine, faulty = world.url("/fine", "https"), world.url(f"/{fault}", "https")

    got = with_curl(world, "h2", "-Z", "-X", "POST", "-w", "[%{exitcode} %{http_code} %{urlnum}]", fine, faulty)

    assert world.proxy.output.count("client connect") == connections + 1
    assert f"[{CURL_SAYS[fault]['h2']} " in got.stdout
    assert "fine[0 200 0]" in got.stdout


async def test_a_reset_ends_all_streams_of_its_connection(world: World) -> None:
    trusted = ssl.create_default_context(cafile=world.proxy.ca)
    async with httpx.AsyncClient(proxy=world.proxy.url, verify=trusted, http2=True, trust_env=False) as client:
        assert (await client.post(world.url("/fine", "https"))).text == "fine"
        paths = "/fine", "/reset"
        ended = await asyncio.gather(*(client.post(world.url(path, "https")) for path in paths), return_exceptions=True)

    assert [type(end) for end in ended] == [httpx.ReadError] * 2


def test_a_client_that_repeats_its_request_gets_the_job_whose_response_was_lost(world: World) -> None:
    def ask() -> requests.Response:
        headers = {"idempotency-key": "a"}
        return requests.post(world.url("/lost-once"), proxies={"http": world.proxy.url}, headers=headers, timeout=10)

    with pytest.raises(requests.ConnectionError):
        ask()

    assert ask().json() == ask().json()


def test_a_fault_is_one_line_and_where_flows_are_printed_it_stands_with_them(world: World) -> None:
    received(world, "empty")
    world.proxy.wait_for(rf"latehook: POST localhost:{world.third.port}/empty: the response's fault: empty")

    if "flow_detail=1" in world.proxy.process.args:
        world.proxy.wait_for("<< empty on purpose")


def test_a_flow_file_holds_what_was_to_be_sent_and_why_it_was_not(start: Callable[..., Proxy], tmp_path: Path) -> None:
    proxy = start(
        *("-w", str(tmp_path / "flows")),
        mocks="mocks: [{match: GET api.slow.example/, response: {text: meant, fault: empty}}]",
    )
    with pytest.raises(requests.ConnectionError):
        requests.get("http://api.slow.example/", proxies={"http": proxy.url}, timeout=10)
    assert proxy.stop() == 0

    with (tmp_path / "flows").open("rb") as file:
        [flow] = FlowReader(file).stream()

    assert isinstance(flow, http.HTTPFlow)
    assert (flow.response and flow.response.text, flow.error and flow.error.msg) == (
        "meant",
        "empty on purpose (latehook)",
    )


def test_one_that_hangs_keeps_no_shutdown_waiting(start: Callable[..., Proxy]) -> None:
    proxy = start(mocks="mocks: [{match: GET api.slow.example/, response: {text: slow, fault: hang}}]")
    with closing(socket.create_connection(("127.0.0.1", proxy.port))) as client:
        client.sendall(b"GET http://api.slow.example/ HTTP/1.1\r\nhost: api.slow.example\r\n\r\n")
        assert client.recv(65536)
        started = time.monotonic()

        assert proxy.stop() == 0
        assert time.monotonic() - started < 3


# Webhooks


def ask_for(world: World, fault: str, sut: Receiver) -> str:
    """The id of a job whose webhook has this fault."""
    url = world.url(f"/webhooks/{fault}")
    sent = requests.post(url, json={"to": sut.url}, proxies={"http": world.proxy.url}, timeout=10)
    return str(sent.json()["id"])


def signature(body: bytes) -> str:
    """By the receiver's own reckoning."""
    return "sha256=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest()


def is_signed(webhook: Received) -> bool:
    given = webhook.headers["x-hub-signature-256"]
    assert len(given) == len(signature(b""))
    return hmac.compare_digest(given, signature(webhook.body))


def test_a_webhook_that_is_dropped_is_not_sent_nor_tried_again(world: World, sut: Receiver) -> None:
    id = ask_for(world, "drop", sut)
    line = world.proxy.wait_for(f"job {id}: webhook not delivered")

    assert line.endswith(f"attempt 1: {sut.url}: dropped on purpose (fault); given up")
    time.sleep(0.4)
    assert sut.connections == 0


def test_a_duplicate_is_the_same_request_twice_at_the_same_time(world: World, sut: Receiver) -> None:
    def slowly(handler: Handler, number: int) -> None:
        time.sleep(0.3)
        answer(204, b"")(handler, number)

    sut.behave = slowly

    id = ask_for(world, "duplicate", sut)
    world.proxy.wait_for(f"job {id}: webhook delivered, attempt 1: .*: 204")

    first, second = sut.requests
    assert (first.headers, first.body) == (second.headers, second.body)
    assert json.loads(first.body) == {"id": id}
    assert is_signed(first)
    assert abs(first.at - second.at) < 0.3


def test_a_corrupt_body_is_not_what_was_signed_and_is_no_json(world: World, sut: Receiver) -> None:
    id = ask_for(world, "corrupt-body", sut)
    [webhook] = sut.wait(1)

    right = json.dumps({"id": id}, separators=(",", ":")).encode()
    assert (len(webhook.body), webhook.body[1:]) == (len(right), right[1:])
    assert not is_signed(webhook)
    assert webhook.headers["x-hub-signature-256"] == signature(right)
    with pytest.raises(ValueError):
        json.loads(webhook.body)


def test_a_corrupt_signature_is_beside_the_right_body(world: World, sut: Receiver) -> None:
    id = ask_for(world, "corrupt-signature", sut)
    [webhook] = sut.wait(1)

    assert json.loads(webhook.body) == {"id": id}
    assert not is_signed(webhook)


# Chance

CHANCY = """
mocks:
  - match: POST api.slow.example/{n}
    response: {text: fine, fault: {kind: empty, chance: 0.5}}
    webhook: {to: "{{ env.CALLBACK_URL }}/{{ request.path.n }}", fault: {kind: drop, chance: 0.5, count: 6}}
"""


def test_with_a_seed_the_same_run_has_the_same_faults(start: Callable[..., Proxy], sut: Receiver) -> None:
    def run(seed: int) -> tuple[list[int], list[str]]:
        """Which requests were answered and which webhooks came."""
        sut.requests.clear()
        proxy = start("--set", f"mock_seed={seed}", mocks=CHANCY, env={"CALLBACK_URL": sut.url})
        answered = []
        for number in range(20):
            url = f"http://api.slow.example/{number}"
            try:
                answered.append(requests.post(url, proxies={"http": proxy.url}, timeout=10).status_code)
            except requests.ConnectionError:
                answered.append(0)
        proxy.wait_for("webhook (not )?delivered", count=20)
        return answered, sorted(webhook.path for webhook in sut.requests)

    first, second = run(7), run(7)

    assert first == second
    assert {0, 200} == set(first[0])
    assert 14 <= len(first[1]) < 20
