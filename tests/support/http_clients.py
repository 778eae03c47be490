"""HTTP clients that systems under test use: curl, requests, httpx, Node's fetch.

Each function sends the calls of one exchange through the proxy, one after the other, and returns the replies.
"""

import base64
import json
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests

from support.limits import LIMIT
from support.paths import ROOT
from support.process import Proxy

NODE = shutil.which("node")
NODE_CLIENT = ROOT / "tests" / "support" / "node" / "client.mjs"
UNDICI = ROOT / "tests" / "support" / "node" / "node_modules" / "undici"
NEEDS_NODE = pytest.mark.skipif(
    NODE is None or not UNDICI.exists(), reason="Node or undici is not installed: run scripts/test"
)


@dataclass(frozen=True)
class Call:
    """A request to send. With `chunked` the body is sent without a content-length."""

    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    chunked: bool = False


@dataclass(frozen=True)
class Reply:
    """A response. `version` is the HTTP version, if the client reports it; `head` is the raw text of all heads (curl only)."""

    status: int
    headers: dict[str, str]
    body: bytes
    version: str | None = None
    head: str = ""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Exchange = Callable[[Proxy, Sequence[Call], bool], list[Reply]]
"""(the proxy, the calls, whether to keep connections open) → the replies."""


def with_curl(proxy: Proxy, calls: Sequence[Call], keep_alive: bool, version: str = "--http1.1") -> list[Reply]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        arguments: list[str] = []
        for number, call in enumerate(calls):
            arguments += ["--next"] if number else []
            arguments += ["--silent", "--show-error", "--noproxy", "", "--max-time", str(LIMIT), version]
            arguments += ["-x", proxy.url, "--cacert", proxy.ca, "--expect100-timeout", str(LIMIT)]
            arguments += ["-o", f"{folder}/{number}.body", "-D", f"{folder}/{number}.head"]
            arguments += ["-w", "%{http_code} %{http_version}\n", "--suppress-connect-headers"]
            arguments += ["--head"] if call.method == "HEAD" else ["-X", call.method]
            for header, value in call.headers.items():
                arguments += ["-H", f"{header}: {value}"]
            if not keep_alive:
                arguments += ["-H", "connection: close"]
            if call.chunked:
                arguments += ["-H", "transfer-encoding: chunked"]
            if call.body is not None:
                (folder / f"{number}.sent").write_bytes(call.body)
                arguments += ["--data-binary", f"@{folder}/{number}.sent"]
            arguments.append(call.url)
        ran = subprocess.run(["curl", *arguments], capture_output=True, text=True, timeout=LIMIT * 2)
        assert ran.returncode == 0, f"curl: {ran.returncode}: {ran.stderr}"
        written = ran.stdout.splitlines()
        return [_curl_reply(folder, number, call, written[number]) for number, call in enumerate(calls)]


def _curl_reply(folder: Path, number: int, call: Call, written: str) -> Reply:
    status, version = written.split()
    head = (folder / f"{number}.head").read_text()
    lines = head.strip().split("\n\n")[-1].splitlines()[1:]
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = folder / f"{number}.body"
    received = body.read_bytes() if body.exists() and call.method != "HEAD" else b""  # --head writes the head there
    return Reply(int(status), headers, received, f"HTTP/{version}", head)


def with_curl_http2(proxy: Proxy, calls: Sequence[Call], keep_alive: bool) -> list[Reply]:
    return with_curl(proxy, calls, keep_alive, "--http2")


def with_requests(proxy: Proxy, calls: Sequence[Call], keep_alive: bool) -> list[Reply]:
    with requests.Session() as session:
        session.trust_env = False
        session.proxies = {"http": proxy.url, "https": proxy.url}
        session.verify = proxy.ca
        if not keep_alive:
            session.headers["connection"] = "close"
        replies = []
        for call in calls:
            body = _in_pieces(call.body) if call.chunked else call.body
            got = session.request(
                call.method, call.url, headers=call.headers, data=body, timeout=LIMIT, allow_redirects=False
            )
            version = {11: "HTTP/1.1"}.get(got.raw.version)
            replies.append(Reply(got.status_code, {k.lower(): v for k, v in got.headers.items()}, got.content, version))
        return replies


def with_httpx(proxy: Proxy, calls: Sequence[Call], keep_alive: bool, http2: bool = False) -> list[Reply]:
    limits = httpx.Limits(max_keepalive_connections=None if keep_alive else 0)
    trusted = ssl.create_default_context(cafile=proxy.ca)
    with httpx.Client(
        proxy=proxy.url, verify=trusted, http2=http2, limits=limits, timeout=LIMIT, trust_env=False
    ) as client:
        replies = []
        for call in calls:
            body = _in_pieces(call.body) if call.chunked else call.body
            got = client.request(call.method, call.url, headers=call.headers, content=body)
            replies.append(Reply(got.status_code, dict(got.headers), got.content, got.http_version))
        return replies


def with_httpx_http2(proxy: Proxy, calls: Sequence[Call], keep_alive: bool) -> list[Reply]:
    return with_httpx(proxy, calls, keep_alive, http2=True)


def with_node(
    proxy: Proxy, calls: Sequence[Call], keep_alive: bool, http2: bool = False, tunnel: bool = True
) -> list[Reply]:
    assert NODE is not None
    task = {
        "proxy": proxy.url,
        "ca": proxy.ca,
        "http2": http2,
        "tunnel": tunnel,
        "keepAlive": keep_alive,
        "calls": [
            {
                "method": call.method,
                "url": call.url,
                "headers": call.headers,
                "body": None if call.body is None else base64.b64encode(call.body).decode(),
                "chunked": call.chunked,
            }
            for call in calls
        ],
    }
    ran = subprocess.run([NODE, NODE_CLIENT], input=json.dumps(task), capture_output=True, text=True, timeout=LIMIT * 2)
    assert ran.returncode == 0, f"node: {ran.returncode}: {ran.stderr}"
    return [
        Reply(reply["status"], reply["headers"], base64.b64decode(reply["body"])) for reply in json.loads(ran.stdout)
    ]


def with_node_http2(proxy: Proxy, calls: Sequence[Call], keep_alive: bool) -> list[Reply]:
    return with_node(proxy, calls, keep_alive, http2=True)


def with_node_untunnelled(proxy: Proxy, calls: Sequence[Call], keep_alive: bool) -> list[Reply]:
    """Send http:// URLs without CONNECT; by default undici's ProxyAgent tunnels them too."""
    return with_node(proxy, calls, keep_alive, tunnel=False)


def _in_pieces(body: bytes | None) -> Iterator[bytes]:
    assert body is not None
    for start in range(0, len(body), 1000):
        yield body[start : start + 1000]
