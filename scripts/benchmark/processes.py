"""The processes that a measurement is made with: mitmdump and the load generator."""

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

HERE = Path(__file__).parent
BARE = HERE / "bare.py"
EMPTY = HERE / "empty.py"
MOCKS = HERE / "mocks.yaml"
LATEHOOK = HERE.parents[1] / "addon" / "mock.py"
DEFAULT_MOCKS = LATEHOOK.with_name("mocks.yaml")
MITMDUMP = Path(sys.executable).with_name("mitmdump")
QUIET = "flow_detail=0"
NEVER = "5h"
"""Until its webhook, where none is to fall into the measurement."""
NOWHERE = {"CALLBACK_URL": "http://127.0.0.1:9/webhook", "DELAY": NEVER}
START = 60.0
"""Seconds that mitmdump may take to start."""


@dataclass(frozen=True)
class Proxy:
    """A mitmdump process, and the seconds it took to be ready."""

    process: subprocess.Process
    port: int
    log: Path
    took: float

    @property
    def cpu(self) -> float:
        """Seconds of processor time so far, of all threads."""
        clock = ~self.process.pid << 3 | 2  # clock_getcpuclockid(3): Python has it for threads only
        return time.clock_gettime(clock)

    @property
    def memory(self) -> int:
        """Resident bytes."""
        statm = Path(f"/proc/{self.process.pid}/statm").read_text()
        return int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE")

    async def said(self, text: str, times: int) -> None:
        """Return when its log has had a text so many times."""
        end = time.monotonic() + START
        while self.log.read_text().count(text) < times:
            if time.monotonic() > end:
                sys.exit(f"scripts/bench: mitmdump did not say {text!r}:\n{self.log.read_text()}")
            await asyncio.sleep(0.01)


@asynccontextmanager
async def mitmdump(
    folder: Path, script: Path, *options: str, one_core: bool = False, **variables: str
) -> AsyncIterator[Proxy]:
    """mitmdump with a script on a free port. All it prints goes to a file in the folder."""
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    settings = [f"confdir={folder}", *options]
    command = [MITMDUMP, "--listen-host", "127.0.0.1", "-p", "0", "-s", script]
    command += [word for setting in settings for word in ("--set", setting)]
    log = folder / f"mitmdump-{time.monotonic_ns()}.log"
    started = time.monotonic()
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=folder, env=environment | variables, stdout=output, stderr=output
        )
    if one_core:
        os.sched_setaffinity(process.pid, {min(os.sched_getaffinity(0))})
    try:
        port = await _port(process, log, started="latehook: ready" if script == LATEHOOK else "")
        yield Proxy(process, port, log, time.monotonic() - started)
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
        await asyncio.sleep(0.005)
    sys.exit(f"scripts/bench: mitmdump did not start:\n{log.read_text()}")


@dataclass(frozen=True)
class Ask:
    """A POST of JSON; `id` is the member of the answer that has the job's id. `way` is plain, or tls in a CONNECT."""

    url: str
    body: str = '{"document": "invoice.pdf"}'
    id: str = "identifier"
    way: str = "plain"


ENDPOINT = "api.thirdparty.example/api/endpoint"
DEFAULT = Ask(f"http://{ENDPOINT}?some_parameter=some_value")
"""What the default mock answers."""
OVER_TLS = Ask(f"https://{ENDPOINT}?some_parameter=some_value", way="tls")


@dataclass(frozen=True)
class Answered:
    """A request as the load generator saw it. `identifier` is None where the answer was none of Latehook's."""

    identifier: str | None
    sent: float
    at: float


@dataclass(frozen=True)
class Load:
    """What a load has had for answers, and the seconds of processor time that the proxy took for it."""

    requests: list[Answered]
    cpu: float

    @property
    def rate(self) -> float:
        """Answers a second, between the first and the last. Each has to be as it should be."""
        self.check()
        return (len(self.requests) - 1) / (self.requests[-1].at - self.requests[0].at)

    @property
    def cost(self) -> float:
        """Milliseconds of processor time a request."""
        self.check()
        return 1000 * self.cpu / len(self.requests)

    def check(self) -> None:
        if any(request.identifier is None for request in self.requests):
            sys.exit("scripts/bench: a request was not answered as it should be")


async def load(proxy: Proxy, connections: int, kind: str, *numbers: float, ask: Ask = DEFAULT) -> Load:
    """Run the load generator; load.py says what the kinds are. Connecting costs nothing."""
    arguments = (proxy.port, ask.way, ask.url, ask.body, ask.id, connections, kind, *numbers)
    process = await asyncio.create_subprocess_exec(
        sys.executable, HERE / "load.py", *map(str, arguments), stdout=subprocess.PIPE, limit=256 * 1024 * 1024
    )
    assert process.stdout is not None
    await process.stdout.readline()
    before = proxy.cpu
    printed = await process.stdout.readline()
    cpu = proxy.cpu - before
    await process.wait()
    if process.returncode != 0:
        sys.exit("scripts/bench: the load generator broke")
    return Load([Answered(*fields) for fields in json.loads(printed)], cpu)
