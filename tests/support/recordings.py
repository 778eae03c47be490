"""Recordings for tests: flow files as mitmdump writes them, with times that the test sets."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from mitmproxy import http
from mitmproxy.io import FlowWriter
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import tflow
from ruamel.yaml import YAML

from latehook.mocksfile.loading import load
from support.scenario import Scenario

START = 1_800_000_000.0
"""Unix seconds at which a recording starts."""

HOOK = "http://app.test/hook"


class Tape:
    """A recording. `now` is the time of the next message, in Unix seconds; `wait` moves it."""

    def __init__(self, start: float = START) -> None:
        self.now = start
        self.flows: list[http.HTTPFlow] = []

    def wait(self, seconds: float) -> "Tape":
        self.now += seconds
        return self

    def request(
        self, method: str, url: str, body: Any = None, status: int = 200, answer: Any = None, **headers: Any
    ) -> "Tape":
        """Record a request of the SUT and its response. `response_headers` are those of the response."""
        return self._add("regular", method, url, body, status, answer, headers)

    def webhook(self, body: Any, url: str = HOOK, method: str = "POST", status: int = 200, **headers: Any) -> "Tape":
        """Record a webhook, as it came by a reverse proxy with keep_host_header."""
        return self._add("reverse:http://127.0.0.1:8000@9000", method, url, body, status, "ok", headers)

    def _add(
        self, mode: str, method: str, url: str, body: Any, status: int, answer: Any, headers: dict[str, Any]
    ) -> "Tape":
        response_headers = headers.pop("response_headers", {})
        sent, kind = _encoded(body)
        got, got_kind = _encoded(answer)
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        request = http.Request.make(method, url, sent, {"host": url.split("/")[2], **kind, **fields})
        request.timestamp_start, request.timestamp_end = self.now, self.now + 0.01
        response = http.Response.make(status, got, {**got_kind, **response_headers})
        response.timestamp_start, response.timestamp_end = self.now + 0.05, self.now + 0.06
        flow = http.HTTPFlow(tflow.tclient_conn(), tflow.tserver_conn())
        flow.client_conn.proxy_mode = ProxyMode.parse(mode)
        flow.request, flow.response = request, response
        self.flows.append(flow)
        self.now += 0.1
        return self

    def write(self, file: Path) -> Path:
        """Write the recording as a flow file."""
        with file.open("wb") as opened:
            writer = FlowWriter(opened)
            for flow in self.flows:
                writer.add(flow)
        return file


def mocks_of(text: str) -> list[dict[str, Any]]:
    """Return the mocks of a mocks file's text."""
    mocks: list[dict[str, Any]] = YAML(typ="safe").load(text)["mocks"]
    return mocks


def scenario(text: str, folder: Path) -> Scenario:
    """Return a scenario with a mocks file of this text, written to a folder."""
    file = folder / "made.yaml"
    file.write_text(text)
    return Scenario(load([file], {"CALLBACK_URL": HOOK}))


class Form(dict[str, str]):
    """A body that is an urlencoded form."""


def _encoded(body: Any) -> tuple[bytes, dict[str, str]]:
    if body is None:
        return b"", {}
    if isinstance(body, Form):
        return urlencode(body).encode(), {"content-type": "application/x-www-form-urlencoded"}
    if isinstance(body, (str, bytes)):
        return (body.encode() if isinstance(body, str) else body), {"content-type": "text/plain"}
    return json.dumps(body).encode(), {"content-type": "application/json"}
