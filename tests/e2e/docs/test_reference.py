"""The examples of the control API in REFERENCE, run as they are written."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.limits import LIMIT
from support.paths import ROOT
from support.process import Proxy, clean_environment, mitmdump
from support.programs import curl
from support.receivers import Receiver, receiver

CONTROL = (ROOT / "addon" / "REFERENCE.md").read_text().partition("\n## Control\n")[2].partition("\n## ")[0]
VARIABLES = re.findall(r"^```sh\n(.*?)^```", CONTROL, re.MULTILINE | re.DOTALL)
EXAMPLES = re.findall(r"`(curl .*?)`", CONTROL)

MOCKS = """
vars: {verdict: done}
mocks:
  - name: create transcript
    match: POST api.slow.example/jobs
    job: {id: 4a3a}
    stages: [{after: 0s, webhook: true}, {after: 1h, status: completed, webhook: true}]
    webhook: {to: "{{ env.CALLBACK_URL }}"}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with `mocks.yaml`, in which the examples run."""
    folder = tmp_path_factory.mktemp("reference")
    (folder / "mocks.yaml").write_text(MOCKS)
    return folder


@pytest.fixture(scope="module")
def hooks() -> Iterator[Receiver]:
    with receiver() as hooks:
        yield hooks


@pytest.fixture(scope="module")
def proxy(confdir: Path, folder: Path, hooks: Receiver) -> Iterator[Proxy]:
    with mitmdump(confdir, cwd=folder, env={"CALLBACK_URL": hooks.url}) as proxy:
        yield proxy


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_of_the_control_api_works_as_it_is_written(
    example: str, proxy: Proxy, folder: Path, hooks: Receiver
) -> None:
    curl("-x", proxy.url, "--json", "{}", "http://api.slow.example/jobs")
    owed = json.loads(curl(f"{proxy.url}/_latehook/webhooks?state=pending&event=completed").stdout)
    script = "\n".join(
        [*VARIABLES, example.replace("/ID/", f"/{owed['items'][0]['id']}/").replace("curl ", "curl -sSf ")]
    )

    ran = subprocess.run(
        ["bash", "-c", script.replace("127.0.0.1:8080", f"127.0.0.1:{proxy.port}")],
        cwd=folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )

    assert (ran.returncode, ran.stderr) == (0, "")


def test_every_operation_has_an_example() -> None:
    rows = re.findall(r"^\| `(?:GET|POST) .*", CONTROL, re.MULTILINE)

    assert len(rows) == len(EXAMPLES) > 12
