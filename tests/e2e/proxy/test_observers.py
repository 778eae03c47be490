"""A mocked request is hidden from the rest of mitmproxy only where nobody would have looked."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from mitmproxy import http
from mitmproxy.io import FlowReader

from support.process import Proxy

MOCKS = """\
mocks:
  - match: POST api.slow.example/jobs
    response: {status: 201, json: {seen: true}}
"""
LOOKER = """\
class Looker:
    def requestheaders(self, flow): print("looker: requestheaders", flush=True)
    def request(self, flow): print("looker: request", flush=True)
    def responseheaders(self, flow): print("looker: responseheaders", flush=True)
    def response(self, flow): print("looker: response", flow.response.status_code, flush=True)
addons = [Looker()]
"""
HEARER = """\
class Hearer:
    def add_log(self, entry): print("heard:", entry.msg, flush=True)
addons = [Hearer()]
"""


def post(proxy: Proxy) -> None:
    url = "http://api.slow.example/jobs"
    with httpx.Client(proxy=proxy.url, trust_env=False) as client:
        statuses = {client.post(url, content=b"asked").status_code for _ in range(2)}
    assert statuses == {201}


def test_mitmdump_prints_a_mocked_request_with_its_response(start: Callable[..., Proxy]) -> None:
    proxy = start(mocks=MOCKS)
    post(proxy)

    proxy.wait_for("POST http://api.slow.example/jobs", count=2)
    proxy.wait_for("<< 201 Created 13b", count=2)


def test_with_flow_detail_0_it_prints_nothing(start: Callable[..., Proxy]) -> None:
    proxy = start("--set", "flow_detail=0", mocks=MOCKS)
    post(proxy)

    assert proxy.stop() == 0
    assert "api.slow.example/jobs" not in proxy.output


@pytest.mark.parametrize("detail", ["0", "1"])
def test_a_flow_file_holds_mocked_requests_with_their_responses(
    start: Callable[..., Proxy], tmp_path: Path, detail: str
) -> None:
    proxy = start("-w", str(tmp_path / "flows"), "--set", f"flow_detail={detail}", mocks=MOCKS)
    post(proxy)
    assert proxy.stop() == 0

    with (tmp_path / "flows").open("rb") as file:
        flows = list(FlowReader(file).stream())

    assert len(flows) == 2
    for flow in flows:
        assert isinstance(flow, http.HTTPFlow)
        assert (flow.request.content, flow.response and flow.response.content) == (b"asked", b'{"seen":true}')


def test_another_script_sees_all_of_a_mocked_request(start: Callable[..., Proxy], tmp_path: Path) -> None:
    (tmp_path / "looker.py").write_text(LOOKER)
    proxy = start("--set", "flow_detail=0", "-s", str(tmp_path / "looker.py"), mocks=MOCKS)
    post(proxy)

    for hook in ("requestheaders", "request$", "responseheaders", "response 201"):
        proxy.wait_for(f"looker: {hook}", count=2)


def test_an_option_that_changes_flows_holds_for_mocked_requests(start: Callable[..., Proxy]) -> None:
    proxy = start("--set", "flow_detail=0", "--modify-headers", "/~s/x-added/1", mocks=MOCKS)

    with httpx.Client(proxy=proxy.url, trust_env=False) as client:
        response = client.post("http://api.slow.example/jobs")

    assert response.headers["x-added"] == "1"


def test_a_script_with_the_old_hook_for_log_lines_hears_ours(start: Callable[..., Proxy], tmp_path: Path) -> None:
    (tmp_path / "hearer.py").write_text(HEARER)
    proxy = start("--set", "flow_detail=0", "-s", str(tmp_path / "hearer.py"), mocks=MOCKS)

    proxy.wait_for("heard: .*latehook: ready for api.slow.example")
