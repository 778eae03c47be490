"""Fixtures of the tests of the control API."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.control_api import ControlApi
from support.process import mitmdump
from support.receivers import answer, receiver

MOCKS = """
vars: {{verdict: good}}
mocks:
  - name: orders
    match: POST api.slow.example/orders
    job: {{id: "{{{{ request.json.id }}}}", vars: {{kind: order}}}}
    response: {{status: 201, json: {{id: "{{{{ job.id }}}}"}}}}
    webhook:
      after: 1h
      event: order.done
      to: "{sut}/{{{{ request.json.id }}}}"
      json: {{verdict: "{{{{ vars.verdict }}}}"}}
      retry: none
  - name: letters
    match: POST api.slow.example/letters
    job: {{id: "{{{{ request.json.id }}}}"}}
    webhook: {{after: 2h, event: letter.done, to: "{sut}/{{{{ request.json.id }}}}", text: sent, retry: [10s, 20s]}}
  - match: GET api.slow.example/orders/{{id}}
    lookup: request.path.id
    response: {{json: {{status: "{{{{ job.status }}}}"}}}}
  - {{match: POST api.slow.example/raw, job: {{}}}}
  - match: POST api.slow.example/echo
    job: {{id: "{{{{ request.json.id }}}}"}}
    response: {{text: "{{{{ request.text }}}}"}}
    webhook: {{after: 1h, to: "{sut}/echo", text: "{{{{ request.text }}}}", retry: none}}
"""


@pytest.fixture(scope="module")
def shared_control(confdir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlApi]:
    file = tmp_path_factory.mktemp("control") / "mocks.yaml"
    with receiver() as sut:
        file.write_text(MOCKS.format(sut=sut.url))
        with mitmdump(confdir, "--set", f"mock_file={file}", env={"SHOP": "north"}) as proxy:
            yield ControlApi(proxy, sut)


@pytest.fixture
def control(shared_control: ControlApi) -> ControlApi:
    """The control API of the file's proxy after a reset."""
    shared_control.post("reset")
    shared_control.sut.requests.clear()
    shared_control.sut.behave = answer()
    return shared_control
