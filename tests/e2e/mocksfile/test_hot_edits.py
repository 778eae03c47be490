"""Edits of the mocks file and of mock.py while the proxy runs and jobs are pending."""

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import latehook
from support.paths import MOCK_SCRIPT
from support.process import HOST, Proxy, mitmdump
from support.programs import curl
from support.receivers import Handler, Receiver, answer, receiver
from support.waiting import wait_until

MOCKS = """
mocks:
  - match: POST {host}/jobs
    response:
      json: {{definition: {definition}}}
    webhook:
      after: {after}
      to: {sut}/{definition}/{{{{ request.query.run }}}}
      json: {{definition: {definition}}}
      retry: [{retry}]
"""


class Edits:
    """A proxy with a copy of addon/ and a mocks file; tests edit both."""

    def __init__(self, proxy: Proxy, folder: Path, sut: Receiver) -> None:
        self.proxy = proxy
        self.script = folder / "addon" / "mock.py"
        self.file = folder / "mocks.yaml"
        self.sut = sut
        self.runs = 0

    def post(self, scheme: str = "http") -> str:
        """Post a job, and return the body of the answer."""
        self.runs += 1
        url = f"{scheme}://{HOST}/jobs?run={self.runs}"
        return curl("-x", self.proxy.url, "--cacert", self.proxy.ca, "-d", "x", url).stdout

    def webhook(self, path: str) -> bytes:
        """Wait for the webhook with this path, and return its body."""
        received = wait_until(lambda: [got for got in self.sut.requests if got.path == path], f"a webhook at {path}")
        return received[0].body

    def text(self, definition: str, after: str = "0s", retry: str = "1s") -> str:
        return MOCKS.format(host=HOST, definition=definition, after=after, retry=retry, sut=self.sut.url)

    def advance(self) -> None:
        """Advance the clock by an hour, so that what is pending is sent."""
        with latehook.connect(self.proxy.port) as client:
            client.advance("1h")

    def edit(self, text: str) -> None:
        """Write the mocks file and wait until it is in use."""
        with self.next_line(r"reloaded"):
            self.file.write_text(text)

    def next_line(self, pattern: str) -> "NextLine":
        return NextLine(self.proxy, pattern)


class NextLine:
    """A context that ends when the log has one more line with a pattern. Then `line` is that line."""

    def __init__(self, proxy: Proxy, pattern: str) -> None:
        self._proxy, self._pattern = proxy, pattern
        self.line = ""

    def _lines(self) -> list[str]:
        return [line for line in list(self._proxy.lines) if re.search(self._pattern, line)]

    def __enter__(self) -> "NextLine":
        self._before = len(self._lines())
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self._proxy.wait_for(self._pattern, self._before + 1)
            self.line = self._lines()[self._before]


@pytest.fixture(scope="module")
def edits(confdir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edits]:
    folder = tmp_path_factory.mktemp("edits")
    shutil.copytree(MOCK_SCRIPT.parent, folder / "addon", ignore=shutil.ignore_patterns("__pycache__"))
    file = folder / "mocks.yaml"
    file.write_text("mocks: []\n")
    with receiver() as sut:
        with mitmdump(confdir, "--set", f"mock_file={file}", script=folder / "addon" / "mock.py") as proxy:
            yield Edits(proxy, folder, sut)


@pytest.fixture(autouse=True)
def nothing_crashed(edits: Edits) -> Iterator[None]:
    yield
    assert edits.proxy.process.poll() is None
    assert "crashed" not in edits.proxy.output and "latehook: an internal error" not in edits.proxy.output


# The mocks file


def test_an_edit_is_used_for_the_requests_that_come_after_it(edits: Edits) -> None:
    for definition in ("first", "second"):
        edits.edit(edits.text(definition))

        assert edits.post("http") == edits.post("https") == f'{{"definition":"{definition}"}}'
        assert edits.webhook(f"/{definition}/{edits.runs}") == f'{{"definition":"{definition}"}}'.encode()


def test_a_host_that_an_edit_adds_is_mocked_from_then_on(edits: Edits) -> None:
    edits.edit(edits.text("here") + "  - match: GET added.example/path\n    response: {text: added}\n")

    for scheme in ("http", "https"):
        done = curl("-x", edits.proxy.url, "--cacert", edits.proxy.ca, f"{scheme}://added.example/path")
        assert done.stdout == "added"


BROKEN = {
    "mocks:\n  - match: POST a.example/\n    respond: {}\n": 3,
    "mocks:\n  - match: a: b\n": 2,
    "mocks:\n\n  - match: POST a.example/\n    response: {text: '{{ requst.path }}'}\n": 4,
}
"""Texts with an error → its line."""


def test_an_edit_with_an_error_is_logged_with_its_line_and_the_previous_mocks_stay(edits: Edits) -> None:
    edits.edit(edits.text("good"))

    for broken, line in BROKEN.items():
        with edits.next_line(r"latehook: .*the previous mocks") as report:
            edits.file.write_text(broken)

        assert re.search(rf"{re.escape(str(edits.file))}:{line}\b", report.line), report.line
        assert edits.post() == '{"definition":"good"}'
    edits.edit(edits.text("corrected"))
    assert edits.post() == '{"definition":"corrected"}'


def test_a_file_that_is_replaced_by_a_rename_is_reloaded(edits: Edits) -> None:
    edits.edit(edits.text("before"))
    new = edits.file.with_suffix(".new")
    new.write_text(edits.text("behind"))
    stat = edits.file.stat()
    os.utime(new, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # with the same size and time, only the inode differs

    with edits.next_line("reloaded"):
        new.replace(edits.file)

    assert edits.post() == '{"definition":"behind"}'


def test_a_file_that_is_removed_and_written_again_is_reloaded(edits: Edits) -> None:
    edits.edit(edits.text("before"))

    edits.file.unlink()
    assert edits.post() == '{"definition":"before"}'
    edits.edit(edits.text("anew"))

    assert edits.post() == '{"definition":"anew"}'


def test_a_job_keeps_the_mock_that_started_it(edits: Edits) -> None:
    edits.edit(edits.text("old", after="1h"))
    edits.post()
    old = edits.runs

    edits.edit(edits.text("new"))
    edits.post()
    edits.advance()

    assert edits.webhook(f"/new/{edits.runs}") == b'{"definition":"new"}'
    assert edits.webhook(f"/old/{old}") == b'{"definition":"old"}'


def test_a_retry_uses_the_mock_that_started_its_job(edits: Edits) -> None:
    edits.edit(edits.text("failing", retry="1h"))
    path = f"/failing/{edits.runs + 1}"

    def fail_once(handler: Handler, number: int) -> None:
        first = [got.path for got in edits.sut.requests].count(path) == 1
        answer(503 if first else 200)(handler, number)

    edits.sut.behave = fail_once
    edits.post()
    edits.webhook(path)
    edits.edit("mocks: []\n")
    edits.advance()

    edits.proxy.wait_for(rf"delivered, attempt 2: .*{path}: 200")
    assert [got.body for got in edits.sut.requests if got.path == path] == [b'{"definition":"failing"}'] * 2


# mock.py


def _touch(edits: Edits) -> None:
    _write(edits, MOCK_SCRIPT.read_text(), "Loading script")


def _break(edits: Edits) -> None:
    _write(edits, "def (\n", "error in script")


def _correct(edits: Edits) -> None:
    _write(edits, MOCK_SCRIPT.read_text() + "\n# corrected\n", "Loading script")


def _delete(edits: Edits) -> None:
    with edits.next_line("Removing script"):
        edits.script.unlink()


def _write(edits: Edits, text: str, line: str) -> None:
    with edits.next_line(line):
        edits.script.write_text(text)
        later = max(time.time(), edits.script.stat().st_mtime) + 1  # mitmproxy recognises an edit only by its time
        os.utime(edits.script, (later, later))


@pytest.mark.parametrize("change", [_touch, _break, _correct, _delete], ids=["touch", "break", "correct", "delete"])
def test_an_edit_of_mock_py_keeps_pending_webhooks(edits: Edits, change: Callable[[Edits], None]) -> None:
    edits.edit(edits.text("pending", after="1h"))
    edits.post()
    pending = edits.runs

    change(edits)

    assert edits.post("http") == edits.post("https") == '{"definition":"pending"}'
    edits.advance()
    edits.webhook(f"/pending/{pending}")
    edits.edit(edits.text("edited"))
    assert edits.post() == '{"definition":"edited"}'
    edits.webhook(f"/edited/{edits.runs}")
