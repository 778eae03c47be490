"""Failpoints: a mitmproxy script that loads the addon and raises exceptions in chosen functions of our code."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.paths import ADDON, MOCK_SCRIPT

SCRIPT = """
import sys
from pathlib import Path

sys.path.insert(0, {addon!r})
from latehook import addon, store
from latehook.engine import engine
from latehook.proxy import guard, mocked_hosts

active, reached = Path({folder!r}) / "active", Path({folder!r}) / "reached"

def replace(owner, name):
    original = getattr(owner, name)
    point = owner.__name__.rpartition(".")[2] + "." + name
    def failing(*args, **kwargs):
        if point in active.read_text().split():
            reached.open("a").write(point + "\\n")
            raise RuntimeError("failpoint")
        return original(*args, **kwargs)
    setattr(owner, name, failing)

for point in {points!r}:
    owner, _, name = point.partition(".")
    for module in (addon, engine, guard, mocked_hosts, store):
        if hasattr(module, owner):
            replace(getattr(module, owner), name)
            break

addons = [addon.Door({mock!r})]
"""

IN_HOOKS = (
    *("Guard.client_connected", "Guard.http_connect", "Guard.next_layer", "Guard.tls_clienthello"),
    *("Guard._passes", "Guard._may_be_mocked", "Guard.client_disconnected", "Guard.server_connect", "Guard._decide"),
    *("Latehook.requestheaders", "Latehook.request", "Latehook.responseheaders", "Latehook.update"),
    *("Latehook._settle", "Latehook._answers_at_once", "Latehook._prepare", "Latehook._answer", "MockedHosts.closed"),
    *("Engine.accept", "decide.decide", "error_responses.failure", "Store.add_job", "Store.commit"),
)
"""Functions that run for a connection or a request."""

FOR_CONNECTIONS = IN_HOOKS[:6]
"""Those that run once for a connection."""

UNUSED = {
    *("Guard.server_connect", "error_responses.failure"),
    *("Latehook.requestheaders", "Latehook.request", "Latehook.responseheaders"),
}
"""Those that run for a mocked request only if another one has failed."""

COMBINATIONS = (
    "Latehook._settle Latehook.requestheaders",
    "Latehook._settle Latehook.request",
    "Latehook._settle Latehook.request error_responses.failure",
)
"""Functions that fail together: the fast path and mitmproxy's hook that takes over, and the error response for that."""

AT_START = ("Guard.__init__", "Latehook.load", "Latehook.configure", "Latehook._configure", "Latehook.running")
"""Functions that run when mitmproxy starts."""


class Failpoints:
    """The script and the files in `folder` with which a test controls it."""

    def __init__(self, folder: Path) -> None:
        self.script = folder / "failpoints.py"
        self._active = folder / "active"
        self._reached = folder / "reached"
        self._active.write_text("")
        names = {"addon": str(ADDON), "mock": str(MOCK_SCRIPT), "folder": str(folder), "points": IN_HOOKS + AT_START}
        self.script.write_text(SCRIPT.format(**names))

    @contextmanager
    def failing(self, *points: str) -> Iterator[None]:
        """Let these functions raise RuntimeError during the block."""
        self._active.write_text(" ".join(points))
        try:
            yield
        finally:
            self._active.write_text("")

    @property
    def reached(self) -> set[str]:
        """The functions that have raised since the start."""
        return set(self._reached.read_text().split()) if self._reached.exists() else set()
