"""A response that is chosen after the webhooks before it, and jobs that it takes back, in virtual time."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latehook.base.model import State
from latehook.mocks.decisions import Decision
from support.engine_setup import MEMORY, EngineSetup, Scenario, run_scenario
from support.postgres import SLOW_IN_POSTGRESQL, server_of

MOCKS = """
vars: {accepts: true}
mocks:
  - match: POST api.slow.example/jobs
    job: {id: "{{ request.json.id }}", idempotency_key: "{{ request.headers.idempotency_key }}"}
    response:
      - {when: vars.accepts, status: 201, delay: "{{ request.json.delay }}", json: {status: "{{ job.status }}"}}
      - {when: request.json.fails, json: "{{ 1 / (request.json.fails - 1) }}"}
      - {status: 400, rejects: true, json: {error: "{{ job.id }}", hook: "{{ job.webhooks.checking.status }}"}}
    stages:
      - {after: before-response, status: checking, webhook: true}
      - {after: 0s, status: active, webhook: true}
      - {after: 9s, status: late, webhook: {ordered: false}}
    webhook: {to: "http://app.test/{{ job.status }}"}
  - match: GET api.slow.example/jobs/{id}
    lookup: request.path.id
    response: {json: {status: "{{ job.status }}"}}
"""
KEY = ((b"idempotency-key", b"k"),)
DOCUMENT = b'{"id": "a", "delay": 0}'

Run = Callable[..., EngineSetup]


@pytest.fixture
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    def run(scenario: Scenario, path: str = MEMORY) -> EngineSetup:
        return run_scenario(
            scenario, MOCKS, tmp_path, path=path, server=server_of(request), document={"id": "a", "delay": 0}
        )

    return run


def answered(decision: Decision) -> tuple[int, object]:
    assert decision.response is not None
    return decision.response.status, json.loads(decision.response.body)


def sent(setup: EngineSetup) -> list[tuple[float, str]]:
    return [(at, outgoing.url.rpartition("/")[2]) for at, outgoing in setup.sender.sent]


async def start(setup: EngineSetup, accepts: bool) -> asyncio.Task[Decision]:
    """Post, and decide one second later what is answered. The webhook before the response takes 2 s."""
    setup.sender.takes = 2.0
    waiting = asyncio.create_task(setup.request("POST", "/jobs", DOCUMENT, KEY))
    await asyncio.sleep(1)
    await setup.operations.set_vars({"accepts": accepts})
    return waiting


@SLOW_IN_POSTGRESQL
def test_a_response_is_chosen_after_the_webhooks_before_it(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.operations.set_vars({"accepts": False})
        decision = await (await start(setup, accepts=True))
        assert (answered(decision), asyncio.get_running_loop().time()) == ((201, {"status": "active"}), 2)
        [job] = await setup.store.jobs()
        assert (job.chosen, job.response) == (0, decision.response)
        await asyncio.sleep(60)
        assert sent(setup) == [(0, "checking"), (2, "active"), (9, "late")]

    run(scenario)


@SLOW_IN_POSTGRESQL
def test_a_rejected_job_is_gone_and_nothing_more_is_sent(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        waiting = await start(setup, accepts=False)
        assert await setup.store.count_unfinished() == 3
        decision = await waiting
        assert (answered(decision), decision.job_id) == ((400, {"error": "a", "hook": 200}), None)
        await asyncio.sleep(60)
        assert sent(setup) == [(0, "checking")]
        assert (await setup.store.count_jobs(), await setup.store.count_unfinished()) == (0, 0)
        assert set((await setup.operations.queries.count_webhooks()).values()) == {0}
        assert answered(await setup.request("GET", "/jobs/a"))[0] == 404
        rejected = list(await setup.engine.journal.newest())[1]
        assert (rejected.status, rejected.job) == (400, None)

        await setup.operations.set_vars({"accepts": True})
        assert answered(await setup.request("POST", "/jobs", DOCUMENT, KEY))[0] == 201  # the key is free again

    run(scenario)


def test_an_advance_sends_nothing_that_may_be_rejected(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        waiting = await start(setup, accepts=False)
        left = await setup.operations.advance("1m", limit=0.5)
        assert {stored.webhook.event for stored in left} >= {"active", "late"}
        await waiting
        await asyncio.sleep(60)
        assert [name for _, name in sent(setup)] == ["checking"]
        assert await setup.operations.advance("1m") == []

    run(scenario)


def test_a_webhook_that_is_fired_is_sent_all_the_same(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        waiting = await start(setup, accepts=True)
        [late] = [stored for stored in await setup.store.webhooks() if stored.webhook.event == "late"]
        await setup.operations.fire(late.webhook.id)
        await waiting
        await asyncio.sleep(60)
        assert sent(setup) == [(0, "checking"), (1, "late"), (2, "active")]

    run(scenario)


@pytest.mark.parametrize("accepts", [True, False])
def test_a_repeated_request_waits_for_the_same_choice(run: Run, accepts: bool) -> None:
    async def scenario(setup: EngineSetup) -> None:
        first = await start(setup, accepts)
        second = asyncio.create_task(setup.request("POST", "/jobs", DOCUMENT, KEY))
        answers = [answered(await one) for one in (first, second)]
        assert answers[0] == answers[1]
        assert await setup.store.count_jobs() == accepts
        await asyncio.sleep(60)
        assert len(sent(setup)) == (3 if accepts else 1)

    run(scenario)


def test_what_fails_when_the_response_is_chosen_takes_the_job_back(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        status, body = answered(await setup.post(delay="soon"))
        assert status == 500 and "mocks[0].response[0].delay" in str(body)
        assert await setup.store.count_jobs() == 0
        assert [(entry.status, entry.job) for entry in await setup.engine.journal.newest()] == [(500, None)]

    run(scenario)


def test_a_response_that_fails_after_it_was_chosen_keeps_the_job(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.operations.set_vars({"accepts": False})
        assert answered(await setup.post(fails=True))[0] == 500
        await asyncio.sleep(60)
        assert len(sent(setup)) == 3

    run(scenario)


def test_a_store_that_cannot_write_the_choice_gives_a_503(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        waiting = await start(setup, accepts=False)
        setup.store.full = True
        assert answered(await waiting)[0] == 503
        setup.store.full = False
        await asyncio.sleep(60)
        assert sent(setup) == [(0, "checking")]

    run(scenario)


def test_a_reset_while_a_response_waits(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        waiting = await start(setup, accepts=False)
        await setup.operations.reset()
        assert answered(await waiting)[0] in (201, 400)
        await asyncio.sleep(60)
        assert len(sent(setup)) == 1

    run(scenario)


def test_the_next_process_takes_back_what_was_not_decided(run: Run, tmp_path: Path) -> None:
    path = str(tmp_path / "store.db")

    async def first(setup: EngineSetup) -> None:
        await (await start(setup, accepts=True))
        undecided = asyncio.create_task(setup.post(id="b"))
        await asyncio.sleep(1)
        assert {job.id for job in await setup.store.jobs()} == {"a", "b"}
        undecided.cancel()
        await setup.store.close()  # as if the process were killed

    async def second(setup: EngineSetup) -> None:
        setup.machine_clock.offset += 3
        await setup.engine.resume(1.0)
        assert [job.id for job in await setup.store.jobs()] == ["a"]
        assert await setup.store.count_unfinished() == 2
        await asyncio.sleep(60)
        assert [name for _, name in sent(setup)] == ["active", "late"]
        await setup.engine.close()

    run(first, path)
    run(second, path)


def test_without_rejects_the_next_process_keeps_the_job_and_a_repeated_request_gets_a_response(
    tmp_path: Path,
) -> None:
    mocks, path = MOCKS.replace("rejects: true, ", ""), str(tmp_path / "store.db")

    async def first(setup: EngineSetup) -> None:
        (await start(setup, accepts=False)).cancel()
        await setup.store.close()  # as if the process were killed

    async def second(setup: EngineSetup) -> None:
        setup.machine_clock.offset += 3
        await setup.engine.resume(1.0)
        await asyncio.sleep(1)
        assert answered(await setup.request("POST", "/jobs", DOCUMENT, KEY)) == (400, {"error": "a", "hook": 200})
        await asyncio.sleep(60)
        assert [name for _, name in sent(setup)] == ["checking", "active", "late"]
        assert answered(await setup.request("POST", "/jobs", DOCUMENT, KEY)) == (400, {"error": "a", "hook": 200})
        await setup.engine.close()

    for scenario in (first, second):
        run_scenario(scenario, mocks, tmp_path, path=path, document={})


def test_each_response_has_its_own_until(tmp_path: Path) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post()
        waiting = asyncio.create_task(setup.request("GET", "/jobs/a"))
        await asyncio.sleep(1)
        assert not waiting.done()
        assert answered(await waiting) == (202, "done")
        assert asyncio.get_running_loop().time() == 3
        assert answered(await setup.request("GET", "/jobs/a")) == (200, "at once")

    mocks = """
mocks:
  - {match: POST api.slow.example/jobs, job: {id: a}, stages: [{after: 3s, status: done}]}
  - match: GET api.slow.example/jobs/a
    lookup: "'a'"
    response:
      - {when: job.status == 'done', json: at once}
      - {status: 202, until: job.status == 'done', delay: 20s, json: "{{ job.status }}"}
"""
    run_scenario(scenario, mocks, tmp_path, document={})


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["advance", "advance job", "hold", "release", "fire", "cancel", "repeat"]), st.integers(0, 2)
    ),
    max_size=4,
)


@given(st.booleans(), OPERATIONS)
@settings(max_examples=25, deadline=None)
def test_whatever_a_tester_does_a_rejected_job_leaves_nothing_and_an_accepted_one_sends_all(
    tmp_path_factory: pytest.TempPathFactory, accepts: bool, operations: list[tuple[str, int]]
) -> None:
    async def scenario(setup: EngineSetup) -> None:
        asked = [await start(setup, accepts)]
        fired = set()
        for name, number in operations:
            one = (await setup.store.webhooks())[number].webhook
            fired |= {one.event} if name == "fire" else set()
            if name == "repeat":
                asked.append(asyncio.create_task(setup.request("POST", "/jobs", DOCUMENT, KEY)))
                await asyncio.sleep(0)
            elif name.startswith("advance"):
                await setup.operations.advance(number, "a" if name == "advance job" else None, limit=0.1)
            elif name in ("hold", "release"):
                await getattr(setup.operations, name)()
            elif one.state is State.PENDING:
                await getattr(setup.operations, name)(one.id)
        statuses = {answered(await one)[0] for one in asked}
        await setup.operations.release()
        await setup.operations.advance("1h")
        await asyncio.sleep(60)

        assert statuses == {201 if accepts else 400}
        webhooks = await setup.store.webhooks()
        assert {one.webhook.state for one in webhooks} <= {State.DELIVERED, State.CANCELED}
        assert len(webhooks) == (3 if accepts else 0)
        names = [name for _, name in sent(setup)]
        delivered = [one.webhook.event for one in webhooks if one.webhook.state is State.DELIVERED]
        assert sorted(names) == sorted(delivered) if accepts else set(names) <= {"checking", *fired}

    run_scenario(scenario, MOCKS, tmp_path_factory.mktemp("law"), document={})
