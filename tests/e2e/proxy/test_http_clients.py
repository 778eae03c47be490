"""Real HTTP clients through the proxy: HTTP versions, connections, bodies.

All requests go to a name that does not resolve, with mitmproxy's default options, and the clients verify the certificate.
"""

import gzip
import json
import re
import socket
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from support import http_clients
from support.http_clients import Call, Exchange, Reply
from support.limits import LIMIT
from support.process import Proxy, mitmdump
from support.programs import curl
from support.receivers import Receiver, receiver
from support.waiting import wait_until

HOST = "api.slow.example"

MOCKS = """
mocks:
  - match: POST {host}/jobs
    response:
      json:
        id: "{{{{ job.id }}}}"
        order: "{{{{ request.json.order }}}}"
        size: "{{{{ request.size }}}}"
        length: "{{{{ request.headers.content_length }}}}"
        transfer: "{{{{ request.headers.transfer_encoding }}}}"
    webhook:
      after: 0s
      to: {url}/hook
      json: {{id: "{{{{ job.id }}}}", order: "{{{{ request.json.order }}}}"}}
  - match: GET {host}/jobs/{{id}}
    response:
      json: {{id: "{{{{ request.path.id }}}}"}}
    webhook: {{after: 0s, to: "{url}/hook", json: {{id: "{{{{ job.id }}}}", get: "{{{{ request.path.id }}}}"}}}}
  - match: DELETE {host}/jobs/{{id}}
    response: {{status: 204}}
  - match: GET {host}/unchanged
    response: {{status: 304, headers: {{etag: '"1"'}}}}
"""


@pytest.fixture(scope="module")
def hooks() -> Iterator[Receiver]:
    with receiver() as server:
        yield server


@pytest.fixture(scope="module")
def proxy(confdir: Path, hooks: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    file = tmp_path_factory.mktemp("clients") / "mocks.yaml"
    file.write_text(MOCKS.format(host=HOST, url=hooks.url))
    with mitmdump(confdir, "--set", f"mock_file={file}") as started:
        yield started


CLIENTS: dict[str, Exchange] = {
    "curl": http_clients.with_curl,
    "curl-http2": http_clients.with_curl_http2,
    "requests": http_clients.with_requests,
    "httpx": http_clients.with_httpx,
    "httpx-http2": http_clients.with_httpx_http2,
    "node": http_clients.with_node,
    "node-http2": http_clients.with_node_http2,
    "node-untunnelled": http_clients.with_node_untunnelled,
}


def each(names: Sequence[str]) -> Callable[..., object]:
    """Run a test with each of these clients, over http:// and https://."""
    parameters = [
        pytest.param(
            name, scheme, id=f"{name}-{scheme}", marks=[http_clients.NEEDS_NODE] if name.startswith("node") else []
        )
        for name in names
        for scheme in ("http", "https")
        if (name, scheme) != ("node-untunnelled", "https")  # https is always tunnelled
    ]
    return pytest.mark.parametrize(("client", "scheme"), parameters)


class Run:
    """One exchange, and the lines that mitmdump prints about it. They are found by a query that only its requests have."""

    def __init__(self, proxy: Proxy, client: str, scheme: str) -> None:
        self.proxy = proxy
        self.client = client
        self.base = f"{scheme}://{HOST}"
        self.id = uuid.uuid4().hex[:6]  # short: mitmdump cuts long URLs off
        self.calls: list[Call] = []

    def call(self, method: str, path: str, body: bytes | None = None, chunked: bool = False, **headers: str) -> Call:
        url = f"{self.base}{path}?r={self.id}"
        return Call(method, url, {name.replace("_", "-"): value for name, value in headers.items()}, body, chunked)

    def post(self, order: int = 1, **headers: str) -> Call:
        return self.call("POST", "/jobs", order_of(order), content_type="application/json", **headers)

    def exchange(self, *calls: Call, keep_alive: bool = True) -> list[Reply]:
        replies = CLIENTS[self.client](self.proxy, calls, keep_alive)
        assert len(replies) == len(calls)
        self.calls.extend(calls)
        return replies

    @property
    def flows(self) -> list[str]:
        """Wait for mitmdump's lines about the requests: `127.0.0.1:40000: POST https://… HTTP/2.0`."""

        def printed() -> list[str]:
            return [line for line in list(self.proxy.lines) if f"?r={self.id}" in line]

        return wait_until(lambda: len(lines := printed()) >= len(self.calls) and lines, "mitmdump prints the requests")

    @property
    def connections(self) -> int:
        return len({re.match(r"127\.0\.0\.1:\d+", line)[0] for line in self.flows})  # type: ignore[index]

    @property
    def http2(self) -> bool:
        return all(line.endswith("HTTP/2.0") for line in self.flows)


def order_of(number: int) -> bytes:
    return json.dumps({"order": number}).encode()


def webhooks_of(hooks: Receiver, *ids: str) -> list[dict[str, object]]:
    """Wait for the webhooks of these jobs; return their bodies."""

    def arrived() -> dict[str, dict[str, object]]:
        return {body["id"]: body for body in (json.loads(request.body) for request in list(hooks.requests))}

    return wait_until(lambda: set(ids) <= (found := arrived()).keys() and [found[id] for id in ids], f"webhooks: {ids}")


@each(list(CLIENTS))
def test_a_post_is_answered_and_its_webhook_arrives(client: str, scheme: str, proxy: Proxy, hooks: Receiver) -> None:
    run = Run(proxy, client, scheme)

    [reply] = run.exchange(run.post(order=17))

    assert (reply.status, reply.json["order"]) == (200, 17)
    assert webhooks_of(hooks, reply.json["id"]) == [{"id": reply.json["id"], "order": 17}]
    assert run.http2 == (client.endswith("http2") and scheme == "https")


@each([name for name in CLIENTS if name != "node-untunnelled"])  # that one keeps a pool of its own
def test_one_connection_carries_many_requests(client: str, scheme: str, proxy: Proxy, hooks: Receiver) -> None:
    run = Run(proxy, client, scheme)

    replies = run.exchange(*(run.post(order) for order in range(5)))

    assert [reply.json["order"] for reply in replies] == [0, 1, 2, 3, 4]
    assert run.connections == 1
    assert len(webhooks_of(hooks, *(reply.json["id"] for reply in replies))) == 5


@each(["curl", "requests", "httpx", "node"])
def test_each_request_can_use_its_own_connection(client: str, scheme: str, proxy: Proxy, hooks: Receiver) -> None:
    run = Run(proxy, client, scheme)

    replies = run.exchange(*(run.post(order) for order in range(5)), keep_alive=False)

    assert [reply.json["order"] for reply in replies] == [0, 1, 2, 3, 4]
    assert run.connections == 5
    assert len(webhooks_of(hooks, *(reply.json["id"] for reply in replies))) == 5


@each(["curl", "requests", "httpx"])
def test_a_request_with_connection_close_gets_a_response_with_connection_close(
    client: str, scheme: str, proxy: Proxy
) -> None:
    """Otherwise the client may send its next request on a connection that is just being closed."""
    run = Run(proxy, client, scheme)

    answered, unmatched = run.exchange(run.post(connection="close"), run.call("PUT", "/nowhere", connection="close"))

    assert (answered.status, unmatched.status) == (200, 501)
    assert answered.headers["connection"] == unmatched.headers["connection"] == "close"


@each(["curl", "requests", "httpx", "httpx-http2", "node", "node-http2", "node-untunnelled"])
def test_an_upload_without_a_content_length_is_read_whole(client: str, scheme: str, proxy: Proxy) -> None:
    run = Run(proxy, client, scheme)
    body = b'{"padding": "' + b"x" * 100_000 + b'", "order": 17}'

    first, after = run.exchange(run.call("POST", "/jobs", body, chunked=True), run.post(order=18))

    assert (first.json["size"], first.json["order"], first.json["length"]) == (len(body), 17, None)
    assert first.json["transfer"] == (None if run.http2 else "chunked")
    assert after.json["order"] == 18


def test_trailers_after_a_chunked_body_are_accepted(proxy: Proxy) -> None:
    head = f"POST http://{HOST}/jobs HTTP/1.1\r\nhost: {HOST}\r\ntransfer-encoding: chunked\r\n"
    body = '\r\n9\r\n{"order":\r\n3\r\n17}\r\n0\r\nx-checksum: 1\r\nx-more: 2\r\n\r\n'
    with socket.create_connection(("127.0.0.1", proxy.port), LIMIT) as connection:
        connection.sendall(f"{head}{body}{head}connection: close\r\n{body}".encode())
        received = b"".join(iter(lambda: connection.recv(65536), b""))

    assert received.count(b"HTTP/1.1 200 OK\r\n") == 2
    assert received.count(b'"order":17,"size":12') == 2


@each(["curl", "curl-http2", "requests", "httpx", "httpx-http2"])
def test_a_client_that_expects_100_continue_gets_its_answer(client: str, scheme: str, proxy: Proxy) -> None:
    run = Run(proxy, client, scheme)

    first, after = run.exchange(run.post(order=17, expect="100-continue"), run.post(order=18))

    assert (first.status, first.json["order"]) == (200, 17)
    assert (after.status, after.json["order"]) == (200, 18)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_100_continue_is_sent_before_the_body_arrives(scheme: str, proxy: Proxy) -> None:
    run = Run(proxy, "curl", scheme)

    [reply] = run.exchange(
        run.post(order=17, expect="100-continue")
    )  # without a 100, curl would wait for LIMIT seconds

    assert [line for line in reply.head.splitlines() if line.startswith("HTTP/")] == [
        "HTTP/1.1 100 Continue",
        "HTTP/1.1 200 OK",
    ]


@each(list(CLIENTS))
def test_a_gzip_body_is_read_by_response_and_webhook(client: str, scheme: str, proxy: Proxy, hooks: Receiver) -> None:
    run = Run(proxy, client, scheme)
    body = gzip.compress(order_of(17))

    [reply] = run.exchange(run.call("POST", "/jobs", body, content_encoding="gzip"))

    assert (reply.json["order"], reply.json["size"]) == (17, len(body))
    assert webhooks_of(hooks, reply.json["id"]) == [{"id": reply.json["id"], "order": 17}]


@each(list(CLIENTS))
def test_a_head_gets_the_head_of_the_get_and_starts_no_job(
    client: str, scheme: str, proxy: Proxy, hooks: Receiver
) -> None:
    run = Run(proxy, client, scheme)

    head, get, post = run.exchange(run.call("HEAD", f"/jobs/{run.id}"), run.call("GET", f"/jobs/{run.id}"), run.post())

    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"] == str(len(get.body))
    assert head.headers["content-type"] == get.headers["content-type"]
    assert get.json == {"id": run.id}
    webhooks_of(hooks, post.json["id"])
    of_get = wait_until(lambda: [r for r in list(hooks.requests) if run.id.encode() in r.body], "the webhook of GET")
    assert len(of_get) == 1
    if not client.startswith("node") or run.http2:  # undici takes another connection after a HEAD by itself
        assert run.connections == 1


@each(list(CLIENTS))
def test_204_and_304_have_no_body_and_the_connection_can_be_used_again(client: str, scheme: str, proxy: Proxy) -> None:
    run = Run(proxy, client, scheme)

    gone, unchanged, post = run.exchange(run.call("DELETE", "/jobs/4"), run.call("GET", "/unchanged"), run.post(17))

    assert (gone.status, gone.body, gone.headers.get("content-type")) == (204, b"", None)
    assert (unchanged.status, unchanged.body, unchanged.headers["etag"]) == (304, b"", '"1"')
    assert post.json["order"] == 17


def test_responses_without_a_body_end_with_their_head(proxy: Proxy) -> None:
    """Many clients accept stray bytes, so this test reads the bytes from a socket."""
    asked = [
        ("HEAD", "/jobs/4"),
        ("DELETE", "/jobs/4"),
        ("GET", "/unchanged"),
        ("HEAD", "/unchanged"),
        ("HEAD", "/nothing"),
    ]
    with socket.create_connection(("127.0.0.1", proxy.port), LIMIT) as connection:
        for method, path in asked:
            connection.sendall(f"{method} http://{HOST}{path} HTTP/1.1\r\nhost: {HOST}\r\n\r\n".encode())
        last = f"GET http://{HOST}/jobs/last HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n"
        connection.sendall(last.encode())
        received = b"".join(iter(lambda: connection.recv(65536), b""))

    *heads, body = received.decode().split("\r\n\r\n")

    assert [head.partition("\r\n")[0] for head in heads] == [
        "HTTP/1.1 200 OK",
        "HTTP/1.1 204 No Content",
        "HTTP/1.1 304 Not Modified",
        "HTTP/1.1 304 Not Modified",
        "HTTP/1.1 501 Not Implemented",
        "HTTP/1.1 200 OK",
    ]
    assert json.loads(body) == {"id": "last"}


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_http_1_0_client_gets_a_response(scheme: str, proxy: Proxy, hooks: Receiver) -> None:
    answered = curl(
        "--http1.0", "-x", proxy.url, "--cacert", proxy.ca, "-d", '{"order": 17}', f"{scheme}://{HOST}/jobs"
    )

    reply = json.loads(answered.stdout)

    assert webhooks_of(hooks, reply["id"]) == [{"id": reply["id"], "order": 17}]


def test_the_certificate_is_mitmproxys_and_for_the_right_name(proxy: Proxy) -> None:
    untrusting = curl("-x", proxy.url, "-d", "{}", f"https://{HOST}/jobs")
    trusting = curl("-x", proxy.url, "--cacert", proxy.ca, "-v", "-d", "{}", f"https://{HOST}/jobs")

    assert untrusting.returncode == 60  # cannot be verified
    assert trusting.returncode == 0
    assert f'host "{HOST}" matched' in trusting.stderr
    assert "issuer: CN=mitmproxy" in trusting.stderr


def test_the_name_does_not_resolve_without_the_proxy() -> None:
    """Show that the clients above have reached the proxy, and nothing else."""
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo(HOST, 443)
