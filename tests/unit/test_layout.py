"""The layout of `addon/latehook`: imports go down the list of packages, and each library has its packages."""

import ast
from collections.abc import Iterator
from pathlib import Path

from support.paths import ROOT

LATEHOOK = ROOT / "addon" / "latehook"
ORDER = (
    *(
        "cli",
        "pytest_plugin",
        "addon",
        "wiring",
        "proxy",
        "control",
        "options",
        "importing",
        "engine",
        "delivery",
        "mocksfile",
    ),
    *("openapi", "mocks", "expressions", "webhooks", "bodies", "store", "client", "api", "base"),
)
"""From the top down. A module imports its own package and those behind it."""
PURE = ("openapi", "mocks", "expressions", "webhooks", "bodies")
IO = {"asyncio", "io", "logging", "os", "pathlib", "socket", "ssl", "subprocess", "tempfile", "threading", "time"}
ONLY_IN = {
    "mitmproxy": {"addon", "wiring", "proxy", "importing"},
    "starlette": {"control"},
    "httpx": {"client", "delivery"},
    "sqlite3": {"store"},
    "ruamel": {"mocksfile"},
    "yaml": {"openapi"},
}
URLS = "base/urls.py"
"""The module that splits and joins URLs: the functions of `urllib.parse` raise ValueError for some texts."""
MODULES = sorted(file for file in LATEHOOK.rglob("*.py") if file != LATEHOOK / "__init__.py")


def package_of(file: Path) -> str:
    return file.relative_to(LATEHOOK).parts[0].removesuffix(".py")


def imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_a_module_imports_only_what_its_package_may() -> None:
    assert {str(file.relative_to(LATEHOOK)): wrong for file in MODULES if (wrong := forbidden_imports(file))} == {}


def forbidden_imports(file: Path) -> set[str]:
    """Return the packages of Latehook above the module's own, and the libraries, that it imports and may not."""
    package = package_of(file)
    names = [name.split(".") for name in imports(file)]
    libraries = {name[0] for name in names}

    above = {name[1] for name in names if name[0] == "latehook"} - set(ORDER[ORDER.index(package) :])
    elsewhere = {library for library, packages in ONLY_IN.items() if library in libraries and package not in packages}
    return above | elsewhere | (libraries & IO if package in PURE else set())


def test_only_one_module_splits_urls() -> None:
    raising = {f"urllib.parse.{name}" for name in ("urlsplit", "urlparse", "urljoin", "urldefrag")} | {"urllib.parse"}
    found = {str(file.relative_to(LATEHOOK)) for file in MODULES if raising & set(imports(file))}
    assert found == {URLS}
