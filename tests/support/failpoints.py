"""Failpoints: a mitmproxy script that loads the addon and raises exceptions in chosen functions of our code."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from latehook.engine.engine import Engine
from latehook.mocks import decide, error_responses
from latehook.proxy import fast
from latehook.proxy.fast import Shortcuts
from latehook.proxy.guard import Guard
from latehook.proxy.hooks import Hooks
from latehook.proxy.layers import RequestPolicy
from latehook.proxy.mocked_hosts import MockedHosts
from latehook.proxy.observers import Observers
from latehook.proxy.request_state import RequestStates
from latehook.store.sqlite import SqliteStore
from latehook.wiring import Latehook
from support.paths import ADDON, MOCK_SCRIPT

SCRIPT = """
import sys
from importlib import import_module
from pathlib import Path

sys.path.insert(0, {addon!r})
from latehook.addon import Door

active, reached = Path({folder!r}) / "active", Path({folder!r}) / "reached"

def replace(point):
    module, _, path = point.partition(":")
    *classes, name = path.split(".")
    owner = import_module(module)
    for each in classes:
        owner = getattr(owner, each)
    original = getattr(owner, name)
    def failing(*args, **kwargs):
        if point in active.read_text().split():
            reached.open("a").write(point + "\\n")
            raise RuntimeError("failpoint")
        return original(*args, **kwargs)
    setattr(owner, name, failing)

for point in {points!r}:
    replace(point)

addons = [Door({mock!r})]
"""


def point(owner: type | ModuleType, name: str) -> str:
    """Return how SCRIPT names a function: `module:Class.function`, or `module:function`."""
    return f"{owner.__module__}:{owner.__name__}.{name}" if isinstance(owner, type) else f"{owner.__name__}:{name}"


def points_of(owner: type) -> set[str]:
    """Return all functions of a class, except the special methods."""
    functions = (name for name, value in vars(owner).items() if inspect.isfunction(value))
    return {point(owner, name) for name in functions if not name.startswith("__")}


def short(points: str) -> str:
    """Return a test id: the functions without their modules."""
    return " ".join(each.partition(":")[2] for each in points.split()) or "nothing"


_POLICY = {
    point(Guard, name)
    for protocol in RequestPolicy.__mro__
    for name, value in vars(protocol).items()
    if inspect.isfunction(value) and name in vars(Guard)
}
"""What mitmproxy's layers call. It catches exceptions itself: one in a layer leaves the client without a response."""

IN_HOOKS = (
    *sorted((points_of(Guard) | points_of(Hooks) | points_of(Shortcuts)) - _POLICY),
    *(point(MockedHosts, "contains"), point(RequestStates, "_decide")),
    *(point(Engine, "accept"), point(decide, "decide"), point(error_responses, "failure")),
    *(point(SqliteStore, "add_job"), point(SqliteStore, "commit_now")),
)
"""Functions that run for a connection or a request."""

FOR_CONNECTIONS = points_of(Guard)
"""Those that run for a connection."""

CONNECTED, REQUEST, SHORTCUT = (
    point(Guard, "client_connected"),
    point(Hooks, "latehook_answer"),
    point(Shortcuts, "handle"),
)

_OF_CHAIN = {REQUEST, point(Hooks, "requestheaders"), point(Hooks, "responseheaders")}
"""mitmproxy's hooks for requests, which the shortcut makes unnecessary."""

UNUSED = {
    *(point(Guard, "server_connect"), point(Guard, "_names_mocked"), point(error_responses, "failure")),
    point(Guard, "_hides_its_host"),
    *(point(Hooks, "_by_each_name"), point(Hooks, "_forward"), point(Hooks, "_serve_control")),
    *(point(Hooks, "_streams"), point(Hooks, "_stream_request"), point(Hooks, "refuse_connect")),
    *(point(Guard, "request"), point(Guard, "_may_leave"), point(Guard, "_is_way_of_allowed")),
    *(point(Hooks, "not_contacted"), point(Hooks, "_not_replayed"), point(Hooks, "_failure")),
    *(_OF_CHAIN if fast.ENABLED else {point(Shortcuts, "_answer")}),
}
"""Those that run for a mocked request only if another one has failed."""

COMBINATIONS = (
    f"{SHORTCUT} {point(Hooks, 'requestheaders')}",
    f"{SHORTCUT} {REQUEST}",
    f"{SHORTCUT} {REQUEST} {point(error_responses, 'failure')}",
)
"""Functions that fail together: the shortcut and mitmproxy's hook that takes over, and the error response for that."""

_WHILE_RUNNING = ("configure", "done", "_load_mocks", "_refusal", "_route", "_record", "_control", "_may_be_shared")
"""The functions of wiring.Latehook that the start does not call."""

AT_START = (
    *(point(made, "__init__") for made in (Latehook, Guard, Hooks, Shortcuts, Observers, MockedHosts, RequestStates)),
    *sorted(points_of(Latehook) - {point(Latehook, name) for name in _WHILE_RUNNING}),
)
"""Functions that run when mitmproxy starts."""

ONCE_RUNNING = {point(Latehook, name) for name in ("running", "_named_hosts", "_name_what_has_no_effect")}
"""Those in mitmproxy's last hook of the start: it reports their exceptions itself."""


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
