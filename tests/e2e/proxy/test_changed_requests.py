"""A mock stands where the real server would: it sees a request after all that mitmproxy does to it on its way there."""

import hashlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from mitmproxy.io import FlowWriter
from mitmproxy.test import tflow, tutils

from support.held_flows import HeldFlows
from support.limits import LIMIT, SILENCE
from support.ports import free_port
from support.process import MOCK_SCRIPT, Proxy, mitmweb
from support.programs import curl
from support.receivers import Receiver

Start = Callable[..., Proxy]

HOST = "api.slow.example"
MOCKS = """\
mocks:
  - match: POST api.slow.example/**
    response:
      json:
        url: "{{ request.url }}"
        x: "{{ request.headers.x_added }}"
        text: "{{ request.text }}"
        size: "{{ request.size }}"
        sha256: "{{ request.sha256 }}"
        form: "{{ request.form }}"
    webhook: {after: 1h, to: "http://127.0.0.1:9/"}
"""
CHANGES = """\
def request(flow):
    flow.request.path = "/changed"
    flow.request.headers["x-added"] = "1"
    flow.request.content = b"edited " + flow.request.content
"""


def post(url: str, proxy: str, *more: str) -> Any:
    """Send the body `asked`; return the JSON of the response."""
    return json.loads(curl("-x", proxy, "-H", "content-type: text/plain", "-d", "asked", *more, url).stdout)


def jobs(proxy: str) -> int:
    """Return how many jobs were started."""
    return int(json.loads(curl(f"{proxy}/_latehook/status").stdout)["counts"]["jobs"])


@pytest.mark.parametrize("place", ["before", "behind"])
def test_a_mock_sees_what_a_script_has_made_of_a_request(place: str, start: Start, tmp_path: Path) -> None:
    (tmp_path / "changes.py").write_text(CHANGES)
    scripts = [tmp_path / "changes.py", MOCK_SCRIPT]
    first, second = scripts if place == "before" else scripts[::-1]
    proxy = start("-s", str(second), script=first, mocks=MOCKS)

    for scheme in ("http", "https"):
        seen = post(f"{scheme}://{HOST}/asked", proxy.url, "--cacert", proxy.ca)

        assert (seen["url"], seen["x"]) == (f"{scheme}://{HOST}/changed", "1")
        assert (seen["text"], seen["size"]) == ("edited asked", len("edited asked"))
        assert seen["sha256"] == hashlib.sha256(b"edited asked").hexdigest()


def test_modify_body_and_modify_headers_come_before_the_mock(start: Start) -> None:
    proxy = start("--modify-body", "/~q/asked/edited", "--modify-headers", "/~q/x-added/2", mocks=MOCKS)

    seen = post(f"http://{HOST}/", proxy.url)

    assert (seen["text"], seen["x"], seen["size"]) == ("edited", "2", 6)


def test_a_script_that_changes_only_the_content_type_changes_how_the_body_is_read(start: Start, tmp_path: Path) -> None:
    (tmp_path / "type.py").write_text(
        "def request(flow): flow.request.headers['content-type'] = 'application/x-www-form-urlencoded'\n"
    )
    proxy = start("-s", str(tmp_path / "type.py"), mocks=MOCKS)

    multipart = curl("-x", proxy.url, "-F", "a=1", f"http://{HOST}/")

    assert json.loads(multipart.stdout)["form"].get("a") is None


def test_a_large_body_is_replaced_by_a_script(start: Start, tmp_path: Path) -> None:
    (tmp_path / "short.py").write_text("def request(flow): flow.request.content = b'short'\n")
    (tmp_path / "large").write_bytes(bytes(17 * 1024 * 1024))
    proxy = start("-s", str(tmp_path / "short.py"), mocks=MOCKS)

    seen = curl(
        "-x", proxy.url, "-H", "content-type: text/plain", "--data-binary", f"@{tmp_path}/large", f"http://{HOST}/"
    )

    assert json.loads(seen.stdout)["text"] == "short"


def test_a_large_body_that_nobody_changes_keeps_its_size_and_hash(start: Start, tmp_path: Path) -> None:
    mocks = MOCKS.replace('        text: "{{ request.text }}"\n', "").replace(
        '        form: "{{ request.form }}"\n', ""
    )
    (tmp_path / "idle.py").write_text("def request(flow): pass\n")
    (tmp_path / "large").write_bytes(bytes(17 * 1024 * 1024))
    proxy = start("-s", str(tmp_path / "idle.py"), mocks=mocks)

    seen = json.loads(curl("-x", proxy.url, "--data-binary", f"@{tmp_path}/large", f"http://{HOST}/").stdout)

    assert seen["size"] == 17 * 1024 * 1024
    assert seen["sha256"] == hashlib.sha256(bytes(17 * 1024 * 1024)).hexdigest()


def test_a_request_that_a_script_kills_starts_nothing(start: Start, tmp_path: Path) -> None:
    (tmp_path / "kill.py").write_text("def request(flow): flow.kill()\n")
    proxy = start("-s", str(tmp_path / "kill.py"), mocks=MOCKS)

    assert curl("-x", proxy.url, "-d", "x", f"http://{HOST}/").returncode == 52
    assert jobs(proxy.url) == 0


@pytest.mark.parametrize("how", ["script", "map_local", "server_replay"])
def test_a_request_that_another_addon_answers_starts_nothing(how: str, start: Start, tmp_path: Path) -> None:
    (tmp_path / "stub.py").write_text(
        "from mitmproxy import http\ndef request(flow): flow.response = http.Response.make(200, b'other')\n"
    )
    (tmp_path / "asked").write_text("other")
    flow = tflow.tflow(req=tutils.treq(host=HOST, port=80, path=b"/asked", method=b"POST"), resp=True)
    flow.response.content = b"other"  # type: ignore[union-attr]
    with (tmp_path / "flows").open("wb") as saved:
        FlowWriter(saved).add(flow)
    ways = {
        "script": ["-s", str(tmp_path / "stub.py")],
        "map_local": ["--map-local", f"|/asked|{tmp_path}/asked"],
        "server_replay": [
            *("--server-replay", str(tmp_path / "flows"), "--set", "server_replay_ignore_content=true"),
            *("--set", "keepserving=true"),  # without it mitmdump ends after the last flow
        ],
    }  # fmt: skip
    proxy = start(*ways[how], mocks=MOCKS)

    assert curl("-x", proxy.url, "-d", "x", f"http://{HOST}/asked").stdout == "other"
    assert jobs(proxy.url) == 0


def test_a_mocked_request_that_map_remote_points_elsewhere_is_answered_by_its_mock(start: Start, sut: Receiver) -> None:
    proxy = start("--map-remote", f"|http://{HOST}/v1/|{sut.url}/v2/", mocks=MOCKS)

    seen = post(f"http://{HOST}/v1/asked", proxy.url)

    assert seen["url"] == f"http://{HOST}/v2/asked"
    assert sut.connections == 0


def test_no_script_hears_of_requests_to_the_control_api(start: Start, tmp_path: Path) -> None:
    (tmp_path / "all.py").write_text("def request(flow): print('heard', flow.request.path, flush=True)\n")
    proxy = start("-s", str(tmp_path / "all.py"), mocks=MOCKS)

    curl(f"{proxy.url}/_latehook/status")
    post(f"http://{HOST}/asked", proxy.url)

    proxy.wait_for("heard /asked")
    assert "heard /_latehook" not in proxy.output


# mitmweb holds requests


@contextmanager
def asking(proxy: str, scheme: str = "http") -> Iterator[list[httpx.Response | httpx.HTTPError]]:
    """Send POST /asked from a thread during the block, and wait for its end then. Give a list with what came of it."""
    came: list[httpx.Response | httpx.HTTPError] = []

    def ask() -> None:
        with httpx.Client(proxy=proxy, trust_env=False, timeout=LIMIT, verify=False) as client:
            try:
                came.append(client.post(f"{scheme}://{HOST}/asked", content=b"asked"))
            except httpx.HTTPError as error:
                came.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    yield came
    thread.join()


@pytest.fixture(scope="module")
def web(confdir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, HeldFlows]]:
    folder = tmp_path_factory.mktemp("web")
    (folder / "mocks.yaml").write_text(MOCKS)
    port, web = free_port(), free_port()
    with mitmweb(confdir, folder, port, web), HeldFlows(web) as flows:
        flows.set_filter("~q")
        yield f"http://127.0.0.1:{port}", flows


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_mock_sees_a_held_request_as_it_was_edited(scheme: str, web: tuple[str, HeldFlows]) -> None:
    proxy, flows = web
    before = jobs(proxy)

    with asking(proxy, scheme) as came:
        held = flows.wait()
        assert jobs(proxy) == before
        flows.edit(held["id"], content="edited by hand", path="/by-hand")
        flows.resume(held["id"])

    [response] = came
    assert isinstance(response, httpx.Response)
    assert (response.json()["text"], response.json()["url"]) == ("edited by hand", f"{scheme}://{HOST}/by-hand")
    assert jobs(proxy) == before + 1


def test_a_held_request_that_is_killed_starts_nothing(web: tuple[str, HeldFlows]) -> None:
    proxy, flows = web
    before = jobs(proxy)

    with socket.create_connection(("127.0.0.1", int(proxy.rpartition(":")[2]))) as client:
        client.sendall(f"POST http://{HOST}/asked HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 0\r\n\r\n".encode())
        flows.kill(flows.wait()["id"])  # mitmproxy leaves the client of a held request that is killed without an answer
        client.settimeout(SILENCE)
        with suppress(TimeoutError):
            assert client.recv(1) == b""

    assert jobs(proxy) == before


def test_a_held_request_whose_client_has_left_starts_nothing(web: tuple[str, HeldFlows]) -> None:
    proxy, flows = web
    before = jobs(proxy)

    curl("-x", proxy, "-d", "x", "--max-time", "0.5", f"http://{HOST}/asked")
    flows.resume(flows.wait()["id"])
    assert post_held(proxy, flows) == 200

    assert jobs(proxy) == before + 1


def post_held(proxy: str, flows: HeldFlows) -> int:
    """Send a request, and let it go at once; return the status of its response."""
    with asking(proxy) as came:
        flows.resume(flows.wait()["id"])
    assert isinstance(came[0], httpx.Response)
    return came[0].status_code
