"""Show several processes with one state: jobs through haproxy, and their webhooks although one proxy is killed.

This script runs PostgreSQL, haproxy, two mitmdump with the addon, and a receiver, all on 127.0.0.1. It leaves nothing
behind but Debian's packages, if it has installed them.
"""

import asyncio
import ssl
import time
from asyncio import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx

from demo import ADDON, DELAY, ENVIRONMENT, MITMDUMP, PATIENCE, URL, Failed, listening, run, running, show
from latehook.base.durations import parse_duration
from latehook.proxy.certificates import Certificates
from services import haproxy, install_missing, postgresql

JOBS = 60
CONNECTIONS = 10
TOKEN = "t0ken"
LEASE = 5  # seconds after which the others take over from an instance that is silent


@dataclass(frozen=True)
class Instance:
    process: subprocess.Process
    port: int
    log: Path

    @property
    def answered(self) -> int:
        """How many requests to the third party this instance has answered, by mitmdump's log."""
        return self.log.read_text().count(f"POST {URL.partition('?')[0]}")


async def demo(folder: Path) -> None:
    await install_missing()
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(postgresql())
        show("PostgreSQL", f"127.0.0.1:{database.port}")
        received = Counter[str]()
        callback_url = await stack.enter_async_context(receiver(received))
        instances = [
            await stack.enter_async_context(instance(folder, number, callback_url, database.store("latehook")))
            for number in (1, 2)
        ]
        balancer = await stack.enter_async_context(haproxy(folder, [instance.port for instance in instances]))
        show("haproxy", f"http://127.0.0.1:{balancer.port}\n")

        identifiers = await post(folder, balancer.port, JOBS)
        counts = [instance.answered for instance in instances]
        show("answers", f"{JOBS} jobs through haproxy: {counts[0]} by instance 1, {counts[1]} by instance 2")
        instances[0].process.kill()
        await instances[0].process.wait()
        owed = JOBS - len(received)
        show(
            "kill -9", f"instance 1, while {owed} webhooks are owed. Instance 2 takes over after {LEASE} s of silence\n"
        )

        await wait_for(identifiers, received)
        twice = sum(count > 1 for count in received.values())
        show(
            "webhooks",
            f"{len(received)} of {JOBS} have come" + (f"; {twice} came twice: the kill cut them" if twice else ""),
        )
        [again] = await post(folder, balancer.port, 1)
        show("still up", f"a new job through haproxy: {again}")


@asynccontextmanager
async def receiver(received: Counter[str]) -> AsyncIterator[str]:
    """Receive webhooks in place of the system under test, and count them by identifier. Yield the URL."""

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, target, _ = (await reader.readuntil(b"\r\n\r\n")).decode().split(" ", 2)
        received.update(parse_qs(urlsplit(target).query)["identifier"])
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(receive, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/webhook"


@asynccontextmanager
async def instance(folder: Path, number: int, callback_url: str, store: str) -> AsyncIterator[Instance]:
    """Run mitmdump with the addon on a free port. All instances use the CA in the folder, which the first one makes."""
    command = [str(MITMDUMP), "--listen-host", "127.0.0.1", "--listen-port", "0", "-s", str(ADDON)]
    for option in (f"confdir={folder}", f"mock_store={store}", f"mock_token={TOKEN}"):
        command += ["--set", option]
    variables = {"CALLBACK_URL": callback_url, "DELAY": DELAY, "PYTHONUNBUFFERED": "1"}
    log = folder / f"instance-{number}.log"
    with log.open("wb") as output:
        options = {"cwd": folder, "env": ENVIRONMENT | variables, "stdout": output, "stderr": output}
        async with running(*command, **options) as process:
            try:
                url = await listening(process, log)
            except Failed as failure:
                raise Failed(f"{failure}\nmitmdump's log:\n{log.read_text().rstrip()}") from None
            show(f"instance {number}", url)
            yield Instance(process, int(url.rpartition(":")[2]), log)


async def post(folder: Path, port: int, count: int) -> set[str]:
    """Start jobs over several connections to haproxy, which spreads these. Return the identifiers that are answered."""
    trust = ssl.create_default_context(cafile=Certificates(folder).write_bundle())
    clients = [
        httpx.AsyncClient(proxy=f"http://127.0.0.1:{port}", verify=trust, trust_env=False) for _ in range(CONNECTIONS)
    ]
    try:
        answers = await asyncio.gather(*(clients[number % CONNECTIONS].post(URL) for number in range(count)))
        return {answer.raise_for_status().json()["identifier"] for answer in answers}
    except httpx.HTTPError as error:
        raise Failed(f"a request through haproxy failed: {error!r}") from None
    finally:
        await asyncio.gather(*(client.aclose() for client in clients))


async def wait_for(identifiers: set[str], received: Counter[str]) -> None:
    """Return when a webhook has come for each identifier. Print how many have, when that has changed."""
    started, shown = time.monotonic(), 0
    while missing := identifiers - received.keys():
        waited = time.monotonic() - started
        if waited > parse_duration(DELAY) + LEASE + PATIENCE:
            raise Failed(f"{len(missing)} webhooks are lost")
        if len(received) != shown:
            shown = len(received)
            show("waiting", f"{shown} webhooks have come after {waited:.1f} s")
        await asyncio.sleep(0.5)


if __name__ == "__main__":
    run("cluster", demo)
