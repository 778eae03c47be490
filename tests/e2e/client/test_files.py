"""Files that loaded mocks name are read by the client, and only if the mocks name them."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest

import latehook
from latehook import ControlError, LatehookError
from support.process import Proxy

MOCKS = """
mocks:
  - {match: GET api.slow.example/file, response: {file: data/report.bin}}
  - {match: GET api.slow.example/form, response: {multipart: {doc: {file: data/page.txt}}}}
"""
WITH_FILES = {"content-type": "application/vnd.latehook.mocks+json"}
Start = Callable[..., Proxy]


def get(proxy: Proxy, path: str) -> httpx.Response:
    with httpx.Client(proxy=proxy.url, trust_env=False) as client:
        return client.get(f"http://api.slow.example{path}")


def write_files(folder: Path) -> None:
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "report.bin").write_bytes(b"\x00\xffreport")
    (folder / "data" / "page.txt").write_text("a page")


def test_files_are_read_where_the_test_is(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(tmp_path / "test")
    proxy = start(mocks="mocks: []")
    (tmp_path / "test" / "mocks.yaml").write_text(MOCKS)
    with latehook.connect(proxy.port) as client:
        client.load(tmp_path / "test" / "mocks.yaml")
        from_file = get(proxy, "/file").content, b"a page" in get(proxy, "/form").content
        client.reset()
        monkeypatch.chdir(tmp_path / "test")
        with latehook.connect(proxy.port) as in_folder:
            in_folder.load(MOCKS)
        from_text = get(proxy, "/file").content

    assert from_file == (b"\x00\xffreport", True)
    assert from_text == b"\x00\xffreport"


def test_a_missing_file_is_an_error_that_says_where_it_was_looked_for(start: Start) -> None:
    proxy = start(mocks="mocks: []")
    with latehook.connect(proxy.port) as client, pytest.raises(LatehookError) as raised:
        client.load(MOCKS)

    assert str(raised.value).startswith("posted mocks:3: mocks[0].response.file: there is no file 'data/report.bin': ")
    assert str(Path.cwd() / "data" / "report.bin") in str(raised.value)


def test_the_raw_api_refuses_files_and_says_what_to_do(start: Start, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("of the proxy")
    proxy = start(mocks="mocks: []")
    text = f"mocks: [{{match: GET api.slow.example/file, response: {{file: {tmp_path}/secret.txt}}}}]"
    for path in ("mocks", f"mocks?file={tmp_path}/mocks.yaml"):
        got = httpx.post(
            f"{proxy.url}/_latehook/{path}", content=text, headers={"content-type": "application/yaml"}, trust_env=False
        )
        assert got.status_code == 400
        assert got.json()["file"] == f"{tmp_path}/secret.txt"
        assert (
            "was not sent, and the proxy reads no files for posted mocks: load the mocks with" in got.json()["detail"]
        )
    body = {"mocks": text, "files": {f"{tmp_path}/secret.txt": "c2VudA=="}}
    sent = httpx.post(
        f"{proxy.url}/_latehook/mocks",
        json=body,
        headers=WITH_FILES,
        trust_env=False,
    )

    assert (sent.status_code, get(proxy, "/file").text) == (200, "sent")
    for wrong, words in (
        ({"files": {}}, "the parameter 'mocks' is missing"),
        ({"mocks": text, "files": {"a": "%"}}, "files "),
        ({"mocks": text, "file": {}}, "there is no parameter 'file'; did you mean 'files'?"),
    ):
        refused = httpx.post(f"{proxy.url}/_latehook/mocks", json=wrong, headers=WITH_FILES, trust_env=False)
        assert (refused.status_code, refused.json()["detail"][: len(words)]) == (400, words)


class Asking(BaseHTTPRequestHandler):
    """A server that is not the tester's proxy, and asks for a file that no mock names."""

    def do_GET(self) -> None:
        self._answer(200, b"")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.server.asked = self.headers["content-type"]  # type: ignore[attr-defined]
        self._answer(400, b'{"title": "x", "status": 400, "detail": "x", "file": "/etc/hostname"}')

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None: ...


def test_a_file_that_the_mocks_do_not_name_is_never_sent() -> None:
    with HTTPServer(("127.0.0.1", 0), Asking) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with (
            latehook.connect(server.server_port) as client,
            pytest.raises(
                LatehookError, match="the mocks do not contain the name of the file '/etc/hostname'"
            ) as raised,
        ):
            client.load(MOCKS)
        server.shutdown()

    assert server.asked == "application/yaml"  # type: ignore[attr-defined]
    assert not isinstance(raised.value, ControlError)
