"""The fixture `latehook`, as its users have it: pytest in a process of its own, on test files as they would write them."""

import json
import os
import re
from collections.abc import Callable

import pytest

from support.paths import ROOT
from support.programs import WITH_PLUGIN

pytest_plugins = ["pytester"]

Run = Callable[..., pytest.RunResult]

CONFTEST = """
import pytest, requests
from support.receivers import receiver

MOCKS = '''
vars: {verdict: completed}
mocks:
  - name: create
    match: POST https://api.slow.example/jobs
    response: {json: {id: "{{ job.id }}"}}
    stages: [{after: 65s, status: "{{ vars.verdict }}", webhook: true}]
    webhook: {to: "{{ request.json.url }}", json: {status: "{{ job.status }}"}, retry: none}
'''

@pytest.fixture
def sut():
    with receiver() as server:
        yield server

@pytest.fixture
def create(latehook, sut):
    def create(path="/jobs"):
        with requests.Session() as session:
            session.trust_env = False
            return session.post(f"https://api.slow.example{path}", json={"url": sut.url},
                                proxies={"https": latehook.proxy}, verify=latehook.ca_bundle)
    return create
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run pytest on test files."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "addon"), str(ROOT / "tests")]))
    pytester.makeconftest(CONFTEST)

    def run(*arguments: str, **files: str) -> pytest.RunResult:
        if files:
            pytester.makepyfile(**files)
        return pytester.runpytest_subprocess(*WITH_PLUGIN, *arguments)

    return run


def test_each_test_begins_anew_with_the_mocks_of_its_markers(run: Run, pytester: pytest.Pytester) -> None:
    folder = pytester.mkdir("service")
    (folder / "beside.yaml").write_text("mocks: [{match: GET api.slow.example/**, response: {status: 418}}]\n")
    (folder / "test_service.py").write_text("""
import pytest
from conftest import MOCKS

pytestmark = pytest.mark.latehook(MOCKS)

def event(latehook, create):
    create()
    latehook.advance("65s")
    [webhook] = latehook.wait_for()
    return webhook.event

def test_text(latehook, create):
    assert event(latehook, create) == "completed"

@pytest.mark.latehook(vars={"verdict": "failed"})
def test_vars(latehook, create):
    assert event(latehook, create) == "failed"

def test_vars_are_back(latehook, create):
    assert latehook.jobs() == []
    assert event(latehook, create) == "completed"

@pytest.mark.latehook({"mocks": [{"match": "POST api.slow.example/jobs", "response": {"status": 409}}]})
def test_the_nearest_comes_first(latehook, create):
    assert create().status_code == 409
    assert latehook.jobs() == []

@pytest.mark.latehook("beside.yaml", strict=False)
def test_a_path_counts_from_the_tests_folder(latehook):
    latehook.load("beside.yaml")
    import requests
    assert requests.get("http://api.slow.example/", proxies={"http": latehook.proxy}).status_code == 418
    assert [request.url for request in latehook.requests()] == ["http://api.slow.example/"]

class TestHeld:
    @pytest.fixture(autouse=True)
    def held(self, latehook):
        latehook.hold()

    def test_held(self, latehook, create):
        create()
        latehook.advance("65s")
        assert [webhook.state for webhook in latehook.pending()] == ["held"]

def test_nothing_is_held_any_more(latehook, create):
    assert event(latehook, create) == "completed"

def test_the_marker_is_enough(pytestconfig, request):
    assert "latehook" in request.fixturenames
""")

    result = run()

    result.assert_outcomes(passed=8)


def test_what_fails_says_what_did_happen(run: Run) -> None:
    result = run(
        test_failing="""
import pytest
from conftest import MOCKS

@pytest.mark.latehook(MOCKS)
def test_in_vain(latehook, create):
    create("/jobz")
    create()
    latehook.wait_for(timeout="50ms")

def test_without_mocks(latehook, create):
    assert create().status_code == 200

@pytest.mark.latehook("nowhere.yaml")
def test_no_file(latehook):
    pass

@pytest.mark.asyncio
@pytest.mark.latehook(MOCKS)
async def test_the_loop_stood_still(latehook, create):
    create()
    latehook.wait_for(timeout="50ms")
""",
    )

    result.assert_outcomes(failed=3, errors=1)
    result.stdout.re_match_lines(
        [
            r">       latehook.wait_for\(timeout=\"50ms\"\)",
            r"E       .*WaitTimeout: no webhook was delivered within 50ms",
            r"E       webhooks:",
            r"E         job .* 'completed': pending, due in 6\d(\.\d)? s, to http://127.0.0.1:\d+",
            r"E       requests:",
            r"E         .* POST https://api.slow.example/jobs: 200, mock 'create', job .*",
            r"E       requests that matched nothing:",
            r"E         .* POST https://api.slow.example/jobz: 501, no mock matched",
            r"E           not 'create': .*",
            r"-+ Latehook's log -+",
        ],
        consecutive=False,
    )
    assert "latehook/client/" not in result.stdout.str()
    result.stdout.fnmatch_lines(["*there is no mocks file 'nowhere.yaml': it was looked for as *"])
    result.stdout.fnmatch_lines(["E*where the receiver runs in it, await the same method of `latehook.aio`"])


def test_strict_leaves_nothing_owed_failed_or_unmatched(run: Run, pytester: pytest.Pytester) -> None:
    page = {"name": "page", "in": "query", "required": True, "schema": {"type": "integer"}}
    document = {"openapi": "3.1.0", "paths": {"/orders": {"post": {"parameters": [page]}}}}
    pytester.path.joinpath("api.json").write_text(json.dumps(document))
    result = run(
        test_strict="""
import pytest
from conftest import MOCKS
from support.receivers import answer

pytestmark = pytest.mark.latehook(MOCKS, strict=True)

def test_all_is_done(latehook, create):
    create()
    latehook.advance("65s")

def test_the_receiver_is_answered_later_than_the_test_ends(latehook, create, sut):
    create()
    latehook.fire(latehook.pending()[0])
    sut.wait(1)

def test_owed(create):
    create()

def test_failed(latehook, create, sut):
    sut.behave = answer(500, b"no")
    create()
    latehook.advance("65s")

def test_unmatched(create):
    create("/jobz")

@pytest.mark.latehook({
    "openapi": "api.json",
    "mocks": [{"match": "POST https://api.slow.example/orders", "validate": "warn"}],
})
def test_invalid(latehook, create):
    create("/orders")
    [request] = latehook.requests(valid=False)
    assert request.problems == ("query page: it is missing",)

@pytest.mark.latehook(strict=False)
def test_not_strict(create):
    create("/jobz")

def test_that_has_failed_anyway(create):
    create()
    assert False
""",
    )

    result.assert_outcomes(passed=7, failed=1, errors=4)
    text = result.stdout.str()
    assert re.search(
        r"E +.*StrictCheckFailed: strict=True, and at the test's end: 1 still owed\nE +still owed:\nE +job .* 'completed': pending",
        text,
    )
    assert re.search(
        r"at the test's end: 1 failed\nE +failed:\nE +job .* 'completed': failed after 1 attempt, .*: 500 'no'", text
    )
    assert re.search(
        r"at the test's end: 1 request against the OpenAPI document\n(E .*\n)+E +query page: it is missing", text
    )
    assert re.search(r"at the test's end: 1 request that matched nothing\n(E .*\n)+E +not 'create': ", text)


def test_strict_fails_a_test_in_which_a_request_left_whatever_the_order(run: Run) -> None:
    result = run(
        test_left="""
import pytest, requests
from support.receivers import receiver

@pytest.fixture(scope="module")
def other():
    with receiver() as server:
        yield server.url

def post(latehook, url):
    with requests.Session() as session:
        session.trust_env = False
        session.post(url, proxies={"http": latehook.proxy})

@pytest.fixture
def before_the_test(request, other):
    "Let a request leave before the fixture begins: it is not this test's."
    post(request.config.stash[STARTED], other)

STARTED = pytest.StashKey()

def test_lenient(latehook, other, pytestconfig):
    pytestconfig.stash[STARTED] = latehook
    post(latehook, other)

@pytest.mark.latehook(strict=True)
def test_it_left(latehook, other):
    post(latehook, other + "/charge")

@pytest.mark.latehook(strict=True)
def test_nothing_left(latehook):
    assert latehook.others() == []

@pytest.mark.latehook(strict=True)
def test_only_before(before_the_test, latehook):
    pass

@pytest.mark.latehook(strict=True)
def test_it_is_mocked(latehook, other):
    latehook.load({"mocks": [{"match": "POST " + other + "/**"}]})
    post(latehook, other + "/charge")

@pytest.mark.latehook(strict=True)
def test_it_is_still_mocked(latehook, other):
    post(latehook, other + "/charge")
""",
    )

    result.assert_outcomes(passed=6, errors=2)
    text = result.stdout.str()
    assert re.search(
        r"ERROR at teardown of test_it_left(.*\n)+?E .*StrictCheckFailed: strict=True, and at the test's end: 1 request that "
        r"left for hosts that no mock names\nE +requests that left for hosts that no mock names:\n"
        r"E +\d\d:\d\d:\d\d POST http://127.0.0.1:\d+/charge\nE +what to do about them:\nE +mock these hosts; ",
        text,
    )
    assert re.search(r"ERROR at teardown of test_it_is_still_mocked(.*\n)+?E .*1 request that matched nothing", text)


def test_async_tests_await_it_with_the_system_in_their_own_loop(run: Run) -> None:
    result = run(
        "-p", "asyncio", "-o", "asyncio_mode=auto", "-W", "error::pytest.PytestUnraisableExceptionWarning",
        test_async="""
import asyncio, ssl
import httpx, pytest
from conftest import MOCKS

async def receive(reader, writer):
    await reader.readuntil(b"}")
    writer.write(b"HTTP/1.1 204 No Content\\r\\nConnection: close\\r\\n\\r\\n")
    writer.close()

@pytest.mark.latehook(MOCKS, vars={"verdict": "failed"}, strict=True)
@pytest.mark.parametrize("time", [1, 2])
async def test_awaited(latehook, time):
    server = await asyncio.start_server(receive, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    context = ssl.create_default_context(cafile=latehook.ca_bundle)
    async with server, httpx.AsyncClient(proxy=latehook.proxy, verify=context, trust_env=False) as client:
        r = await client.post("https://api.slow.example/jobs", json={"url": f"http://127.0.0.1:{port}/"})
        await latehook.aio.advance("65s")
        [webhook] = await latehook.aio.wait_for(job=r.json()["id"])
    assert (webhook.event, webhook.attempts[-1].status) == ("failed", 204)
""",
    )  # fmt: skip

    result.assert_outcomes(passed=2)


def test_each_worker_of_xdist_has_a_proxy_of_its_own(run: Run) -> None:
    result = run(
        "-n", "2", "-rP",
        test_workers="""
import pytest
from conftest import MOCKS

@pytest.mark.latehook(MOCKS)
@pytest.mark.parametrize("time", range(4))
def test_alone(latehook, create, worker_id, time):
    create()
    latehook.advance("65s")
    [webhook] = latehook.wait_for()
    print(f"{worker_id} has {latehook.proxy}")
""",
    )  # fmt: skip

    result.assert_outcomes(passed=4)
    said = set(re.findall(r"(gw\d) has (\S+)", result.stdout.str()))
    assert {worker for worker, _ in said} == {"gw0", "gw1"}
    assert len({proxy for _, proxy in said}) == 2
