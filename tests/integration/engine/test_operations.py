"""What a tester may do while jobs are pending: a real store, a real loop whose time jumps, no HTTP."""

import asyncio
import json
import random
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from latehook import mocksfile
from latehook.base.clock import Clock
from latehook.base.errors import OperationError
from latehook.base.model import Outcome, Outgoing, Request, State
from latehook.delivery.advance import LEFT_TOLD
from latehook.engine.engine import Engine
from latehook.engine.operations import Operations
from latehook.mocks.decide import Decision
from latehook.store import Store
from support import virtual_time
from support.virtual_time import NOON, SettableClock

MOCKS = """
vars: {verdict: good}
mocks:
  - match: POST api.slow.example/jobs
    job: {id: "{{ request.json.id }}"}
    response: {json: {status: "{{ job.status }}"}}
    webhook:
      to: "http://app.test/{{ job.id }}"
      text: "{{ job.status }} {{ vars.verdict }}"
      retry: [10s, 20s]
    stages:
      - {after: 0s, status: queued}
      - {after: 30s, status: processing, webhook: true}
      - {after: 60s, status: done, webhook: true}
  - match: GET api.slow.example/jobs/{id}
    lookup: request.path.id
    response: {json: {status: "{{ job.status }}", done: "{{ job.at.done }}"}}
  - {match: GET api.slow.example/twice, times: 2}
"""


class Sender:
    """Carries attempts out: the results that it is told, then 200. It notes what was sent, at the loop's time."""

    def __init__(self) -> None:
        self.results: list[int] = []
        self.takes = 0.0
        self.sent: list[tuple[float, str, str]] = []

    def get_ready(self) -> None:
        pass

    async def send(self, outgoing: Outgoing) -> Outcome:
        now = asyncio.get_running_loop().time()
        self.sent.append((round(now, 2), outgoing.url.rpartition("/")[2], outgoing.body.decode()))
        result = self.results.pop(0) if self.results else 200
        await asyncio.sleep(self.takes)
        return Outcome(now, now, result)

    async def close(self) -> None:
        pass


class Bench:
    def __init__(self, file: Path) -> None:
        self.sender = Sender()
        self.store = Store()
        mocks = mocksfile.load([file], {})
        self.clock = Clock(SettableClock())
        self.engine = Engine(mocks, self.store, self.sender, self.clock, random.Random(1), lambda _: mocks.all[0])
        self.operations = Operations(self.engine)

    async def post(self, id: str = "a") -> Decision:
        body = json.dumps({"id": id}).encode()
        return await self.engine.accept(request("POST", "/jobs", body))

    async def look(self, id: str = "a") -> Any:
        answer = await self.engine.accept(request("GET", f"/jobs/{id}"))
        assert answer.response is not None
        return json.loads(answer.response.body)

    def id(self, number: int = 0) -> str:
        """The id of the webhook of this number."""
        owed = self.store.webhook(number + 1)
        assert owed is not None
        return owed.webhook.id

    def state(self, number: int = 0) -> State:
        owed = self.store.webhook(number + 1)
        assert owed is not None
        return owed.webhook.state

    @property
    def sent(self) -> list[tuple[float, str, str]]:
        return self.sender.sent


def request(method: str, path: str, body: bytes = b"") -> Request:
    return Request(method, "https", "api.slow.example", 443, path, (), body, len(body))


Play = Callable[[Callable[[Bench], Coroutine[Any, Any, None]]], Bench]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    file = tmp_path / "mocks.yaml"
    file.write_text(MOCKS)

    def play(act: Callable[[Bench], Coroutine[Any, Any, None]]) -> Bench:
        bench = Bench(file)
        virtual_time.run(act(bench))
        return bench

    return play


# Advance


def test_an_advance_makes_happen_what_falls_into_it_and_takes_no_time(play: Play) -> None:
    async def act(bench: Bench) -> None:
        await bench.post()
        left = await bench.operations.advance("65s")

        assert left == []
        assert bench.sent == [(0, "a", "processing good"), (0, "a", "done good")]
        assert (await bench.look())["status"] == "done"

    play(act)


def test_what_is_shown_stays_real_and_a_stage_was_reached_when_it_was_advanced_to(play: Play) -> None:
    async def act(bench: Bench) -> None:
        await bench.post()
        await asyncio.sleep(5)
        await bench.operations.advance("1h")

        assert (await bench.look())["done"] == pytest.approx(NOON + 5, abs=0.1)

    play(act)


def test_an_advance_short_of_a_stage_brings_it_nearer(play: Play) -> None:
    async def act(bench: Bench) -> None:
        await bench.post()
        await bench.operations.advance(20)
        assert bench.sent == []
        await asyncio.sleep(100)

    assert [at for at, _, _ in play(act).sent] == [10, 40]


def test_retries_that_fall_inside_happen_too_in_order_with_what_others_are_due(play: Play) -> None:
    async def act(bench: Bench) -> None:
        bench.sender.results = [500, 500, 500]
        await bench.post("a")
        await bench.operations.advance("5s")
        await bench.post("b")
        left = await bench.operations.advance("40s")

        # a at 30 and again at 40, b at 35 and again at 45; a's third is due at 60
        assert [(id, text) for _, id, text in bench.sent] == [(id, "processing good") for id in "abab"]
        assert left == []
        assert [owed.webhook.due - NOON for owed in bench.operations.pending()][:2] == [60, 60]

    play(act)


def test_what_is_due_after_a_retry_does_not_overtake_it(play: Play) -> None:
    async def act(bench: Bench) -> None:
        bench.sender.results = [500]
        for id in ("a", "b", "c"):
            await bench.post(id)
            await bench.operations.advance("6s")
        await bench.operations.advance("30s")

        # a at 30 and again at 40, b at 36, c at 42
        assert [id for _, id, text in bench.sent if text == "processing good"] == ["a", "b", "a", "c"]

    play(act)


def test_an_advance_waits_for_the_attempts(play: Play) -> None:
    async def act(bench: Bench) -> None:
        bench.sender.takes = 3
        await bench.post()
        left = await bench.operations.advance("30s")

        assert (left, asyncio.get_running_loop().time()) == ([], 3)
        assert bench.state(0) is State.DELIVERED

    play(act)


def test_an_advance_gives_up_after_ten_seconds_and_says_what_has_not_happened(play: Play) -> None:
    async def act(bench: Bench) -> None:
        bench.sender.takes = 60
        await bench.post()
        left = await bench.operations.advance("30s")

        assert asyncio.get_running_loop().time() == 10
        assert [owed.webhook.id for owed in left] == [bench.id(0)]

    play(act)


def test_an_advance_names_no_more_than_the_first_of_very_many_that_have_not_happened(play: Play) -> None:
    async def act(bench: Bench) -> None:
        bench.sender.takes = 60
        for number in range(LEFT_TOLD + 100):
            await bench.post(str(number))
        left = await bench.operations.advance("30s")

        assert asyncio.get_running_loop().time() == 10
        assert [owed.job.id for owed in left] == [str(number) for number in range(LEFT_TOLD)]
        await bench.operations.reset()

    play(act)


def test_an_advance_names_what_was_due_before_it_and_has_not_happened(play: Play) -> None:
    async def act(bench: Bench) -> None:
        bench.sender.takes = 60
        await bench.post()
        await asyncio.sleep(31)
        left = await bench.operations.advance("1s")

        assert [owed.webhook.id for owed in left] == [bench.id(0)]

    play(act)


def test_an_advance_of_one_job_leaves_the_others_as_they_are(play: Play) -> None:
    async def act(bench: Bench) -> None:
        await bench.post("a")
        await bench.post("b")
        await bench.operations.advance("65s", job="a")

        assert [id for _, id, _ in bench.sent] == ["a", "a"]
        assert ((await bench.look("a"))["status"], (await bench.look("b"))["status"]) == ("done", "queued")
        assert (await bench.look("a"))["done"] == pytest.approx(NOON, abs=0.1)
        await asyncio.sleep(100)
        assert [at for at, id, _ in bench.sent if id == "b"] == [30, 60]

    play(act)


def test_an_advance_of_one_job_has_its_retries_inside_too(play: Play) -> None:
    async def act(bench: Bench) -> None:
        bench.sender.results = [500]
        await bench.post("a")
        await bench.operations.advance("45s", job="a")
        assert [text for _, _, text in bench.sent] == ["processing good"] * 2
        await asyncio.sleep(100)

    assert [at for at, _, _ in play(act).sent] == [0, 0, 15]


def test_a_thousand_jobs_are_advanced_past(play: Play) -> None:
    async def act(bench: Bench) -> None:
        for number in range(1000):
            await bench.post(str(number))
        left = await bench.operations.advance("2m")

        assert (len(bench.sent), left, bench.store.count_owed()) == (2000, [], 0)

    play(act)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("soon",), "'soon' is not a duration"),
        ((-1,), "-1 is not a duration"),
        (("1s", "nobody"), "there is no job 'nobody'"),
    ],
)
def test_an_advance_that_cannot_be_says_why(play: Play, arguments: Any, says: str) -> None:
    async def act(bench: Bench) -> None:
        with pytest.raises(OperationError, match=says):
            await bench.operations.advance(*arguments)

    play(act)


# Hold and release


def test_nothing_starts_while_all_is_held_and_the_clock_goes_on(play: Play) -> None:
    async def act(bench: Bench) -> None:
        await bench.post()
        await bench.operations.hold()
        await asyncio.sleep(65)
        assert (bench.sent, (await bench.look())["status"]) == ([], "done")
        assert [owed.webhook.state for owed in bench.operations.pending()] == [State.HELD, State.HELD]
        await bench.post("b")
        await bench.operations.release()
        await asyncio.sleep(100)

    assert [(at, id) for at, id, _ in play(act).sent] == [(65, "a"), (65, "a"), (95, "b"), (125, "b")]


def test_one_that_is_held_blocks_nobody_and_goes_out_when_it_is_released(play: Play) -> None:
    async def act(bench: Bench) -> None:
        await bench.post()
        await bench.operations.hold(bench.id(0))
        await asyncio.sleep(70)
        assert bench.sent == [(60, "a", "done good")]
        await bench.operations.release(bench.id(0))
        await asyncio.sleep(1)

    assert play(act).sent[1:] == [(70, "a", "processing good")]


def test_one_that_is_released_before_its_time_waits_for_it(play: Play) -> None:
    async def act(bench: Bench) -> None:
        await bench.post()
        await bench.operations.hold(bench.id(0))
        await bench.operations.release(bench.id(0))
        await asyncio.sleep(31)

    assert play(act).sent == [(30, "a", "processing good")]


# Fire, cancel, resend


def test_fire_sends_at_once_and_moves_the_job_to_that_stage(play: Play) -> None:
    async def act(bench: Bench) -> None:
        await bench.post()
        await asyncio.sleep(5)
        await bench.operations.fire(bench.id(1))
        await asyncio.sleep(0.1)
        assert bench.sent == [(5, "a", "done good")]
        assert (await bench.look())["status"] == "done"
        await asyncio.sleep(100)

    assert play(act).sent[1:] == [(30, "a", "processing good")]


def test_fire_does_not_mind_a_hold(play: Play) -> None:
    async def act(bench: Bench) -> None:
        await bench.post()
        await bench.operations.hold()
        await bench.operations.fire(bench.id(0))
        await asyncio.sleep(100)

    assert play(act).sent == [(0, "a", "processing good")]


def test_what_was_canceled_is_not_sent(play: Play) -> None:
    async def act(bench: Bench) -> None:
        await bench.post("a")
        await bench.post("b")
        await bench.operations.cancel(bench.id(0))
        await asyncio.sleep(45)
        assert [(at, id) for at, id, _ in bench.sent] == [(30, "b")]
        await bench.operations.cancel()
        await asyncio.sleep(100)
        assert len(bench.sent) == 1
        assert bench.store.count_owed() == 0

    play(act)


def test_an_attempt_under_way_ends_though_its_webhook_is_canceled(play: Play) -> None:
    async def act(bench: Bench) -> None:
        bench.sender.takes = 5
        bench.sender.results = [500]
        await bench.post()
        await asyncio.sleep(31)
        await bench.operations.cancel(bench.id(0))
        await asyncio.sleep(60)

        assert bench.state(0) is State.CANCELED
        assert [text for _, _, text in bench.sent] == ["processing good", "done good"]

    play(act)


@pytest.mark.parametrize("result", [200, 410])
def test_an_ended_webhook_is_sent_again_with_the_same_content_and_the_next_number(play: Play, result: int) -> None:
    async def act(bench: Bench) -> None:
        bench.sender.results = [result]
        await bench.post()
        await asyncio.sleep(40)
        await bench.operations.set_vars({"verdict": "bad"})
        await bench.operations.resend(bench.id(0))
        await asyncio.sleep(1)

        assert bench.sent == [(30, "a", "processing good"), (40, "a", "processing good")]
        owed = bench.store.webhook(1)
        assert owed is not None
        assert (owed.attempts, owed.webhook.state) == (2, State.DELIVERED)

    play(act)


@pytest.mark.parametrize(
    ("operation", "says"),
    [
        ("resend", "webhook {id} is pending: this needs one that is delivered or failed or canceled or skipped"),
        ("fire x", "there is no webhook 'x': mock.pending lists those still owed"),
    ],
)
def test_an_operation_that_does_not_fit_says_what_would(play: Play, operation: str, says: str) -> None:
    async def act(bench: Bench) -> None:
        await bench.post()
        name, _, id = operation.partition(" ")
        with pytest.raises(OperationError) as raised:
            await getattr(bench.operations, name)(id or bench.id(0))
        assert str(raised.value) == says.format(id=bench.id(0))

    play(act)


# Speed, vars, reset


def test_the_clock_may_run_faster(play: Play) -> None:
    async def act(bench: Bench) -> None:
        await bench.post()
        await asyncio.sleep(10)
        await bench.operations.set_speed(10)
        await asyncio.sleep(100)

    assert [at for at, _, _ in play(act).sent] == [12, 15]


def test_a_dial_that_signs_is_hidden_as_it_was_and_as_it_is_set(tmp_path: Path) -> None:
    file = tmp_path / "mocks.yaml"
    file.write_text("""
vars: {signing: first-secret, verdict: harmless}
mocks:
  - match: POST api.slow.example/jobs
    webhook: {to: null, sign: {scheme: github, secret: "{{ vars.signing }}"}}
""")

    async def act() -> None:
        bench = Bench(file)
        await bench.operations.set_vars({"signing": ["second-secret", "a-rotation"]})
        hidden = bench.operations.hide({"signing": ["first-secret", "second-secret"], "url": "/a-rotation/harmless"})
        assert hidden == {"signing": ["***", "***"], "url": "/***/harmless"}

    virtual_time.run(act())


def test_dials_are_for_what_comes_after_and_must_be_known(play: Play) -> None:
    async def act(bench: Bench) -> None:
        await bench.post()
        await bench.operations.set_vars({"verdict": "bad"})
        with pytest.raises(OperationError, match="there is no variable 'verdct'; did you mean 'verdict'"):
            await bench.operations.set_vars({"verdct": 1})
        await asyncio.sleep(31)

    assert play(act).sent == [(30, "a", "processing bad")]


def test_reset_forgets_everything(play: Play) -> None:
    async def act(bench: Bench) -> None:
        bench.sender.takes = 5
        await bench.post("a")
        await bench.engine.accept(request("GET", "/nothing"))
        await bench.engine.accept(request("GET", "/twice"))
        await bench.operations.set_vars({"verdict": "bad"})
        await bench.operations.hold()
        await bench.operations.set_speed(3)
        await asyncio.sleep(30)
        await bench.operations.fire(bench.id(0))
        await asyncio.sleep(1)
        await bench.operations.reset()
        await asyncio.sleep(1000)

        assert bench.sent == [(30, "a", "processing bad")]
        assert bench.store.count_owed() == 0
        assert (bench.engine.vars, bench.engine.outbox.holding, bench.clock.speed) == ({"verdict": "good"}, False, 1)
        assert (list(reversed(bench.engine.journal)), list(bench.engine.jobs())) == ([], [])
        assert bench.clock.now() == pytest.approx(bench.clock.real(), abs=0.1)
        bench.sender.takes = 0
        await bench.post("b")
        await asyncio.sleep(31)
        assert bench.sent[1:] == [(1061, "b", "processing good")]

    play(act)


def test_the_last_thousand_requests_are_kept(play: Play) -> None:
    async def act(bench: Bench) -> None:
        for number in range(1100):
            await bench.engine.accept(request("GET", f"/nothing/{number}"))

        received = list(reversed(bench.engine.journal))
        assert len(received) == 1000
        assert (received[0].number, received[0].request.path, received[0].matched) == (1100, "/nothing/1099", False)
        assert (bench.engine.journal.count, bench.engine.journal.unmatched) == (1100, 1100)

    play(act)
