"""A mocked host takes four long uploads at once without holding them in memory."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.limits import LONG_LIMIT
from support.process import Proxy, mitmdump
from support.programs import curl
from support.receivers import Receiver, receiver

HOST = "api.slow.example"
MB = 1024 * 1024
SIZE = 120 * MB
AT_ONCE = 4
MEMORY_GROWTH = 120 * MB
"""Bytes that the process may grow by. It may keep 16 MiB of each of the four bodies; one whole body would exceed it."""

MOCKS = """
mocks:
  - match: POST {host}/documents
    response:
      json:
        id: "{{{{ job.id }}}}"
        size: "{{{{ request.size }}}}"
        length: "{{{{ request.headers.content_length }}}}"
        type: "{{{{ request.headers.content_type }}}}"
    webhook: {{after: 0s, to: "{url}/hook", json: {{id: "{{{{ job.id }}}}"}}}}
  - match: POST {host}/documents/read
    response: {{json: {{text: "{{{{ request.text }}}}"}}}}
  - match: POST {host}/documents/cut
    webhook: {{after: 0s, to: "{url}/cut", json: {{id: "{{{{ job.id }}}}"}}}}
"""

KINDS: dict[str, list[str]] = {
    "http": ["--http1.1", f"http://{HOST}/documents"],
    "http-chunked": ["--http1.1", "-H", "transfer-encoding: chunked", f"http://{HOST}/documents"],
    "https": ["--http1.1", f"https://{HOST}/documents"],
    "https-http2": ["--http2", f"https://{HOST}/documents"],
}

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="this system has no /proc to read the memory peak from"
)


@pytest.fixture(scope="module")
def hooks() -> Iterator[Receiver]:
    with receiver() as server:
        yield server


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sparse file of this size: it takes no space on the disk, and curl reads it piece by piece."""
    file = tmp_path_factory.mktemp("document") / "document.pdf"
    with file.open("wb") as pdf:
        pdf.write(b"%PDF-1.7\n")
        pdf.truncate(SIZE)
    return file


@pytest.fixture(scope="module")
def folder(hooks: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uploads")
    (folder / "mocks.yaml").write_text(MOCKS.format(host=HOST, url=hooks.url))
    return folder


@contextmanager
def warm_proxy(confdir: Path, folder: Path, *options: str) -> Iterator[Proxy]:
    """Run a proxy that has answered a small upload of each kind, so that later growth comes from the large ones."""
    small = folder / "small.pdf"
    small.write_bytes(b"%PDF-1.7\n")
    with mitmdump(confdir, "--set", f"mock_file={folder}/mocks.yaml", *options) as proxy:
        upload(proxy, small, list(KINDS))
        yield proxy


@pytest.fixture(scope="module")
def proxy(confdir: Path, folder: Path) -> Iterator[Proxy]:
    with warm_proxy(confdir, folder) as started:
        yield started


def upload(proxy: Proxy, document: Path, kinds: Sequence[str]) -> list[dict[str, object]]:
    """Send a multipart form with the document in each of these ways, all at once; return the responses."""

    def one(kind: str) -> dict[str, object]:
        form = ["-F", "title=A long document", "-F", f"document=@{document};type=application/pdf"]
        sent = curl("-x", proxy.url, "--cacert", proxy.ca, *form, *KINDS[kind], limit=LONG_LIMIT)
        assert sent.returncode == 0, sent.stderr
        return json.loads(sent.stdout)

    with ThreadPoolExecutor(len(kinds)) as pool:
        return list(pool.map(one, kinds))


@pytest.mark.slow
@pytest.mark.parametrize(
    "kinds",
    [
        pytest.param([*KINDS], id="each"),
        *(pytest.param([kind] * AT_ONCE, id=kind, marks=pytest.mark.long) for kind in KINDS),
    ],
)
def test_four_long_uploads_at_once_are_not_held_in_memory(
    kinds: list[str], proxy: Proxy, hooks: Receiver, document: Path
) -> None:
    before = proxy.memory_peak()

    answers = upload(proxy, document, kinds)

    for kind, answer in zip(kinds, answers, strict=True):
        assert SIZE < answer["size"] < SIZE + 1000  # type: ignore[operator]
        assert answer["length"] == (None if kind == "http-chunked" else str(answer["size"]))
        assert str(answer["type"]).startswith("multipart/form-data")
    assert proxy.memory_peak() - before < MEMORY_GROWTH
    for answer in answers:
        proxy.wait_for(f"job {answer['id']}: webhook delivered")


@pytest.mark.slow
def test_mitmproxys_options_for_large_bodies_do_not_apply_to_a_mocked_host(
    confdir: Path, folder: Path, document: Path
) -> None:
    with warm_proxy(confdir, folder, "--set", "stream_large_bodies=1m", "--set", "body_size_limit=1m") as proxy:
        before = proxy.memory_peak()

        answers = upload(proxy, document, list(KINDS))

        assert all(SIZE < answer["size"] < SIZE + 1000 for answer in answers)  # type: ignore[operator]
        assert proxy.memory_peak() - before < MEMORY_GROWTH


@pytest.mark.slow
def test_long_forms_are_parsed_while_they_arrive(confdir: Path, document: Path, tmp_path: Path) -> None:
    (tmp_path / "mocks.yaml").write_text(
        f"mocks: [{{match: POST {HOST}/documents, response: {{json: "
        '{title: "{{ request.form.title }}", bytes: "{{ request.files.document.size }}"}}}]'
    )
    with warm_proxy(confdir, tmp_path) as proxy:
        before = proxy.memory_peak()

        answers = upload(proxy, document, list(KINDS))

        assert answers == [{"title": "A long document", "bytes": SIZE}] * AT_ONCE
        assert proxy.memory_peak() - before < MEMORY_GROWTH


def test_a_mock_that_reads_the_text_of_an_upload_that_is_too_long_gets_an_error(proxy: Proxy, document: Path) -> None:
    sent = curl("-x", proxy.url, "-T", str(document), "-X", "POST", f"http://{HOST}/documents/read", limit=LONG_LIMIT)

    error = json.loads(sent.stdout)["error"]

    assert f"{SIZE:,} bytes" in error and "kept" in error


def test_an_upload_that_the_client_breaks_off_starts_no_job(proxy: Proxy, hooks: Receiver, tmp_path: Path) -> None:
    cut = ["--max-time", "0.5", "--limit-rate", "1M", "-x", proxy.url, "-F", f"document=@{tmp_path}/d.pdf"]
    (tmp_path / "d.pdf").write_bytes(bytes(20 * MB))

    status = subprocess.run(["curl", "-sS", *cut, f"http://{HOST}/documents/cut"], capture_output=True).returncode
    [after] = upload(proxy, tmp_path / "d.pdf", ["http"])

    assert status == 28  # curl's own time limit
    proxy.wait_for(f"job {after['id']}: webhook delivered")
    assert "/cut" not in [request.path for request in hooks.requests]
