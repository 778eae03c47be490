"""An exception in our own code never sends a mocked request to the third party: the client gets our error response."""

import json
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import httpx
import pytest

from support.failpoints import (
    COMBINATIONS,
    CONNECTED,
    FOR_CONNECTIONS,
    IN_HOOKS,
    REQUEST,
    SHORTCUT,
    UNUSED,
    Failpoints,
    short,
)
from support.forward_proxy import ForwardProxy, forward_proxy
from support.limits import PROMPT
from support.ports import free_port
from support.process import Proxy, mitmdump
from support.programs import curl_each
from support.third_party import ThirdParty


@dataclass
class Setup:
    """A proxy with failpoints and all modes, in front of a third party and of an upstream proxy that would notice a connection."""

    proxy: Proxy
    ports: dict[str, int]
    failpoints: Failpoints
    third_party: ThirdParty
    upstream: ForwardProxy

    @property
    def contacts(self) -> tuple[int, int]:
        """How often somebody has connected to the third party and to the upstream proxy."""
        return self.third_party.connections, len(self.upstream.asked)

    def client(self, mode: str, http2: bool) -> httpx.Client:
        """Return a client that keeps its connection to the port of a mode."""
        trust = ssl.create_default_context(cafile=self.proxy.ca)
        proxy = f"http://127.0.0.1:{self.ports[mode]}"
        return httpx.Client(proxy=proxy, verify=trust, http2=http2, trust_env=False, timeout=PROMPT)

    def send_all(self) -> Iterator[tuple[str, subprocess.CompletedProcess[str]]]:
        """Send a mocked request in every way; yield a description of each, and its end.

        One process of curl sends those of a kind: no two of them could share a connection.
        """
        for _, same in groupby(self.requests(), lambda request: request[0].split()[:2]):
            ways = list(same)
            sent = [[*arguments, "--cacert", self.proxy.ca, "-d", "x", url] for _, arguments, url in ways]
            yield from zip((description for description, _, _ in ways), curl_each(*sent, limit=PROMPT), strict=True)

    def requests(self) -> Iterator[tuple[str, list[str], str]]:
        """Yield every way to send a mocked request: a description, curl's arguments, and the URL."""
        for scheme, url in zip(("http", "https"), self.third_party.urls(), strict=True):
            for version in ("--http1.1", "--http2") if scheme == "https" else ("--http1.1",):
                for mode, kind in MODES:
                    proxy = f"{kind}://127.0.0.1:{self.ports[mode]}"
                    yield f"{scheme} {version} {mode} {kind}", ["-4", "-x", proxy, version], url
                    if kind == "socks5":  # curl sends an address; only TLS or the Host header has the name
                        named = url.replace("localhost", "by-address.example")
                        resolve = ["--resolve", f"{named.split('/')[2]}:127.0.0.1"]
                        yield f"{scheme} {version} {kind}, name", ["-x", proxy, version, *resolve], named
        for mode in ("reverse http", "reverse https"):
            for scheme in ("http", "https"):
                url = f"{scheme}://localhost:{self.ports[mode]}/api"
                yield f"{mode} {scheme}", ["-4", "--http1.1"], url


MODES = (("regular", "http"), ("socks5", "socks5h"), ("socks5", "socks5"), ("upstream", "http"))
"""mitmproxy's mode, and the scheme that curl needs for it."""


@pytest.fixture(scope="module")
def setup(
    third_party: ThirdParty, mocked: Path, confdir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Setup]:
    failpoints = Failpoints(tmp_path_factory.mktemp("failpoints"))
    with forward_proxy() as upstream:
        modes = {
            "regular": "regular",
            "socks5": "socks5",
            "upstream": f"upstream:{upstream.url}",
            "reverse http": f"reverse:http://localhost:{third_party.plain.port}",
            "reverse https": f"reverse:https://localhost:{third_party.tls.port}",
        }
        ports = {mode: free_port() for mode in modes}
        arguments = [argument for mode, spec in modes.items() for argument in ("--mode", f"{spec}@{ports[mode]}")]
        arguments += ["--set", f"mock_file={mocked}", "--set", f"ssl_verify_upstream_trusted_ca={third_party.ca}"]
        with mitmdump(confdir, *arguments, script=failpoints.script, fork=True) as proxy:
            yield Setup(proxy, ports, failpoints, third_party, upstream)


@pytest.mark.parametrize("points", ["", *IN_HOOKS, *COMBINATIONS], ids=short)
def test_an_exception_in_our_code_never_forwards_a_mocked_request(setup: Setup, points: str) -> None:
    wrong, before = [], setup.contacts

    with setup.failpoints.failing(points):
        for description, done in setup.send_all():
            body, _, status = done.stdout.rpartition("\n")
            if not is_ours(body, int(status)) and not may_be_closed(points, description, done):
                wrong.append(f"{description}: {status} {body} {done.stderr}")

    assert wrong == []
    assert setup.contacts == before
    assert set(points.split()) <= setup.failpoints.reached | UNUSED


def is_ours(body: str, status: int) -> bool:
    """Return whether this is the mock's response or an error response of Latehook's."""
    try:
        answer = json.loads(body)
    except ValueError:
        return False
    return answer == {"mocked": True} if status == 200 else status >= 500 and answer["error"].startswith("latehook: ")


def may_be_closed(points: str, description: str, got: subprocess.CompletedProcess[str]) -> bool:
    """Return whether the proxy may close the connection without a response.

    A mode that connects to the server before the first request has no HTTP client yet that could get a response.
    """
    if points != CONNECTED:
        return False
    if "reverse" not in description:
        return got.returncode == 97  # the SOCKS proxy or the upstream proxy refused
    is_reset = got.returncode == 56 and "Connection reset by peer" in got.stderr  # depends on when curl notices it
    return got.returncode in (52, 35) or is_reset  # 52: an empty reply; 35: in the TLS handshake


VERSIONS = {"http": ("http", False), "https": ("https", False), "https, HTTP/2": ("https", True)}


@pytest.mark.parametrize(
    "points", ["", *(point for point in IN_HOOKS if point not in FOR_CONNECTIONS), *COMBINATIONS], ids=short
)
def test_a_mocked_request_on_the_connection_of_a_forwarded_one_is_not_forwarded(setup: Setup, points: str) -> None:
    wrong = []

    for version, (scheme, http2) in VERSIONS.items():
        for mode in ("regular", "upstream"):
            server = setup.third_party.tls if scheme == "https" else setup.third_party.plain
            url, before = f"{scheme}://localhost:{server.port}", len(server.requests)
            with setup.client(mode, http2) as client:
                forwarded = client.get(f"{url}/health")
                with setup.failpoints.failing(points):
                    mocked = client.post(f"{url}/api", content=b"x")
            if not is_ours(mocked.text, mocked.status_code):
                wrong.append(f"{version} {mode}: {mocked.status_code} {mocked.text}")
            assert (forwarded.text, mocked.http_version) == ("ok", "HTTP/2" if http2 else "HTTP/1.1")
            assert [request.path for request in server.requests[before:]] == ["/health"]

    assert wrong == []


@pytest.mark.parametrize("body", [b"", b"x" * 3_000_000], ids=["no body", "a long body"])
def test_after_an_exception_the_connection_can_be_used_again(setup: Setup, body: bytes) -> None:
    _, url = setup.third_party.urls()

    for http2 in (False, True):
        with setup.client("regular", http2) as client:
            with setup.failpoints.failing(SHORTCUT, REQUEST):
                failed = client.post(url, content=body)
            works = client.post(url, content=body)

        assert failed.status_code == 502
        assert failed.json() == {
            "error": "latehook: this request was not answered, and a mocked host is never contacted",
            "request": {"method": "POST", "url": url},
        }
        assert works.json() == {"mocked": True}
