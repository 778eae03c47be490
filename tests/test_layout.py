"""The tree as the README draws it: imports go down only, and each room names only the libraries that are its own."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import ROOT

PACKAGE = ROOT / "addon" / "latehook"
DOCSTRINGS = {file.stem: ast.get_docstring(ast.parse(file.read_text())) or "" for file in PACKAGE.rglob("*.py")}
ROOMS = [
    found[0]
    for line in DOCSTRINGS["__init__"].splitlines()[3:]
    for entry in line.split(" · ")
    if (found := re.match(r"\w+", entry))
]
"""Top to bottom, as the package says it of itself."""

PURE = [room for room in ROOMS if DOCSTRINGS.get(room, "").startswith("PURE")]
ONLY_IN = {
    "mitmproxy": {"addon", "guard", "layers", "flows"},
    "httpx": {"transport", "client"},
    "aiohttp": {"transport"},
    "sqlite3": {"store"},
    "ruamel": {"source"},
}
NOT_IN_PURE = {
    *("asyncio", "socket", "ssl", "subprocess", "threading", "time", "urllib.request"),
    *("os", "io", "pathlib", "tempfile", "logging"),
}
"""I/O and clocks: what the pure rooms are given instead of fetching."""


def imports(file: Path) -> Iterator[str]:
    """Every module that a file names, wherever in it, with those it takes out of packages."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file.name}:{node.lineno}: a relative import"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_of(names: Iterator[str]) -> set[str]:
    """The rooms of ours among modules."""
    parts = (name.split(".") for name in names)
    return {part[1] for part in parts if part[0] == "latehook" and len(part) > 1}


def test_every_file_is_a_room_that_the_package_names() -> None:
    assert sorted(ROOMS) == sorted(DOCSTRINGS.keys() - {"__init__"})


@pytest.mark.parametrize("room", ROOMS)
def test_imports_go_down_only(room: str) -> None:
    below = set(ROOMS[ROOMS.index(room) + 1 :])

    assert rooms_of(imports(PACKAGE / f"{room}.py")) <= below


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_is_named_only_in_its_rooms(library: str) -> None:
    naming = {room for room in ROOMS if library in {name.split(".")[0] for name in imports(PACKAGE / f"{room}.py")}}

    assert naming
    assert naming <= ONLY_IN[library]


@pytest.mark.parametrize("room", PURE)
def test_a_pure_room_names_no_io_and_no_clock(room: str) -> None:
    assert set(imports(PACKAGE / f"{room}.py")) & NOT_IN_PURE == set()


def test_the_heart_and_its_helpers_call_themselves_pure() -> None:
    assert {"service", "scope", "expressions", "sandbox", "matching", "bodies"} <= set(PURE)


@pytest.mark.parametrize("room", ["store", "mocksfile", "source", "options", "model"])
def test_a_room_that_needs_no_event_loop_names_none(room: str) -> None:
    assert "asyncio" not in set(imports(PACKAGE / f"{room}.py"))


def test_mock_py_is_only_a_door() -> None:
    statements = ast.parse((ROOT / "addon" / "mock.py").read_text()).body

    kinds = [type(statement).__name__ for statement in statements]
    assert kinds == ["Expr", "ImportFrom", "Assign"]  # what it is, one import, `addons = […]`
    assert rooms_of(imports(ROOT / "addon" / "mock.py")) == {"addon"}
