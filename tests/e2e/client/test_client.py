"""Every method of the client, sync and async, on a real proxy."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

import latehook
from latehook import AdvanceTimeout, Latehook, LatehookError, StrictCheckFailed, WaitTimeout
from support.jobs import HOST, MOCKS, post
from support.limits import LIMIT
from support.process import Proxy
from support.receivers import Receiver, answer
from support.waiting import wait_until


def test_an_advance_delivers_a_webhook_that_is_due_in_65_seconds(
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


def test_long_bodies_are_whole(client: Latehook, sut: Receiver) -> None:
    sut.behave = answer(200, b"a" * 50_000)
    webhook = {"to": f"{sut.url}/hook", "text": "{{ request.text }}"}
    client.load(
        {"mocks": [{"match": f"POST {HOST}/echo", "response": {"text": "{{ request.text }}"}, "webhook": webhook}]}
    )
    text = "x" * 100_000
    post(client, "/echo", data=text)

    for listed in (client.wait_for(), client.webhooks()):
        assert [webhook.body for webhook in listed] == [text]
        assert [attempt.body for webhook in listed for attempt in webhook.attempts] == ["a" * 50_000]
    [job] = client.jobs()
    assert job.response is not None
    assert (job.request.body, job.response.body, job.webhooks[0].body) == (text, text, text)


def test_lists_are_ordered_by_time(client: Latehook, create: Callable[..., str]) -> None:
    jobs = [create() for _ in range(3)]

    assert [job.id for job in client.jobs()] == jobs
    assert [webhook.event for webhook in client.pending(job=jobs[0])] == ["queued", "completed"]
    assert [webhook.due_at for webhook in client.pending()] == sorted(webhook.due_at for webhook in client.pending())
    assert [request.job for request in client.requests()] == jobs
    assert [job.id for job in client.jobs(limit=2)] == jobs[1:]


def test_a_list_joins_several_pages(
    client: Latehook, create: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latehook.client.calls.LONGEST_PAGE", 2)
    jobs = [create() for _ in range(5)]

    assert [job.id for job in client.jobs()] == jobs
    assert [job.id for job in client.jobs(limit=3)] == jobs[2:]


def test_filters_select_the_jobs_of_one_test_run(client: Latehook, create: Callable[..., str]) -> None:
    create(order="o-16")
    mine = create(order="o-17")

    client.cancel(where="request.json.order == 'o-17'", event="queued")

    assert [job.id for job in client.jobs(where="request.json.order == 'o-17'")] == [mine]
    assert [webhook.job for webhook in client.webhooks(state=["canceled", "failed"])] == [mine]


def test_a_job_has_its_request_response_and_stages(client: Latehook, create: Callable[..., str]) -> None:
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


def test_requests_have_their_mock_or_the_near_misses(client: Latehook, create: Callable[..., str]) -> None:
    job = create()
    assert post(client, "/job").status_code == 501

    [matched] = client.requests(matched=True)
    [unmatched] = client.requests(matched=False)

    assert (matched.status, matched.mock, matched.job, matched.why) == (201, "create", job, None)
    assert (unmatched.url, unmatched.status, unmatched.mock) == (f"https://{HOST}/job", 501, None)
    assert unmatched.why is not None
    assert [miss.mock for miss in unmatched.why] == ["create"]


def test_vars_is_a_dict_whose_changes_take_effect_at_once(client: Latehook, create: Callable[..., str]) -> None:
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


def test_hold_and_release_without_a_webhook_apply_to_all(
    client: Latehook, create: Callable[..., str], sut: Receiver
) -> None:
    client.hold()
    create()
    client.advance("100s")

    assert {webhook.state for webhook in client.pending()} == {"held"}
    assert not sut.requests
    client.release()
    client.wait_for(count=2)


def test_an_operation_that_fails_raises_an_error_with_the_reason(client: Latehook, create: Callable[..., str]) -> None:
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


def test_loaded_mocks_come_first_and_a_reset_removes_them(client: Latehook, tmp_path: Path) -> None:
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


def test_errors_of_loaded_mocks_name_their_file(client: Latehook, tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text("mocks:\n  - mach: GET a.example/\n")

    with pytest.raises(LatehookError) as raised:
        client.load(file)

    assert str(raised.value) == f"{file}:2: mocks[0].mach: the key 'mach' is not known; did you mean 'match'?"
    with pytest.raises(LatehookError, match=r"there is no mocks file 'none.yaml': it was looked for as /.*/none.yaml"):
        client.load("none.yaml")


def test_a_wait_that_times_out_reports_what_happened(
    client: Latehook, create: Callable[..., str], sut: Receiver
) -> None:
    sut.behave = answer(500, b"no such order")
    job = create()
    client.advance("10s")
    post(client, "/job")

    with pytest.raises(WaitTimeout) as raised:
        client.wait_for(job=job, event="completed", timeout="100ms")
    text = str(raised.value)
    assert text.startswith(f"no webhook was delivered within 100ms (job={job!r}, event='completed')\n")
    assert f"job {job} 'completed': pending, due in " in text
    assert f", to {sut.url}/hook" in text
    assert f"POST https://{HOST}/jobs: 201, mock 'create', job {job}" in text
    assert f"POST https://{HOST}/job: 501, no mock matched\n    not 'create': " in text

    with pytest.raises(
        WaitTimeout, match=r"'queued': failed after 1 attempt, to .*; attempt 1 at .*: 500 'no such order'"
    ):
        client.wait_for(job=job, event="queued", timeout="100ms")
    with pytest.raises(WaitTimeout, match=r"^1 of 2 webhooks were failed within 100ms"):
        client.wait_for(state="failed", count=2, timeout="100ms")


SOONER = """
from latehook.engine.operations import Operations
Operations.advance.__defaults__ = (None, 0.3)
"""
"""A script by which `advance` waits for 0.3 s instead of 10 s."""


def test_an_advance_that_times_out_reports_what_has_not_happened(
    start: Callable[..., Proxy], sut: Receiver, tmp_path: Path
) -> None:
    sut.behave = lambda handler, number: handler.rfile.read(1) and None  # no response before the client closes
    (tmp_path / "sooner.py").write_text(SOONER)

    with latehook.connect(start("-s", str(tmp_path / "sooner.py"), mocks=MOCKS).port) as client:
        job = post(client, json={"url": f"{sut.url}/hook"}).json()["id"]
        with pytest.raises(AdvanceTimeout) as raised:
            client.advance("10s")

    first, left, webhook = str(raised.value).splitlines()
    assert (first, left) == ("advance 10s: 1 webhook has not happened", "left:")
    assert webhook == f"  job {job} 'queued': delivering, attempt 1 is under way, to {sut.url}/hook"


def test_a_strict_check_says_what_is_left(client: Latehook, create: Callable[..., str]) -> None:
    job = create()
    post(client, "/job")

    with pytest.raises(StrictCheckFailed) as raised:
        client.check_strictly()
    text = str(raised.value)
    assert text.startswith("strict=True, and at the test's end: 2 still owed, 1 request that matched nothing\n")
    assert f"job {job} 'queued': pending, due in " in text
    client.cancel()


async def test_every_method_has_an_async_version(client: Latehook, create: Callable[..., str]) -> None:
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
    with pytest.raises(WaitTimeout, match="no webhook was held within 50ms"):
        await aio.wait_for(state="held", timeout="50ms")
    await aio.reset()
    await aio.check_strictly()


def test_numbers_come_back_as_they_were_written(client: Latehook, sut: Receiver) -> None:
    numbers = '{"a":[10.00,1E400,-0,1e2,1.5],"b":123456789012345678901234567890}'
    client.load(f"""
vars: {{price: 0.00, all: null}}
mocks:
  - match: POST {HOST}/numbers
    job: {{vars: {{n: "{{{{ request.json }}}}"}}}}
    webhook:
      to: {sut.url}/hook
      json: {{n: "{{{{ job.vars.n }}}}", price: "{{{{ vars.price }}}}", all: "{{{{ vars.all }}}}"}}
""")
    assert str(client.vars["price"]) == "0.00"

    client.vars.update(price=Decimal("19.90"), all=json.loads('{"whole": 7}'))
    post(client, "/numbers", data=numbers)
    [webhook] = client.wait_for()

    assert sut.requests[0].body.decode() == f'{{"n":{numbers},"price":19.90,"all":{{"whole":7}}}}'
    assert webhook.body == sut.requests[0].body.decode()
    [job] = client.jobs()
    assert str(job.vars["n"]["a"]) == "[10.00, 1E400, -0, 1e2, 1.5]"
    assert job.vars["n"] == webhook.json()["n"]
    assert client.vars["price"] == webhook.json()["price"] == Decimal("19.90")
