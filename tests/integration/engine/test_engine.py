"""Requests in, webhooks out: a real store, a real loop whose time jumps, and a sender of the test's own."""

import asyncio
import json
import logging
import random
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from latehook import mocksfile
from latehook.base.clock import Clock
from latehook.base.errors import StoreError
from latehook.base.model import Outcome, Outgoing, Request, State
from latehook.base.redaction import Redaction
from latehook.delivery.outbox import OLD_DEFINITIONS
from latehook.engine.engine import TIDY_EVERY, Engine
from latehook.mocks.decide import Decision
from latehook.mocks.definitions import Mock, Mocks
from latehook.store import MEMORY, Store
from support import virtual_time
from support.virtual_time import NOON, SettableClock

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


class Sender:
    """Carries attempts out as the test says: one result for each, the last one again and again."""

    def __init__(self, *results: int | str) -> None:
        self.results = list(results)
        self.sent: list[tuple[float, Outgoing]] = []
        self.takes = 0.0
        self.retry_after: str | None = None

    def get_ready(self) -> None:
        pass

    async def send(self, outgoing: Outgoing) -> Outcome:
        loop = asyncio.get_running_loop()
        self.sent.append((round(loop.time(), 3), outgoing))
        result = self.results.pop(0) if len(self.results) > 1 else self.results[0]
        await asyncio.sleep(self.takes)
        if isinstance(result, int):
            return Outcome(loop.time(), loop.time(), result, retry_after=self.retry_after)
        return Outcome(loop.time(), loop.time(), None, result)

    async def close(self) -> None:
        pass

    @property
    def times(self) -> list[float]:
        return [at for at, _ in self.sent]


class CountingStore(Store):
    """A real store that counts commits, and may be full."""

    def __init__(self, path: str = MEMORY) -> None:
        super().__init__(path)
        self.commits = 0
        self.full = False
        self.prunes = 0

    def prune(self, *keep: float) -> None:
        self.prunes += 1
        super().prune(*keep)

    def commit(self) -> None:
        self.commits += 1
        if self.full:
            self._db.execute("ROLLBACK")
            raise StoreError("the store cannot write: disk full")
        super().commit()


def revive(written: bytes) -> Mock:
    return mocksfile.revive(written, {}, Redaction())


class Bench:
    def __init__(self, mocks: Mocks, *results: int | str, path: str = MEMORY) -> None:
        self.sender = Sender(*(results or (200,)))
        self.store = CountingStore(path)
        self.engine = Engine(mocks, self.store, self.sender, Clock(SettableClock()), random.Random(1), revive)

    async def post(self, **document: Any) -> Decision:
        body = json.dumps({"by": 4, **document}).encode()
        return await self.engine.accept(
            Request("POST", "https", "api.slow.example", 443, "/jobs", (), body, len(body)),
        )


Play = Callable[..., Bench]


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str], Mocks]:
    def read(text: str) -> Mocks:
        (tmp_path / "mocks.yaml").write_text(text)
        return mocksfile.load([tmp_path / "mocks.yaml"], {})

    return read


@pytest.fixture
def play(read: Callable[[str], Mocks], caplog: pytest.LogCaptureFixture) -> Iterator[Play]:
    """Run a test's story on a loop that jumps; the sender gives `results`."""
    caplog.set_level(logging.INFO, "latehook")

    def play(
        act: Callable[[Bench], Coroutine[Any, Any, None]], *results: int | str, mocks: str = MOCKS, path: str = MEMORY
    ) -> Bench:
        bench = Bench(read(mocks), *results, path=path)
        virtual_time.run(act(bench))
        return bench

    yield play


async def post_and_wait(bench: Bench) -> None:
    await bench.post()
    await asyncio.sleep(3600)


def answered(answer: Decision) -> tuple[int, Any]:
    assert answer.response is not None
    return answer.response.status, json.loads(answer.response.body)


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("latehook")]


def test_a_request_is_answered_at_once_and_its_webhook_sent_at_its_time(play: Play) -> None:
    async def act(bench: Bench) -> None:
        status, body = answered(await bench.post())
        assert (status, asyncio.get_running_loop().time()) == (200, 0)
        await asyncio.sleep(3600)

        [(at, outgoing)] = bench.sender.sent
        assert at == 5
        assert (outgoing.method, outgoing.url) == ("POST", "http://app.test/hook")
        assert json.loads(outgoing.body)["id"] == body["id"]

    bench = play(act)

    assert bench.store.count_owed() == 0


def test_a_webhook_that_has_ended_was_due_when_its_last_attempt_was(play: Play) -> None:
    async def act(bench: Bench) -> None:
        bench.sender.takes = 2.0
        await bench.post()
        [before] = bench.store.webhooks()
        await asyncio.sleep(3600)

        [after] = bench.store.webhooks()
        assert (after.webhook.state, after.webhook.due) == (State.DELIVERED, before.webhook.due)

    play(act)


def test_the_job_is_in_the_store_before_the_answer_comes(play: Play) -> None:
    async def act(bench: Bench) -> None:
        await bench.post()

        assert (bench.store.commits, bench.store.count_owed()) == (1, 1)

    play(act)


def test_requests_of_one_turn_of_the_loop_share_a_commit_to_a_file(play: Play, tmp_path: Path) -> None:
    async def act(bench: Bench) -> None:
        await asyncio.gather(*(bench.post() for _ in range(16)))

        assert (bench.store.commits, bench.store.count_owed()) == (1, 16)

    play(act, path=str(tmp_path / "store.db"))


def test_a_commit_that_fails_is_a_503_and_nothing_is_scheduled(play: Play, caplog: pytest.LogCaptureFixture) -> None:
    async def act(bench: Bench) -> None:
        bench.store.full = True
        answers = await asyncio.gather(*(bench.post() for _ in range(3)))
        bench.store.full = False
        await asyncio.sleep(3600)

        assert [answered(answer)[0] for answer in answers] == [503] * 3
        assert answered(answers[0])[1]["error"] == "latehook: the store cannot write: disk full"
        assert bench.sender.sent == []

    play(act)

    assert "latehook: the store cannot write: disk full" in logged(caplog)


def test_after_a_commit_that_failed_the_next_one_counts(play: Play) -> None:
    async def act(bench: Bench) -> None:
        bench.store.full = True
        await bench.post()
        bench.store.full = False
        status, _ = answered(await bench.post())
        await asyncio.sleep(3600)

        assert (status, bench.sender.times) == (200, [5])

    play(act)


def test_one_caller_that_gives_up_takes_no_commit_from_the_others(play: Play) -> None:
    async def act(bench: Bench) -> None:
        impatient = asyncio.create_task(bench.post())
        patient = asyncio.create_task(bench.post())
        await asyncio.sleep(0)
        impatient.cancel()

        assert answered(await patient)[0] == 200

    play(act)


def test_retries_come_after_the_waits_and_say_the_same_at_a_time_of_their_own(play: Play) -> None:
    bench = play(post_and_wait, 500, "Connection refused", 200)

    assert bench.sender.times == [5, 6, 16]
    assert len({outgoing.body for _, outgoing in bench.sender.sent}) == 1
    assert [float(dict(outgoing.headers)["x-now"]) - NOON for _, outgoing in bench.sender.sent] == [5, 6, 16]


def test_content_is_of_the_first_attempt_and_not_of_the_request(play: Play) -> None:
    bench = play(post_and_wait)

    [(_, outgoing)] = bench.sender.sent
    assert json.loads(outgoing.body)["now"] - NOON == 5


def test_each_outcome_is_one_line_and_the_last_says_that_it_was_given_up(
    play: Play, caplog: pytest.LogCaptureFixture
) -> None:
    async def act(bench: Bench) -> None:
        _, body = answered(await bench.post(to="http://user:secret@app.test/hook"))
        await asyncio.sleep(3600)

        job = f"latehook: job {body['id']}: webhook not delivered"
        assert logged(caplog) == [
            f"{job}, attempt 1: http://app.test/hook: 500; next attempt in 1 s",
            f"{job}, attempt 2: http://app.test/hook: Connection refused; next attempt in 10 s",
            f"{job}, attempt 3: http://app.test/hook: 302; given up",
        ]

    bench = play(act, 500, "Connection refused", 302)

    assert (len(bench.sender.sent), bench.store.count_owed()) == (3, 0)


@pytest.mark.parametrize("status", [200, 204, 299])
def test_any_2xx_is_delivered(play: Play, caplog: pytest.LogCaptureFixture, status: int) -> None:
    bench = play(post_and_wait, status)

    assert len(bench.sender.sent) == 1
    assert [line.partition(": webhook ")[2] for line in logged(caplog)] == [
        f"delivered, attempt 1: http://app.test/hook: {status}"
    ]


@pytest.mark.parametrize("status", [199, 300, 307, 404, 503])
def test_anything_else_is_tried_again(play: Play, status: int) -> None:
    assert play(post_and_wait, status).sender.times == [5, 6, 16]


def test_410_ends_it(play: Play, caplog: pytest.LogCaptureFixture) -> None:
    bench = play(post_and_wait, 410)

    assert bench.sender.times == [5]
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


def said(bench: Bench) -> list[tuple[float, str]]:
    return [(at, outgoing.body.decode() or outgoing.url) for at, outgoing in bench.sender.sent]


def test_a_jobs_webhooks_have_their_first_attempts_in_stage_order(play: Play) -> None:
    async def act(bench: Bench) -> None:
        bench.sender.takes = 5
        await bench.post()
        await asyncio.sleep(3600)

    bench = play(act, mocks=SEVERAL)

    assert said(bench) == [(1, "first"), (3, "free"), (6, "second")]


def test_a_retry_keeps_no_later_webhook_waiting(play: Play) -> None:
    bench = play(post_and_wait, 500, 200, mocks=SEVERAL)

    assert said(bench) == [(1, "first"), (2, "second"), (3, "free"), (11, "first")]


def test_other_jobs_do_not_wait(play: Play) -> None:
    async def act(bench: Bench) -> None:
        bench.sender.takes = 5
        await bench.post()
        await bench.post()
        await asyncio.sleep(3600)

    bench = play(act, mocks=SEVERAL)

    assert said(bench)[:2] == [(1, "first"), (1, "first")]


def test_stages_that_are_replaced_send_nothing(play: Play) -> None:
    async def act(bench: Bench) -> None:
        answer = await bench.post()
        assert answer.started is not None
        await asyncio.sleep(1.5)
        await bench.engine.accept(Request("POST", "https", "api.slow.example", 443, f"/jobs/{answer.started.id}"))
        await asyncio.sleep(3600)

    bench = play(act, mocks=SEVERAL)

    assert said(bench) == [(1, "first"), (1.5, "http://app.test/stopped")]
    assert bench.store.count_owed() == 0


BEFORE = """
mocks:
  - match: POST api.slow.example/jobs
    response: {delay: 2s}
    webhook: {after: before-response, to: "http://app.test/hook", retry: [10s]}
"""


@pytest.mark.parametrize("result", [200, 500])
def test_a_webhook_before_the_response_has_its_first_attempt_before_it(play: Play, result: int) -> None:
    async def act(bench: Bench) -> None:
        bench.sender.takes = 3
        await bench.post()
        assert (bench.sender.times, asyncio.get_running_loop().time()) == ([0], 5)

    play(act, result, 200, mocks=BEFORE)


def test_a_response_may_be_delayed_and_its_webhook_counts_from_the_request(play: Play) -> None:
    async def act(bench: Bench) -> None:
        await bench.post()
        assert asyncio.get_running_loop().time() == 2
        await asyncio.sleep(3600)

    assert play(act, mocks=BEFORE.replace("before-response", "1s")).sender.times == [1]


def test_a_clock_that_runs_faster_brings_webhooks_earlier_and_no_response(play: Play) -> None:
    async def act(bench: Bench) -> None:
        bench.engine.clock.run(60)
        await bench.post()
        assert asyncio.get_running_loop().time() == 2
        await asyncio.sleep(3600)

    bench = play(act, 500, 200, mocks=BEFORE.replace("before-response", "5m"))

    assert bench.sender.times == [5, pytest.approx(5 + 10 / 60, abs=0.01)]


def test_a_receiver_may_ask_for_a_longer_wait(play: Play) -> None:
    async def act(bench: Bench) -> None:
        bench.sender.retry_after = "30"
        await bench.post()
        await asyncio.sleep(3600)

    assert play(act, 503, 200).sender.times == [5, 35]


def test_an_expression_that_fails_in_a_webhook_fails_it_at_once_with_its_place(
    play: Play, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    async def act(bench: Bench) -> None:
        await bench.post(by=0)
        await asyncio.sleep(3600)

        assert (bench.sender.sent, bench.store.count_owed()) == ([], 0)

    play(act)

    [line] = logged(caplog)
    assert f": webhook failed: {tmp_path / 'mocks.yaml'}:8: " in line
    assert "division by zero" in line


def test_a_webhook_to_nowhere_is_skipped_with_the_reason(play: Play, caplog: pytest.LogCaptureFixture) -> None:
    async def act(bench: Bench) -> None:
        assert answered(await bench.post())[0] == 200
        await asyncio.sleep(3600)

        assert (bench.sender.sent, bench.store.count_owed()) == ([], 0)

    play(act, mocks=MOCKS.replace("| default('http://app.test/hook') ", ""))

    [line] = logged(caplog)
    assert line.endswith(": webhook skipped: its `to` is null")


def test_a_webhook_whose_when_is_false_is_skipped_without_a_line(play: Play, caplog: pytest.LogCaptureFixture) -> None:
    async def act(bench: Bench) -> None:
        assert answered(await bench.post())[0] == 200
        await asyncio.sleep(3600)

        assert (bench.sender.sent, bench.store.count_owed()) == ([], 0)

    play(act, mocks=MOCKS.replace("webhook:\n", "webhook:\n      when: false\n"))

    assert not [record for record in caplog.records if record.levelno >= logging.INFO]


def test_a_job_keeps_the_definitions_it_started_with(play: Play, read: Callable[[str], Mocks]) -> None:
    async def act(bench: Bench) -> None:
        await bench.post()
        bench.engine.use(read(MOCKS.replace('json: {id: "{{ job.id }}", drawn', "method: PUT\n      json: {edited")))
        await bench.post()
        bench.engine.use(read("mocks: [{match: GET other.example/x, response: {status: 204}}]\n"))
        await asyncio.sleep(3600)

        first, second = (outgoing for _, outgoing in bench.sender.sent)
        assert (first.method, "id" in json.loads(first.body)) == ("POST", True)
        assert (second.method, "edited" in json.loads(second.body)) == ("PUT", True)

    play(act)


@pytest.mark.parametrize("url", ["not a url", "http://app.test:port/hook", "http://[::1/hook", "http://[app.test]/"])
def test_a_url_that_cannot_be_read_delays_no_other_webhook_and_ends_in_a_log_line(
    play: Play, caplog: pytest.LogCaptureFixture, url: str
) -> None:
    async def act(bench: Bench) -> None:
        await bench.post(to=url)
        await bench.post()
        await asyncio.sleep(3600)

        assert [(at, outgoing.url) for at, outgoing in bench.sender.sent] == [(5, "http://app.test/hook")]
        assert bench.store.count_owed() == 0

    play(act)

    assert f": webhook failed: its `to` is {url!r}, which is not a URL (http://host[:port]/path)" in logged(caplog)[0]


FAULTY = MOCKS.replace("response: {", "response: {fault: {kind: empty, count: 1}, ").replace(
    "      retry:", "      fault: {kind: duplicate, count: 2}\n      retry:"
)


def test_faults_are_counted_and_each_is_a_line(play: Play, caplog: pytest.LogCaptureFixture) -> None:
    async def act(bench: Bench) -> None:
        answers = [await bench.post() for _ in range(3)]
        await asyncio.sleep(3600)

        assert [answer.fault for answer in answers] == ["empty", None, None]
        assert [outgoing.fault for _, outgoing in bench.sender.sent] == ["duplicate", "duplicate", None]

    play(act, mocks=FAULTY)

    lines = logged(caplog)
    assert [line for line in lines if "empty" in line] == [
        "latehook: POST api.slow.example/jobs: the response's fault: empty"
    ]
    assert sum(line.endswith(": the webhook's fault: duplicate") for line in lines) == 2


def test_a_job_that_could_not_be_written_is_a_503_without_a_fault(play: Play) -> None:
    async def act(bench: Bench) -> None:
        bench.store.full = True
        answer = await bench.post()

        assert (answered(answer)[0], answer.fault) == (503, None)

    play(act, mocks=FAULTY)


def test_an_attempt_that_is_final_is_not_tried_again(play: Play, caplog: pytest.LogCaptureFixture) -> None:
    async def act(bench: Bench) -> None:
        async def lose(outgoing: Outgoing) -> Outcome:
            bench.sender.sent.append((0, outgoing))
            return Outcome(0, 0, None, "lost", final=True)

        bench.engine.outbox.delivery._send = lose
        await bench.post()
        await asyncio.sleep(3600)

        assert (len(bench.sender.sent), bench.store.count_owed()) == (1, 0)

    play(act)

    assert logged(caplog)[-1].endswith("attempt 1: http://app.test/hook: lost; given up")


def test_closing_lets_attempts_end_and_says_how_many_are_still_owed(play: Play) -> None:
    async def act(bench: Bench) -> None:
        bench.sender.takes = 1
        await bench.post()
        await asyncio.sleep(4)
        await bench.post()
        await bench.post()
        await asyncio.sleep(1.5)  # the first one's attempt is under way
        owed = await bench.engine.close(seconds=1.5)

        assert (bench.sender.times, owed) == ([5], 2)
        assert asyncio.get_running_loop().time() == 6

    play(act)


def test_closing_breaks_off_an_attempt_that_takes_too_long_and_it_stays_owed(play: Play) -> None:
    async def act(bench: Bench) -> None:
        bench.sender.takes = 60
        await bench.post()
        await asyncio.sleep(5)
        owed = await bench.engine.close(seconds=1.5)

        assert (bench.sender.times, owed) == ([5], 1)
        assert asyncio.get_running_loop().time() == pytest.approx(6.5, abs=0.2)

    play(act)


def test_from_the_shutdown_on_requests_get_a_503(play: Play) -> None:
    async def act(bench: Bench) -> None:
        bench.sender.takes = 1
        await bench.post()
        await asyncio.sleep(5)
        closing = asyncio.create_task(bench.engine.close(seconds=1.5))
        await asyncio.sleep(0)
        status, body = answered(await bench.post())
        await closing

        assert (status, body["error"]) == (503, "latehook: shutting down")

    play(act)


def test_now_and_then_old_jobs_are_forgotten(play: Play) -> None:
    async def act(bench: Bench) -> None:
        for _ in range(TIDY_EVERY - 1):
            await bench.post()
        assert bench.store.prunes == 0
        await bench.post()
        assert bench.store.prunes == 1

    play(act)


@pytest.mark.parametrize("after", ["5s", "before-response"])
def test_a_filter_that_breaks_on_data_it_was_not_made_for_fails_the_webhook_and_nobody_waits(
    play: Play, caplog: pytest.LogCaptureFixture, after: str
) -> None:
    async def act(bench: Bench) -> None:
        answer = await asyncio.wait_for(bench.post(by="abc"), 60)
        await asyncio.sleep(3600)

        assert (answered(answer)[0], bench.sender.sent, bench.store.count_owed()) == (200, [], 0)

    play(
        act,
        mocks=MOCKS.replace("after: 5s", f"after: {after}").replace(
            "12 / request.json.by", "request.json.by | dictsort"
        ),
    )

    assert ": webhook failed: " in logged(caplog)[0]


def test_a_file_that_was_edited_is_another_definition(play: Play, read: Callable[[str], Mocks], tmp_path: Path) -> None:
    text = 'mocks: [{match: POST api.slow.example/jobs, webhook: {after: 5s, to: "http://app.test/", file: body.txt}}]'

    async def act(bench: Bench) -> None:
        for content in ("old", "new"):
            (tmp_path / "body.txt").write_text(content)
            bench.engine.use(read(text))
            await bench.post()
        await asyncio.sleep(3600)

        assert [outgoing.body for _, outgoing in bench.sender.sent] == [b"old", b"new"]

    play(act)


def test_of_large_requests_little_is_kept(play: Play) -> None:
    async def act(bench: Bench) -> None:
        for size in (1000, 100_000):
            body = b"x" * size
            fields = ((b"a", b"b"),)
            await bench.engine.accept(Request("PUT", "https", "api.slow.example", 443, "/", fields, body, size))
        large, small = (received.request for received in reversed(bench.engine.journal))
        assert (small.body, small.headers) == (b"x" * 1000, ((b"a", b"b"),))
        assert (large.body, large.headers, large.size, large.target) == (None, (), 100_000, "/")

    play(act)


def test_a_job_that_cannot_be_kept_fails_alone(play: Play) -> None:
    async def act(bench: Bench) -> None:
        answers = await asyncio.gather(*(bench.post(n=n) for n in (1, 10**30, 2)))
        assert [answered(answer)[0] for answer in answers] == [200, 500, 200]
        error = answered(answers[1])[1]["error"]
        assert "mocks.yaml:2" in error and "whole numbers have at most 64 bits" in error
        assert len(bench.store.jobs()) == 2
        await asyncio.sleep(3600)
        assert len(bench.sender.sent) == 2

    play(act, mocks=MOCKS.replace("    response:", "    job: {vars: {n: '{{ request.json.n }}'}}\n    response:", 1))


def test_what_the_store_could_not_be_told_it_is_told_at_the_end(play: Play) -> None:
    async def act(bench: Bench) -> None:
        await bench.post()
        bench.store.full = True
        await asyncio.sleep(5.5)
        assert (len(bench.sender.sent), bench.store.count_owed()) == (1, 1)
        bench.store.full = False

        assert await bench.engine.close() == 0

    play(act)


def test_an_attempt_that_could_not_be_written_is_not_made_again_and_is_not_lost(play: Play) -> None:
    async def act(bench: Bench) -> None:
        await bench.post()
        bench.store.full = True
        await asyncio.sleep(30)
        assert [at for at, _ in bench.sender.sent] == [5, 6]
        bench.store.full = False
        await asyncio.sleep(3600)

        numbers = bench.store._db.execute("SELECT number, status FROM attempt ORDER BY number").fetchall()
        assert numbers == [(1, 500), (2, 200)]
        assert (len(bench.sender.sent), bench.store.count_owed()) == (2, 0)

    play(act, 500, 200)


def test_a_webhook_is_not_held_back_by_one_whose_end_could_not_be_written(play: Play) -> None:
    async def act(bench: Bench) -> None:
        await bench.post()
        bench.store.full = True
        await asyncio.sleep(30)

    bench = play(act, mocks=SEVERAL)

    assert said(bench) == [(1, "first"), (2, "second"), (3, "free")]


def test_whoever_has_written_in_a_turn_that_another_commits_early_is_told_what_came_of_it(play: Play) -> None:
    """An operation that fails takes back what was written before it in the same turn: that must not look like done."""

    async def act(bench: Bench) -> None:
        made = bench.engine.commits.soon()
        bench.store.remember("vars", {"a": 1})
        bench.store.full = True
        with pytest.raises(StoreError), bench.engine.commits.at_once():
            bench.store.remember("holding", True)
        bench.store.full = False

        with pytest.raises(StoreError):
            await made
        assert bench.store.recall("vars") is None

    play(act)


def test_definitions_that_are_in_no_file_any_more_are_kept_compiled_up_to_a_number(
    play: Play, read: Callable[[str], Mocks]
) -> None:
    async def act(bench: Bench) -> None:
        for number in range(OLD_DEFINITIONS + 20):
            bench.engine.use(read(MOCKS.replace("by }}", f"by }}}} {number}")))
            await bench.post()
        bench.engine.use(read("mocks: [{match: GET other.example/x}]"))

        assert len(bench.engine.outbox._definitions) == OLD_DEFINITIONS
        await asyncio.sleep(3600)
        shares = sorted(json.loads(outgoing.body)["share"] for _, outgoing in bench.sender.sent)
        assert shares == sorted(f"3.0 {number}" for number in range(OLD_DEFINITIONS + 20))

    play(act)
