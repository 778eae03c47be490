"""While the proxy runs, edits of mock.py and of the mocks file never let a mocked request out."""

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.limits import PROMPT
from support.paths import ADDON, MOCK_SCRIPT
from support.process import Proxy, mitmdump
from support.programs import curl
from support.third_party import ThirdParty


@pytest.fixture(scope="module")
def running(confdir: Path, mocked: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Proxy, Path]]:
    """A proxy that runs a copy of addon/, and the folder of the copy."""
    folder = tmp_path_factory.mktemp("copy") / "addon"
    shutil.copytree(ADDON, folder, ignore=shutil.ignore_patterns("__pycache__"))
    file = shutil.copy(mocked, folder.parent / "mocks.yaml")
    with mitmdump(confdir, "--set", f"mock_file={file}", script=folder / "mock.py") as proxy:
        yield proxy, folder


def post(proxy: Proxy, third_party: ThirdParty, path: str = "/api") -> list[Any]:
    """Return the responses to a path over http and https; the third party must not get the requests."""
    before = third_party.connections
    urls = third_party.urls(path)
    got = [curl("-x", proxy.url, "--cacert", proxy.ca, "-d", "x", url, limit=PROMPT) for url in urls]
    assert third_party.connections == before
    return [json.loads(done.stdout) for done in got]


def test_broken_edits_of_mock_py_and_its_deletion_change_nothing(
    running: tuple[Proxy, Path], third_party: ThirdParty
) -> None:
    proxy, folder = running
    script = folder / "mock.py"
    as_mocked = [{"mocked": True}] * 2
    broken = ("import no_such_module\n", "def (\n")

    for count, text in enumerate(broken, 1):
        edit(script, text, second=count)
        proxy.wait_for(f"error in script {script}", count)
        assert post(proxy, third_party) == as_mocked

    edit(script, MOCK_SCRIPT.read_text(), second=len(broken) + 1)
    proxy.wait_for("Loading script", 2 + len(broken))
    assert post(proxy, third_party) == as_mocked

    script.unlink()
    proxy.wait_for("Removing script")
    assert post(proxy, third_party) == as_mocked


def edit(file: Path, text: str, second: int) -> None:
    """Write the file with a modification time of its own: mitmproxy notices an edit only by a new time."""
    file.write_text(text)
    modified = time.time() + second
    os.utime(file, (modified, modified))


def test_a_path_without_a_mock_on_a_mocked_host_gets_a_501_that_explains(
    running: tuple[Proxy, Path], third_party: ThirdParty
) -> None:
    proxy, folder = running
    http, https = post(proxy, third_party, "/other?q=1")

    assert http["error"] == "latehook: no mock matches this request"
    assert http["request"] == {"method": "POST", "url": f"http://localhost:{third_party.plain.port}/other?q=1"}
    assert http["nearest"][0] == {
        "mock": f"ANY localhost:{third_party.plain.port}/api",
        "at": f"{folder.parent / 'mocks.yaml'}:5",
        "differs": "path is /other",
    }
    assert {
        "mock": f"GET localhost:{third_party.plain.port}/health",
        "at": f"{folder.parent / 'mocks.yaml'}:3",
        "differs": "method is POST, not GET",
    } in http["nearest"]
    assert https["request"]["url"] == f"https://localhost:{third_party.tls.port}/other?q=1"
    done = curl("-x", proxy.url, "-o", "/dev/null", "-w", "%{http_code} %{content_type}", http["request"]["url"])
    assert done.stdout == "501 application/json"


def test_a_host_stays_closed_after_its_last_mock_is_removed(
    running: tuple[Proxy, Path], third_party: ThirdParty
) -> None:
    proxy, folder = running

    (folder.parent / "mocks.yaml").write_text("mocks: [{match: GET another.example/}]\n")
    proxy.wait_for(r"reloaded .*mocks\.yaml")

    assert [answer["error"] for answer in post(proxy, third_party)] == ["latehook: no mock matches this request"] * 2
