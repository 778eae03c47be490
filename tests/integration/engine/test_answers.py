"""What depends on the answers and the ends of earlier webhooks, with a real store, in virtual time."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from latehook.base.messages import Answer, Outcome
from latehook.base.model import FINISHED, UNKNOWN, State
from latehook.control import serializers
from latehook.engine.filters import ALL
from latehook.store import MEMORY
from support.engine_setup import EngineSetup, Scenario, run_scenario
from support.postgres import PostgresServer, server_of
from support.virtual_time import NOON

FALLBACK = """
mocks:
  - match: POST api.slow.example/jobs
    job: {id: "{{ request.json.id }}"}
    response: {json: {id: "{{ job.id }}"}}
    stages:
      - {after: 5s, status: calling, webhook: {event: primary, to: "http://app.test/primary", retry: [10s]}}
      - after: {ended: primary, plus: 2s}
        status: fallen back
        webhook:
          event: fallback
          to: "http://app.test/fallback"
          when: job.webhooks.primary.state == 'failed'
          json: {was: "{{ job.webhooks.primary.url }}", error: "{{ job.webhooks.primary.status }}"}
      - {after: 8s, status: done, webhook: {event: last, to: "http://app.test/last"}}
  - match: GET api.slow.example/jobs/{id}
    lookup: request.path.id
    response: {json: {status: "{{ job.status }}", answer: "{{ job.webhooks.primary.json }}"}}
  - match: DELETE api.slow.example/jobs/{id}
    lookup: request.path.id
    stages: [{after: {ended: primary, plus: 1s}, status: deleted, webhook: {event: gone, to: "http://app.test/gone"}}]
"""

HANDSHAKE = """
mocks:
  - match: POST api.slow.example/jobs
    job: {id: "{{ request.json.id }}"}
    response:
      status: "{{ 201 if job.status == 'active' else 400 }}"
      json: {status: "{{ job.status }}"}
    stages:
      - after: before-response
        webhook: {event: challenge, to: "http://app.test/challenge", retry: none}
      - after: before-response
        status: "{{ 'active' if job.webhooks.challenge.json.challenge == job.id else 'refused' }}"
      - after: 60s
        status: notified
        webhook: {event: news, to: "{{ job.webhooks.challenge.json.to }}", text: "{{ job.status }}", retry: none}
"""

Run = Callable[..., EngineSetup]


IN_BOTH = pytest.mark.parametrize("run", ["sqlite", "postgresql"], indirect=True)
"""For what depends on whether reads of the store have to be waited for."""


@pytest.fixture
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    def run(scenario: Scenario, mocks: str = FALLBACK, path: str = MEMORY) -> EngineSetup:
        return run_scenario(scenario, mocks, tmp_path, path=path, document={"id": "a"}, server=server_of(request))

    return run


def answer(status: int, document: Any = None, body: bytes | None = None, content_type: str = "") -> Outcome:
    """An attempt that is answered so."""
    content = json.dumps(document).encode() if body is None else body
    headers = ((b"content-type", content_type.encode()),) if content_type else ()
    return Outcome(NOON, NOON, status, None, content, answer=Answer(status, None, headers, content))


def sent(setup: EngineSetup) -> list[tuple[float, str]]:
    """The attempts: the loop's time, the last part of the URL."""
    return [(at, outgoing.url.rpartition("/")[2]) for at, outgoing in setup.sender.sent]


async def shown(setup: EngineSetup, id: str = "a") -> Any:
    """The newest job with this id, as the API shows it."""
    [details] = await setup.operations.queries.job_details([await setup.operations.queries.job(id)])
    return serializers.job(details, setup.clock)


async def states(setup: EngineSetup) -> dict[str, State]:
    return {webhook.event: webhook.state for webhook in (await shown(setup)).webhooks}


async def id_of(setup: EngineSetup, event: str) -> str:
    return next(webhook.id for webhook in (await shown(setup)).webhooks if webhook.event == event)


async def is_decided(setup: EngineSetup) -> bool:
    """Whether nothing of the newest job is open, and all its webhooks have ended."""
    [details] = await setup.operations.queries.job_details([await setup.operations.queries.job("a")])
    ended = all(each.stored.webhook.state in FINISHED and not each.stored.webhook.late for each in details.webhooks)
    return ended and not details.job.is_open


# The end of a webhook


def test_a_stage_is_due_so_long_after_a_webhook_has_ended(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        setup.sender.results = [500, 503, 200]
        await setup.post()
        await asyncio.sleep(60)
        job = await shown(setup)
        assert [stage.due_at - NOON for stage in job.stages] == [5, 17, 17]
        assert (job.status, job.ended) == ("done", True)
        assert json.loads(setup.sender.sent[2][1].body) == {"was": "http://app.test/primary", "error": 503}

    assert sent(run(scenario)) == [(5, "primary"), (15, "primary"), (17, "fallback"), (17, "last")]


def test_what_is_not_known_yet_is_shown_so(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post()
        await asyncio.sleep(1)
        job = await shown(setup)
        assert [(stage.due_at, stage.waits_for, stage.reached) for stage in job.stages] == [
            (NOON + 5, None, False),
            (None, "primary", False),
            (None, "primary", False),
        ]
        assert [(webhook.due_at, webhook.due_in, webhook.waits_for) for webhook in job.webhooks] == [
            (NOON + 5, 4, None),
            (None, None, "primary"),
            (None, None, "primary"),
        ]
        assert (await setup.operations.queries.unfinished())[0].webhook.event == "primary"
        assert not job.ended

    run(scenario)


@IN_BOTH
def test_an_advance_goes_through_the_end_of_a_webhook(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        setup.sender.results = [500, 500, 200]
        setup.sender.takes = 0.5
        await setup.post()
        left = await setup.operations.advance("16s")
        assert left == []
        assert [at for _, at in sent(setup)] == ["primary", "primary"]
        assert [stage.due_at and stage.due_at - NOON for stage in (await shown(setup)).stages] == [5, 17, 17]
        await setup.operations.advance("10m")
        assert (await shown(setup)).status == "done"
        assert await is_decided(setup)

    assert [at for _, at in sent(run(scenario))] == ["primary", "primary", "fallback", "last"]


@pytest.mark.parametrize("seconds", [6, 7, 10_000])
def test_an_advance_of_one_job_goes_through_it_too(run: Run, seconds: int) -> None:
    async def scenario(setup: EngineSetup) -> None:
        setup.sender.takes = 0.5
        await setup.post(id="b")
        await setup.post()
        await setup.operations.advance(seconds, job="a")
        assert [at for _, at in sent(setup)] == ["primary", *(["last"] if seconds >= 8 else [])]
        assert (await shown(setup)).status == ("done" if seconds >= 8 else "fallen back" if seconds == 7 else "calling")
        assert (await states(setup))["fallback"] == ("skipped" if seconds >= 7 else "pending")
        assert (await shown(setup, "b")).status == "pending"

    run(scenario)


@IN_BOTH
def test_a_webhook_that_was_canceled_or_skipped_has_ended(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post()
        await setup.operations.cancel(await id_of(setup, "primary"))
        assert [stage.due_at - NOON for stage in (await shown(setup)).stages] == [5, 5, 8]
        await asyncio.sleep(60)
        assert (await states(setup)) == {"primary": "canceled", "fallback": "skipped", "last": "delivered"}

    run(scenario)


def test_a_webhook_that_waits_can_be_canceled_and_sent_again(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post()
        await setup.operations.cancel(await id_of(setup, "last"))
        await asyncio.sleep(60)
        assert (await states(setup))["last"] == "canceled"
        await setup.operations.resend(await id_of(setup, "last"))
        await setup.operations.resend(await id_of(setup, "primary"))
        await asyncio.sleep(60)
        assert await is_decided(setup)

    assert sent(run(scenario)) == [(5, "primary"), (60, "last"), (60, "primary")]


def test_a_stage_that_waits_may_be_repeated_and_send_many(run: Run) -> None:
    mocks = """
mocks:
  - match: POST api.slow.example/jobs
    job: {id: "{{ request.json.id }}"}
    stages:
      - {after: 5s, each: "['a', 'b']", webhook: {event: "{{ item }}", to: "http://app.test/{{ item }}"}}
      - after: {ended: b, plus: 1s}
        repeat: {every: 10s, times: 3}
        each: "['x', 'y']"
        webhook: {event: more, to: "http://app.test/{{ item }}{{ index }}", when: "not job.webhooks[item].status"}
      - {after: 7s, status: "{{ job.webhooks.more.attempts }}", webhook: {event: z, to: "http://app.test/z"}}
"""

    async def scenario(setup: EngineSetup) -> None:
        await setup.post()
        await setup.operations.advance("6s")
        assert [stage.due_at - NOON for stage in (await shown(setup)).stages] == [5, 6, 16, 26, 26]
        await setup.operations.advance("60s")
        assert (await shown(setup)).status == "1"
        assert await is_decided(setup)

    found = [name for _, name in sent(run(scenario, mocks))]
    assert found == ["a", "b", "x0", "y0", "x1", "y1", "x2", "y2", "z"]


@IN_BOTH
def test_a_hold_keeps_it_waiting(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.operations.hold(ALL)
        await setup.post()
        await asyncio.sleep(60)
        assert {*(await states(setup)).values()} == {"held"}
        assert (await shown(setup)).webhooks[1].due_at is None
        await setup.operations.release(ALL)
        await asyncio.sleep(60)

    assert sent(run(scenario)) == [(60, "primary"), (62, "last")]


def test_one_that_is_held_gets_its_time_and_waits_for_its_release(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post()
        await setup.operations.hold(await id_of(setup, "last"))
        await asyncio.sleep(60)
        assert (await shown(setup)).webhooks[2].due_at == NOON + 8
        await setup.operations.release(await id_of(setup, "last"))
        await asyncio.sleep(1)

    assert sent(run(scenario)) == [(5, "primary"), (60, "last")]


def test_one_that_was_never_to_be_sent_has_ended_at_the_request(run: Run) -> None:
    mocks = FALLBACK.replace('to: "http://app.test/primary"', "to: null")

    async def scenario(setup: EngineSetup) -> None:
        await setup.post()
        assert [stage.due_at - NOON for stage in (await shown(setup)).stages] == [5, 5, 8]
        await setup.operations.advance("1m", job="a")
        assert await is_decided(setup)

    assert [name for _, name in sent(run(scenario, mocks))] == ["last"]


@IN_BOTH
def test_one_that_waits_can_be_fired(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post()
        await asyncio.sleep(1)
        await setup.operations.fire(await id_of(setup, "last"))
        await asyncio.sleep(0.5)
        assert (await shown(setup)).status == "done"
        assert (await states(setup)) == {"primary": "pending", "fallback": "pending", "last": "delivered"}
        await asyncio.sleep(60)
        assert (await states(setup))["fallback"] == "skipped"

    assert sent(run(scenario)) == [(1, "last"), (5, "primary")]


def test_a_lookup_may_wait_for_a_webhook_of_the_job(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post()
        await asyncio.sleep(4)
        early = await setup.request("DELETE", "/jobs/a")
        assert early.response is not None and b"no webhook with the event 'primary' before" in early.response.body
        await asyncio.sleep(2)
        await setup.request("DELETE", "/jobs/a")
        assert (await states(setup)) == {
            "primary": "delivered",
            "fallback": "canceled",
            "last": "canceled",
            "gone": "pending",
        }
        await asyncio.sleep(60)
        assert (await shown(setup)).status == "deleted"

    assert sent(run(scenario)) == [(5, "primary"), (7, "gone")]


def test_a_reset_forgets_what_waits(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post()
        await setup.operations.reset(ALL)
        await asyncio.sleep(60)
        await setup.post()
        await setup.operations.reset(setup.operations.queries.parse_filter({"job": "a"}))
        await asyncio.sleep(60)

    assert sent(run(scenario)) == []


def test_a_full_disk_delays_what_follows(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post()
        await asyncio.sleep(4)
        setup.store.full = True
        await asyncio.sleep(2)
        assert (await shown(setup)).stages[1].due_at is None
        setup.store.full = False
        await asyncio.sleep(60)
        assert await is_decided(setup)

    found = sent(run(scenario))
    assert [name for _, name in found] == ["primary", "last"]


# Answers


@IN_BOTH
def test_a_response_and_a_status_read_what_the_challenge_was_answered(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        setup.sender.takes = 0.5
        setup.sender.results = [answer(200, {"challenge": "a", "to": "http://app.test/news"}), answer(200)]
        decision = await setup.post()
        assert decision.response is not None
        assert decision.response.status == 201
        assert json.loads(decision.response.body) == {"status": "active"}
        assert ((await shown(setup)).status, (await shown(setup)).webhooks[1].url) == ("active", None)
        await setup.operations.advance("1m")
        assert (await shown(setup)).webhooks[1].url == "http://app.test/news"

    assert [name for _, name in sent(run(scenario, HANDSHAKE))] == ["challenge", "news"]


@pytest.mark.parametrize("given", [answer(200, {"challenge": "other"}), answer(500), "connection refused", 200])
def test_a_wrong_answer_is_refused(run: Run, given: Any) -> None:
    async def scenario(setup: EngineSetup) -> None:
        setup.sender.results = [given]
        decision = await setup.post()
        assert decision.response is not None
        assert (decision.response.status, (await shown(setup)).status) == (400, "refused")
        await asyncio.sleep(100)
        assert (await states(setup))["news"] == "skipped"
        assert await is_decided(setup)

    run(scenario, HANDSHAKE)


@IN_BOTH
def test_several_urls_that_an_answer_gives_are_all_sent_once(run: Run) -> None:
    mocks = HANDSHAKE.replace("after: 60s", "after: before-response")
    urls = ["http://app.test/1", "no URL", "http://app.test/2"]

    async def scenario(setup: EngineSetup) -> None:
        setup.sender.takes = 1
        setup.sender.results = [answer(200, {"challenge": "a", "to": urls}), answer(200)]
        await setup.post()
        job = await shown(setup)
        assert [webhook.state for webhook in job.webhooks] == ["delivered", "delivered", "failed", "delivered"]
        assert len({webhook.id for webhook in job.webhooks}) == 4

    assert [name for _, name in sent(run(scenario, mocks))] == ["challenge", "1", "2"]


def test_an_expression_that_fails_has_its_reason_and_its_place(run: Run) -> None:
    mocks = HANDSHAKE.replace("job.webhooks.challenge.json.challenge == job.id", "job.webhooks.challenge.text == 1")

    async def scenario(setup: EngineSetup) -> None:
        setup.sender.results = [answer(200, body=b"\xff", content_type="text/plain"), answer(200)]
        await setup.post()
        error = (await shown(setup)).stages[1].error
        assert error is not None and error.endswith(
            "mocks.yaml:12: mocks[0].stages[1].status: "
            "the expression failed: the answer is not utf-8 text (byte 0xff at 0)"
        )
        assert (await shown(setup)).status == "pending"

    run(scenario, mocks)


def test_an_answer_that_was_cut_is_an_error(run: Run) -> None:
    cut = Outcome(NOON, NOON, 200, None, b"{}", answer=Answer(200, None, (), b"{}", is_cut=True))
    mocks = HANDSHAKE.replace('{status: "{{ job.status }}"}', '{echo: "{{ job.webhooks.challenge.json }}"}')

    async def scenario(setup: EngineSetup) -> None:
        setup.sender.results = [cut]
        decision = await setup.post()
        assert decision.response is not None
        assert decision.response.status == 500 and b"the answer has more than 2 bytes" in decision.response.body
        await asyncio.sleep(100)
        assert (await shown(setup)).webhooks[1].state == "failed"
        assert "the answer has more than" in ((await shown(setup)).webhooks[1].reason or "")

    run(scenario, mocks)


@IN_BOTH
def test_a_status_waits_for_the_first_attempt_that_a_hold_keeps_back(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        setup.sender.results = [answer(200, {"challenge": "a"})]
        await setup.operations.hold(ALL)
        decision = await setup.post()
        assert decision.response is not None and decision.response.status == 400
        assert (await shown(setup)).status == "pending"
        await setup.operations.advance("2m")
        assert (await shown(setup)).status == "pending"
        await setup.operations.release(ALL)
        await asyncio.sleep(1)
        assert [stage.status for stage in (await shown(setup)).stages] == [None, "active", "notified"]
        assert (await shown(setup)).status == "notified"
        assert await is_decided(setup)

    run(scenario, HANDSHAKE)


@pytest.mark.parametrize("alone", [False, True])
def test_a_late_status_has_the_time_at_which_it_was_due_in_an_advance(run: Run, alone: bool) -> None:
    mocks = """
mocks:
  - match: POST api.slow.example/jobs
    job: {id: "{{ request.json.id }}"}
    stages:
      - {after: 5s, webhook: {event: first, to: "http://app.test/first", retry: none}}
      - {after: 6s, status: "after {{ job.webhooks.first.status }}"}
      - {after: 60s, webhook: {event: last, to: "http://app.test/last", text: "{{ job.status }} {{ job.at }}"}}
"""

    async def scenario(setup: EngineSetup) -> None:
        setup.sender.takes = 2
        await setup.post()
        assert [stage.due_at - NOON for stage in (await shown(setup)).stages] == [5, 6, 60]
        await setup.operations.advance("10m", job="a" if alone else None)
        assert [stage.due_at - NOON for stage in (await shown(setup)).stages] == [5, 6, 60]
        assert setup.sender.sent[1][1].body.decode() == f'after 200 {{"after 200":{NOON + 6}}}'

    run(scenario, mocks)


def test_a_request_reads_the_answers_of_a_job_that_it_finds(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        setup.sender.results = [answer(200, {"text": "{{ 1 + 1 }}"})]
        await setup.post()
        await asyncio.sleep(5.5)
        decision = await setup.request("GET", "/jobs/a")
        assert decision.response is not None
        assert json.loads(decision.response.body)["answer"] == {"text": "{{ 1 + 1 }}"}

    run(scenario)


# Restarts


def test_what_waits_outlives_a_process(run: Run, tmp_path: Path) -> None:
    path = str(tmp_path / "store.db")

    async def before(setup: EngineSetup) -> None:
        await setup.engine.resume(1)
        await setup.post()
        await setup.engine.close(0)

    async def after(setup: EngineSetup) -> None:
        setup.sender.results = [500, 500, 200]
        await setup.engine.resume(1)
        assert (await shown(setup)).webhooks[1].due_at is None
        await asyncio.sleep(60)
        assert await is_decided(setup)
        await setup.engine.close(0)

    run(before, path=path)
    assert [name for _, name in sent(run(after, path=path))] == ["primary", "primary", "fallback", "last"]


def test_an_end_that_a_crash_has_cut_off_from_what_follows_is_found_again(run: Run, tmp_path: Path) -> None:
    path = str(tmp_path / "store.db")

    async def before(setup: EngineSetup) -> None:
        await setup.engine.resume(1)
        await setup.post()
        setup.engine.outbox.decisions.clear()  # as if the process had ended before it could decide
        await asyncio.sleep(6)
        assert ((await states(setup))["primary"], (await shown(setup)).stages[1].due_at) == ("delivered", None)
        await setup.engine.close(0)

    async def after(setup: EngineSetup) -> None:
        await setup.engine.resume(1)
        await asyncio.sleep(60)
        assert await is_decided(setup)
        await setup.engine.close(0)

    run(before, path=path)
    assert [name for _, name in sent(run(after, path=path))] == ["last"]


# Laws


AFTER = st.sampled_from(["0s", "3s", "before-response"]) | st.builds(
    lambda number, plus: f"{{ended: e{number}, plus: {plus}s}}", st.integers(0, 3), st.integers(0, 5)
)
BODIES = st.sampled_from(
    [b"", b"{{ 1/0 }}", b"[]", b'{"to": "http://app.test/x"}', b'{"to": 5}', b"\xff\xfe", b"[" * 500]
)
OUTCOMES = st.sampled_from([200, 404, 503, "refused"]) | st.builds(lambda body: answer(200, body=body), BODIES)
TO = st.sampled_from(["http://app.test/x", "{{ job.webhooks.e0.json.to or 'http://app.test/y' }}"])
WHEN = st.sampled_from(["true", "job.webhooks.e0.state == 'failed'", "job.webhooks.e1.text"])
STATUS = st.sampled_from(["fixed", "{{ job.webhooks.e0.status }}", "{{ job.webhooks.e0.xml or job.webhooks.e1.text }}"])
STAGES = st.lists(st.tuples(AFTER, TO, WHEN, STATUS), min_size=1, max_size=4)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STAGES, st.lists(OUTCOMES, min_size=1, max_size=4), st.booleans())
def test_a_job_owes_finitely_many_webhooks_and_each_is_decided_once(
    tmp_path_factory: pytest.TempPathFactory, stages: Any, outcomes: Any, advances: bool
) -> None:
    check_the_law(tmp_path_factory.mktemp("law"), None, stages, outcomes, advances)


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STAGES, st.lists(OUTCOMES, min_size=1, max_size=4), st.booleans())
def test_so_it_is_with_a_store_in_postgresql(
    postgres_server: PostgresServer,
    tmp_path_factory: pytest.TempPathFactory,
    stages: Any,
    outcomes: Any,
    advances: bool,
) -> None:
    check_the_law(tmp_path_factory.mktemp("law"), postgres_server, stages, outcomes, advances)


def check_the_law(folder: Path, server: PostgresServer | None, stages: Any, outcomes: Any, advances: bool) -> None:
    """Run a job with these stages, whose receiver gives these answers."""
    written = []
    for number, (after, to, when, status) in enumerate(stages):
        if after == "before-response" and written and "before-response" not in written[-1]:
            after = "1s"
        if after.startswith("{") and (number == 0 or int(after[9]) >= number):
            after = "2s"
        webhook = f'{{event: e{number}, to: "{to}", when: "{when}", retry: [1s]}}'
        written.append(f'{{after: {after}, status: "{status}", webhook: {webhook}}}')
    mocks = "mocks:\n  - match: POST api.slow.example/jobs\n    job: {id: '{{ request.json.id }}'}\n    stages:\n"
    mocks += "".join(f"      - {stage}\n" for stage in written)
    mocks = mocks.replace("job.webhooks.e1", "job.webhooks.e0") if len(stages) < 2 else mocks

    async def scenario(setup: EngineSetup) -> None:
        setup.sender.results = list(outcomes)
        await setup.post()
        if advances:
            await setup.operations.advance("10m")
        await asyncio.sleep(600)
        assert await is_decided(setup)
        assert (await shown(setup)).ended
        for webhook in (await shown(setup)).webhooks:
            assert len(webhook.attempts) <= 2
            assert webhook.state in ("skipped", "failed", "delivered")
            assert webhook.due_at is not None and webhook.due_at != UNKNOWN

    setup = run_scenario(scenario, mocks, folder, server=server, document={"id": "a"})
    assert len(setup.sender.sent) <= 2 * len(stages)
