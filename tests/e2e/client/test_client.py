"""The client of the control API, without pytest's fixture: a proxy of one's own, and every operation on it."""

import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests

import latehook
from latehook.base.errors import LatehookError
from latehook.client.failures import NotHappened
from latehook.client.sync import Latehook
from support.limits import LIMIT
from support.paths import ROOT
from support.process import Proxy
from support.programs import curl
from support.receivers import Receiver, answer
from support.waiting import wait_until

HOST = "api.slow.example"
MOCKS = f"""
vars: {{verdict: completed, price: 3}}
mocks:
  - name: create
    match: POST {HOST}/jobs
    response: {{status: 201, json: {{id: "{{{{ job.id }}}}"}}}}
    stages:
      - {{after: 10s, status: queued, webhook: true}}
      - {{after: 65s, status: "{{{{ vars.verdict }}}}", webhook: true}}
    webhook:
      to: "{{{{ request.json.url }}}}"
      json: {{id: "{{{{ job.id }}}}", status: "{{{{ job.status }}}}"}}
      retry: none
"""


@pytest.fixture(scope="module")
def started() -> Iterator[Latehook]:
    with latehook.start(MOCKS) as client:
        yield client


@pytest.fixture
def client(started: Latehook) -> Iterator[Latehook]:
    yield started
    started.reset()


@pytest.fixture
def create(client: Latehook, sut: Receiver) -> Callable[..., str]:
    """A job of the SUT's, its webhooks to the receiver; its id."""

    def create(**order: Any) -> str:
        response = post(client, json={"url": f"{sut.url}/hook", **order})
        return str(response.json()["id"])

    return create


def post(client: Latehook, path: str = "/jobs", **arguments: Any) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        proxies = {"http": client.proxy, "https": client.proxy}
        return session.post(f"https://{HOST}{path}", proxies=proxies, verify=client.ca_bundle, **arguments)


def test_a_webhook_of_65_seconds_is_delivered_at_once(
    client: Latehook, create: Callable[..., str], sut: Receiver
) -> None:
    sut.behave = answer(202, b"thanks")
    job = create()

    client.advance("65s")
    queued, completed = client.wait_for(job=job, count=2)

    assert [queued.event, completed.event] == ["queued", "completed"]
    assert (completed.job, completed.mock, completed.state) == (job, "create", "delivered")
    assert completed.url == f"{sut.url}/hook"
    assert completed.json() == {"id": job, "status": "completed"}
    assert completed.content == sut.requests[1].body
    [attempt] = completed.attempts
    assert (attempt.status, attempt.error, attempt.body) == (202, None, "thanks")
    assert abs(attempt.at - sut.requests[1].at) < LIMIT
    with pytest.raises(AttributeError):
        completed.state = "pending"  # type: ignore[misc]


def test_lists_are_in_order_of_time(client: Latehook, create: Callable[..., str]) -> None:
    jobs = [create() for _ in range(3)]

    assert [job.id for job in client.jobs()] == jobs
    assert [webhook.event for webhook in client.pending(job=jobs[0])] == ["queued", "completed"]
    assert [webhook.due_at for webhook in client.pending()] == sorted(webhook.due_at for webhook in client.pending())
    assert [request.job for request in client.requests()] == jobs
    assert [job.id for job in client.jobs(limit=2)] == jobs[1:]


def test_a_list_of_several_pages_is_one(
    client: Latehook, create: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latehook.client.calls.PAGE", 2)
    jobs = [create() for _ in range(5)]

    assert [job.id for job in client.jobs()] == jobs
    assert [job.id for job in client.jobs(limit=3)] == jobs[2:]


def test_filters_tell_one_test_run_from_another(client: Latehook, create: Callable[..., str]) -> None:
    create(order="o-16")
    mine = create(order="o-17")

    client.cancel(where="request.json.order == 'o-17'", event="queued")

    assert [job.id for job in client.jobs(where="request.json.order == 'o-17'")] == [mine]
    assert [webhook.job for webhook in client.webhooks(state=["canceled", "failed"])] == [mine]


def test_a_job_shows_its_request_response_and_stages(client: Latehook, create: Callable[..., str]) -> None:
    create(order="o-17")
    client.advance("10s")

    [job] = client.jobs()

    assert (job.mock, job.status, job.ended) == ("create", "queued", False)
    assert (job.request.method, job.request.url) == ("POST", f"https://{HOST}/jobs")
    assert job.request.json()["order"] == "o-17"
    assert job.response is not None
    assert (job.response.status, job.response.json()) == (201, {"id": job.id})
    assert [stage.reached for stage in job.stages] == [True, False]
    assert [webhook.state for webhook in job.webhooks] == ["delivered", "pending"]


def test_requests_say_what_matched_and_what_came_near(client: Latehook, create: Callable[..., str]) -> None:
    job = create()
    assert post(client, "/job").status_code == 501

    [matched] = client.requests(matched=True)
    [unmatched] = client.requests(matched=False)

    assert (matched.status, matched.mock, matched.job, matched.why) == (201, "create", job, None)
    assert (unmatched.url, unmatched.status, unmatched.mock) == (f"https://{HOST}/job", 501, None)
    assert unmatched.why is not None
    assert [miss.mock for miss in unmatched.why] == ["create"]


def test_vars_are_a_dict_that_counts_at_once(client: Latehook, create: Callable[..., str]) -> None:
    client.vars["verdict"] = "failed"
    create()
    client.advance("65s")

    assert dict(client.vars) == {"verdict": "failed", "price": 3}
    assert client.webhooks()[-1].json()["status"] == "failed"
    with pytest.raises(LatehookError, match="there is no variable 'verdikt'; did you mean 'verdict'"):
        client.vars["verdikt"] = "failed"
    client.vars.update(price=4, verdict="gone")
    client.reset()
    assert client.vars == {"verdict": "completed", "price": 3}


def test_fire_hold_release_cancel_and_resend(client: Latehook, create: Callable[..., str], sut: Receiver) -> None:
    create()
    queued, completed = client.pending()

    client.hold(completed)
    assert client.fire(queued.id).id == queued.id
    client.wait_for(event="queued")
    client.advance("100s")
    [held] = client.pending()
    assert (held.id, held.state) == (completed.id, "held")
    client.release(held)
    client.wait_for(event="completed")
    client.resend(completed.id)
    sut.wait(3)
    [resent] = client.wait_for(where=f"webhook.id == '{completed.id}'")
    wait_until(lambda: len(client.webhooks(event="completed")[0].attempts) == 2, "the second attempt")
    create()
    client.cancel()

    assert resent.id == completed.id
    assert client.pending() == []
    assert [request.body for request in sut.requests[1:]] == [sut.requests[1].body] * 2


def test_all_can_be_held_and_released(client: Latehook, create: Callable[..., str], sut: Receiver) -> None:
    client.hold()
    create()
    client.advance("100s")

    assert {webhook.state for webhook in client.pending()} == {"held"}
    assert not sut.requests
    client.release()
    client.wait_for(count=2)


def test_an_operation_that_cannot_be_done_says_why(client: Latehook, create: Callable[..., str]) -> None:
    create()
    [queued, _] = client.pending()
    client.cancel(queued)

    with pytest.raises(LatehookError, match=f"webhook {queued.id} is canceled: this needs one that is pending or held"):
        client.fire(queued.id)
    with pytest.raises(LatehookError, match="there is no webhook 'w-17'"):
        client.resend("w-17")
    with pytest.raises(LatehookError, match="'5 fortnights' is not a duration"):
        client.advance("5 fortnights")
    with pytest.raises(LatehookError, match="timeout: 'soon' is not a duration"):
        client.wait_for(timeout="soon")


def test_mocks_that_are_loaded_come_first_and_are_gone_after_a_reset(client: Latehook, tmp_path: Path) -> None:
    (tmp_path / "answer.txt").write_text("from a file beside the mocks")
    file = tmp_path / "more.yaml"
    file.write_text(f"mocks:\n  - {{match: POST {HOST}/jobs, response: {{file: answer.txt}}}}\n")
    client.load(file)
    from_file = post(client).text
    client.load({"mocks": [{"match": f"POST {HOST}/jobs", "response": {"text": "from a dict"}}]})
    from_dict = post(client).text
    client.reset()

    assert (from_file, from_dict) == ("from a file beside the mocks", "from a dict")
    assert post(client, json={}).status_code == 201


def test_mocks_that_cannot_be_used_are_named_as_their_file_is(client: Latehook, tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text("mocks:\n  - mach: GET a.example/\n")

    with pytest.raises(LatehookError) as raised:
        client.load(file)

    assert str(raised.value) == f"{file}:2: mocks[0].mach: the key 'mach' is not known; did you mean 'match'?"
    with pytest.raises(LatehookError, match=r"there is no mocks file 'none.yaml': it was looked for as /.*/none.yaml"):
        client.load("none.yaml")


def test_a_wait_in_vain_says_what_did_happen(client: Latehook, create: Callable[..., str], sut: Receiver) -> None:
    sut.behave = answer(500, b"no such order")
    job = create()
    client.advance("10s")
    post(client, "/job")

    with pytest.raises(NotHappened) as raised:
        client.wait_for(job=job, event="completed", timeout="100ms")
    text = str(raised.value)
    assert text.startswith(f"no webhook was delivered within 100ms (job={job!r}, event='completed')\n")
    assert f"job {job} 'completed': pending, due in " in text
    assert f", to {sut.url}/hook" in text
    assert f"POST https://{HOST}/jobs: 201, mock 'create', job {job}" in text
    assert f"POST https://{HOST}/job: 501, no mock matched\n    not 'create': " in text

    with pytest.raises(
        NotHappened, match=r"'queued': failed after 1 attempt, to .*; attempt 1 at .*: 500 'no such order'"
    ):
        client.wait_for(job=job, event="queued", timeout="100ms")
    with pytest.raises(NotHappened, match=r"^1 of 2 webhooks were failed within 100ms"):
        client.wait_for(state="failed", count=2, timeout="100ms")


def test_an_advance_says_what_has_not_happened(client: Latehook, create: Callable[..., str], sut: Receiver) -> None:
    sut.behave = lambda handler, number: handler.rfile.read(1) and None  # no answer, as long as the connection lasts
    job = create()

    with pytest.raises(NotHappened) as raised:
        client.advance("10s")

    first, left, webhook = str(raised.value).splitlines()
    assert (first, left) == ("advance 10s: 1 webhook has not happened", "left:")
    assert webhook == f"  job {job} 'queued': delivering, attempt 1 is under way, to {sut.url}/hook"


def test_the_variables_point_a_process_at_the_proxy(client: Latehook) -> None:
    env = client.env

    fetched = subprocess.run(
        ["curl", "--silent", "--show-error", "-d", "{}", f"https://{HOST}/jobs"],
        env={"PATH": os.environ["PATH"], **env},
        capture_output=True,
        text=True,
    )

    assert '"id":' in fetched.stdout, fetched.stderr
    assert {name for name in env if name.upper() == "HTTPS_PROXY"} == {"HTTPS_PROXY", "https_proxy"}
    assert "127.0.0.1" in env["NO_PROXY"]
    assert {env[name] for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")} == {client.ca_bundle}


def test_a_shell_is_pointed_at_the_proxy_by_the_same_variables(start: Callable[..., Proxy]) -> None:
    proxy = start(mocks=MOCKS)
    arguments = ["--port", str(proxy.port), "--confdir", str(proxy.confdir)]
    variables = shlex.join([sys.executable, str(ROOT / "scripts" / "env.py"), *arguments])

    fetched = subprocess.run(
        ["bash", "-c", f'eval "$({variables})" && curl --silent --show-error -d {{}} https://{HOST}/jobs'],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "addon")},
        capture_output=True,
        text=True,
    )

    assert '"id":' in fetched.stdout, fetched.stderr


def test_connect_is_for_a_proxy_that_runs(start: Callable[..., Proxy], sut: Receiver) -> None:
    proxy = start(mocks=MOCKS)

    with latehook.connect(proxy.port) as client:
        post(client, json={"url": sut.url})
        assert curl("-x", proxy.url, "--cacert", client.ca_bundle, "-d", "{}", f"https://{HOST}/jobs").returncode == 0
        assert len(client.jobs()) == 2

    assert proxy.process.poll() is None
    assert not Path(client.ca_bundle).exists()


def test_connect_says_where_it_found_nobody() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    with pytest.raises(LatehookError, match=rf"does not answer at http://127.0.0.1:{port}/_latehook/: .*; does its"):
        with latehook.connect(port):
            pass


def test_connect_says_that_what_it_found_is_something_else(sut: Receiver) -> None:
    sut.behave = answer(404, b"<h1>nothing here</h1>")

    with pytest.raises(LatehookError, match=r"what answers there is not Latehook: 404 .*nothing here"):
        with latehook.connect(sut.port):
            pass


@pytest.mark.parametrize(
    ("mocks", "options", "words"),
    [
        ("mocks:\n  - mach: a", {}, "mocks.yaml:2: mocks[0].mach: the key 'mach' is not known; did you mean 'match'?"),
        (None, {"mock_sped": "60"}, "the option mock_sped is not known; did you mean 'mock_speed'?"),
    ],
)
def test_a_start_that_fails_says_why(mocks: str | None, options: dict[str, str], words: str) -> None:
    with pytest.raises(LatehookError) as raised:
        with latehook.start(mocks, **options):
            pass

    assert str(raised.value).startswith("the proxy ended with status 1 while it started:\n")
    assert words in str(raised.value)


async def test_every_call_can_be_awaited(client: Latehook, create: Callable[..., str]) -> None:
    aio = client.aio
    assert await aio.vars(verdict="failed") == {"verdict": "failed", "price": 3}
    job = create()

    queued, completed = await aio.pending(job=job)
    await aio.hold(completed)
    await aio.release()
    await aio.fire(queued)
    await aio.wait_for(job=job, event="queued")
    await aio.advance("65s")
    [webhook] = await aio.wait_for(job=job, event="failed")
    await aio.resend(webhook)
    await aio.cancel()
    await aio.load({"mocks": []})

    assert [found.id for found in await aio.jobs()] == [job]
    assert len(await aio.webhooks()) == 2
    assert len(await aio.requests(matched=True)) == 1
    with pytest.raises(NotHappened, match="no webhook was held within 50ms"):
        await aio.wait_for(state="held", timeout="50ms")
    await aio.reset()
    await aio.check_strictly()


async def test_a_proxy_of_ones_own_and_one_that_runs_can_be_awaited(sut: Receiver) -> None:
    async with latehook.aio.start(MOCKS) as own, latehook.aio.connect(int(own.proxy.rpartition(":")[2])) as same:
        await own.vars(verdict="failed")
        seen = await same.vars()

    assert seen["verdict"] == "failed"


def test_the_package_imports_nothing_until_it_is_asked() -> None:
    script = "import sys, latehook, latehook.pytest_plugin; print({'httpx', 'msgspec', 'asyncio'} & {*sys.modules})"
    imported = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONPATH": str(ROOT / "addon")}, capture_output=True, text=True
    )

    assert "httpx" not in imported.stdout
    assert "msgspec" not in imported.stdout
    assert imported.returncode == 0, imported.stderr
    with pytest.raises(AttributeError, match="has no attribute 'conect'"):
        latehook.conect  # noqa: B018


def test_no_proxy_is_left_behind_by_whoever_is_killed() -> None:
    script = "import latehook, time\nwith latehook.start() as own: print(own.proxy, flush=True); time.sleep(60)"
    parent = subprocess.Popen(
        [sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": str(ROOT / "addon")}, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    with parent, parent.stdout:
        port = int(parent.stdout.readline().rpartition(b":")[2])
        assert _listens(port)
        parent.send_signal(signal.SIGKILL)

    wait_until(lambda: not _listens(port), "the proxy's end")


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), LIMIT):
        return True
    return False
