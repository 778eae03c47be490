"""The public interface: what `latehook` exports, and how it is documented."""

import ast
import importlib.metadata
import inspect
import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import latehook
from latehook import AsyncLatehook, Latehook, aio
from latehook.base import version
from latehook.client import filters, sync
from latehook.control import params
from latehook.delivery import advance
from latehook.engine.filters import FILTERS
from support.paths import ROOT

CLASSES = [getattr(latehook, name) for name in latehook.__all__ if inspect.isclass(getattr(latehook, name))]
FUNCTIONS = [sync.connect, sync.start, aio.connect, aio.start]


def members(client: type) -> dict[str, Any]:
    """The public methods and properties of a client, by name."""
    return {name: value for name, value in inspect.getmembers_static(client) if not name.startswith("_")}


def unwrapped(member: Any) -> Callable[..., Any]:
    return member.fget if isinstance(member, property) else inspect.unwrap(member)


METHODS = [
    pytest.param(unwrapped(member), id=f"{client.__name__}.{name}")
    for client in (Latehook, AsyncLatehook)
    for name, member in members(client).items()
] + [pytest.param(inspect.unwrap(function), id=f"{function.__module__}.{function.__name__}") for function in FUNCTIONS]


def test_every_name_can_be_imported_and_no_other_is_listed() -> None:
    assert {name for name in latehook.__all__ if not hasattr(latehook, name)} == set()
    assert set(latehook.__all__) <= set(dir(latehook))
    with pytest.raises(AttributeError, match="has no attribute 'conect'"):
        latehook.conect  # noqa: B018


def test_type_checkers_see_every_name() -> None:
    tree = ast.parse(Path(latehook.__file__).read_text())
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {alias.asname for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    declared = {node.target.id for node in block.body if isinstance(node, ast.AnnAssign)}  # type: ignore[union-attr]

    assert seen | declared == set(latehook.__all__)
    assert (ROOT / "addon" / "latehook" / "py.typed").exists()


def test_the_version_is_that_of_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    assert latehook.__version__ == importlib.metadata.version("latehook")

    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert latehook.__version__ == version.UNKNOWN


def test_failed_expectations_are_assertions_and_all_else_is_one_error() -> None:
    failures = (latehook.WaitTimeout, latehook.AdvanceTimeout, latehook.StrictCheckFailed)

    assert all(issubclass(failure, latehook.ExpectationFailed) for failure in failures)
    assert issubclass(latehook.ExpectationFailed, AssertionError)
    assert issubclass(latehook.ControlError, latehook.LatehookError)


def test_the_synchronous_client_is_made_from_the_asynchronous_one() -> None:
    unasync = runpy.run_path(str(ROOT / "scripts" / "unasync.py"))

    assert unasync["TARGET"].read_text() == unasync["sync_source"](), "run scripts/unasync"


def test_both_clients_have_the_same_methods() -> None:
    assert members(Latehook).keys() == members(AsyncLatehook).keys() | {"aio"}


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_class_has_a_docstring_of_its_own(kind: type) -> None:
    assert kind.__dict__["__doc__"]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_describes_its_parameters(method: Callable[..., Any]) -> None:
    text = inspect.getdoc(method) or ""
    parameters = [
        f"**{name}" if parameter.kind is inspect.Parameter.VAR_KEYWORD else name
        for name, parameter in inspect.signature(method).parameters.items()
        if name != "self"
    ]

    assert text
    assert re.findall(r"^    (\S+): ", text.partition("Args:\n")[2].partition("\n\n")[0], re.MULTILINE) == parameters


def test_an_advance_says_its_limit() -> None:
    assert f"within {advance.LIMIT:g} s" in (Latehook.advance.__doc__ or "")


def test_filters_have_the_same_names_everywhere() -> None:
    assert set(filters.Filters.__annotations__) == set(FILTERS) == set(params.Filters.__struct_fields__)
    assert set(filters.RequestFilters.__annotations__) == set(FILTERS) & set(params.RequestsQuery.__struct_fields__)
