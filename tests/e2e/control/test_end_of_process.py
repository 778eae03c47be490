"""The control API while the process ends: threads of the event loop have ended before, and requests still come."""

import signal
import threading
from collections.abc import Callable
from pathlib import Path

import httpx

from support.limits import LIMIT
from support.process import Proxy
from support.waiting import wait_until

SLOW_IMPORT = """
import os, sys, time

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "latehook.control.app":
            open(os.environ["IMPORT"] + "/has-begun", "w").close()
            while not os.path.exists(os.environ["IMPORT"] + "/may-end"):
                time.sleep(0.01)

sys.meta_path.insert(0, Finder())
"""


def status_of(proxy: Proxy) -> int | None:
    """Ask on a new connection. Return the status; None if the connection ends without a response."""
    try:
        return httpx.get(f"{proxy.url}/_latehook/status", trust_env=False, timeout=LIMIT).status_code
    except httpx.HTTPError:
        return None


def test_requests_that_come_while_its_import_is_waited_for_get_a_503(
    start: Callable[..., Proxy], tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(SLOW_IMPORT)
    proxy = start(mocks="mocks: []\n", env={"PYTHONPATH": str(tmp_path), "IMPORT": str(tmp_path)})
    first = threading.Thread(target=status_of, args=[proxy])
    first.start()
    wait_until((tmp_path / "has-begun").exists, "the import")

    proxy.process.send_signal(signal.SIGTERM)
    wait_until(lambda: status_of(proxy), "a response")
    with httpx.Client(base_url=f"{proxy.url}/_latehook/", trust_env=False, timeout=LIMIT) as client:
        responses = [client.get("status"), client.get("openapi.json"), client.post("mocks", content=b"mocks: []")]
    (tmp_path / "may-end").touch()
    first.join(LIMIT)

    assert [response.status_code for response in responses] == [503] * 3
    assert responses[0].headers["content-type"] == "application/problem+json"
    assert responses[0].json()["detail"] == "the proxy is shutting down"
    assert proxy.wait() == 0
    assert "Traceback" not in proxy.output
