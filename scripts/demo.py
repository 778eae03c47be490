"""Show the main job: a request is answered at once, and its webhook arrives later with the same identifier.

This script runs a receiver, mitmdump with the addon, and curl (httpx if there is no curl), all on 127.0.0.1. It leaves
nothing behind: mitmproxy's files are in a temporary folder, and every process that it starts is ended.
"""

import asyncio
import json
import os
import re
import shlex
import shutil
import signal
import ssl
import sys
import tempfile
import time
from asyncio import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

from latehook.base.durations import parse_duration
from latehook.proxy.certificates import Certificates

MITMDUMP = Path(sys.executable).with_name("mitmdump")
ADDON = Path(__file__).absolute().parents[1] / "addon" / "mock.py"
URL = "https://api.thirdparty.example/api/endpoint?some_parameter=some_value"
DELAY = os.environ.get("DELAY") or "5s"
PATIENCE = 10  # seconds that each step may take longer than expected
PDF = b"""%PDF-1.4
1 0 obj <</Type /Catalog /Pages 2 0 R>> endobj
2 0 obj <</Type /Pages /Kids [3 0 R] /Count 1>> endobj
3 0 obj <</Type /Page /Parent 2 0 R /MediaBox [0 0 595 842]>> endobj
trailer <</Root 1 0 R>>
%%EOF
"""
ENVIRONMENT = {
    name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy") and name != "THIRD_PARTY"
}

type Demo = Callable[[Path], Awaitable[None]]  # gets a folder for its files


class Failed(Exception):
    """A step of the demo failed. The message says which."""


@dataclass(frozen=True)
class Answer:
    at: float
    status: int
    body: str


@dataclass(frozen=True)
class Webhook:
    at: float
    method: str
    target: str


async def demo(folder: Path) -> None:
    async with receiver() as (callback_url, arrival), proxy(folder, callback_url) as proxy_url:
        show("receiver", callback_url)
        show("proxy", f"{proxy_url}  (mitmdump -s addon/mock.py)\n")

        started = time.monotonic()
        answer = await post_pdf(folder, proxy_url)
        show("answer", f"{answer.status} {answer.body}  after {(answer.at - started) * 1000:.0f} ms\n")

        identifier = identifier_in(answer)

        due = answer.at + parse_duration(DELAY)
        webhook = await count_down(arrival, due)
        show("webhook", f"{webhook.method} {webhook.target}")
        waited = f"{webhook.at - answer.at:.3f} s after the answer"
        show("delay", f"{waited}  (DELAY={DELAY} counts from the end of the request)\n")

        confirm(webhook, identifier)
        show("identifier", f"{identifier}  in both")


@asynccontextmanager
async def receiver() -> AsyncIterator[tuple[str, asyncio.Future[Webhook]]]:
    """Receive webhooks in place of the system under test. Yield the URL, and a future of the first webhook."""
    arrival: asyncio.Future[Webhook] = asyncio.get_running_loop().create_future()

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        now = time.monotonic()
        method, target, _ = (await reader.readuntil(b"\r\n\r\n")).decode().split(" ", 2)
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()
        if not arrival.done():
            arrival.set_result(Webhook(now, method, target))

    async with await asyncio.start_server(receive, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/webhook", arrival


@asynccontextmanager
async def proxy(folder: Path, callback_url: str) -> AsyncIterator[str]:
    """Run mitmdump with the addon on a free port. Yield the proxy's URL."""
    log = folder / "mitmdump.log"
    command = [str(MITMDUMP), "--listen-host", "127.0.0.1", "--listen-port", "0", "-s", str(ADDON)]
    variables = {"CALLBACK_URL": callback_url, "DELAY": DELAY, "PYTHONUNBUFFERED": "1"}
    with log.open("wb") as output:
        options = {"cwd": folder, "env": ENVIRONMENT | variables, "stdout": output, "stderr": output}
        async with running(*command, "--set", f"confdir={folder}", **options) as process:
            try:
                yield await listening(process, log)
            except Failed as failure:
                raise Failed(f"{failure}\nmitmdump's log:\n{log.read_text().rstrip()}") from None


async def listening(process: subprocess.Process, log: Path) -> str:
    deadline = time.monotonic() + 3 * PATIENCE
    while time.monotonic() < deadline and process.returncode is None:
        if started := re.search(r"proxy listening at (\S+:\d+).*latehook: ready", log.read_text(), re.DOTALL):
            return f"http://{started[1]}"
        await asyncio.sleep(0.05)
    raise Failed("mitmdump did not start")


async def post_pdf(folder: Path, proxy_url: str) -> Answer:
    bundle = Certificates(folder).write_bundle()
    (folder / "invoice.pdf").write_bytes(PDF)
    if curl := shutil.which("curl"):
        options = ["--proxy", proxy_url, "--cacert", bundle.name, "--form", "document=@invoice.pdf"]
        show("client", shlex.join(["curl", *options, URL]))
        return await post_with_curl(curl, *options, URL, cwd=folder)
    show("client", f"httpx.post({URL!r}, proxy={proxy_url!r}, files=…)")
    trust = ssl.create_default_context(cafile=bundle)
    try:
        async with httpx.AsyncClient(proxy=proxy_url, verify=trust, trust_env=False) as client:
            response = await client.post(URL, files={"document": ("invoice.pdf", PDF, "application/pdf")})
    except httpx.HTTPError as error:
        raise Failed(f"no answer: {error}") from None
    return Answer(time.monotonic(), response.status_code, response.text)


async def post_with_curl(curl: str, *options: str, cwd: Path) -> Answer:
    quiet = ["--disable", "--silent", "--show-error", "--no-buffer", "--max-time", "30"]
    arguments = [*quiet, "--write-out", "\n%{http_code}", *options]
    async with running(curl, *arguments, cwd=cwd, env=ENVIRONMENT, stdout=subprocess.PIPE) as process:
        assert process.stdout
        first = await process.stdout.read(1)  # curl itself ends a little after the first byte of the answer
        at = time.monotonic()
        body, _, status = (first + await process.stdout.read()).decode().rpartition("\n")
        if await process.wait() != 0:
            raise Failed(f"curl ended with status {process.returncode}")
        return Answer(at, int(status), body)


@asynccontextmanager
async def running(*command: str, **options: Any) -> AsyncIterator[subprocess.Process]:
    """Run a process. It is ended with the block, also after an error."""
    process = await asyncio.create_subprocess_exec(*command, stdin=subprocess.DEVNULL, **options)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), PATIENCE)
        except TimeoutError:
            process.kill()


async def count_down(arrival: asyncio.Future[Webhook], due: float) -> Webhook:
    """Print the time left until the webhook is due, ten times a second on a terminal. Return the webhook."""
    live = sys.stdout.isatty()
    while not arrival.done():
        left = due - time.monotonic()
        if left < -PATIENCE:
            raise Failed(f"no webhook within {PATIENCE} s after its time")
        text = f"{'waiting':>10}  {max(left, 0):.1f} s"
        print(f"\r{text} " if live else text, end="" if live else "\n", flush=True)
        await asyncio.wait([arrival], timeout=0.1 if live else 1)
    print("\r\033[K" if live else "\n", end="")
    return arrival.result()


def identifier_in(answer: Answer) -> str:
    try:
        identifier: str = json.loads(answer.body)["identifier"]
    except (ValueError, LookupError, TypeError):
        raise Failed("the answer has no identifier") from None
    return identifier


def confirm(webhook: Webhook, identifier: str) -> None:
    expected = {"success": "true", "identifier": identifier, "some_parameter": "some_value"}
    query = dict(parse_qsl(urlsplit(webhook.target).query, keep_blank_values=True))
    if webhook.method != "GET" or query != expected:
        raise Failed(f"expected a GET with {expected}")


def show(name: str, text: str) -> None:
    print(f"{name:>10}  {text}", flush=True)


async def _in_temporary_folder(name: str, demo: Demo) -> None:
    task = asyncio.current_task()
    assert task
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)  # so that it cleans up then too
    with tempfile.TemporaryDirectory(prefix=f"latehook-{name}-") as folder:
        await demo(Path(folder))


def run(name: str, demo: Demo) -> None:
    """Run a demo in a temporary folder, which is removed after it.

    If a step fails, or a signal ends the demo, the process exits with one line that names `scripts/NAME`, or with the
    signal's status.
    """
    try:
        asyncio.run(_in_temporary_folder(name, demo))
    except Failed as failure:
        sys.exit(f"\nscripts/{name}: {failure}")
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except asyncio.CancelledError:
        sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    run("demo", demo)
