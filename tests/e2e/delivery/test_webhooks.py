"""Webhooks of a real mitmdump: retries, log lines, refusals, receivers that misbehave, and the end of the process."""

import json
import re
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest

from support.limits import LONG_LIMIT
from support.ports import free_port
from support.process import Proxy, mitmdump
from support.raw_servers import raw_server
from support.receivers import Receiver, answer, receiver

MOCKS = """\
mocks:
  - match: POST api.slow.example/jobs
    response: {json: {id: "{{ job.id }}"}}
    webhook:
      after: 100ms
      to: "{{ request.json.to }}"
      json: {id: "{{ job.id }}", drawn: "{{ uuid() }}"}
      retry: [200ms, 400ms]
  - match: POST api.slow.example/once
    response: {json: {id: "{{ job.id }}"}}
    webhook: {after: 100ms, to: "{{ request.json.to }}", retry: [], timeout: 300ms}
  - match: POST api.slow.example/patient
    response: {json: {id: "{{ job.id }}"}}
    webhook: {after: 100ms, to: "{{ request.json.to }}", retry: [], timeout: 60s}
  - match: POST api.slow.example/later
    response: {json: {id: "{{ job.id }}"}}
    webhook: {after: 1h, to: "{{ request.json.to }}"}
"""


class Sut:
    """The system under test: asks the mocked service through the proxy."""

    def __init__(self, proxy: Proxy, client: httpx.Client) -> None:
        self.proxy = proxy
        self._client = client

    def ask(self, path: str, to: str) -> str:
        """The id of the job that a request starts."""
        response = self._client.post(f"http://api.slow.example{path}", json={"to": to})
        assert response.status_code == 200, response.text
        return str(response.json()["id"])

    def lines(self, job: str) -> list[str]:
        """What mitmdump said of a job's webhook, from the word on."""
        found = (re.search(rf"latehook: job {job}: webhook (.*)", line) for line in self.proxy.lines)
        return [line[1] for line in found if line]


@contextmanager
def asking(proxy: Proxy) -> Iterator[Sut]:
    with httpx.Client(proxy=proxy.url, trust_env=False) as client:
        yield Sut(proxy, client)


@pytest.fixture(scope="module")
def proxy(confdir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """One process for all tests that tell their own webhooks from those of others."""
    file = tmp_path_factory.mktemp("webhooks") / "mocks.yaml"
    file.write_text(MOCKS)
    with mitmdump(confdir, "--set", f"mock_file={file}") as process:
        yield process


@pytest.fixture
def asker(proxy: Proxy) -> Iterator[Sut]:
    with asking(proxy) as sut:
        yield sut


def one_after_the_other(*statuses: int) -> Callable[..., None]:
    """Answers with these, the last one again and again."""

    def behave(handler: object, number: int) -> None:
        answer(statuses[min(number, len(statuses) - 1)])(handler, number)  # type: ignore[arg-type]

    return behave


# Retries and log lines


def test_a_webhook_is_tried_again_after_its_waits_with_the_same_body(asker: Sut) -> None:
    with receiver(one_after_the_other(500, 404, 200)) as server:
        job = asker.ask("/jobs", f"{server.url}/hook?a=%2f")
        asker.proxy.wait_for(f"job {job}: webhook delivered")

        first, second, third = server.requests
        assert second.at - first.at >= 0.2
        assert third.at - second.at >= 0.4
        assert first.body == second.body == third.body
        assert json.loads(first.body)["id"] == job
        assert asker.lines(job) == [
            f"not delivered, attempt 1: {server.url}/hook?a=%2f: 500; next attempt in 0.2 s",
            f"not delivered, attempt 2: {server.url}/hook?a=%2f: 404; next attempt in 0.4 s",
            f"delivered, attempt 3: {server.url}/hook?a=%2f: 200",
        ]


def test_after_the_last_wait_a_webhook_is_given_up(asker: Sut) -> None:
    with receiver(one_after_the_other(503)) as server:
        job = asker.ask("/jobs", server.url)
        asker.proxy.wait_for(f"job {job}: .*given up")

        assert len(server.requests) == 3
        assert asker.lines(job)[2:] == [f"not delivered, attempt 3: {server.url}: 503; given up"]


def test_a_redirect_is_a_failure_and_is_not_followed(asker: Sut, sut: Receiver) -> None:
    with receiver(answer(308, location=sut.url)) as server:
        job = asker.ask("/once", server.url)
        asker.proxy.wait_for(f"job {job}: .*given up")

        assert asker.lines(job) == [f"not delivered, attempt 1: {server.url}: 308; given up"]
        assert sut.requests == []


def test_user_info_in_a_url_is_sent_but_never_printed(asker: Sut, sut: Receiver) -> None:
    job = asker.ask("/jobs", f"http://user:hunter2@127.0.0.1:{sut.port}/hook")
    asker.proxy.wait_for(f"job {job}: webhook delivered")

    assert sut.requests[0].headers["authorization"] == "Basic dXNlcjpodW50ZXIy"
    assert asker.lines(job) == [f"delivered, attempt 1: {sut.url}/hook: 200"]
    assert "hunter2" not in asker.proxy.output


def test_what_is_wrong_with_a_receiver_is_in_the_line(asker: Sut) -> None:
    with raw_server(hangs) as hanging, raw_server(resets) as resetting, raw_server(garbage) as talking:
        refusing = free_port()
        reasons = {
            hanging: "no answer within 0.3 s",
            resetting: "Connection reset by peer",
            refusing: "Connection refused",
            talking: "the answer is not HTTP: .*",
        }
        jobs = {port: asker.ask("/once", f"http://127.0.0.1:{port}/") for port in reasons}
        for job in jobs.values():
            asker.proxy.wait_for(f"job {job}: .*given up")

    for port, job in jobs.items():
        [line] = asker.lines(job)
        assert re.fullmatch(f"not delivered, attempt 1: http://127.0.0.1:{port}/: {reasons[port]}; given up", line)


def test_a_proxy_in_the_environment_is_not_used_for_webhooks(start: Callable[..., Proxy], sut: Receiver) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    with asking(start(mocks=MOCKS, env={"HTTP_PROXY": nowhere, "http_proxy": nowhere})) as asker:
        asker.ask("/jobs", sut.url)
        sut.wait(1)


# Refusals


@pytest.mark.parametrize("url", ["https://api.slow.example/hook", "http://API.slow.example:8080/"])
def test_a_webhook_to_a_mocked_host_is_refused(asker: Sut, url: str) -> None:
    job = asker.ask("/once", url)
    asker.proxy.wait_for(f"job {job}: .*given up")

    [line] = asker.lines(job)
    assert line.startswith(f"not delivered, attempt 1: {url}: refused: ")
    assert "is mocked here, so the webhook would come back to Latehook; given up" in line


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2", "0.0.0.0"])
def test_a_webhook_to_latehooks_own_port_is_refused(asker: Sut, host: str) -> None:
    job = asker.ask("/once", f"http://{host}:{asker.proxy.port}/jobs")
    asker.proxy.wait_for(f"job {job}: .*given up")

    [line] = asker.lines(job)
    assert re.search(rf": refused: \S+:{asker.proxy.port} is Latehook's own port; given up$", line)


# Receivers that misbehave


def hangs(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def resets(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def garbage(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(bytes(range(256)) * 100)


def gigabyte(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")
    for _ in range(1024):
        connection.sendall(bytes(1024 * 1024))


def test_receivers_that_misbehave_cost_others_nothing(asker: Sut, sut: Receiver) -> None:
    with ExitStack() as stack:
        ports = [stack.enter_context(raw_server(serve)) for serve in (resets, garbage, gigabyte)]
        ports.append(free_port())
        hanging = stack.enter_context(raw_server(hangs))
        for _ in range(100):  # more than its slots
            asker.ask("/patient", f"http://127.0.0.1:{hanging}/")
        before = asker.proxy.memory_peak()
        for _ in range(5):
            for port in ports:
                asker.ask("/patient", f"http://127.0.0.1:{port}/")
            asker.ask("/patient", sut.url)

        sut.wait(5)
        for port, result in zip(ports, ["given up", "given up", "200", "given up"], strict=True):
            asker.proxy.wait_for(f"http://127.0.0.1:{port}/: (.*; )?{result}$", count=5)

        assert f"http://127.0.0.1:{hanging}/" not in asker.proxy.output  # all of those still wait, and had come first
        assert asker.proxy.memory_peak() - before < 100_000_000


def test_a_destination_has_only_so_many_attempts_at_once(start: Callable[..., Proxy], sut: Receiver) -> None:
    connections = threading.Semaphore(0)

    def hold(connection: socket.socket) -> None:
        connections.release()
        hangs(connection)

    with raw_server(hold) as hanging, asking(start("--set", "mock_workers=3", mocks=MOCKS)) as asker:
        for _ in range(10):
            asker.ask("/patient", f"http://127.0.0.1:{hanging}/")
        asker.ask("/patient", sut.url)
        sut.wait(1)  # it became due after the ten

        for _ in range(3):
            assert connections.acquire(timeout=5)
        assert not connections.acquire(blocking=False)


# The end


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_at_the_end_what_is_under_way_may_end_and_the_rest_is_counted(
    start: Callable[..., Proxy], sign: signal.Signals
) -> None:
    def slow(handler: object, number: int) -> None:
        time.sleep(0.7)
        answer()(handler, number)  # type: ignore[arg-type]

    with receiver(slow) as server, raw_server(hangs) as hanging, asking(start(mocks=MOCKS)) as asker:
        for _ in range(3):
            asker.ask("/later", server.url)
        hung = asker.ask("/patient", f"http://127.0.0.1:{hanging}/")
        answered = asker.ask("/patient", server.url)
        server.wait(1)

        started = time.monotonic()
        status = asker.proxy.stop(sign)
        took = time.monotonic() - started

        assert status == 0
        assert asker.lines(answered) == [f"delivered, attempt 1: {server.url}: 200"]
        assert asker.lines(hung) == []
        assert asker.proxy.lines[-1].endswith("latehook: stopped with 4 webhooks still owed")
        assert took < 5  # 2 s, on a machine that is not busy


def test_an_end_with_nothing_owed_says_nothing(start: Callable[..., Proxy], sut: Receiver) -> None:
    with asking(start(mocks=MOCKS)) as asker:
        job = asker.ask("/jobs", sut.url)
        asker.proxy.wait_for(f"job {job}: webhook delivered")

        assert asker.proxy.stop() == 0
        assert "owed" not in asker.proxy.output


class _OneAtATime(HTTPServer):
    """What `python3 -m http.server` would be with one thread: connections wait in the system's queue of five."""

    request_queue_size = 5

    def __init__(self) -> None:
        self.requests = 0
        super().__init__(("127.0.0.1", 0), _Counting)


class _Counting(BaseHTTPRequestHandler):
    server: _OneAtATime

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.server.requests += 1
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_receiver_of_one_thread_gets_a_burst_at_the_first_attempt(asker: Sut) -> None:
    """The default of `mock_workers` does not overrun the smallest receiver that people have."""
    count = 300
    control = f"{asker.proxy.url}/_latehook"
    with _OneAtATime() as server, httpx.Client(trust_env=False) as tester:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        tester.post(f"{control}/hold", json={})
        for _ in range(count):
            asker.ask("/patient", f"http://127.0.0.1:{server.server_port}/hook")
        tester.post(f"{control}/release", json={})
        delivered = rf"webhook delivered, attempt 1: http://127.0.0.1:{server.server_port}/"
        asker.proxy.wait_for(delivered, count, LONG_LIMIT)
        server.shutdown()

    assert server.requests == count
