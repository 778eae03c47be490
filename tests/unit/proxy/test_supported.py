"""Which mitmproxy is supported, and what happens with one that is not."""

import ast
import inspect
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from mitmproxy import version

from latehook.proxy import compat, supported
from support.paths import ADDON, ROOT

PROXY = ADDON / "latehook" / "proxy"


@pytest.mark.parametrize("found", ["12.2.1", "12.2.3", "12.3.0.dev", "12.10.0"])
def test_a_version_in_the_range_is_supported(found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(version, "VERSION", found)

    supported.check()


@pytest.mark.parametrize("found", ["10.4.2", "11.1.3", "12.2.0", "13.0.0.dev", "13.0.0"])
def test_the_line_names_the_version_the_range_and_the_remedy(found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(version, "VERSION", found)

    with pytest.raises(supported.Unsupported) as raised:
        supported.check()

    assert str(raised.value) == (
        f"mitmproxy {found} is not supported: Latehook needs mitmproxy>=12.2.1,<13; "
        "run: pip install 'mitmproxy>=12.2.1,<13'"
    )
    assert supported.explain(raised.value) == str(raised.value)


def test_the_packages_dependency_is_the_same_range() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert f"mitmproxy{supported.RANGE}" in project["dependencies"]


METHODS = [
    pytest.param(owner, name, id=f"{owner.__name__}.{name}")
    for owner, names in compat.ATTRIBUTES.items()
    for name in names.split()
    if inspect.isfunction(vars(owner).get(name)) and not any(hasattr(base, name) for base in owner.__mro__[1:])
]


@pytest.mark.parametrize(("owner", "name"), METHODS)
def test_a_method_that_is_missing_is_named(owner: type, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(owner, name)
    monkeypatch.setattr(version, "VERSION", "12.9.0")

    with pytest.raises(supported.Unsupported, match=rf"^mitmproxy 12\.9\.0 lacks {owner.__name__}\.{name}: "):
        supported.check()


def test_an_instance_attribute_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compat, "ATTRIBUTES", {compat.HttpStream: "client_state no_such_state"})

    assert compat.missing() == ["HttpStream.no_such_state"]


def test_an_import_of_mitmproxy_that_fails_is_explained_and_any_other_error_is_shown() -> None:
    try:
        from mitmproxy.proxy.layers.http import no_such_name  # type: ignore[attr-defined] # noqa: F401
    except ImportError as error:
        line = supported.explain(error)

    assert re.match(rf"mitmproxy {re.escape(version.VERSION)} lacks a name that Latehook uses \(.*no_such_name", line)
    assert line.endswith("run: pip install 'mitmproxy>=12.2.1,<13'")
    missing = ModuleNotFoundError("No module named 'msgspec'", name="msgspec")
    assert supported.explain(missing) == "cannot start: ModuleNotFoundError: No module named 'msgspec'"


OTHERS = ("aiohttp", "httpx", "jinja2", "msgspec", "python_multipart", "ruamel", "starlette")


def test_the_check_runs_without_latehooks_dependencies() -> None:
    """An old mitmproxy is often another installation, which has none of them."""
    script = f"import sys; sys.modules.update(dict.fromkeys({OTHERS})); import latehook.addon"

    done = subprocess.run([sys.executable, "-c", script], cwd=ADDON, capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")


DOCUMENTED = {
    *(
        "addonmanager",
        "certs",
        "command",
        "connection",
        "ctx",
        "exceptions",
        "flow",
        "hooks",
        "http",
        "master",
        "options",
        "tls",
    ),
    *("dns", "net.dns", "version", "proxy.context", "proxy.mode_specs", "proxy.server_hooks", "tools"),
}
"""mitmproxy's modules with documented names: https://docs.mitmproxy.org/stable/api/, and the guides to addons beside it.

`tools` has the entry points of its programs.
"""


@pytest.mark.parametrize("module", sorted(PROXY.glob("*.py")), ids=lambda file: file.stem)
def test_only_compat_imports_what_mitmproxy_does_not_document(module: Path) -> None:
    assert module.name == "compat.py" or set(imported(module)) <= DOCUMENTED


def imported(file: Path) -> Iterator[str]:
    """Yield the modules of mitmproxy that a file imports, or imports names from."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name.partition("mitmproxy.")[2] for name in node.names if "mitmproxy" in name.name)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "mitmproxy":
            package = node.module.partition(".")[2]
            names = [f"{package}.{name.name}".strip(".") for name in node.names]
            yield from names if package in ("", "proxy") else (package,)
