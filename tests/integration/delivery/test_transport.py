"""One attempt over real sockets: what arrives at a receiver, and what is said of one that misbehaves."""

import asyncio
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from latehook.base.messages import Answer, Outcome, Outgoing, WireTrace
from latehook.bodies.codings import codings_of, compress
from latehook.delivery import connections
from latehook.delivery.addresses import STALLED_AFTER
from latehook.delivery.attempts import ConnectObserver
from latehook.delivery.transport import MAX_ANSWER, MAX_REASON, Transport
from support.limits import LIMIT
from support.ports import free_port
from support.raw_servers import OK, Serve, drips, hangs, raw_server, resets, sends
from support.receivers import Receiver, answer, receiver
from support.waiting import until


def allow(host: str, port: int, address: str | None) -> str | None:
    return None


async def send(
    url: str, transport: Transport | None = None, observer: ConnectObserver | None = None, **changes: object
) -> Outcome:
    """One attempt, over a transport of its own unless one is given."""
    outgoing = {"method": "POST", "headers": (), "body": b"{}", "timeout": 5.0, **changes}
    own = transport or Transport(allow)
    try:
        return await own.send(Outgoing(url=url, **outgoing), observer)  # type: ignore[arg-type]
    finally:
        if transport is None:
            await own.close()


# What arrives


@pytest.mark.parametrize(
    "target",
    [
        "/a%2fb/%41%7e",
        "/a%20b+c?d=e+f%20g",
        "/%C3%BC?q=%C3%BC",
        "/?empty=&bare&x=",
        "/a//b/../c/./d",
        "/it's;a=b,c?e=[1]&f={}|^&percent=%zz&again=?",
    ],
)
async def test_a_url_arrives_exactly_as_it_was_written(sut: Receiver, target: str) -> None:
    await send(sut.url + target)

    assert sut.requests[0].path == target


@pytest.mark.parametrize(
    ("written", "arrives"), [("/ü ?q=é#part", "/%C3%BC%20?q=%C3%A9"), ("?x=1", "/?x=1"), ("", "/")]
)
async def test_what_no_request_line_may_hold_is_escaped(sut: Receiver, written: str, arrives: str) -> None:
    await send(sut.url + written)

    assert sut.requests[0].path == arrives


async def test_only_the_headers_that_http_needs_are_added(sut: Receiver) -> None:
    await send(f"{sut.url}/hook", headers=(("x-own", "1"),), body=b"{}")

    assert sut.requests[0].headers == {
        "host": f"127.0.0.1:{sut.port}",
        "x-own": "1",
        "content-length": "2",
        "user-agent": "Latehook",
    }


async def test_a_get_without_a_body_has_no_length(sut: Receiver) -> None:
    await send(f"{sut.url}/hook", method="GET", body=b"")

    assert sut.requests[0].headers == {"host": f"127.0.0.1:{sut.port}", "user-agent": "Latehook"}


async def test_a_mocks_own_user_agent_and_host_stand(sut: Receiver) -> None:
    await send(sut.url, headers=(("User-Agent", "Vendor/2"), ("Host", "hooks.example")))

    assert sut.requests[0].headers["user-agent"] == "Vendor/2"
    assert sut.requests[0].headers["host"] == "hooks.example"


async def test_user_info_in_the_url_becomes_basic_authentication(sut: Receiver) -> None:
    await send(f"http://us%40er:p%3Ass@127.0.0.1:{sut.port}/hook")

    assert sut.requests[0].headers["authorization"] == "Basic dXNAZXI6cDpzcw=="
    assert sut.requests[0].headers["host"] == f"127.0.0.1:{sut.port}"


async def test_an_authorization_of_the_mock_comes_before_user_info(sut: Receiver) -> None:
    await send(f"http://user:pass@127.0.0.1:{sut.port}/", headers=(("Authorization", "Bearer t"),))

    assert sut.requests[0].headers["authorization"] == "Bearer t"


async def test_a_cookie_does_not_come_back_with_the_next_attempt() -> None:
    with receiver(answer(200, set_cookie="session=1; Path=/")) as server:
        transport = Transport(allow)
        for _ in range(2):
            await send(f"http://localhost:{server.port}/", transport)
        await transport.close()

        assert [request.headers.get("cookie") for request in server.requests] == [None, None]


async def test_a_redirect_is_an_answer_and_is_not_followed(sut: Receiver) -> None:
    with receiver(answer(307, location=f"{sut.url}/elsewhere")) as server:
        outcome = await send(server.url)

    assert (outcome.status, outcome.error) == (307, None)
    assert sut.requests == []


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
async def test_a_proxy_in_the_environment_is_not_used(
    sut: Receiver, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")

    outcome = await send(sut.url)

    assert (outcome.status, len(sut.requests)) == (200, 1)


async def test_attempts_one_after_the_other_share_a_connection(sut: Receiver) -> None:
    transport = Transport(allow)
    for _ in range(3):
        await send(sut.url, transport)
    await transport.close()

    assert (len(sut.requests), sut.connections) == (3, 1)


async def test_the_outcome_has_the_status_the_answer_and_both_times(sut: Receiver) -> None:
    times = iter([10.0, 12.5])
    transport = Transport(allow, now=lambda: next(times))
    outcome = await send(sut.url, transport)
    await transport.close()

    assert outcome.answer is not None
    assert (b"content-length", b"2") in outcome.answer.headers
    assert replace(outcome.answer, headers=()) == Answer(200, body=b"ok")
    assert replace(outcome, answer=None) == Outcome(10.0, 12.5, 200, None, b"ok", keeps_open=True)


class Observer:
    """Notes how a receiver takes connections."""

    def __init__(self) -> None:
        self.noted: list[str] = []

    def connected(self) -> None:
        self.noted.append("connected")

    def stalled(self) -> None:
        self.noted.append("stalled")


@pytest.mark.parametrize(("length", "made"), [(b"content-length: 0\r\n", 1), (b"connection: close\r\n", 2)])
async def test_an_observer_is_told_of_each_new_connection(
    length: bytes, made: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "IDLE_KEPT", LIMIT)

    def serve(connection: socket.socket) -> None:
        while connection.recv(65536):
            connection.sendall(OK + length + b"\r\n")
            if b"close" in length:
                return

    observer, transport = Observer(), Transport(allow)
    with raw_server(serve) as port:
        for _ in range(2):
            await send(f"http://127.0.0.1:{port}/", transport, observer)
        await transport.close()

    assert observer.noted == ["connected"] * made


async def test_an_observer_is_told_of_a_connection_that_the_receivers_system_does_not_take() -> None:
    taken, not_taken = Observer(), Observer()
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:  # its system takes one connection
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        sending = [asyncio.create_task(send(url, observer=each, timeout=LIMIT)) for each in (taken, not_taken)]
        await until(lambda: taken.noted and not_taken.noted)
        for task in sending:
            task.cancel()
        await asyncio.wait(sending)

    assert (taken.noted, not_taken.noted) == (["connected"], ["stalled"])


async def test_a_connection_is_not_called_stalled_because_the_loop_is_busy(sut: Receiver) -> None:
    observer = Observer()
    sending = asyncio.create_task(send(sut.url, observer=observer))
    while not observer.noted:
        time.sleep(5 * STALLED_AFTER)  # the loop is busy
        await asyncio.sleep(0)
    await sending

    assert observer.noted == ["connected"]


@pytest.mark.parametrize(
    ("answer", "keeps_open"),
    [
        (OK + b"Content-Length: 0\r\n\r\n", True),
        (OK + b"Content-Length: 0\r\nConnection: close\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        (b"not HTTP\r\n\r\n", False),
    ],
)
async def test_the_outcome_says_whether_the_receiver_keeps_the_connection_open(answer: bytes, keeps_open: bool) -> None:
    with raw_server(sends(answer)) as port:
        assert (await send(f"http://127.0.0.1:{port}/")).keeps_open is keeps_open


@pytest.mark.parametrize(("size", "is_cut"), [(MAX_ANSWER, False), (MAX_ANSWER + 1, True)])
async def test_a_long_answer_is_cut(sut: Receiver, size: int, is_cut: bool) -> None:
    sut.behave = answer(200, b"x" * size)

    outcome = await send(sut.url)

    assert outcome.answer is not None
    assert (len(outcome.body), len(outcome.answer.body), outcome.answer.is_cut) == (MAX_ANSWER, MAX_ANSWER, is_cut)


# One attempt is one request

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def counts(requests: list[bytes], serve: Serve) -> Serve:
    """Note each request that comes on any connection, then do as `serve` does."""

    def counting(connection: socket.socket) -> None:
        first = connection.recv(65536, socket.MSG_PEEK)
        requests.append(first)
        serve(connection)

    return counting


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "serve",
    [resets, sends(b""), sends(OK + b"Content-Le"), sends(OK + b"Content-Length: 9\r\n\r\nabc")],
    ids=["reset", "closed", "half-a-head", "half-a-body"],
)
async def test_a_fresh_connection_that_breaks_off_carries_one_request(method: str, serve: Serve) -> None:
    requests: list[bytes] = []
    with raw_server(counts(requests, serve)) as port:
        outcome = await send(f"http://127.0.0.1:{port}/", method=method, body=b"")

    assert len(requests) == 1
    assert outcome.status == (200 if method == "HEAD" and outcome.status else None)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("ends", ["close", "reset"])
async def test_a_kept_connection_that_breaks_off_carries_each_request_once(method: str, ends: str) -> None:
    requests: list[bytes] = []

    def answers_once(connection: socket.socket) -> None:
        while request := connection.recv(65536):
            requests.append(request)
            if len(requests) == 2:
                break
            connection.sendall(OK + b"Content-Length: 0\r\n\r\n")
        if ends == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    transport = Transport(allow)
    with raw_server(answers_once) as port:
        outcomes = [await send(f"http://127.0.0.1:{port}/", transport, method=method, body=b"") for _ in range(2)]
        await transport.close()

    assert [outcome.status for outcome in outcomes] == [200, None]
    assert len(requests) == 2


async def test_a_connection_that_its_receiver_closed_meanwhile_is_not_used_again() -> None:
    closed = threading.Event()

    def closes(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(OK + b"Content-Length: 0\r\n\r\n")
        connection.close()
        closed.set()

    transport = Transport(allow)
    with raw_server(closes) as port:
        outcomes = []
        for _ in range(3):
            outcomes.append(await send(f"http://127.0.0.1:{port}/", transport))
            assert await asyncio.to_thread(closed.wait, 5)
            closed.clear()
        await transport.close()

    assert [outcome.status for outcome in outcomes] == [200, 200, 200]


# Answers that common clients take


@pytest.mark.parametrize(
    ("answered", "status", "body"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\nok", 204, b""),
        (b"HTTP/1.0 204 No Content\r\n\r\nok", 204, b""),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", 204, b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\nok", 304, b""),
        (b"HTTP/1.1 200\r\n\r\nok", 200, b"ok"),
        (b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok", 200, b"ok"),
        (b"HTTP/1.1 299 Late\r\nContent-Length: 2\r\n\r\nok", 299, b"ok"),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", 200, b"ok"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, b"ok"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, b"ok"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nok\r\n0\r\nTrailer: 1\r\n\r\n", 200, b"ok"),
        (OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok", 200, b"ok"),
        (OK + b"Content-Length: 2\r\n\r\nok and more", 200, b"ok"),
        (OK + "X: ü\r\nContent-Length: 2\r\n\r\nok".encode("latin-1"), 200, b"ok"),
        (b"http/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", 200, b"ok"),
        (b"HTTP/1.1\t 200  Fine\0\r\ncontent-length : +2\r\n\r\nok", 200, b"ok"),
        (
            OK + b" folded: 1\r\n: x\r\nno header\r\na b: c\r\nx: a\rb\0c\r\n d\r\nContent-Length: 2\r\n\r\nok",
            200,
            b"ok",
        ),
        (OK + b"Content-Length: two\r\nTransfer-Encoding: identity\r\n\r\nok", 200, b"ok"),
        (OK + b"Transfer-Encoding: gzip, Chunked, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200, b"ok"),
        (b"HTTP/1.1 102 P\r\nx y: z\r\n\r\nHTTP/1.1 200 OK\r\nx y: z\r\n\r\nok", 200, b"ok"),
        (OK + b"X: " + b"x" * 40_000 + b"\r\n\r\nok", 200, b"ok"),
    ],
)
@pytest.mark.parametrize("pieces", [1, 2], ids=["at-once", "in-pieces"])
async def test_an_unusual_answer_is_an_answer(answered: bytes, status: int, body: bytes, pieces: int) -> None:
    head, separator, rest = answered.rpartition(b"\n\n" if b"\n\n" in answered else b"\r\n\r\n")
    serve = sends(answered) if pieces == 1 else sends(head + separator, rest)
    with raw_server(serve) as port:
        outcome = await send(f"http://127.0.0.1:{port}/")

    assert (outcome.status, outcome.error, outcome.body) == (status, None, body)


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\n", OK, OK + b"x: y\r\n", OK + b"\r\n"])
async def test_a_head_may_end_with_the_connection_behind_any_line(head: bytes) -> None:
    with raw_server(sends(head)) as port:
        outcome = await send(f"http://127.0.0.1:{port}/")

    assert (outcome.status, outcome.error, outcome.body) == (200, None, b"")


async def test_the_names_of_headers_keep_their_case() -> None:
    requests: list[bytes] = []
    with raw_server(counts(requests, sends(OK + b"\r\n"))) as port:
        await send(f"http://127.0.0.1:{port}/", headers=(("SOAPAction", "x"), ("X-hmac-Signature", "y"), ("x", "z")))

    assert b"\r\nSOAPAction: x\r\nX-hmac-Signature: y\r\nx: z\r\n" in requests[0]


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (socket.gaierror(socket.EAI_NONAME, "no"), "the name app.test is not known"),
        (socket.gaierror(socket.EAI_AGAIN, "try again"), "the name app.test cannot be looked up now: try again"),
    ],
)
async def test_why_a_name_has_no_address_is_said(monkeypatch: pytest.MonkeyPatch, error: OSError, says: str) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fails)

    assert (await send("http://app.test/")).error == says


# Receivers that misbehave


@pytest.mark.parametrize(
    ("serve", "error"),
    [
        (resets, "Connection reset by peer"),
        (sends(b""), "the receiver closed the connection without an answer"),
        (sends(OK + b"Content-Le"), "the receiver closed the connection without an answer"),
        (sends(OK + b"Content-Length: 9\r\n\r\nabc"), "the receiver closed the connection in the middle of its answer"),
        (sends(b"SSH-2.0-OpenSSH_9\r\n\r\n"), "the answer is not HTTP: "),
        (sends(b"HTTP/1.1 abc OK\r\n\r\n"), "the answer is not HTTP: "),
        (sends(bytes(range(256)) * 16), "the answer is not HTTP: "),
        (sends(OK + b"X: " + b"x" * 200_000 + b"\r\n\r\n"), "the answer is not HTTP: "),
        (sends(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"), "the answer is not HTTP: "),
        (sends(OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc"), "the answer is not HTTP: conflicting "),
        (sends(b"HTTP/1.1 101 S\r\nUpgrade: x\r\n\r\n"), "the answer is not HTTP: it changes to another protocol"),
        (sends(b"ICY 200 OK\r\n\r\n"), "the answer is not HTTP: illegal status line: 'ICY 200 OK'"),
        (sends(OK + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"), None),  # nobody unpacks it
    ],
    ids=[
        "reset",
        "closed",
        "half-a-head",
        "half-a-body",
        "ssh",
        "status",
        "binary",
        "long-header",
        "chunk",
        "lengths",
        "101",
        "icy",
        "gzip",
    ],
)
async def test_a_broken_answer_is_named_in_one_short_line(serve: Serve, error: str | None) -> None:
    with raw_server(serve) as port:
        outcome = await send(f"http://127.0.0.1:{port}/")

    if error is None:
        assert (outcome.status, outcome.error, outcome.body) == (200, None, b"abc")
    else:
        assert outcome.status is None
        assert outcome.error is not None and outcome.error.startswith(error)
        assert len(outcome.error) <= MAX_REASON and outcome.error.isprintable()


async def test_a_port_without_a_receiver_refuses() -> None:
    outcome = await send(f"http://127.0.0.1:{free_port()}/")

    assert (outcome.status, outcome.error) == (None, "Connection refused")


async def test_a_name_that_does_not_exist_is_named() -> None:
    outcome = await send("http://nobody.invalid/")

    assert (outcome.status, outcome.error) == (None, "the name nobody.invalid is not known")


@pytest.mark.parametrize(
    "serve",
    [hangs, drips(OK, b"X-More: 1\r\n"), drips(OK + b"Content-Length: 9999\r\n\r\n", b"x")],
    ids=["hang", "endless-head", "endless-body"],
)
async def test_the_timeout_is_of_the_whole_attempt(serve: Serve) -> None:
    with raw_server(serve) as port:
        outcome = await send(f"http://127.0.0.1:{port}/", timeout=0.25)

    assert (outcome.status, outcome.error) == (None, "no answer within 0.25 s")


async def test_of_a_gigabyte_only_the_beginning_is_read() -> None:
    sent = 0

    def gigabyte(connection: socket.socket) -> None:
        nonlocal sent
        connection.recv(65536)
        connection.sendall(OK + b"Content-Length: 1073741824\r\n\r\n")
        while sent < 1_073_741_824:
            sent += connection.send(b"x" * 65536)

    with raw_server(gigabyte) as port:
        outcome = await send(f"http://127.0.0.1:{port}/")

    assert (outcome.status, outcome.error, len(outcome.body)) == (200, None, MAX_ANSWER)
    assert sent < 50_000_000  # what the sockets' buffers hold


async def test_a_connection_whose_answer_was_cut_off_is_not_used_again() -> None:
    with receiver(answer(200, b"x" * (2 * MAX_ANSWER))) as server:
        transport = Transport(allow)
        outcomes = [await send(server.url, transport) for _ in range(2)]
        await transport.close()

    assert [outcome.status for outcome in outcomes] == [200, 200]
    assert server.connections == 2


@pytest.mark.parametrize("url", ["", "hook", "/hook", "ftp://files.example/", "http://", "http:///hook"])
async def test_what_is_no_url_of_http_is_not_sent(url: str) -> None:
    outcome = await send(url)

    assert (outcome.status, outcome.error) == (None, "not a URL that starts with http:// or https:// and a host")


@pytest.mark.parametrize("url", ["http://127.0.0.1:port/", "http://[::1/"])
async def test_a_url_that_cannot_be_read_is_an_outcome(url: str) -> None:
    outcome = await send(url)

    assert outcome.error is not None and outcome.error.startswith("the URL cannot be used: ")


# TLS


@contextmanager
def tls_receiver(folder: Path) -> Iterator[Receiver]:
    """A receiver for `localhost` whose certificate an authority that nobody knows has signed."""
    from mitmproxy.certs import CertStore

    store = CertStore.from_store(folder, "unknown", 2048)
    entry = store.get_cert("localhost", [])
    certificate, key = folder / "cert.pem", folder / "key.pem"
    certificate.write_bytes(entry.cert.to_pem())
    key.write_bytes((folder / "unknown-ca.pem").read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with receiver(tls=context) as server:
        yield server


async def test_a_certificate_of_an_unknown_authority_is_refused(tmp_path: Path) -> None:
    with tls_receiver(tmp_path) as server:
        outcome = await send(f"https://localhost:{server.port}/")

        assert outcome.status is None
        assert outcome.error is not None and outcome.error.startswith("TLS: unable to get local issuer certificate")
        assert server.requests == []


async def test_a_receiver_that_does_not_speak_tls_is_named(sut: Receiver) -> None:
    outcome = await send(f"https://127.0.0.1:{sut.port}/")

    assert outcome.status is None
    assert outcome.error is not None and outcome.error.startswith("TLS: ")


# Where no webhook may go


async def test_a_host_that_is_refused_is_not_even_looked_up() -> None:
    transport = Transport(lambda host, port, address: f"refused: {host}:{port}")
    outcome = await send("https://Mocked.invalid/hook", transport)
    await transport.close()

    assert (outcome.status, outcome.error) == (None, "refused: mocked.invalid:443")


async def test_an_address_is_refused_whatever_name_led_to_it(sut: Receiver) -> None:
    transport = Transport(lambda host, port, address: address and f"refused: {address}:{port}")
    outcome = await send(f"http://localhost:{sut.port}/", transport)
    await transport.close()

    assert outcome.status is None
    assert outcome.error is not None and outcome.error.startswith("refused: ")
    assert sut.connections == 0


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, br"])
async def test_a_compressed_answer_is_decompressed(coding: str) -> None:
    body = compress(b'{"ok": true}' * 100, codings_of([coding]))
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    wire = WireTrace()

    with raw_server(sends(head + body)) as port:
        outcome = await send(f"http://127.0.0.1:{port}/", wire=wire)

    assert (outcome.status, outcome.body, wire.body) == (200, b'{"ok": true}' * 100, body)


@pytest.mark.parametrize("coding", ["gzip", "snappy"])
async def test_an_answer_that_cannot_be_decompressed_stays_as_it_came(coding: str) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: 3\r\n\r\n".encode()

    with raw_server(sends(head + b"abc")) as port:
        outcome = await send(f"http://127.0.0.1:{port}/")

    assert (outcome.status, outcome.body) == (200, b"abc")
