"""The processes of a measurement: mitmdump and the load generator."""

import asyncio
import json
import os
import re
import sys
import time
from asyncio import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

FOLDER = Path(__file__).parent
BARE_ADDON = FOLDER / "bare_addon.py"
EMPTY_ADDON = FOLDER / "empty_addon.py"
MOCKS = FOLDER / "mocks.yaml"
LATEHOOK = FOLDER.parents[1] / "addon" / "mock.py"
DEFAULT_MOCKS = LATEHOOK.with_name("mocks.yaml")
MITMDUMP = Path(sys.executable).with_name("mitmdump")
QUIET = "flow_detail=0"
NO_WEBHOOK = {"CALLBACK_URL": "http://127.0.0.1:9/webhook", "DELAY": "5h"}
"""Variables for measurements in which no webhook is to fall due."""
START = 300.0
"""Seconds that mitmdump may take to start; BELOW times as many below another command."""
BELOW = 10


class Target(Protocol):
    """What gets a load, at its port, and uses `cpu` seconds of processor time for it."""

    @property
    def port(self) -> int: ...

    @property
    def cpu(self) -> float: ...


@dataclass(frozen=True)
class Proxy:
    """A mitmdump process. `start_seconds` is the time that it took until it was ready."""

    process: subprocess.Process
    port: int
    log: Path
    start_seconds: float

    @property
    def cpu(self) -> float:
        """Seconds of processor time so far, of all threads."""
        clock = ~self.process.pid << 3 | 2  # clock_getcpuclockid(3): Python offers it for threads only
        return time.clock_gettime(clock)

    @property
    def memory(self) -> int:
        """Resident bytes."""
        statm = Path(f"/proc/{self.process.pid}/statm").read_text()
        return int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE")

    async def wait_for_log(self, text: str, count: int) -> None:
        """Return when the log contains `text` so many times."""
        end = time.monotonic() + START
        while self.log.read_text().count(text) < count:
            if time.monotonic() > end:
                sys.exit(f"scripts/bench: mitmdump did not log {text!r}:\n{self.log.read_text()}")
            await asyncio.sleep(0.01)


@asynccontextmanager
async def mitmdump(
    folder: Path,
    script: Path,
    *options: str,
    variables: Mapping[str, str] = NO_WEBHOOK,
    one_core: bool = False,
    below: Sequence[str] = (),
) -> AsyncIterator[Proxy]:
    """Run mitmdump with a script on a free port. Its output goes to a file in the folder.

    It runs `below` this command, if there is one.
    """
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    settings = [f"confdir={folder}", *options]
    command = [*below, sys.executable, str(MITMDUMP), "--listen-host", "127.0.0.1", "-p", "0", "-s", str(script)]
    command += [word for setting in settings for word in ("--set", setting)]
    log = folder / f"mitmdump-{time.monotonic_ns()}.log"
    started = time.monotonic()
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=folder, env={**environment, **variables}, stdout=output, stderr=output
        )
    if one_core:
        os.sched_setaffinity(process.pid, {min(os.sched_getaffinity(0))})
    try:
        ready = "latehook: ready" if script.name == LATEHOOK.name else ""
        port = await _wait_until_ready(process, log, ready, START * BELOW if below else START)
        yield Proxy(process, port, log, time.monotonic() - started)
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def _wait_until_ready(process: subprocess.Process, log: Path, ready: str, limit: float) -> int:
    """Return mitmdump's port when its log has that and the text `ready`, within `limit` seconds."""
    end = time.monotonic() + limit
    while time.monotonic() < end and process.returncode is None:
        text = log.read_text()
        if ready in text and (listening := re.search(r"listening at \S+:(\d+)", text)):
            return int(listening[1])
        await asyncio.sleep(0.005)
    sys.exit(f"scripts/bench: mitmdump did not start:\n{log.read_text()}")


@dataclass(frozen=True)
class Post:
    """A POST of JSON that the load generator sends. `id` is the member of the response that has the job's id.

    `transport` is "plain", or "tls" for TLS in a CONNECT.
    """

    url: str
    body: str = '{"document": "invoice.pdf"}'
    id: str = "identifier"
    transport: str = "plain"


ENDPOINT = "api.thirdparty.example/api/endpoint"
DEFAULT = Post(f"http://{ENDPOINT}?some_parameter=some_value")
"""The request that the default mock answers."""
OVER_TLS = Post(f"https://{ENDPOINT}?some_parameter=some_value", transport="tls")


@dataclass(frozen=True)
class Answered:
    """A request as the load generator saw it, in Unix seconds. `identifier` is None if the response was not a job's."""

    identifier: str | None
    sent: float
    at: float


@dataclass(frozen=True)
class Load:
    """The answered requests of one load, and the seconds of processor time that the proxy needed for them."""

    requests: list[Answered]
    cpu: float

    @property
    def rate(self) -> float:
        """Responses a second, between the first and the last. Every request must have been answered with a job."""
        self.check()
        return (len(self.requests) - 1) / (self.requests[-1].at - self.requests[0].at)

    @property
    def cost(self) -> float:
        """Milliseconds of processor time a request. Every request must have been answered with a job."""
        self.check()
        return 1000 * self.cpu / len(self.requests)

    def check(self) -> None:
        """End the benchmark unless every request was answered with a job."""
        if any(request.identifier is None for request in self.requests):
            sys.exit("scripts/bench: a request got a wrong response, or none")


async def load(proxy: Target, connections: int, kind: str, *numbers: float, post: Post = DEFAULT) -> Load:
    """Run the load generator, whose docstring explains `kind` and `numbers`. Connecting does not count as load."""
    arguments = (proxy.port, post.transport, post.url, post.body, post.id, connections, kind, *numbers)
    process = await asyncio.create_subprocess_exec(
        sys.executable, FOLDER / "load_generator.py", *map(str, arguments), stdout=subprocess.PIPE, limit=2**28
    )
    assert process.stdout is not None
    await process.stdout.readline()
    before = proxy.cpu
    printed = await process.stdout.readline()
    cpu = proxy.cpu - before
    await process.wait()
    if process.returncode != 0:
        sys.exit("scripts/bench: the load generator failed")
    return Load([Answered(*fields) for fields in json.loads(printed)], cpu)
