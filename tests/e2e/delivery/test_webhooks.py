"""Webhooks of a real mitmdump: retries, log lines, refused targets, receivers that misbehave, the end of the process."""

import json
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socketserver import ThreadingMixIn

import httpx
import pytest

import latehook
from support.limits import LIMIT, LONG_LIMIT, PROMPT
from support.ports import free_port
from support.process import Proxy, mitmdump
from support.raw_servers import hangs, raw_server, resets
from support.receivers import Handler, Receiver, answer, receiver

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
    webhook: {after: 100ms, to: "{{ request.json.to }}", retry: [], timeout: 60s}
  - match: POST api.slow.example/impatient
    response: {json: {id: "{{ job.id }}"}}
    webhook: {after: 100ms, to: "{{ request.json.to }}", retry: [], timeout: 300ms}
  - match: POST api.slow.example/followed
    response: {json: {id: "{{ job.id }}"}}
    webhook: {to: "{{ request.json.to }}", json: {id: "{{ job.id }}"}, retry: [], redirects: 2}
  - match: POST api.slow.example/later
    response: {json: {id: "{{ job.id }}"}}
    webhook: {after: 1h, to: "{{ request.json.to }}"}
"""


class Sut:
    """The system under test, which sends requests to the mocked service through the proxy."""

    def __init__(self, proxy: Proxy, client: httpx.Client) -> None:
        self.proxy = proxy
        self._client = client

    def start_job(self, path: str, to: str) -> str:
        """Send a request; return the id of its job, whose webhook goes to a URL."""
        response = self._client.post(f"http://api.slow.example{path}", json={"to": to})
        assert response.status_code == 200, response.text
        return str(response.json()["id"])

    def lines(self, job: str) -> list[str]:
        """Return what mitmdump has printed about a job's webhook, after the word `webhook`."""
        found = (re.search(rf"latehook: job {job}: webhook (.*)", line) for line in self.proxy.lines)
        return [line[1] for line in found if line]


@contextmanager
def system(proxy: Proxy) -> Iterator[Sut]:
    """Run a system under test."""
    with httpx.Client(proxy=proxy.url, trust_env=False) as http:
        yield Sut(proxy, http)


@pytest.fixture(scope="module")
def proxy(confdir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """Run one process for all tests that look only at their own jobs."""
    file = tmp_path_factory.mktemp("webhooks") / "mocks.yaml"
    file.write_text(MOCKS)
    with mitmdump(confdir, "--set", f"mock_file={file}") as process:
        yield process


@pytest.fixture
def client(proxy: Proxy) -> Iterator[Sut]:
    with system(proxy) as client:
        yield client


def statuses(*statuses: int) -> Callable[..., None]:
    """Answer with these statuses in turn, then with the last one."""

    def behave(handler: object, number: int) -> None:
        answer(statuses[min(number, len(statuses) - 1)])(handler, number)  # type: ignore[arg-type]

    return behave


# Retries and log lines


def test_a_webhook_is_tried_again_at_its_times_with_the_same_body(client: Sut) -> None:
    with receiver(statuses(500, 404, 200)) as server:
        job = client.start_job("/jobs", f"{server.url}/hook?a=%2f")
        client.proxy.wait_for(f"job {job}: webhook delivered")

        first, second, third = server.requests
        assert second.at - first.at >= 0.2
        assert third.at - second.at >= 0.4
        assert first.body == second.body == third.body
        assert json.loads(first.body)["id"] == job
        assert client.lines(job) == [
            f"not delivered, attempt 1: {server.url}/hook?a=%2f: 500; next attempt in 0.2 s",
            f"not delivered, attempt 2: {server.url}/hook?a=%2f: 404; next attempt in 0.4 s",
            f"delivered, attempt 3: {server.url}/hook?a=%2f: 200",
        ]


def test_after_the_last_retry_a_webhook_is_given_up(client: Sut) -> None:
    with receiver(statuses(503)) as server:
        job = client.start_job("/jobs", server.url)
        client.proxy.wait_for(f"job {job}: .*given up")

        assert len(server.requests) == 3
        assert client.lines(job)[2:] == [f"not delivered, attempt 3: {server.url}: 503; given up"]


def test_a_redirect_is_a_failure_and_is_not_followed(client: Sut, sut: Receiver) -> None:
    with receiver(answer(308, location=sut.url)) as server:
        job = client.start_job("/once", server.url)
        client.proxy.wait_for(f"job {job}: .*given up")

        assert client.lines(job) == [f"not delivered, attempt 1: {server.url}: 308; given up"]
        assert sut.requests == []


def test_redirects_are_followed_and_shown(client: Sut, sut: Receiver) -> None:
    with receiver(answer(307, location=f"{sut.url}/real")) as server:
        job = client.start_job("/followed", server.url)
        client.proxy.wait_for(f"job {job}: webhook delivered")
        with latehook.connect(client.proxy.port) as tester:
            [webhook] = tester.webhooks(job=job)

        assert (len(server.requests), len(sut.requests)) == (1, 1)
        assert (sut.requests[0].path, json.loads(sut.requests[0].body)) == ("/real", {"id": job})
        assert webhook.attempts[0].status == 200
        assert webhook.attempts[0].redirects == (latehook.Redirect(status=307, url=f"{sut.url}/real"),)
        assert client.lines(job) == [f"delivered, attempt 1: {server.url}: 200 (307 led to {sut.url}/real)"]


def test_a_redirect_to_a_mocked_host_is_refused(client: Sut, sut: Receiver) -> None:
    with receiver(answer(302, location="http://API.slow.example./later?token=1")) as server:
        job = client.start_job("/followed", server.url)
        client.proxy.wait_for(f"job {job}: webhook not delivered")

        [line] = client.lines(job)
        assert "refused: api.slow.example. is mocked here, so the webhook would come back to Latehook" in line
        assert line.endswith("(302 led to http://API.slow.example./later?token=1); given up")
        assert len(server.requests) == 1


def test_user_info_in_a_url_is_sent_and_never_printed(client: Sut, sut: Receiver) -> None:
    job = client.start_job("/jobs", f"http://user:hunter2@127.0.0.1:{sut.port}/hook")
    client.proxy.wait_for(f"job {job}: webhook delivered")

    assert sut.requests[0].headers["authorization"] == "Basic dXNlcjpodW50ZXIy"
    assert client.lines(job) == [f"delivered, attempt 1: {sut.url}/hook: 200"]
    assert "hunter2" not in client.proxy.output


def test_the_line_says_what_is_wrong_with_the_receiver(client: Sut) -> None:
    with raw_server(hangs) as hanging, raw_server(resets) as resetting, raw_server(garbage) as talking:
        refusing = free_port()
        reasons = {
            hanging: "no answer within 0.3 s",
            resetting: "Connection reset by peer",
            refusing: "Connection refused",
            talking: "the answer is not HTTP: .*",
        }
        paths = dict.fromkeys(reasons, "/once") | {hanging: "/impatient"}
        jobs = {port: client.start_job(path, f"http://127.0.0.1:{port}/") for port, path in paths.items()}
        for job in jobs.values():
            client.proxy.wait_for(f"job {job}: .*given up")

    for port, job in jobs.items():
        [line] = client.lines(job)
        assert re.fullmatch(f"not delivered, attempt 1: http://127.0.0.1:{port}/: {reasons[port]}; given up", line)


def test_a_proxy_in_the_environment_is_not_used_for_webhooks(start: Callable[..., Proxy], sut: Receiver) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    with system(start(mocks=MOCKS, env={"HTTP_PROXY": nowhere, "http_proxy": nowhere})) as client:
        client.start_job("/jobs", sut.url)
        sut.wait(1)


# Refused targets


@pytest.mark.parametrize("url", ["https://api.slow.example/hook", "http://API.slow.example:8080/"])
def test_a_webhook_to_a_mocked_host_is_refused(client: Sut, url: str) -> None:
    job = client.start_job("/once", url)
    client.proxy.wait_for(f"job {job}: .*given up")

    [line] = client.lines(job)
    assert line.startswith(f"not delivered, attempt 1: {url}: refused: ")
    assert "is mocked here, so the webhook would come back to Latehook; given up" in line


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2", "0.0.0.0"])
def test_a_webhook_to_latehooks_own_port_is_refused(client: Sut, host: str) -> None:
    job = client.start_job("/once", f"http://{host}:{client.proxy.port}/jobs")
    client.proxy.wait_for(f"job {job}: .*given up")

    [line] = client.lines(job)
    assert re.search(rf": refused: \S+:{client.proxy.port} is Latehook's own port; given up$", line)


# Receivers that misbehave


def garbage(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(bytes(range(256)) * 100)


def gigabyte(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")
    for _ in range(1024):
        connection.sendall(bytes(1024 * 1024))


def test_receivers_that_misbehave_do_not_delay_others(client: Sut, sut: Receiver) -> None:
    with ExitStack() as stack:
        ports = [stack.enter_context(raw_server(serve)) for serve in (resets, garbage, gigabyte)]
        ports.append(free_port())
        hanging = stack.enter_context(raw_server(hangs))
        for _ in range(100):  # more than may run at once
            client.start_job("/once", f"http://127.0.0.1:{hanging}/")
        before = client.proxy.memory_peak()
        for _ in range(5):
            for port in ports:
                client.start_job("/once", f"http://127.0.0.1:{port}/")
            client.start_job("/once", sut.url)

        sut.wait(5)
        for port, result in zip(ports, ["given up", "given up", "200", "given up"], strict=True):
            client.proxy.wait_for(f"http://127.0.0.1:{port}/: (.*; )?{result}$", count=5)

        assert (
            f"http://127.0.0.1:{hanging}/" not in client.proxy.output
        )  # all of these attempts still wait, and were due first
        assert client.proxy.memory_peak() - before < 100_000_000


def test_a_destination_has_only_so_many_attempts_at_once(start: Callable[..., Proxy], sut: Receiver) -> None:
    connections = threading.Semaphore(0)

    def hold(connection: socket.socket) -> None:
        connections.release()
        hangs(connection)

    with raw_server(hold) as hanging, system(start("--set", "mock_workers=3", mocks=MOCKS)) as client:
        for _ in range(10):
            client.start_job("/once", f"http://127.0.0.1:{hanging}/")
        client.start_job("/once", sut.url)
        sut.wait(1)  # it became due after the ten

        for _ in range(3):
            assert connections.acquire(timeout=LIMIT)
        assert not connections.acquire(blocking=False)


# The end of the process


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_at_the_end_running_attempts_may_finish_and_the_other_webhooks_are_counted(
    start: Callable[..., Proxy], sign: signal.Signals
) -> None:
    ending = threading.Event()

    def answer_at_the_end(handler: Handler, number: int) -> None:
        ending.wait(LIMIT)
        answer()(handler, number)

    with receiver(answer_at_the_end) as server, raw_server(hangs) as hanging, system(start(mocks=MOCKS)) as client:
        for _ in range(3):
            client.start_job("/later", server.url)
        hung = client.start_job("/once", f"http://127.0.0.1:{hanging}/")
        answered = client.start_job("/once", server.url)
        server.wait(1)

        client.proxy.process.send_signal(sign)
        ending.set()

        assert client.proxy.wait(PROMPT) == 0
        assert client.lines(answered) == [f"delivered, attempt 1: {server.url}: 200"]
        assert client.lines(hung) == []
        assert client.proxy.lines[-1].endswith("latehook: stopped with 4 webhooks still owed")


def test_an_end_without_pending_webhooks_prints_nothing_about_them(start: Callable[..., Proxy], sut: Receiver) -> None:
    with system(start(mocks=MOCKS)) as client:
        job = client.start_job("/jobs", sut.url)
        client.proxy.wait_for(f"job {job}: webhook delivered")

        assert client.proxy.stop() == 0
        assert "owed" not in client.proxy.output


class SmallServer(HTTPServer):
    """A server with one thread, as `http.server` has it. Other connections wait in the system's queue: it has five places.

    `requests` are the bodies that it has read.
    """

    request_queue_size = 5

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        self.requests: list[bytes] = []
        super().__init__(("127.0.0.1", 0), handler)


class SmallThreadingServer(ThreadingMixIn, SmallServer):
    """The same with a thread for each connection, as `python3 -m http.server` has it."""

    daemon_threads = True


class CountingHandler(BaseHTTPRequestHandler):
    server: SmallServer

    def do_POST(self) -> None:
        self.server.requests.append(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


class SlowHandler(CountingHandler):
    takes = 0.005

    def do_POST(self) -> None:
        time.sleep(self.takes)
        super().do_POST()


class SlowestHandler(SlowHandler):
    takes = 0.05


class KeepingHandler(CountingHandler):
    protocol_version = "HTTP/1.1"  # it keeps connections open


@pytest.mark.parametrize(
    ("kind", "handler", "count"),
    [
        (SmallServer, CountingHandler, 300),
        (SmallServer, SlowHandler, 300),
        (SmallServer, SlowestHandler, 100),
        (SmallThreadingServer, CountingHandler, 300),
        (SmallThreadingServer, KeepingHandler, 300),
    ],
)
def test_a_small_receiver_gets_a_burst_at_the_first_attempt(
    client: Sut, kind: type[SmallServer], handler: type[CountingHandler], count: int
) -> None:
    """The default of `mock_workers` does not overload the smallest receivers that are in use."""
    control = f"{client.proxy.url}/_latehook"
    with kind(handler) as server, httpx.Client(trust_env=False) as tester:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        tester.post(f"{control}/hold", json={})
        for _ in range(count):
            client.start_job("/once", f"http://127.0.0.1:{server.server_port}/hook")
        tester.post(f"{control}/release", json={})
        delivered = rf"webhook delivered, attempt 1: http://127.0.0.1:{server.server_port}/"
        client.proxy.wait_for(delivered, count, LONG_LIMIT)
        server.shutdown()

    assert len(server.requests) == count
