"""mitmproxy's own options that act on requests, together with Latehook: proxyauth, block_list, map_remote, -r."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from mitmproxy.io import FlowWriter
from mitmproxy.test import tflow, tutils

from support.forward_proxy import ForwardProxy, forward_proxy
from support.limits import PROMPT
from support.ports import free_port
from support.process import HOST, mitmdump
from support.programs import curl
from support.receivers import Receiver, receiver
from support.third_party import ThirdParty


@dataclass
class Setup:
    """A proxy with such options: its URLs by mode, its CA, its upstream proxy, and a host that is not mocked."""

    urls: dict[str, str]
    ca: str
    upstream: ForwardProxy
    other: Receiver

    def client(self, mode: str = "regular") -> tuple[str, ...]:
        """Return curl's arguments for a client that the proxy lets in."""
        return "-x", self.urls[mode], "--cacert", self.ca, "--proxy-user", "user:secret"


@pytest.fixture(scope="module")
def setup(confdir: Path, mocked: Path, third_party: ThirdParty) -> Iterator[Setup]:
    with forward_proxy() as upstream, receiver() as other:
        ports = {"regular": free_port(), "upstream": free_port()}
        options = (
            f"mock_file={mocked}",
            "proxyauth=user:secret",
            "block_list=|~u /api.blocked|444",
            f"map_remote=|http://moved.example/|{other.url}/",
            f"map_remote=|http://mapped.example/|http://localhost:{third_party.plain.port}/",
        )
        arguments = [part for option in options for part in ("--set", option)]
        arguments += ["--mode", f"regular@{ports['regular']}", "--mode", f"upstream:{upstream.url}@{ports['upstream']}"]
        with mitmdump(confdir, *arguments) as proxy:
            urls = {mode: f"http://127.0.0.1:{port}" for mode, port in ports.items()}
            yield Setup(urls, proxy.ca, upstream, other)


def test_proxy_authentication_is_checked_first(setup: Setup, third_party: ThirdParty) -> None:
    status = "-w", "%{http_code} %{http_connect}", "-o", "/dev/null"
    http, https = third_party.urls()

    for mode, url in setup.urls.items():
        assert curl("-x", url, *status, "-d", "x", http, limit=PROMPT).stdout == "407 000"
        assert curl("-x", url, *status, "-d", "x", https, limit=PROMPT).stdout == "000 407"
        for to in (http, https):
            assert curl(*setup.client(mode), "-d", "x", to, limit=PROMPT).stdout == '{"mocked":true}'


def test_a_block_list_is_checked_first(setup: Setup, third_party: ThirdParty) -> None:
    for url in third_party.urls("/api?blocked"):
        done = curl(*setup.client(), url, limit=PROMPT)

        assert (done.returncode, done.stdout) in ((52, ""), (92, ""))  # 444: closed without a response


def test_map_remote_works_for_other_hosts(setup: Setup) -> None:
    done = curl(*setup.client(), "http://moved.example/path", limit=PROMPT)

    assert done.stdout == "ok"
    assert [request.path for request in setup.other.requests] == ["/path"]


@pytest.mark.parametrize("mode", ["regular", "upstream"])
def test_map_remote_cannot_send_a_request_to_a_mocked_host(setup: Setup, mode: str, third_party: ThirdParty) -> None:
    before = third_party.connections, len(setup.upstream.asked)

    done = curl(*setup.client(mode), "http://mapped.example/api", limit=PROMPT)

    assert "never contacted" in json.loads(done.stdout)["error"]
    assert (third_party.connections, len(setup.upstream.asked)) == before


def test_flows_that_are_read_from_a_file_start_no_jobs(confdir: Path, tmp_path: Path) -> None:
    saved = tmp_path / "flows"
    request = {"host": HOST, "port": 80, "path": b"/api/endpoint", "method": b"POST", "authority": HOST.encode()}
    with saved.open("wb") as file:
        for response in (False, True):
            FlowWriter(file).add(tflow.tflow(req=tutils.treq(**request), resp=response))

    with receiver() as sut:
        env = {"CALLBACK_URL": sut.url, "DELAY": "0s"}
        with mitmdump(confdir, "-n", "-r", str(saved), env=env, wait=False) as proxy:
            status = proxy.wait()

    assert status == 0, proxy.output
    assert f"{HOST}/api/endpoint" in proxy.output
    assert "job" not in proxy.output and "owed" not in proxy.output
    assert sut.requests == []
