"""What a measurement is made with: mitmdump, the receiver of the webhooks (in this process) and the load generator."""

import asyncio
import json
import os
import re
import sys
import time
from asyncio import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

HERE = Path(__file__).parent
BARE = HERE / "bare.py"
MOCKS = HERE / "mocks.yaml"
LATEHOOK = HERE.parents[1] / "addon" / "mock.py"
MITMDUMP = Path(sys.executable).with_name("mitmdump")
START = 30.0
"""Seconds that mitmdump may take to start."""


@dataclass(frozen=True)
class Proxy:
    """A mitmdump process."""

    process: subprocess.Process
    port: int
    log: Path

    @property
    def cpu(self) -> float:
        """Seconds of processor time so far."""
        fields = self._proc("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def memory(self) -> int:
        """Resident bytes."""
        return int(self._proc("statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")

    async def said(self, text: str, times: int) -> None:
        """Return when its log has had a text so many times."""
        end = time.monotonic() + START
        while self.log.read_text().count(text) < times:
            if time.monotonic() > end:
                sys.exit(f"scripts/bench: mitmdump did not say {text!r}:\n{self.log.read_text()}")
            await asyncio.sleep(0.01)

    def _proc(self, name: str) -> str:
        return Path(f"/proc/{self.process.pid}/{name}").read_text()


@asynccontextmanager
async def mitmdump(folder: Path, script: Path, *options: str, **variables: str) -> AsyncIterator[Proxy]:
    """mitmdump with a script on a free port. All it prints goes to a file in the folder."""
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    settings = [f"confdir={folder}", *options]
    command = [MITMDUMP, "--listen-host", "127.0.0.1", "-p", "0", "-s", script]
    command += [word for setting in settings for word in ("--set", setting)]
    log = folder / f"mitmdump-{time.monotonic_ns()}.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=folder, env=environment | variables, stdout=output, stderr=output
        )
    try:
        port = await _port(process, log, started="latehook: ready" if script == LATEHOOK else "")
        yield Proxy(process, port, log)
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def _port(process: subprocess.Process, log: Path, started: str) -> int:
    end = time.monotonic() + START
    while time.monotonic() < end and process.returncode is None:
        text = log.read_text()
        if started in text and (listening := re.search(r"listening at \S+:(\d+)", text)):
            return int(listening[1])
        await asyncio.sleep(0.05)
    sys.exit(f"scripts/bench: mitmdump did not start:\n{log.read_text()}")


@dataclass(frozen=True)
class Ask:
    """A POST of JSON; `id` is the member of the answer that has the job's id."""

    url: str
    body: str = '{"document": "invoice.pdf"}'
    id: str = "identifier"


ENDPOINT = "api.thirdparty.example/api/endpoint"
DEFAULT = Ask(f"http://{ENDPOINT}?some_parameter=some_value")
"""What the default mock answers."""


@dataclass(frozen=True)
class Answered:
    """A request as the load generator saw it. `identifier` is None where the answer was none of Latehook's."""

    identifier: str | None
    sent: float
    at: float


async def load(proxy: Proxy, connections: int, kind: str, *numbers: int, ask: Ask = DEFAULT) -> list[Answered]:
    """Run the load generator; load.py says what the kinds are."""
    arguments = map(str, (HERE / "load.py", proxy.port, ask.url, ask.body, ask.id, connections, kind, *numbers))
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=subprocess.PIPE)
    printed, _ = await process.communicate()
    if process.returncode != 0:
        sys.exit("scripts/bench: the load generator broke")
    return [Answered(*fields) for fields in json.loads(printed)]


class Receiver:
    """Receives webhooks and answers each after some seconds. By identifier: when the first one arrived, and when its
    job was created."""

    def __init__(self, takes: float) -> None:
        self.takes = takes
        self.arrived: dict[str, float] = {}
        self.created_at: dict[str, float] = {}
        self.url = ""

    async def wait(self, count: int, limit: float) -> None:
        """Return when so many have arrived, or the seconds are over."""
        end = time.monotonic() + limit
        while len(self.arrived) < count and time.monotonic() < end:
            await asyncio.sleep(0.05)


@asynccontextmanager
async def receiver(takes: float = 0.0) -> AsyncIterator[Receiver]:
    received = Receiver(takes)
    loop = asyncio.get_running_loop()
    async with await loop.create_server(lambda: _Connection(received), "127.0.0.1", 0, backlog=1024) as server:
        received.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/webhook"
        yield received


@asynccontextmanager
async def hanging_receiver() -> AsyncIterator[str]:
    """The URL of one that takes connections and never answers."""
    loop = asyncio.get_running_loop()
    async with await loop.create_server(asyncio.Protocol, "127.0.0.1", 0, backlog=1024) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


class _Connection(asyncio.Protocol):
    """One of the proxy's connections: GETs without a body, one after the other."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._received.endswith(b"\r\n\r\n"):
            return
        now = time.time()
        target = self._received.split(b" ", 2)[1].decode()
        query = dict(parse_qsl(urlsplit(target).query))
        self._receiver.arrived.setdefault(query["identifier"], now)
        self._receiver.created_at[query["identifier"]] = float(query["created_at"])
        self._received = b""
        if self._receiver.takes:
            asyncio.get_running_loop().call_later(self._receiver.takes, self._answer)
        else:
            self._answer()

    def _answer(self) -> None:
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
