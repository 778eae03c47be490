"""The pytest plugin: the fixture `latehook`, a proxy that is started once a session and reset after each test.

pytest imports this module at every start. So what takes time to import is imported where it is used.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from latehook.client.process import ProxyProcess
    from latehook.client.sync import Latehook

MARKER = """\
latehook(mocks=None, *, vars=None, strict=False): use the fixture `latehook`, and start the test with these mocks and \
variables. mocks: the path of a mocks file (beside the test's file, or in the folder where pytest is started), YAML \
text, or a dict. vars: a dict of variables. strict: fail at the test's end if a webhook is pending or failed, or if a \
request matched no mock, or left for a host that no mock names. All markers of a test count; the nearest \
one comes first."""

SHOWN = 20
"""Requests of each kind that the report of a failed test shows at most."""

_LOG = pytest.StashKey[tuple["ProxyProcess", int, "Latehook"]]()
_FAILED = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Give a test with the marker the fixture, even if it does not name it."""
    names = getattr(item, "fixturenames", None)
    if names is not None and "latehook" not in names and item.get_closest_marker("latehook"):
        names.append("latehook")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what came to the proxy during a test that failed, and what it logged."""
    report = yield
    if report.failed and _LOG in item.stash:
        item.stash[_FAILED] = True
        process, begin, client = item.stash[_LOG]
        if report.when == "call":  # a reset after it forgets the requests
            report.sections.append(("Latehook's requests", _requests(client)))
        report.sections.append(("Latehook's log", process.log_of_test(begin) or "nothing was logged during this test"))
    return report


@pytest.fixture(scope="session")
def latehook_options() -> Mapping[str, str | Sequence[str]]:
    """Options of the proxy, as `--set` takes them. Override it: `return {"mock_targets": ["app", "*.internal"]}`."""
    return {}


@pytest.fixture(scope="session")
def _latehook_process(latehook_options: Mapping[str, str | Sequence[str]]) -> Iterator["ProxyProcess"]:
    from latehook.client import process

    with process.run_proxy(None, latehook_options) as started:
        yield started


@pytest.fixture(scope="session")
def _latehook_client(_latehook_process: "ProxyProcess") -> Iterator["Latehook"]:
    from latehook.client import sync

    with sync.connect(_latehook_process.port) as client:
        yield client


@pytest.fixture
def latehook(
    request: pytest.FixtureRequest, _latehook_process: "ProxyProcess", _latehook_client: "Latehook"
) -> Iterator["Latehook"]:
    """A proxy that stands in for the third parties of the test's mocks: a `latehook.Latehook`, reset after the test.

    To annotate it: `def test_it(latehook: latehook.Latehook)`.
    """
    item = request.node
    item.stash[_LOG] = _latehook_process, _latehook_process.log_size(), _latehook_client
    client = _latehook_client.in_folder(request.path.parent)
    markers = [_Marker(*marker.args, **marker.kwargs) for marker in item.iter_markers("latehook")]
    is_strict = next((marker.strict for marker in markers if marker.strict is not None), False)
    try:
        if is_strict:  # what came between two tests is not this one's
            client.reset()
        for marker in reversed(markers):
            marker.apply(client)
        yield client
        if is_strict and _FAILED not in item.stash:
            client.check_strictly()
    finally:
        client.reset()


def _requests(client: "Latehook") -> str:
    """Return what came to the proxy in this test, one line each."""
    from latehook.base.errors import LatehookError
    from latehook.client import failures

    try:
        return failures.describe_requests(client.requests(limit=SHOWN), client.others(limit=SHOWN))
    except LatehookError as error:
        return str(error)


class _Marker:
    """The arguments of one marker. `strict` is None where it does not say."""

    def __init__(self, mocks: Any = None, *, vars: Mapping[str, Any] | None = None, strict: bool | None = None) -> None:
        self._mocks = mocks
        self._vars = vars
        self.strict = strict

    def apply(self, client: "Latehook") -> None:
        """Give the proxy the marker's mocks and variables."""
        if self._mocks is not None:
            client.load(self._mocks)
        if self._vars:
            client.vars.update(self._vars)
