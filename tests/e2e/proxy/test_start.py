"""The start imports what the first request needs, and nothing else: it is waited for by every test run."""

from collections.abc import Callable
from pathlib import Path

from support.process import HOST, Proxy
from support.programs import curl
from support.receivers import Receiver

LOOKS = """
import logging, sys

HEAVY = ("aiohttp", "httpx", "latehook.client", "latehook.control", "latehook.delivery.transport", "starlette")

class Looks:
    def running(self):
        self.tell("at the start")

    def response(self, flow):
        self.tell("at a response")

    def done(self):
        self.tell("at the end")

    def tell(self, when):
        logging.info("imported %s: %s;", when, " ".join(name for name in HEAVY if name in sys.modules))

addons = [Looks()]
"""
MOCKS = f"""
mocks:
  - match: GET {HOST}/health
    response: {{text: ok}}
  - match: POST {HOST}/jobs
    webhook: {{to: "{{{{ env.CALLBACK_URL }}}}"}}
"""


def test_the_client_of_the_attempts_and_the_control_api_are_imported_when_they_are_needed(
    start: Callable[..., Proxy], sut: Receiver, tmp_path: Path
) -> None:
    (tmp_path / "looks.py").write_text(LOOKS)
    (tmp_path / "mocks.yaml").write_text(MOCKS)
    options = ("-s", str(tmp_path / "looks.py"), "--set", f"mock_file={tmp_path / 'mocks.yaml'}")
    proxy = start(*options, env={"CALLBACK_URL": f"{sut.url}/hook"})

    curl("-x", proxy.url, f"http://{HOST}/health")
    proxy.wait_for("imported at the start: ;")
    proxy.wait_for("imported at a response: ;")

    curl("-x", proxy.url, "-d", "", f"http://{HOST}/jobs")
    sut.wait(1)
    curl(f"{proxy.url}/_latehook/status")
    proxy.stop()
    proxy.wait_for("imported at the end: aiohttp httpx latehook.control latehook.delivery.transport starlette;")
