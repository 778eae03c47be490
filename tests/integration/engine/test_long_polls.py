"""Long polls: a response waits until an expression holds, and no longer than its delay."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from latehook.engine import long_polls
from latehook.mocks.decisions import Decision
from support.engine_setup import EngineSetup, Scenario, run_scenario

MOCKS = """
vars: {verdict: good, n: 1}
mocks:
  - match: POST api.slow.example/jobs
    name: start
    job: {id: "{{ request.json.id }}"}
    response: {json: {id: "{{ job.id }}"}}
    stages: [{after: 20s, status: half}, {after: 65s, status: done}]
  - match: POST api.slow.example/waiting
    job: {id: w, idempotency_key: "{{ request.headers.key }}"}
    response: {until: job.status == 'done', delay: 30s, json: "{{ job.status }}"}
    stages: [{after: 4s, status: done}]
  - match: GET api.slow.example/jobs/{id}
    lookup: request.path.id
    response: {until: job.status == request.query.until, delay: 30s, json: "{{ job.status }} {{ vars.verdict }}"}
  - match: DELETE api.slow.example/jobs/{id}
    lookup: request.path.id
    stages: [{status: deleted}]
  - match: GET api.slow.example/vars
    response: {until: vars.verdict == 'bad', delay: "30s", json: "{{ vars.verdict }}"}
  - match: GET api.slow.example/any
    response: {until: "(jobs | selectattr('status', 'equalto', 'half') | list)", delay: 100s, json: "{{ jobs | length }}"}
  - match: GET api.slow.example/failing
    response: {until: 1 / (vars.n - 1), delay: 30s, json: "{{ vars.n }}"}
  - match: POST api.slow.example/told
    job: {id: told}
    response:
      - {when: request.query.wait, until: job.webhooks.ping.state == 'delivered', delay: 30s, json: "{{ job.webhooks.ping.status }}"}
      - {json: at once}
    stages: [{after: 3s, webhook: {event: ping, to: "http://app.test/"}}]
  - match: GET api.slow.example/never
    response: {until: false, delay: {uniform: [7s, 7s]}}
"""


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Scenario], EngineSetup]:
    return lambda scenario: run_scenario(scenario, MOCKS, tmp_path, document={"id": "j"})


def body(decision: Decision) -> object:
    assert decision.response is not None
    return json.loads(decision.response.body)


def now() -> int:
    return round(asyncio.get_running_loop().time())


async def waiting(setup: EngineSetup, path: str, left: asyncio.Event | None = None) -> asyncio.Task[Decision]:
    """Start a poll, and return when it waits."""
    task = asyncio.create_task(setup.request("GET", path, left=left))
    await asyncio.sleep(1)
    assert not task.done()
    return task


def test_a_poll_is_answered_when_its_stage_is_reached(run: Callable[[Scenario], EngineSetup]) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post()
        assert (body(await setup.request("GET", "/jobs/j?until=half")), now()) == ("half good", 20)
        assert (body(await setup.request("GET", "/jobs/j?until=half")), now()) == ("half good", 20)
        assert (body(await setup.request("GET", "/jobs/j?until=done")), now()) == ("half good", 50)
        assert (body(await setup.request("GET", "/jobs/j?until=done")), now()) == ("done good", 65)
        assert (await setup.request("GET", "/never")).response is not None
        assert now() == 72

    run(scenario)


def test_an_advance_the_speed_and_another_request_are_noticed(run: Callable[[Scenario], EngineSetup]) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post()
        poll = await waiting(setup, "/jobs/j?until=done")
        await setup.operations.advance("65s")
        assert (body(await poll), now()) == ("done good", 1)

        await setup.post(id="k")
        poll = await waiting(setup, "/jobs/k?until=half")
        await setup.operations.advance("30s", "k")
        assert (body(await poll), now()) == ("half good", 2)

        await setup.post(id="fast")
        poll = await waiting(setup, "/jobs/fast?until=done")
        await setup.operations.set_speed(32)
        assert (body(await poll), now()) == ("done good", 5)
        await setup.operations.set_speed(1)

        await setup.post(id="gone")
        poll = await waiting(setup, "/jobs/gone?until=deleted")
        await setup.request("DELETE", "/jobs/gone")
        assert (body(await poll), now()) == ("deleted good", 6)

        poll = await waiting(setup, "/vars")
        await setup.operations.set_vars({"verdict": "bad"})
        assert (body(await poll), now()) == ("bad", 7)

    run(scenario)


def test_what_depends_on_other_jobs_is_looked_at_as_time_passes(run: Callable[[Scenario], EngineSetup]) -> None:
    async def scenario(setup: EngineSetup) -> None:
        poll = await waiting(setup, "/any")
        await setup.post()

        assert body(await poll) == 1
        assert 21 <= now() <= 21 + long_polls.LOOK_EVERY

    run(scenario)


def test_the_response_of_the_request_that_starts_a_job_can_wait(run: Callable[[Scenario], EngineSetup]) -> None:
    async def scenario(setup: EngineSetup) -> None:
        key = ((b"key", b"k"),)
        both = await asyncio.gather(*(setup.request("POST", "/waiting", headers=key) for _ in range(2)))
        assert [body(decision) for decision in both] == ["done", "done"]
        assert (len(await setup.store.jobs()), (await setup.store.jobs())[0].response, now()) == (
            1,
            both[0].response,
            4,
        )
        assert ((await setup.request("POST", "/waiting", headers=key)).response, now()) == (both[0].response, 4)

    run(scenario)


def test_one_of_several_responses_waits_for_what_a_receiver_answers(run: Callable[[Scenario], EngineSetup]) -> None:
    async def scenario(setup: EngineSetup) -> None:
        assert "POST api.slow.example/told" in {mock.name for mock in setup.engine.mocks.all if mock.waits}
        assert (body(await setup.request("POST", "/told")), now()) == ("at once", 0)
        assert (body(await setup.request("POST", "/told?wait=1")), now()) == (200, 3)

    run(scenario)


def test_what_ends_a_wait_early(run: Callable[[Scenario], EngineSetup]) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post()
        left = asyncio.Event()
        polls = [await waiting(setup, "/jobs/j?until=done", left), await waiting(setup, "/jobs/j?until=done")]
        left.set()
        await polls[0]
        assert (now(), polls[1].done()) == (2, False)
        await setup.operations.reset()
        await polls[1]
        assert now() == 2

        poll = await waiting(setup, "/vars")
        await setup.engine.close()
        await poll
        assert now() == 3

    run(scenario)


def test_an_until_that_fails_is_an_error(run: Callable[[Scenario], EngineSetup]) -> None:
    async def scenario(setup: EngineSetup) -> None:
        decision = await setup.request("GET", "/failing")

        assert decision.response is not None and decision.response.status == 500
        assert "mocks[6].response.until: the expression failed: division by zero" in str(body(decision))
        assert now() == 0

    run(scenario)


def test_only_so_many_wait_at_once(run: Callable[[Scenario], EngineSetup], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_polls, "MAX_WAITING", 2)

    async def scenario(setup: EngineSetup) -> None:
        polls = [await waiting(setup, "/vars") for _ in range(2)]
        refused = await setup.request("GET", "/vars")
        assert refused.response is not None and refused.response.status == 503
        assert "2 responses wait for their `until` already: no other one can" in str(body(refused))
        [entry, *_] = await setup.engine.journal.newest()
        assert entry.status == 503
        await asyncio.gather(*polls)
        assert (await setup.request("GET", "/vars")).response is not None

    run(scenario)


def test_nothing_is_computed_while_nothing_changes_and_little_under_load(
    run: Callable[[Scenario], EngineSetup],
) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post()
        poll = await waiting(setup, "/jobs/j?until=done")
        await asyncio.sleep(10)
        assert setup.store.reads == 1
        for _ in range(1000):
            await setup.operations.set_vars({"n": 2})
            await asyncio.sleep(0.001)
        assert 10 < setup.store.reads < 60
        await poll
        assert now() == 30

    run(scenario)
