"""From the request to its webhooks: an engine with a real store, in virtual time. The sender records."""

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from latehook.base.coroutines import result_at_once
from latehook.base.errors import StoreError
from latehook.base.messages import Outcome
from latehook.base.model import State
from latehook.delivery import compiled_mocks
from latehook.engine.starting import PRUNE_EVERY
from latehook.mocks.decisions import Decision
from latehook.mocks.definitions import Mocks
from latehook.store import MEMORY
from support.engine_setup import EngineSetup, Result, Scenario, load, run_scenario
from support.limits import LIMIT
from support.virtual_time import NOON

MOCKS = """\
mocks:
  - match: POST api.slow.example/jobs
    response: {json: {id: "{{ job.id }}"}}
    webhook:
      after: 5s
      to: "{{ request.json.to | default('http://app.test/hook') }}"
      headers: {x-now: "{{ now }}"}
      json: {id: "{{ job.id }}", drawn: "{{ uuid() }}", now: "{{ now }}", share: "{{ 12 / request.json.by }}"}
      retry: [1s, 10s]
"""


Run = Callable[..., EngineSetup]


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str], Mocks]:
    return lambda text: load(text, tmp_path)


@pytest.fixture
def run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Run]:
    """Run a test's scenario; the sender gives `results`."""
    caplog.set_level(logging.INFO, "latehook")

    def run(scenario: Scenario, *results: Result, mocks: str = MOCKS, path: str = MEMORY) -> EngineSetup:
        return run_scenario(scenario, mocks, tmp_path, *results, path=path, document={"by": 4})

    yield run


async def post_and_wait(setup: EngineSetup) -> None:
    await setup.post()
    await asyncio.sleep(3600)


def answered(answer: Decision) -> tuple[int, Any]:
    assert answer.response is not None
    return answer.response.status, json.loads(answer.response.body)


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("latehook")]


def test_a_request_is_answered_at_once_and_its_webhook_sent_at_its_time(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        status, body = answered(await setup.post())
        assert (status, asyncio.get_running_loop().time()) == (200, 0)
        await asyncio.sleep(3600)

        [(at, outgoing)] = setup.sender.sent
        assert at == 5
        assert (outgoing.method, outgoing.url) == ("POST", "http://app.test/hook")
        assert json.loads(outgoing.body)["id"] == body["id"]

    setup = run(scenario)

    assert result_at_once(setup.store.count_unfinished()) == 0


def test_a_delivered_webhook_keeps_its_due_time(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        setup.sender.takes = 2.0
        await setup.post()
        [before] = await setup.store.webhooks()
        await asyncio.sleep(3600)

        [after] = await setup.store.webhooks()
        assert (after.webhook.state, after.webhook.due) == (State.DELIVERED, before.webhook.due)

    run(scenario)


def test_the_job_is_committed_before_the_response(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post()

        assert (setup.store.commits, (await setup.store.count_unfinished())) == (1, 1)

    run(scenario)


def test_requests_of_one_turn_of_the_loop_share_a_commit(run: Run, tmp_path: Path) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await asyncio.gather(*(setup.post() for _ in range(16)))

        assert (setup.store.commits, (await setup.store.count_unfinished())) == (1, 16)

    run(scenario, path=str(tmp_path / "store.db"))


def test_a_failed_commit_gives_a_503_and_schedules_nothing(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(setup: EngineSetup) -> None:
        setup.store.full = True
        answers = await asyncio.gather(*(setup.post() for _ in range(3)))
        setup.store.full = False
        await asyncio.sleep(3600)

        assert [answered(answer)[0] for answer in answers] == [503] * 3
        assert answered(answers[0])[1]["error"] == "latehook: the store cannot write: disk full"
        assert setup.sender.sent == []

    run(scenario)

    assert "latehook: the store cannot write: disk full" in logged(caplog)


def test_a_failed_commit_does_not_affect_the_next_one(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        setup.store.full = True
        await setup.post()
        setup.store.full = False
        status, _ = answered(await setup.post())
        await asyncio.sleep(3600)

        assert (status, setup.sender.times) == (200, [5])

    run(scenario)


def test_a_canceled_request_does_not_cancel_the_commit_of_others(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        impatient = asyncio.create_task(setup.post())
        patient = asyncio.create_task(setup.post())
        await asyncio.sleep(0)
        impatient.cancel()

        assert answered(await patient)[0] == 200

    run(scenario)


def test_retries_have_the_same_body_and_current_headers(run: Run) -> None:
    setup = run(post_and_wait, 500, "Connection refused", 200)

    assert setup.sender.times == [5, 6, 16]
    assert len({outgoing.body for _, outgoing in setup.sender.sent}) == 1
    assert [float(dict(outgoing.headers)["x-now"]) - NOON for _, outgoing in setup.sender.sent] == [5, 6, 16]


def test_the_body_is_rendered_at_the_first_attempt(run: Run) -> None:
    setup = run(post_and_wait)

    [(_, outgoing)] = setup.sender.sent
    assert json.loads(outgoing.body)["now"] - NOON == 5


def test_each_outcome_is_one_log_line(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(setup: EngineSetup) -> None:
        _, body = answered(await setup.post(to="http://user:secret@app.test/hook"))
        await asyncio.sleep(3600)

        job = f"latehook: job {body['id']}: webhook not delivered"
        assert logged(caplog) == [
            f"{job}, attempt 1: http://app.test/hook: 500; next attempt in 1 s",
            f"{job}, attempt 2: http://app.test/hook: Connection refused; next attempt in 10 s",
            f"{job}, attempt 3: http://app.test/hook: 302; given up",
        ]

    setup = run(scenario, 500, "Connection refused", 302)

    assert (len(setup.sender.sent), result_at_once(setup.store.count_unfinished())) == (3, 0)


@pytest.mark.parametrize("status", [200, 204, 299])
def test_any_2xx_is_delivered(run: Run, caplog: pytest.LogCaptureFixture, status: int) -> None:
    setup = run(post_and_wait, status)

    assert len(setup.sender.sent) == 1
    assert [line.partition(": webhook ")[2] for line in logged(caplog)] == [
        f"delivered, attempt 1: http://app.test/hook: {status}"
    ]


@pytest.mark.parametrize("status", [199, 300, 307, 404, 503])
def test_any_other_status_is_retried(run: Run, status: int) -> None:
    assert run(post_and_wait, status).sender.times == [5, 6, 16]


def test_410_is_not_retried(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    setup = run(post_and_wait, 410)

    assert setup.sender.times == [5]
    assert logged(caplog)[0].endswith(": 410; given up")


SEVERAL = """
mocks:
  - match: POST api.slow.example/jobs
    webhook: {to: "http://app.test/hook", text: "{{ job.status }}", retry: [10s]}
    stages:
      - {after: 1s, status: first, webhook: true}
      - {after: 2s, status: second, webhook: true}
      - {after: 3s, status: free, webhook: {ordered: false}}
  - match: POST api.slow.example/jobs/{id}
    lookup: request.path.id
    stages: [{status: stopped, webhook: {to: "http://app.test/stopped"}}]
"""


def said(setup: EngineSetup) -> list[tuple[float, str]]:
    return [(at, outgoing.body.decode() or outgoing.url) for at, outgoing in setup.sender.sent]


def test_a_jobs_webhooks_have_their_first_attempts_in_stage_order(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        setup.sender.takes = 5
        await setup.post()
        await asyncio.sleep(3600)

    setup = run(scenario, mocks=SEVERAL)

    assert said(setup) == [(1, "first"), (3, "free"), (6, "second")]


def test_later_webhooks_do_not_wait_for_a_retry(run: Run) -> None:
    setup = run(post_and_wait, 500, 200, mocks=SEVERAL)

    assert said(setup) == [(1, "first"), (2, "second"), (3, "free"), (11, "first")]


def test_webhooks_of_other_jobs_do_not_wait(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        setup.sender.takes = 5
        await setup.post()
        await setup.post()
        await asyncio.sleep(3600)

    setup = run(scenario, mocks=SEVERAL)

    assert said(setup)[:2] == [(1, "first"), (1, "first")]


def test_stages_that_are_replaced_send_nothing(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        answer = await setup.post()
        assert answer.started is not None
        await asyncio.sleep(1.5)
        await setup.request("POST", f"/jobs/{answer.started.id}")
        await asyncio.sleep(3600)

    setup = run(scenario, mocks=SEVERAL)

    assert said(setup) == [(1, "first"), (1.5, "http://app.test/stopped")]
    assert result_at_once(setup.store.count_unfinished()) == 0


BEFORE = """
mocks:
  - match: POST api.slow.example/jobs
    response: {delay: 2s}
    webhook: {after: before-response, to: "http://app.test/hook", retry: [10s]}
"""


@pytest.mark.parametrize("result", [200, 500])
def test_a_webhook_before_the_response_has_its_first_attempt_before_it(run: Run, result: int) -> None:
    async def scenario(setup: EngineSetup) -> None:
        setup.sender.takes = 3
        await setup.post()
        assert (setup.sender.times, asyncio.get_running_loop().time()) == ([0], 5)

    run(scenario, result, 200, mocks=BEFORE)


def test_a_delayed_response_does_not_delay_its_webhook(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post()
        assert asyncio.get_running_loop().time() == 2
        await asyncio.sleep(3600)

    assert run(scenario, mocks=BEFORE.replace("before-response", "1s")).sender.times == [1]


def test_a_faster_clock_makes_webhooks_earlier_but_not_responses(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.operations.set_speed(60)
        await setup.post()
        assert asyncio.get_running_loop().time() == 2
        await asyncio.sleep(3600)

    setup = run(scenario, 500, 200, mocks=BEFORE.replace("before-response", "5m"))

    assert setup.sender.times == [5, pytest.approx(5 + 10 / 60, abs=0.01)]


def test_retry_after_makes_the_wait_longer(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        setup.sender.retry_after = "30"
        await setup.post()
        await asyncio.sleep(3600)

    assert run(scenario, 503, 200).sender.times == [5, 35]


def test_a_failing_expression_fails_the_webhook_and_its_place_is_logged(
    run: Run, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post(by=0)
        await asyncio.sleep(3600)

        assert (setup.sender.sent, (await setup.store.count_unfinished())) == ([], 0)

    run(scenario)

    [line] = logged(caplog)
    assert f": webhook failed: {tmp_path / 'mocks.yaml'}:8: " in line
    assert "division by zero" in line


def test_a_webhook_without_a_url_is_skipped_and_the_reason_is_logged(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(setup: EngineSetup) -> None:
        assert answered(await setup.post())[0] == 200
        await asyncio.sleep(3600)

        assert (setup.sender.sent, (await setup.store.count_unfinished())) == ([], 0)

    run(scenario, mocks=MOCKS.replace("| default('http://app.test/hook') ", ""))

    [line] = logged(caplog)
    assert line.endswith(": webhook skipped: its `to` is null")


def test_a_webhook_whose_when_is_false_is_skipped_without_a_log_line(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(setup: EngineSetup) -> None:
        assert answered(await setup.post())[0] == 200
        await asyncio.sleep(3600)

        assert (setup.sender.sent, (await setup.store.count_unfinished())) == ([], 0)

    run(scenario, mocks=MOCKS.replace("webhook:\n", "webhook:\n      when: false\n"))

    assert not [record for record in caplog.records if record.levelno >= logging.INFO]


def test_a_job_keeps_the_mock_that_started_it(run: Run, read: Callable[[str], Mocks]) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post()
        setup.engine.use(read(MOCKS.replace('json: {id: "{{ job.id }}", drawn', "method: PUT\n      json: {edited")))
        await setup.post()
        setup.engine.use(read("mocks: [{match: GET other.example/x, response: {status: 204}}]\n"))
        await asyncio.sleep(3600)

        first, second = (outgoing for _, outgoing in setup.sender.sent)
        assert (first.method, "id" in json.loads(first.body)) == ("POST", True)
        assert (second.method, "edited" in json.loads(second.body)) == ("PUT", True)

    run(scenario)


@pytest.mark.parametrize("url", ["not a url", "http://app.test:port/hook", "http://[::1/hook", "http://[app.test]/"])
def test_an_invalid_url_fails_its_webhook_only(run: Run, caplog: pytest.LogCaptureFixture, url: str) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post(to=url)
        await setup.post()
        await asyncio.sleep(3600)

        assert [(at, outgoing.url) for at, outgoing in setup.sender.sent] == [(5, "http://app.test/hook")]
        assert (await setup.store.count_unfinished()) == 0

    run(scenario)

    assert f": webhook failed: its `to` is {url!r}, which is not a URL (http://host[:port]/path)" in logged(caplog)[0]


FAULTY = MOCKS.replace("response: {", "response: {fault: {kind: empty, count: 1}, ").replace(
    "      retry:", "      fault: {kind: duplicate, count: 2}\n      retry:"
)


def test_faults_are_counted_and_logged(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(setup: EngineSetup) -> None:
        answers = [await setup.post() for _ in range(3)]
        await asyncio.sleep(3600)

        assert [answer.fault for answer in answers] == ["empty", None, None]
        assert [outgoing.fault for _, outgoing in setup.sender.sent] == ["duplicate", "duplicate", None]

    run(scenario, mocks=FAULTY)

    lines = logged(caplog)
    assert [line for line in lines if "empty" in line] == [
        "latehook: POST api.slow.example/jobs: the response's fault: empty"
    ]
    assert sum(line.endswith(": the webhook's fault: duplicate") for line in lines) == 2


def test_a_job_that_cannot_be_written_gives_a_503_without_a_fault(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        setup.store.full = True
        answer = await setup.post()

        assert (answered(answer)[0], answer.fault) == (503, None)

    run(scenario, mocks=FAULTY)


def test_a_final_outcome_is_not_retried(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post()
        await asyncio.sleep(3600)

        assert (len(setup.sender.sent), (await setup.store.count_unfinished())) == (1, 0)

    run(scenario, Outcome(0, 0, None, "lost", final=True))

    assert logged(caplog)[-1].endswith("attempt 1: http://app.test/hook: lost; given up")


def test_close_waits_for_running_attempts_and_counts_unfinished_webhooks(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        setup.sender.takes = 1
        await setup.post()
        await asyncio.sleep(4)
        await setup.post()
        await setup.post()
        await asyncio.sleep(1.5)  # the first one's attempt is under way
        owed = await setup.engine.close(seconds=1.5)

        assert (setup.sender.times, owed) == ([5], 2)
        assert asyncio.get_running_loop().time() == 6

    run(scenario)


def test_close_cancels_a_slow_attempt_and_its_webhook_stays_unfinished(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        setup.sender.takes = 60
        await setup.post()
        await asyncio.sleep(5)
        owed = await setup.engine.close(seconds=1.5)

        assert (setup.sender.times, owed) == ([5], 1)
        assert asyncio.get_running_loop().time() == pytest.approx(6.5, abs=0.2)

    run(scenario)


def test_requests_during_the_shutdown_get_a_503(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        setup.sender.takes = 1
        await setup.post()
        await asyncio.sleep(5)
        closing = asyncio.create_task(setup.engine.close(seconds=1.5))
        await asyncio.sleep(0)
        status, body = answered(await setup.post())
        await closing

        assert (status, body["error"]) == (503, "latehook: shutting down")

    run(scenario)


def test_old_jobs_are_pruned_after_every_so_many_jobs(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        for _ in range(PRUNE_EVERY - 1):
            await setup.post()
        assert setup.store.prunes == 0
        await setup.post()
        assert setup.store.prunes == 1

    run(scenario)


@pytest.mark.parametrize("after", ["5s", "before-response"])
def test_an_unexpected_error_in_a_filter_fails_the_webhook(
    run: Run, caplog: pytest.LogCaptureFixture, after: str
) -> None:
    async def scenario(setup: EngineSetup) -> None:
        answer = await asyncio.wait_for(setup.post(by="abc"), LIMIT)
        await asyncio.sleep(3600)

        assert (answered(answer)[0], setup.sender.sent, (await setup.store.count_unfinished())) == (200, [], 0)

    run(
        scenario,
        mocks=MOCKS.replace("after: 5s", f"after: {after}").replace(
            "12 / request.json.by", "request.json.by | dictsort"
        ),
    )

    assert ": webhook failed: " in logged(caplog)[0]


def test_a_mock_with_an_edited_body_file_is_another_definition(
    run: Run, read: Callable[[str], Mocks], tmp_path: Path
) -> None:
    text = 'mocks: [{match: POST api.slow.example/jobs, webhook: {after: 5s, to: "http://app.test/", file: body.txt}}]'

    async def scenario(setup: EngineSetup) -> None:
        for content in ("old", "new"):
            (tmp_path / "body.txt").write_text(content)
            setup.engine.use(read(text))
            await setup.post()
        await asyncio.sleep(3600)

        assert [outgoing.body for _, outgoing in setup.sender.sent] == [b"old", b"new"]

    run(scenario)


def test_the_journal_keeps_little_of_large_requests(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        for size in (1000, 100_000):
            await setup.request("PUT", "/", b"x" * size, ((b"a", b"b"),))
        large, small = (received.request for received in await setup.engine.journal.newest())
        assert (small.body, small.headers) == (b"x" * 1000, ((b"a", b"b"),))
        assert (large.body, large.headers, large.size, large.target) == (None, (), 100_000, "/")

    run(scenario)


def test_a_job_that_cannot_be_stored_does_not_affect_others(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        answers = await asyncio.gather(*(setup.post(n=n) for n in (1, "\ud800", 10**30)))
        assert [answered(answer)[0] for answer in answers] == [200, 500, 200]
        error = answered(answers[1])[1]["error"]
        assert "mocks.yaml:2" in error and "texts may have no lone surrogates" in error
        assert len(await setup.store.jobs()) == 2
        await asyncio.sleep(3600)
        assert len(setup.sender.sent) == 2

    run(
        scenario,
        mocks=MOCKS.replace("    response:", "    job: {vars: {n: '{{ request.json.n }}'}}\n    response:", 1),
    )


def test_close_writes_the_results_that_could_not_be_written_before(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post()
        setup.store.full = True
        await asyncio.sleep(5.5)
        assert (len(setup.sender.sent), (await setup.store.count_unfinished())) == (1, 1)
        setup.store.full = False

        assert await setup.engine.close() == 0

    run(scenario)


def test_an_attempt_that_cannot_be_written_is_not_repeated_and_is_written_later(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post()
        setup.store.full = True
        await asyncio.sleep(30)
        assert [at for at, _ in setup.sender.sent] == [5, 6]
        setup.store.full = False
        await asyncio.sleep(3600)

        numbers = [(attempt.number, attempt.status) for _, attempt in (await setup.store.attempts([1]))]
        assert numbers == [(1, 500), (2, 200)]
        assert (len(setup.sender.sent), (await setup.store.count_unfinished())) == (2, 0)

    run(scenario, 500, 200)


def test_a_later_webhook_does_not_wait_for_a_result_that_cannot_be_written(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post()
        setup.store.full = True
        await asyncio.sleep(30)

    setup = run(scenario, mocks=SEVERAL)

    assert said(setup) == [(1, "first"), (2, "second"), (3, "free")]


def test_a_failed_transaction_fails_the_earlier_writes_of_its_turn(run: Run) -> None:
    """An operation that fails takes back what was written before it in the same turn: that must not look like done."""

    async def scenario(setup: EngineSetup) -> None:
        made = setup.engine.commits.schedule()
        setup.store.set_value("vars", {"a": 1})
        setup.store.full = True
        with pytest.raises(StoreError):
            async with setup.engine.commits.transaction():
                setup.store.set_value("holding", True)
        setup.store.full = False

        with pytest.raises(StoreError):
            await made
        assert (await setup.store.get_value("vars", dict)) is None

    run(scenario)


def test_mocks_that_are_in_no_file_any_more_stay_compiled_up_to_a_number(
    run: Run, read: Callable[[str], Mocks], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled_mocks, "MAX_OLD", 8)

    async def scenario(setup: EngineSetup) -> None:
        for number in range(12):
            setup.engine.use(read(MOCKS.replace("by }}", f"by }}}} {number}")))
            await setup.post()
        setup.engine.use(read("mocks: [{match: GET other.example/x}]"))

        assert len(setup.engine.compiled_mocks) == 8
        await asyncio.sleep(3600)
        shares = sorted(json.loads(outgoing.body)["share"] for _, outgoing in setup.sender.sent)
        assert shares == sorted(f"3.0 {number}" for number in range(12))

    run(scenario)
