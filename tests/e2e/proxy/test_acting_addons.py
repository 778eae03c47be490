"""What acts on messages of hosts that are not mocked gets them whole, and before they leave: as without Latehook."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from mitmproxy import http
from mitmproxy.io import FlowReader, FlowWriter
from mitmproxy.test import tflow, tutils

from support.process import Proxy
from support.programs import curl
from support.receivers import Handler, Receiver, answer, receiver
from support.waiting import wait_until

Start = Callable[..., Proxy]

MOCKS = "mocks: [{match: GET api.slow.example/health}]\n"
MB = 1024 * 1024

STUB = """\
from mitmproxy import http

def request(flow):
    flow.response = http.Response.make(403, b"stubbed")
"""
EDIT = """\
def request(flow):
    flow.request.content = flow.request.content.replace(b"asked", b"edited")
def response(flow):
    flow.response.content = flow.response.content.replace(b"real", b"edited")
"""


@pytest.fixture
def framings(tmp_path: Path) -> list[list[str]]:
    """curl's arguments for requests with bodies that would be streamed: a chunked one, and a long one."""
    short, long = tmp_path / "short", tmp_path / "long"
    short.write_bytes(b"asked")
    long.write_bytes(b"asked" + bytes(2 * MB))
    return [
        ["-H", "expect:", "--data-binary", f"@{short}", "-H", "transfer-encoding: chunked"],
        ["-H", "expect:", "--data-binary", f"@{long}"],
    ]


def replayed(file: Path, port: int) -> str:
    """Write a flow file with a response to POST /charge, whatever its body; return its name."""
    flow = tflow.tflow(req=tutils.treq(host="127.0.0.1", port=port, path=b"/charge", method=b"POST"), resp=True)
    with file.open("wb") as opened:
        FlowWriter(opened).add(flow)
    return str(file)


def options_of(how: str, folder: Path, port: int) -> list[str]:
    """Return mitmdump's arguments that answer POST /charge of a port of this machine without asking it."""
    (folder / "stub.py").write_text(STUB)
    (folder / "charge").write_text("stubbed")
    ways = {
        "script": ["-s", str(folder / "stub.py")],
        "block_list": ["--set", "block_list=:~u /charge:403"],
        "map_local": ["--map-local", f"|/charge|{folder}/charge"],
        "server_replay": [
            "--server-replay", replayed(folder / "flows", port), "--set", "server_replay_ignore_content=true",
            "--set", "server_replay_reuse=true",
        ],
        "server_replay_extra": [
            "--server-replay", replayed(folder / "others", port + 1), "--set", "server_replay_extra=kill"
        ],
    }  # fmt: skip
    return ways[how]


@pytest.mark.parametrize("how", ["script", "block_list", "map_local", "server_replay", "server_replay_extra"])
def test_a_request_that_is_answered_before_it_leaves_does_not_leave(
    how: str, framings: list[list[str]], start: Start, sut: Receiver, tmp_path: Path
) -> None:
    proxy = start(*options_of(how, tmp_path, sut.port), mocks=MOCKS)

    written = ["-o", "/dev/null", "-w", "%{http_code}"]
    statuses = [curl("-x", proxy.url, *framing, *written, f"{sut.url}/charge").stdout for framing in framings]

    assert sut.connections == 0
    expected = {"map_local": "200", "server_replay": "200", "server_replay_extra": "000"}.get(how, "403")
    assert statuses == [expected, expected]


def test_mitmproxys_own_page_answers_a_chunked_request(start: Start, sut: Receiver) -> None:
    proxy = start("--set", "onboarding_host=127.0.0.1", mocks=MOCKS)

    curl("-x", proxy.url, "-H", "transfer-encoding: chunked", "-d", "x", f"{sut.url}/")

    assert sut.connections == 0


def chunked_answer(handler: Handler, number: int) -> None:
    """Answer in two chunks, so that the length is not known before."""
    handler.send_response(200)
    handler.send_header("transfer-encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"3\r\nrea\r\n7\r\nl words\r\n0\r\n\r\n")


@pytest.mark.parametrize("how", ["script", "modify_body"])
def test_bodies_are_edited_whole_in_both_directions(
    how: str, framings: list[list[str]], start: Start, sut: Receiver, tmp_path: Path
) -> None:
    sut.behave = chunked_answer
    (tmp_path / "edit.py").write_text(EDIT)
    ways = {
        "script": ["-s", str(tmp_path / "edit.py")],
        "modify_body": ["--modify-body", "/~q/asked/edited", "--modify-body", "/~s/real/edited"],
    }
    proxy = start(*ways[how], mocks=MOCKS)

    answers = [curl("-x", proxy.url, *framing, f"{sut.url}/").stdout for framing in framings]

    assert all(request.body.startswith(b"edited") for request in sut.requests)
    assert answers == ["edited words", "edited words"]
    assert "Traceback" not in proxy.output


def test_a_flow_file_has_long_bodies_whole(
    framings: list[list[str]], start: Start, sut: Receiver, tmp_path: Path
) -> None:
    sut.behave = chunked_answer
    saved = tmp_path / "flows"
    proxy = start("-w", str(saved), mocks=MOCKS)
    for framing in framings:
        curl("-x", proxy.url, *framing, f"{sut.url}/")
    proxy.stop()

    with saved.open("rb") as file:
        flows = [flow for flow in FlowReader(file).stream() if isinstance(flow, http.HTTPFlow)]

    assert [flow.request.content for flow in flows] == [request.body for request in sut.requests]
    assert [flow.response and flow.response.content for flow in flows] == [b"real words", b"real words"]


def test_a_limit_for_bodies_holds_for_other_hosts(start: Start, sut: Receiver) -> None:
    proxy = start("--set", "body_size_limit=1k", mocks=MOCKS)

    chunked = ["-H", "transfer-encoding: chunked", "-H", "expect:", "-d", "x" * 5000]
    answered = curl("-x", proxy.url, *chunked, "-o", "/dev/null", "-w", "%{http_code}", f"{sut.url}/")

    assert answered.stdout == "413"
    assert sut.connections == 0


def test_a_forwarded_request_of_a_mocked_host_reaches_a_script_whole(
    framings: list[list[str]], start: Start, tmp_path: Path
) -> None:
    (tmp_path / "edit.py").write_text(EDIT)
    with receiver(answer(body=b"real")) as service:
        mocks = f"mocks: [{{match: 'ANY localhost:{service.port}/**', response: forward}}]\n"
        proxy = start("-s", str(tmp_path / "edit.py"), mocks=mocks)
        answers = [curl("-x", proxy.url, *framing, f"http://localhost:{service.port}/").stdout for framing in framings]

    assert answers == ["edited", "edited"]
    assert all(request.body.startswith(b"edited") for request in service.requests)


def test_a_request_that_a_script_streams_stays_streamed(start: Start, sut: Receiver, tmp_path: Path) -> None:
    (tmp_path / "stream.py").write_text("""
def requestheaders(flow): flow.request.stream = True
def request(flow): print("content:", flow.request.content, flush=True)
""")
    proxy = start("-s", str(tmp_path / "stream.py"), mocks=MOCKS)

    curl("-x", proxy.url, "-d", "asked", sut.url)

    proxy.wait_for("content: None")
    assert sut.requests[0].body == b"asked"


def test_without_an_acting_addon_the_first_bytes_arrive_before_the_last_are_sent(start: Start) -> None:
    proxy = start(mocks=MOCKS)
    with receiver(answer(body=b"real")) as service, socket.create_connection(("127.0.0.1", proxy.port)) as client:
        host = f"localhost:{service.port}"
        client.sendall(f"POST http://{host}/ HTTP/1.1\r\nhost: {host}\r\ntransfer-encoding: chunked\r\n\r\n".encode())
        wait_until(lambda: service.connections, "the head has left")
        client.sendall(b"1\r\nx\r\n0\r\n\r\n")
        head = client.recv(1000)

    assert head.startswith(b"HTTP/1.1 200")
