"""The pytest plugin: the fixture `latehook`, a proxy that is started once a session and reset after each test.

pytest imports this at every start, so what takes time to import is imported where it is used.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from latehook.client.process import Process
    from latehook.client.sync import Latehook

MARKER = """\
latehook(mocks=None, *, vars=None, strict=False): what the fixture `latehook` begins with. mocks: the path of a mocks \
file (beside the test, or in the folder pytest is started in), YAML text, or a dict; vars: variables; strict: at the \
end nothing may be owed, failed or unmatched. Of several the nearest to the test comes first."""

_LOG = pytest.StashKey[tuple["Process", int]]()
_FAILED = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER)


def pytest_itemcollected(item: pytest.Item) -> None:
    """A test with the marker has the fixture, though it does not name it."""
    names = getattr(item, "fixturenames", None)
    if names is not None and "latehook" not in names and item.get_closest_marker("latehook"):
        names.append("latehook")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that failed shows what the proxy has said meanwhile."""
    made = yield
    if made.failed and _LOG in item.stash:
        item.stash[_FAILED] = True
        process, begin = item.stash[_LOG]
        made.sections.append(("Latehook's log", process.log(begin)))
    return made


@pytest.fixture(scope="session")
def latehook_options() -> Mapping[str, str | Sequence[str]]:
    """Options of the proxy, as `--set` takes them. Override it: `{"mock_targets": ["app", "*.internal"]}`."""
    return {}


@pytest.fixture(scope="session")
def _latehook_process(latehook_options: Mapping[str, str | Sequence[str]]) -> Iterator["Process"]:
    from latehook.client import process

    with process.started(None, latehook_options) as own:
        yield own


@pytest.fixture(scope="session")
def _latehook_client(_latehook_process: "Process") -> Iterator["Latehook"]:
    from latehook.client import sync

    with sync.connect(_latehook_process.port) as client:
        yield client


@pytest.fixture
def latehook(
    request: pytest.FixtureRequest, _latehook_process: "Process", _latehook_client: "Latehook"
) -> Iterator["Latehook"]:
    """A proxy that stands in for the third parties of the test's mocks, and what steers it."""
    item = request.node
    item.stash[_LOG] = _latehook_process, _latehook_process.position()
    client = _latehook_client.reading_beside(request.path.parent)
    marks = [_Mark(*mark.args, **mark.kwargs) for mark in item.iter_markers("latehook")]
    try:
        for mark in reversed(marks):
            mark.begin(client)
        yield client
        if next((mark.strict for mark in marks if mark.strict is not None), False) and _FAILED not in item.stash:
            client.check_strictly()
    finally:
        client.reset()


class _Mark:
    """What one marker says."""

    def __init__(self, mocks: Any = None, *, vars: Mapping[str, Any] | None = None, strict: bool | None = None) -> None:
        self._mocks = mocks
        self._vars = vars
        self.strict = strict

    def begin(self, client: "Latehook") -> None:
        if self._mocks is not None:
            client.load(self._mocks)
        if self._vars:
            client.vars.update(self._vars)
