"""What the tests are made with: a real mitmdump process, real receivers, a real third party that would notice."""

import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

ROOT = Path(__file__).parent.parent.parent
MOCK = ROOT / "addon" / "mock.py"
MITMDUMP = Path(sys.executable).with_name("mitmdump")
HOST = "api.thirdparty.example"
LIMIT = 15.0
"""Seconds that a wait may take on a busy machine; no test waits that long unless it fails."""
PLUGIN = ("-p", "no:latehook", "-p", "latehook.pytest_plugin", "--strict-markers")
"""Arguments of a pytest process that has this tree's plugin, whatever is installed."""


def wait_until(condition: Callable[[], Any], what: str, limit: float = LIMIT) -> Any:
    """The condition's value once it is true; AssertionError says what did not happen."""
    end = time.monotonic() + limit
    while not (value := condition()):
        assert time.monotonic() < end, f"did not happen within {limit:g} s: {what}"
        time.sleep(0.01)
    return value


def free_port() -> int:
    """A port that nobody listens at, another one at each call: the system may give the same twice."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port not in _GIVEN:
            _GIVEN.add(port)
            return port


_GIVEN: set[int] = set()


def own_address() -> str | None:
    """An address of this machine that is not loopback. Nothing is sent for it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        address: str = probe.getsockname()[0]
    return None if address.startswith("127.") else address


@dataclass
class Proxy:
    """A mitmdump process with the addon, and all it has printed."""

    process: subprocess.Popen[bytes]
    confdir: Path
    lines: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ca(self) -> str:
        return str(self.confdir / "mitmproxy-ca-cert.pem")

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, pattern: str, count: int = 1, limit: float = LIMIT) -> str:
        """The first line that holds the pattern (a regular expression), once `count` lines do."""

        def found() -> str | None:
            ended = self.process.poll() is not None and not self._reader.is_alive()
            lines = [line for line in list(self.lines) if re.search(pattern, line)]
            assert len(lines) >= count or not ended, f"it ended without a line with {pattern!r}"
            return lines[0] if len(lines) >= count else None

        try:
            return wait_until(found, f"a line with {pattern!r}", limit)
        except AssertionError as error:
            raise AssertionError(f"{error}\n--- mitmdump said:\n{self.output}") from None

    def wait(self, limit: float = LIMIT) -> int:
        """The exit status of a process that ends by itself."""
        status = self.process.wait(limit)
        self._reader.join(limit)
        return status

    def stop(self, sign: signal.Signals = signal.SIGTERM, limit: float = LIMIT) -> int:
        """AttemptResult it; its exit status. What it said on the way is in `lines`."""
        if self.process.poll() is None:
            self.process.send_signal(sign)
        return self.wait(limit)

    def memory_peak(self) -> int:
        """The largest resident size so far, in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]

    def read(self) -> None:
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.decode(errors="replace").rstrip())


def kill(proxy: Proxy) -> None:
    """AttemptResult a proxy as a crash does."""
    proxy.process.send_signal(signal.SIGKILL)
    proxy.wait()


@contextmanager
def mitmdump(
    confdir: Path,
    *arguments: str,
    env: dict[str, str] | None = None,
    script: Path = MOCK,
    cwd: Path = ROOT,
    wait: bool = True,
) -> Iterator[Proxy]:
    """A real `mitmdump -s addon/mock.py` on a free port; `wait=False` where it is to end by itself."""
    command = [
        MITMDUMP,
        "--set",
        f"confdir={confdir}",
        "--listen-host",
        "127.0.0.1",
        "-p",
        "0",
        "-s",
        script,
        *arguments,
    ]
    environment = {name: value for name, value in os.environ.items() if name.lower() not in PROXY_VARIABLES}
    environment |= {"PYTHONUNBUFFERED": "1", **(env or {})}
    process = subprocess.Popen(
        list(map(str, command)), cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    proxy = Proxy(process, confdir)
    proxy.read()
    try:
        if wait:
            proxy.wait_for(r"latehook: ready")
            if listening := re.search(r"HTTP\(S\) proxy[^\n]* listening at 127\.0\.0\.1:(\d+)", proxy.output):
                proxy.port = int(listening[1])
        yield proxy
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        assert process.stdout is not None
        proxy._reader.join(5)
        process.stdout.close()


@contextmanager
def mitmweb(confdir: Path, tmp_path: Path, port: int, web: int) -> Iterator[None]:
    """A mitmweb with the addon and the mocks file in a folder; its `web` port lets in with `?token=open`."""
    options = [f"confdir={confdir}", f"mock_file={tmp_path}/mocks.yaml", f"web_port={web}", "web_password=open"]
    command = [
        str(MITMDUMP.with_name("mitmweb")),
        "--no-web-open-browser",
        "--listen-host",
        "127.0.0.1",
        "-p",
        str(port),
    ]
    command += ["-s", str(MOCK)]
    command += [part for option in options for part in ("--set", option)]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "NO_PROXY": "*"}
    )
    try:
        wait_until(lambda: curl(f"http://127.0.0.1:{port}/_latehook/status").returncode == 0, "mitmweb is ready")
        yield
    finally:
        process.terminate()
        process.wait(LIMIT)


STEER = """
import asyncio
from pathlib import Path
from mitmproxy import ctx, exceptions

class Steer:
    def running(self):
        self.task = asyncio.get_running_loop().create_task(self.follow())

    async def follow(self):
        file = Path(__file__).with_name("command")
        while True:
            if file.exists() and (line := file.read_text()):
                file.unlink()
                print("steer:", self.carried_out(line), flush=True)
            await asyncio.sleep(0.02)

    def carried_out(self, line):
        try:
            return ctx.master.commands.execute(line)
        except exceptions.CommandError as error:
            return error

addons = [Steer()]
"""
"""A script for mitmproxy that carries out what a file `command` beside it says, and prints the result."""


class Steered:
    """A mitmdump that is told mitmproxy's commands; `start` is to start it with the arguments it is given."""

    def __init__(self, folder: Path, start: Callable[..., Proxy]) -> None:
        (folder / "steer.py").write_text(STEER)
        self._command = folder / "command"
        self.proxy = start("-s", str(folder / "steer.py"))

    def command(self, line: str) -> str:
        """What is said of an operation: what the log has of it behind its name."""
        name = line.removeprefix("mock.")
        before = sum(f"latehook: {name}: " in said for said in self.proxy.lines)
        written = self._command.with_suffix(".new")
        written.write_text(line)
        written.rename(self._command)  # else half of it might be read
        self.proxy.wait_for(f"latehook: {re.escape(name)}: ", count=before + 1)
        said = [said for said in self.proxy.lines if f"latehook: {name}: " in said]
        return said[-1].partition(f"latehook: {name}: ")[2]


PROXY_VARIABLES = {"http_proxy", "https_proxy", "no_proxy", "all_proxy", "callback_url", "third_party", "delay"}


@dataclass(frozen=True)
class Received:
    """A request that a receiver got. `at` is Unix seconds."""

    at: float
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))


Behave = Callable[["Handler", int], None]
"""What a receiver does with its n-th request (from 0): it may answer, or not."""


def answer(status: int = 200, body: bytes = b"ok", **headers: str) -> Behave:
    def behave(handler: "Handler", number: int) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)

    return behave


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "Receiver"

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def _serve(self) -> None:
        if "chunked" in self.headers.get("transfer-encoding", ""):
            body = self._chunks()
        else:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        number = self.server.record(Received(time.time(), self.command, self.path, headers, body))
        self.server.behave(self, number)

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _serve

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Receiver(ThreadingHTTPServer):
    """A webhook receiver, or a third party. It records every request and behaves as it is told."""

    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, behave: Behave | None = None, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.behave = behave or answer()
        self.requests: list[Received] = []
        self.connections = 0
        self._lock = threading.Lock()

    @property
    def port(self) -> int:
        return self.server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def record(self, request: Received) -> int:
        with self._lock:
            self.requests.append(request)
            return len(self.requests) - 1

    def wait(self, count: int = 1, limit: float = LIMIT) -> Sequence[Received]:
        """The requests, once there are so many."""
        wait_until(lambda: len(self.requests) >= count, f"{count} requests (came: {len(self.requests)})", limit)
        return self.requests

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections += 1
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


@contextmanager
def receiver(behave: Behave | None = None, tls: Any = None, port: int = 0) -> Iterator[Receiver]:
    server = Receiver(behave, port)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    with serving(server):
        yield server


@contextmanager
def raw_server(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A TCP server whose connections `serve` handles, each in a thread; its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=_quietly, args=(serve, connection), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _quietly(serve: Callable[[socket.socket], None], connection: socket.socket) -> None:
    with connection:
        with suppress(OSError):
            serve(connection)


def curl(*arguments: str, limit: float = LIMIT) -> subprocess.CompletedProcess[str]:
    """A real curl, quiet but for errors, without the machine's own proxy settings."""
    command = ["curl", "--silent", "--show-error", "--noproxy", "", "--max-time", str(limit), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=limit + 5)


class ForwardProxy(ThreadingHTTPServer):
    """A company's HTTP proxy. It takes every name for 127.0.0.1 and records what it is asked for: `METHOD target`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Forward)
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class _Forward(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ForwardProxy

    def do_CONNECT(self) -> None:
        self.server.asked.append(f"CONNECT {self.path}")
        try:
            there = socket.create_connection(("127.0.0.1", int(self.path.rpartition(":")[2])), LIMIT)
        except OSError:
            self.send_error(502)
            return
        self.send_response(200)
        self.end_headers()
        with there:
            back = threading.Thread(target=_copy, args=(there, self.connection), daemon=True)
            back.start()
            _copy(self.connection, there)
            back.join(LIMIT)
        self.close_connection = True

    def _forward(self) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        there = HTTPConnection("127.0.0.1", parts.port or 80, timeout=LIMIT)
        try:
            there.request(self.command, parts._replace(scheme="", netloc="").geturl(), body, dict(self.headers))
            response = there.getresponse()
            answer(response.status, response.read())(self, 0)  # type: ignore[arg-type]
        except OSError:
            self.send_error(502)
        finally:
            there.close()

    do_GET = do_POST = do_HEAD = _forward

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


@contextmanager
def forward_proxy() -> Iterator[ForwardProxy]:
    with serving(ForwardProxy()) as server:
        yield server


@contextmanager
def serving[Server: ThreadingHTTPServer](server: Server) -> Iterator[Server]:
    """The server while its loop runs in a thread."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@dataclass(frozen=True)
class Certificate:
    """A certificate that is not mitmproxy's: what a TLS server shows, and `ca`, what a client must trust for it."""

    context: ssl.SSLContext
    ca: str


def certificate(folder: Path, *names: str) -> Certificate:
    """A certificate for these names, by a CA of its own."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from mitmproxy.certs import CertStore

    folder.mkdir(exist_ok=True)
    entry = CertStore.from_store(folder, "other", 2048).get_cert(names[0], [x509.DNSName(name) for name in names])
    chain = folder / "server.pem"
    key = entry.privatekey.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    chain.write_bytes(entry.cert.to_pem() + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return Certificate(context, str(folder / "other-ca-cert.pem"))
