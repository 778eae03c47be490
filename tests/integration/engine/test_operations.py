"""The operations on an engine with a real store, in virtual time. The sender records."""

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from latehook.base.errors import OperationError, StoreError
from latehook.base.model import State, Webhook
from latehook.delivery import advance
from support.engine_setup import EngineSetup, Scenario, run_scenario
from support.postgres import SLOW_IN_POSTGRESQL, server_of
from support.virtual_time import NOON

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
    response: {json: {status: "{{ job.status }}", done: "{{ job.at.done }}", now: "{{ now }}", real: "{{ real_now }}"}}
  - {match: GET api.slow.example/twice, times: 2}
"""


Run = Callable[..., EngineSetup]


@pytest.fixture(params=["memory", "postgresql"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    def run(scenario: Scenario, mocks: str = MOCKS) -> EngineSetup:
        return run_scenario(scenario, mocks, tmp_path, document={"id": "a"}, server=server_of(request))

    return run


def sent(setup: EngineSetup) -> list[tuple[float, str, str]]:
    """The attempts: the loop's time, the job's id, the body."""
    return [(at, outgoing.url.rpartition("/")[2], outgoing.body.decode()) for at, outgoing in setup.sender.sent]


async def job(setup: EngineSetup, id: str = "a") -> Any:
    """What a request for this job is answered."""
    decision = await setup.request("GET", f"/jobs/{id}")
    assert decision.response is not None
    return json.loads(decision.response.body)


async def webhook(setup: EngineSetup, number: int) -> Webhook:
    """The webhook of this number, in the order in which they were made."""
    return sorted(await setup.store.webhooks(), key=lambda stored: stored.key)[number].webhook


async def webhook_id(setup: EngineSetup, number: int = 0) -> str:
    return (await webhook(setup, number)).id


async def state(setup: EngineSetup, number: int = 0) -> State:
    return (await webhook(setup, number)).state


# Advance


def test_an_advance_sends_what_becomes_due_at_once(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post()
        left = await setup.operations.advance("65s")

        assert left == []
        assert sent(setup) == [(0, "a", "processing good"), (0, "a", "done good")]
        assert (await job(setup))["status"] == "done"

    run(scenario)


def test_an_advance_moves_what_the_third_party_says_of_its_times(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post()
        await asyncio.sleep(5)
        await setup.operations.advance("1h")

        assert await job(setup) == {"status": "done", "done": NOON + 60, "now": NOON + 3605, "real": NOON + 5}

    run(scenario)


def test_an_advance_makes_later_stages_earlier(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post()
        await setup.operations.advance(20)
        assert sent(setup) == []
        await asyncio.sleep(100)

    assert [at for at, _, _ in sent(run(scenario))] == [10, 40]


def test_an_advance_includes_retries_in_the_order_of_due_times(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        setup.sender.results = [500, 500, 500, 200]
        await setup.post(id="a")
        await setup.operations.advance("5s")
        await setup.post(id="b")
        left = await setup.operations.advance("40s")

        # a at 30 and again at 40, b at 35 and again at 45; a's third is due at 60
        assert [(id, text) for _, id, text in sent(setup)] == [(id, "processing good") for id in "abab"]
        assert left == []
        assert [owed.webhook.due - NOON for owed in (await setup.operations.queries.unfinished())][:2] == [60, 60]

    run(scenario)


def test_later_webhooks_do_not_overtake_a_retry(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        setup.sender.results = [500, 200]
        for id in ("a", "b", "c"):
            await setup.post(id=id)
            await setup.operations.advance("6s")
        await setup.operations.advance("30s")

        # a at 30 and again at 40, b at 36, c at 42
        assert [id for _, id, text in sent(setup) if text == "processing good"] == ["a", "b", "a", "c"]

    run(scenario)


def test_an_advance_waits_for_its_attempts(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        setup.sender.takes = 3
        await setup.post()
        left = await setup.operations.advance("30s")

        assert (left, asyncio.get_running_loop().time()) == ([], 3)
        assert await state(setup, 0) is State.DELIVERED

    run(scenario)


@pytest.mark.parametrize("id", [None, "a"])
def test_an_advance_waits_for_an_attempt_that_runs_already(run: Run, id: str | None) -> None:
    async def scenario(setup: EngineSetup) -> None:
        setup.sender.takes = 3
        await setup.post()
        await asyncio.sleep(31)
        left = await setup.operations.advance("40s", id)

        assert (left, asyncio.get_running_loop().time()) == ([], 36)
        assert [await state(setup, number) for number in (0, 1)] == [State.DELIVERED, State.DELIVERED]

    run(scenario)


def test_what_follows_from_an_attempt_that_runs_already_happens_within_the_advance(run: Run) -> None:
    mocks = """
mocks:
  - match: POST api.slow.example/jobs
    job: {id: "{{ request.json.id }}"}
    webhook: {to: "http://app.test/", retry: [20s]}
    stages:
      - {after: 0s, webhook: {event: first}}
      - {after: {ended: first, plus: 2s}, webhook: {event: second}}
"""

    async def scenario(setup: EngineSetup) -> None:
        setup.sender.results = [500, 200]
        setup.sender.takes = 3
        await setup.post()
        await asyncio.sleep(1)
        left = await setup.operations.advance("1h")

        assert (left, asyncio.get_running_loop().time()) == ([], 9)
        assert [await state(setup, number) for number in (0, 1)] == [State.DELIVERED, State.DELIVERED]

    run(scenario, mocks)


def test_during_a_hold_an_advance_does_not_wait_for_an_attempt_that_runs_already(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        setup.sender.takes = 60
        await setup.post()
        await asyncio.sleep(31)
        await setup.operations.hold()
        left = await setup.operations.advance("30m")

        assert (left, asyncio.get_running_loop().time()) == ([], 31)
        await setup.operations.reset()

    run(scenario)


def test_an_advance_of_one_job_does_not_wait_for_attempts_of_others(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        setup.sender.takes = 60
        await setup.post(id="a")
        await asyncio.sleep(31)
        setup.sender.takes = 3
        await setup.post(id="b")
        left = await setup.operations.advance("30s", "b")

        assert (left, asyncio.get_running_loop().time()) == ([], 34)

    run(scenario)


def test_an_advance_reads_each_webhook_ahead_once_also_where_that_tells_nothing(run: Run) -> None:
    mocks = """
mocks:
  - match: POST api.slow.example/jobs
    webhook: {to: "http://app.test/"}
    stages:
      - {after: 0s, webhook: {event: first}}
      - {after: "{{ request.json.after }}", webhook: {when: job.webhooks.first.status == 200}}
"""

    async def scenario(setup: EngineSetup) -> None:
        for number in range(60):
            await setup.post(after=10 + number)
        await asyncio.sleep(1)
        asked, dues = list[int](), setup.store.dues

        async def observed(keys: Sequence[int]) -> Any:
            asked.extend(keys)
            return await dues(keys)

        setup.store.dues = observed
        assert await setup.operations.advance("1h") == []
        assert len(sent(setup)) == 120
        assert len(asked) == 2 * 60  # ahead, and when it is due

    run(scenario, mocks)


def test_an_advance_returns_unfinished_webhooks_after_ten_seconds(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        setup.sender.takes = 60
        await setup.post()
        left = await setup.operations.advance("30s")

        assert asyncio.get_running_loop().time() == 10
        assert [owed.webhook.id for owed in left] == [await webhook_id(setup, 0)]

    run(scenario)


@SLOW_IN_POSTGRESQL
def test_an_advance_returns_a_limited_number_of_unfinished_webhooks(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advance, "MAX_LEFT", 30)

    async def scenario(setup: EngineSetup) -> None:
        setup.sender.takes = 60
        for number in range(40):
            await setup.post(id=str(number))
        left = await setup.operations.advance("30s")

        assert asyncio.get_running_loop().time() == 10
        assert [owed.job.id for owed in left] == [str(number) for number in range(30)]
        await setup.operations.reset()

    run(scenario)


def test_an_advance_returns_unfinished_webhooks_that_were_due_before_it(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        setup.sender.takes = 60
        await setup.post()
        await asyncio.sleep(31)
        left = await setup.operations.advance("1s")

        assert [owed.webhook.id for owed in left] == [await webhook_id(setup, 0)]

    run(scenario)


def test_an_advance_of_one_job_does_not_affect_others(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post(id="a")
        await setup.post(id="b")
        await setup.operations.advance("65s", job="a")

        assert [id for _, id, _ in sent(setup)] == ["a", "a"]
        assert ((await job(setup, "a"))["status"], (await job(setup, "b"))["status"]) == ("done", "queued")
        assert await job(setup, "a") == {"status": "done", "done": NOON + 60, "now": NOON + 65, "real": NOON}
        assert (await job(setup, "b"))["now"] == NOON
        await asyncio.sleep(100)
        assert [at for at, id, _ in sent(setup) if id == "b"] == [30, 60]

    run(scenario)


def test_the_clock_that_the_store_keeps_is_never_behind_that_of_an_advance(run: Run) -> None:
    """A process that crashes in an advance goes on behind it, whatever was written meanwhile."""

    async def scenario(setup: EngineSetup) -> None:
        setup.sender.takes = 5
        await setup.post()
        advance = asyncio.create_task(setup.operations.advance("1h"))
        await asyncio.sleep(1)
        await setup.engine.state.keep_clock()
        [(moment, real, speed)] = await setup.store.get_value("clock", list)

        assert not advance.done()
        assert (moment, real, speed) == (NOON + 3600, NOON + 1, 1)
        await advance

    run(scenario)


@pytest.mark.parametrize("job", [None, "a"])
def test_the_clock_stays_within_the_years_that_have_four_digits(run: Run, job: str | None) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post(id="a")
        with pytest.raises(OperationError, match="would move the clock past the year 9999: reset it before"):
            for _ in range(100):
                await setup.operations.advance("36500d", job)

    run(scenario)


def test_in_a_delayed_response_each_job_is_by_its_own_clock(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        for id in ("a", "b"):
            await setup.post(id=id)
        await setup.operations.advance("45s", job="a")
        decision = await setup.request("GET", "/late/a")

        assert decision.response is not None
        assert json.loads(decision.response.body) == {"now": NOON + 46, "all": ["queued", "processing"]}

    late = """  - match: GET api.slow.example/late/{id}
    lookup: request.path.id
    response: {delay: 1s, json: {now: "{{ now }}", all: "{{ jobs | map(attribute='status') | list }}"}}
"""
    run(scenario, MOCKS + late)


def test_an_advance_of_one_job_includes_its_retries(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        setup.sender.results = [500, 200]
        await setup.post(id="a")
        await setup.operations.advance("45s", job="a")
        assert [text for _, _, text in sent(setup)] == ["processing good"] * 2
        await asyncio.sleep(100)

    assert [at for at, _, _ in sent(run(scenario))] == [0, 0, 15]


@SLOW_IN_POSTGRESQL
def test_an_advance_over_hundreds_of_jobs(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        for number in range(300):
            await setup.post(id=str(number))
        left = await setup.operations.advance("2m")

        assert (len(sent(setup)), left, (await setup.store.count_unfinished())) == (600, [], 0)

    run(scenario)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("soon",), "'soon' is not a duration"),
        ((-1,), "-1 is not a duration"),
        (("1s", "nobody"), "there is no job 'nobody'"),
    ],
)
def test_an_impossible_advance_is_an_error(run: Run, arguments: Any, says: str) -> None:
    async def scenario(setup: EngineSetup) -> None:
        with pytest.raises(OperationError, match=says):
            await setup.operations.advance(*arguments)

    run(scenario)


# Hold and release


def test_a_hold_stops_all_webhooks_and_not_the_clock(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post()
        await setup.operations.hold()
        await asyncio.sleep(65)
        assert (sent(setup), (await job(setup))["status"]) == ([], "done")
        assert [owed.webhook.state for owed in (await setup.operations.queries.unfinished())] == [
            State.HELD,
            State.HELD,
        ]
        await setup.post(id="b")
        await setup.operations.release()
        await asyncio.sleep(100)

    assert [(at, id) for at, id, _ in sent(run(scenario))] == [(65, "a"), (65, "a"), (95, "b"), (125, "b")]


def test_a_held_webhook_blocks_no_other_and_is_sent_when_released(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post()
        await setup.operations.hold(await webhook_id(setup, 0))
        await asyncio.sleep(70)
        assert sent(setup) == [(60, "a", "done good")]
        await setup.operations.release(await webhook_id(setup, 0))
        await asyncio.sleep(1)

    assert sent(run(scenario))[1:] == [(70, "a", "processing good")]


def test_a_webhook_released_early_is_sent_when_due(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post()
        await setup.operations.hold(await webhook_id(setup, 0))
        await setup.operations.release(await webhook_id(setup, 0))
        await asyncio.sleep(31)

    assert sent(run(scenario)) == [(30, "a", "processing good")]


# Fire, cancel, resend


def test_fire_sends_at_once_and_moves_the_job_to_that_stage(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post()
        await asyncio.sleep(5)
        await setup.operations.fire(await webhook_id(setup, 1))
        await asyncio.sleep(0.1)
        assert sent(setup) == [(5, "a", "done good")]
        assert (await job(setup))["status"] == "done"
        await asyncio.sleep(100)

    assert sent(run(scenario))[1:] == [(30, "a", "processing good")]


def test_fire_sends_during_a_hold(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post()
        await setup.operations.hold()
        await setup.operations.fire(await webhook_id(setup, 0))
        await asyncio.sleep(100)

    assert sent(run(scenario)) == [(0, "a", "processing good")]


def test_canceled_webhooks_are_not_sent(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post(id="a")
        await setup.post(id="b")
        await setup.operations.cancel(await webhook_id(setup, 0))
        await asyncio.sleep(45)
        assert [(at, id) for at, id, _ in sent(setup)] == [(30, "b")]
        await setup.operations.cancel()
        await asyncio.sleep(100)
        assert len(sent(setup)) == 1
        assert (await setup.store.count_unfinished()) == 0

    run(scenario)


def test_a_running_attempt_goes_on_when_its_webhook_is_canceled(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        setup.sender.takes = 5
        setup.sender.results = [500, 200]
        await setup.post()
        await asyncio.sleep(31)
        await setup.operations.cancel(await webhook_id(setup, 0))
        await asyncio.sleep(60)

        assert await state(setup, 0) is State.CANCELED
        assert [text for _, _, text in sent(setup)] == ["processing good", "done good"]

    run(scenario)


@pytest.mark.parametrize("result", [200, 410])
def test_resend_sends_the_same_content_with_the_next_number(run: Run, result: int) -> None:
    async def scenario(setup: EngineSetup) -> None:
        setup.sender.results = [result, 200]
        await setup.post()
        await asyncio.sleep(40)
        await setup.operations.set_vars({"verdict": "bad"})
        await setup.operations.resend(await webhook_id(setup, 0))
        await asyncio.sleep(1)

        assert sent(setup) == [(30, "a", "processing good"), (40, "a", "processing good")]
        [owed, _] = sorted(await setup.store.webhooks(), key=lambda stored: stored.key)
        assert (owed.attempts, owed.webhook.state) == (2, State.DELIVERED)

    run(scenario)


@pytest.mark.parametrize(
    ("operation", "says"),
    [
        ("resend", "webhook {id} is pending: this needs one that is delivered or failed or canceled or skipped"),
        ("fire x", "there is no webhook 'x': mock.pending lists those still owed"),
    ],
)
def test_an_operation_in_the_wrong_state_names_the_right_states(run: Run, operation: str, says: str) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post()
        name, _, id = operation.partition(" ")
        with pytest.raises(OperationError) as raised:
            await getattr(setup.operations, name)(id or await webhook_id(setup, 0))
        assert str(raised.value) == says.format(id=await webhook_id(setup, 0))

    run(scenario)


# Speed, vars, reset


def test_the_clock_can_run_faster(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post()
        await asyncio.sleep(10)
        await setup.operations.set_speed(10)
        await asyncio.sleep(100)

    assert [at for at, _, _ in sent(run(scenario))] == [12, 15]


SIGNED = """
vars: {signing: first-secret, verdict: harmless}
mocks:
  - match: POST api.slow.example/jobs
    webhook: {to: null, sign: {scheme: github, secret: "{{ vars.signing }}"}}
"""


def test_old_and_new_values_of_a_signing_variable_are_redacted(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.operations.set_vars({"signing": ["second-secret", "a-rotation"]})
        redacted = setup.operations.redact(
            {"signing": ["first-secret", "second-secret"], "url": "/a-rotation/harmless"}
        )
        assert redacted == {"signing": ["***", "***"], "url": "/***/harmless"}

    run(scenario, SIGNED)


def test_set_variables_apply_to_later_attempts_and_must_exist(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post()
        await setup.operations.set_vars({"verdict": "bad"})
        with pytest.raises(OperationError, match="there is no variable 'verdct'; did you mean 'verdict'"):
            await setup.operations.set_vars({"verdct": 1})
        await asyncio.sleep(31)

    assert sent(run(scenario)) == [(30, "a", "processing bad")]


@pytest.mark.parametrize("run", ["memory"], indirect=True)
@pytest.mark.parametrize(
    ("operation", "argument"), [("hold", None), ("set_speed", 10), ("set_vars", {"verdict": "bad"}), ("advance", "1h")]
)
def test_a_change_that_cannot_be_written_is_not_applied(run: Run, operation: str, argument: Any) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post()
        setup.store.full = True
        with pytest.raises(StoreError):
            await getattr(setup.operations, operation)(*([] if argument is None else [argument]))
        setup.store.full = False

        operations = setup.operations
        assert (operations.holding, operations.clock.speed, operations.vars) == (False, 1, {"verdict": "good"})
        assert setup.clock.now() == pytest.approx(NOON, abs=0.1)
        await asyncio.sleep(31)
        assert sent(setup) == [(30, "a", "processing good")]

    run(scenario)


def test_reset_forgets_everything(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        setup.sender.takes = 5
        await setup.post(id="a")
        await setup.request("GET", "/nothing")
        await setup.request("GET", "/twice")
        await setup.operations.set_vars({"verdict": "bad"})
        await setup.operations.hold()
        await setup.operations.set_speed(3)
        await asyncio.sleep(30)
        await setup.operations.fire(await webhook_id(setup, 0))
        await asyncio.sleep(1)
        await setup.operations.reset()
        await asyncio.sleep(1000)

        assert sent(setup) == [(30, "a", "processing bad")]
        assert (await setup.store.count_unfinished()) == 0
        assert (setup.operations.vars, setup.operations.holding, setup.clock.speed) == ({"verdict": "good"}, False, 1)
        assert (list(await setup.engine.journal.newest()), list(await setup.store.jobs())) == ([], [])
        assert setup.clock.now() == pytest.approx(setup.clock.real(), abs=0.1)
        setup.sender.takes = 0
        await setup.post(id="b")
        await asyncio.sleep(31)
        assert sent(setup)[1:] == [(1061, "b", "processing good")]

    run(scenario)


@pytest.mark.parametrize("run", ["memory"], indirect=True)
def test_the_journal_keeps_the_last_thousand_requests(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        for number in range(1100):
            await setup.request("GET", f"/nothing/{number}")

        received = list(await setup.engine.journal.newest())
        assert len(received) == 1000
        assert (received[0].number, received[0].request.path, received[0].matched) == (1100, "/nothing/1099", False)
        assert await setup.engine.journal.counts() == (1100, 1100)

    run(scenario)
