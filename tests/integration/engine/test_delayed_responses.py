"""A response with a delay waits first, and is rendered then."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from latehook.base.model import State
from latehook.mocks.decisions import Decision
from support.engine_setup import EngineSetup, Scenario, run_scenario
from support.postgres import server_of

MOCKS = """
vars: {verdict: good}
mocks:
  - match: POST api.slow.example/jobs
    job:
      id: "{{ request.json.id }}"
      idempotency_key: "{{ request.headers.idempotency_key }}"
    response:
      delay: 3s
      headers: {x-drawn: "{{ uuid() }}"}
      json: {status: "{{ job.status }}", verdict: "{{ vars.verdict }}", id: "{{ request.json.id }}", n: "{{ 1 / request.json.by }}"}
    stages: [{after: 2s, status: done, webhook: true}, {after: 9s, status: late, webhook: true}]
    webhook:
      to: http://app.test/
      json: {response: "{{ job.response.status }}", all: "{{ job.response.json }}"}
  - match: GET api.slow.example/jobs/{id}
    lookup: request.path.id
    response: {delay: 5s, json: {status: "{{ job.status }}", now: "{{ now }}"}}
  - match: GET api.slow.example/now
    response: {delay: {uniform: [1s, 1s]}, status: "{{ 204 if vars.verdict == 'good' else 200 }}", headers: {x-now: "{{ now - 0 }}"}}
"""


@pytest.fixture(params=["memory", "postgresql"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Scenario], EngineSetup]:
    document = {"id": "j", "by": 2, "text": "x" * 9000}
    return lambda scenario: run_scenario(scenario, MOCKS, tmp_path, server=server_of(request), document=document)


def body(decision: Decision) -> object:
    assert decision.response is not None
    return json.loads(decision.response.body)


def test_a_response_shows_what_is_so_when_it_is_sent(run: Callable[[Scenario], EngineSetup]) -> None:
    async def scenario(setup: EngineSetup) -> None:
        waiting = asyncio.create_task(setup.post())
        await asyncio.sleep(1)
        [job] = await setup.store.jobs()
        assert (job.response, (await setup.store.count_unfinished())) == (None, 2)  # the job started at the request
        await setup.operations.set_vars({"verdict": "bad"})
        decision = await waiting

        assert asyncio.get_running_loop().time() == 3
        assert body(decision) == {"status": "done", "verdict": "bad", "id": "j", "n": 0.5}
        [job] = await setup.store.jobs()
        assert job.response == decision.response
        await asyncio.sleep(60)
        sent = [json.loads(outgoing.body) for _, outgoing in setup.sender.sent]
        assert sent == [{"response": None, "all": None}, {"response": 200, "all": body(decision)}]

    run(scenario)


def test_a_lookup_that_waits_shows_the_job_as_it_is_then(run: Callable[[Scenario], EngineSetup]) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post()
        waiting = asyncio.create_task(setup.request("GET", "/jobs/j"))
        await asyncio.sleep(0)
        await setup.operations.advance("65s")
        assert body(await waiting)["status"] == "late"  # type: ignore[index]

        waiting = asyncio.create_task(setup.request("GET", "/jobs/j"))
        await asyncio.sleep(1)
        await setup.operations.reset()
        assert body(await waiting)["status"] == "late"  # type: ignore[index]

    run(scenario)


def test_a_repeated_request_gets_the_same_response_also_while_the_first_waits(
    run: Callable[[Scenario], EngineSetup],
) -> None:
    async def scenario(setup: EngineSetup) -> None:
        headers = ((b"idempotency-key", b"k"),)
        document = b'{"id": "j", "by": 4}'
        first, second = await asyncio.gather(
            *(setup.request("POST", "/jobs", document, headers) for _ in range(2)),
        )
        third = await setup.request("POST", "/jobs", document, headers)

        assert first.response == second.response == third.response
        assert len(await setup.store.jobs()) == 1
        assert asyncio.get_running_loop().time() == 6

    run(scenario)


def test_an_expression_that_fails_after_the_delay_gives_a_500_and_the_job_goes_on(
    run: Callable[[Scenario], EngineSetup],
) -> None:
    async def scenario(setup: EngineSetup) -> None:
        decision = await setup.post(by=0)

        assert decision.response is not None
        assert decision.response.status == 500
        assert "mocks.yaml:" in str(body(decision))
        [entry] = await setup.engine.journal.newest()
        assert (entry.status, entry.job) == (500, "j")
        await asyncio.sleep(60)
        assert [stored.webhook.state for stored in (await setup.store.webhooks())] == [State.DELIVERED] * 2

    run(scenario)


def test_the_same_seed_gives_the_same_response_whatever_happens_meanwhile(
    run: Callable[[Scenario], EngineSetup],
) -> None:
    drawn = []

    def scenario(others: int) -> Scenario:
        async def run_it(setup: EngineSetup) -> None:
            waiting = asyncio.create_task(setup.post())
            await asyncio.sleep(1)
            more = [asyncio.create_task(setup.post(id=str(number))) for number in range(others)]
            await asyncio.sleep(1)
            response = (await waiting).response
            assert response is not None
            drawn.append(dict(response.headers)["x-drawn"])
            await asyncio.gather(*more)

        return run_it

    run(scenario(0))
    run(scenario(3))

    assert drawn[0] == drawn[1]


def test_the_journal_has_the_status_as_soon_as_it_is_known(run: Callable[[Scenario], EngineSetup]) -> None:
    async def scenario(setup: EngineSetup) -> None:
        waiting = asyncio.create_task(setup.request("GET", "/now"))
        await asyncio.sleep(0.5)
        [entry] = await setup.engine.journal.newest()
        assert entry.status is None
        decision = await waiting
        assert decision.response is not None
        [entry] = await setup.engine.journal.newest()
        assert (entry.status, decision.response.status) == (204, 204)

    run(scenario)


@pytest.mark.parametrize("run", ["memory"], indirect=True)
def test_a_store_that_cannot_write_the_response_gives_a_503(run: Callable[[Scenario], EngineSetup]) -> None:
    async def scenario(setup: EngineSetup) -> None:
        waiting = asyncio.create_task(setup.post())
        await asyncio.sleep(2.5)
        setup.store.full = True
        decision = await waiting
        setup.store.full = False

        assert decision.response is not None
        assert decision.response.status == 503
        await asyncio.sleep(60)
        assert replace((await setup.store.jobs())[0], response=None).id == "j"

    run(scenario)
