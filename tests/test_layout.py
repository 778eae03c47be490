"""The tree as the README draws it: imports go down only, and each room names only the libraries that are its own."""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from harness import ROOT

PACKAGE = ROOT / "addon" / "latehook"
INNER = [PACKAGE / "mocksfile", PACKAGE / "control", PACKAGE / "client", PACKAGE / "store"]
"""The rooms that are folders with rooms of their own."""


def files_of(room: str) -> list[Path]:
    """A room is a file, or a folder of files."""
    return sorted((PACKAGE / room).glob("*.py")) or [PACKAGE / f"{room}.py"]


def docstring(file: Path) -> str:
    return ast.get_docstring(ast.parse(file.read_text())) or ""


def rooms_named_by(package: Path) -> list[str]:
    """Top to bottom, as a package says it of itself."""
    lines = docstring(package / "__init__.py").partition("go down only:\n")[2].splitlines()
    return [found[0] for line in lines for entry in line.split(" · ") if (found := re.match(r"\w+", entry))]


def rooms_there_are(package: Path) -> list[str]:
    return sorted(
        entry.stem for entry in package.iterdir() if entry.suffix == ".py" or (entry / "__init__.py").exists()
    )


ROOMS = rooms_named_by(PACKAGE)
DOCSTRINGS = {room: docstring(files_of(room)[0]) for room in ROOMS}
PURE = [room for room in ROOMS if DOCSTRINGS.get(room, "").startswith("PURE")]
ONLY_IN = {
    "mitmproxy": {
        *("addon", "conversion", "bridge", "guard", "naming", "layers", "http1", "faults"),
        *("attention", "flows", "commands", "authorities"),
    },
    "starlette": {"control"},
    "httpx": {"transport", "connections", "client"},
    "aiohttp": {"connections"},
    "sqlite3": {"store"},
    "ruamel": {"mocksfile"},
}
NOT_IN_PURE = {
    *("asyncio", "socket", "ssl", "subprocess", "threading", "time", "urllib.request"),
    *("os", "io", "pathlib", "tempfile", "logging"),
}
"""I/O and clocks: what the pure rooms are given instead of fetching."""


def imports_of(room: str) -> set[str]:
    return {name for file in files_of(room) for name in imports(file)}


def imports(file: Path) -> Iterator[str]:
    """Every module that a file names, wherever in it, with those it takes out of packages."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file.name}:{node.lineno}: a relative import"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_of(names: Iterable[str]) -> set[str]:
    """The rooms of ours among modules."""
    parts = (name.split(".") for name in names)
    return {part[1] for part in parts if part[0] == "latehook" and len(part) > 1}


def test_every_file_is_a_room_that_the_package_names() -> None:
    for package in (PACKAGE, *INNER):
        assert sorted([*rooms_named_by(package), "__init__"]) == rooms_there_are(package)


@pytest.mark.parametrize("room", ROOMS)
def test_imports_go_down_only(room: str) -> None:
    below = set(ROOMS[ROOMS.index(room) + 1 :])

    assert rooms_of(imports_of(room)) - {room} <= below


@pytest.mark.parametrize("package", INNER, ids=lambda package: package.name)
def test_imports_go_down_only_within_a_room_too(package: Path) -> None:
    inner = rooms_named_by(package)
    prefix = f"latehook.{package.name}."
    for at, room in enumerate(inner):
        named = {name.split(".")[2] for name in imports(package / f"{room}.py") if name.startswith(prefix)}
        assert named - {room} <= set(inner[at + 1 :]), room


@pytest.mark.parametrize("room", ["calls", "report", "answers"])
def test_what_both_shells_share_is_pure(room: str) -> None:
    file = PACKAGE / "client" / f"{room}.py"

    assert docstring(file).startswith("PURE")
    assert set(imports(file)) & NOT_IN_PURE == set()


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_is_named_only_in_its_rooms(library: str) -> None:
    naming = {room for room in ROOMS if library in {name.split(".")[0] for name in imports_of(room)}}

    assert naming
    assert naming <= ONLY_IN[library]


@pytest.mark.parametrize("room", PURE)
def test_a_pure_room_names_no_io_and_no_clock(room: str) -> None:
    assert imports_of(room) & NOT_IN_PURE == set()


def test_the_heart_and_its_helpers_call_themselves_pure() -> None:
    assert {"service", "scope", "expressions", "sandbox", "matching", "bodies"} <= set(PURE)


@pytest.mark.parametrize("room", ["store", "mocksfile", "options", "model"])
def test_a_room_that_needs_no_event_loop_names_none(room: str) -> None:
    assert "asyncio" not in imports_of(room)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_writes_its_log_lines_where_secrets_are_hidden(room: str) -> None:
    """A filter of a logger does not see what is written to those below it."""
    for file in files_of(room):
        made = re.findall(r"^log = .*", file.read_text(), re.MULTILINE)
        assert set(made) <= {"log = logging.getLogger(logs.LOGGER)"}


def test_mock_py_is_only_a_door() -> None:
    statements = ast.parse((ROOT / "addon" / "mock.py").read_text()).body

    kinds = [type(statement).__name__ for statement in statements]
    assert kinds == ["Expr", "ImportFrom", "Assign"]  # what it is, one import, `addons = […]`
    assert rooms_of(imports(ROOT / "addon" / "mock.py")) == {"addon"}
