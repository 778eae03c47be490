"""Every option and script of mitmproxy that observes flows or log lines sees mocked requests too."""

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
OBSERVER = """\
class Observer:
    def requestheaders(self, flow): print("observer: requestheaders", flush=True)
    def request(self, flow): print("observer: request", flush=True)
    def responseheaders(self, flow): print("observer: responseheaders", flush=True)
    def response(self, flow): print("observer: response", flow.response.status_code, flush=True)
addons = [Observer()]
"""
LOG_SCRIPT = """\
class LogLines:
    def add_log(self, entry): print("log entry:", entry.msg, flush=True)
addons = [LogLines()]
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


def test_with_flow_detail_0_mitmdump_prints_no_request(start: Callable[..., Proxy]) -> None:
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


def test_every_hook_of_another_script_is_called_for_a_mocked_request(
    start: Callable[..., Proxy], tmp_path: Path
) -> None:
    (tmp_path / "observer.py").write_text(OBSERVER)
    proxy = start("--set", "flow_detail=0", "-s", str(tmp_path / "observer.py"), mocks=MOCKS)
    post(proxy)

    for hook in ("requestheaders", "request$", "responseheaders", "response 201"):
        proxy.wait_for(f"observer: {hook}", count=2)


def test_an_option_that_changes_flows_changes_mocked_requests(start: Callable[..., Proxy]) -> None:
    proxy = start("--set", "flow_detail=0", "--modify-headers", "/~s/x-added/1", mocks=MOCKS)

    with httpx.Client(proxy=proxy.url, trust_env=False) as client:
        response = client.post("http://api.slow.example/jobs")

    assert response.headers["x-added"] == "1"


def test_a_script_with_the_legacy_hook_add_log_gets_our_log_lines(start: Callable[..., Proxy], tmp_path: Path) -> None:
    (tmp_path / "log_lines.py").write_text(LOG_SCRIPT)
    proxy = start("--set", "flow_detail=0", "-s", str(tmp_path / "log_lines.py"), mocks=MOCKS)

    proxy.wait_for("log entry: .*latehook: ready for api.slow.example")
