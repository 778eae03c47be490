"""The start imports only what the first request needs, because every test run waits for it."""

from collections.abc import Callable
from pathlib import Path

from support.process import HOST, Proxy
from support.programs import curl
from support.receivers import Receiver

IMPORTS_SCRIPT = """
import logging, sys

HEAVY = ("httpx", "latehook.client", "latehook.control", "latehook.delivery.transport", "starlette")

class Imports:
    def running(self):
        self.log("at the start")

    def response(self, flow):
        self.log("at a response")

    def done(self):
        self.log("at the end")

    def log(self, when):
        logging.info("imported %s: %s;", when, " ".join(name for name in HEAVY if name in sys.modules))

addons = [Imports()]
"""
MOCKS = f"""
mocks:
  - match: GET {HOST}/health
    response: {{text: ok}}
  - match: POST {HOST}/jobs
    webhook: {{to: "{{{{ env.CALLBACK_URL }}}}"}}
"""


def test_the_webhook_client_and_the_control_api_are_imported_at_their_first_use(
    start: Callable[..., Proxy], sut: Receiver, tmp_path: Path
) -> None:
    (tmp_path / "imports.py").write_text(IMPORTS_SCRIPT)
    (tmp_path / "mocks.yaml").write_text(MOCKS)
    options = ("-s", str(tmp_path / "imports.py"), "--set", f"mock_file={tmp_path / 'mocks.yaml'}")
    proxy = start(*options, env={"CALLBACK_URL": f"{sut.url}/hook"})

    curl("-x", proxy.url, f"http://{HOST}/health")
    proxy.wait_for("imported at the start: ;")
    proxy.wait_for("imported at a response: ;")

    curl("-x", proxy.url, "-d", "", f"http://{HOST}/jobs")
    sut.wait(1)
    curl(f"{proxy.url}/_latehook/status")
    proxy.stop()
    proxy.wait_for("imported at the end: httpx latehook.control latehook.delivery.transport starlette;")
