"""Many webhooks of one job, in virtual time: each operation sees every one of them."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from latehook.base.model import State
from support.engine_setup import MEMORY, EngineSetup, Scenario, run_scenario
from support.postgres import SLOW_IN_POSTGRESQL, server_of

MOCKS = """
mocks:
  - match: POST api.slow.example/jobs
    job: {id: a}
    webhook: {to: "http://app.test/", json: ["{{ index }}", "{{ item }}", "{{ job.status }}"]}
    stages:
      - {after: 5s, status: progress, webhook: {json: ["{{ index }}", "{{ job.status }}"]}, repeat: {every: 10s, times: "{{ request.json.parts }}"}}
      - {status: done, webhook: true, each: request.json.all}
  - match: DELETE api.slow.example/jobs
    lookup: "'a'"
    stages: [{status: gone}]
"""

Run = Callable[..., EngineSetup]


@pytest.fixture
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    def run(scenario: Scenario, path: str = MEMORY) -> EngineSetup:
        document = {"parts": 3, "all": [10**30, {"x": 1}]}
        return run_scenario(scenario, MOCKS, tmp_path, path=path, server=server_of(request), document=document)

    return run


def sent(setup: EngineSetup) -> list[tuple[float, str]]:
    return [(at, outgoing.body.decode()) for at, outgoing in setup.sender.sent]


ALL = [
    (5, '[0,"progress"]'),
    (15, '[1,"progress"]'),
    (25, '[2,"progress"]'),
    (25, f'[0,{10**30},"done"]'),
    (25, '[1,{"x":1},"done"]'),
]


async def states(setup: EngineSetup) -> list[State]:
    return [stored.webhook.state for stored in await setup.store.webhooks()]


@SLOW_IN_POSTGRESQL
def test_every_webhook_is_sent_at_its_time_in_the_order_of_the_stages(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post()
        assert await setup.store.count_unfinished() == 5
        await asyncio.sleep(100)
        assert sent(setup) == ALL

    run(scenario)


def test_an_advance_goes_through_all_of_them(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post()
        await setup.operations.advance("16s")
        assert [body for _, body in sent(setup)] == [body for _, body in ALL[:2]]
        await setup.operations.advance("1m", "a")
        assert [body for _, body in sent(setup)] == [body for _, body in ALL]

    run(scenario)


def test_a_repetition_waits_for_the_first_attempt_of_the_one_before(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        setup.sender.takes = 12.0
        await setup.post()
        await asyncio.sleep(200)
        assert sent(setup)[:3] == [(5, ALL[0][1]), (17, ALL[1][1]), (29, ALL[2][1])]

    run(scenario)


def test_single_ones_are_held_fired_and_canceled(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post()
        ids = [stored.webhook.id for stored in await setup.store.webhooks()]
        await setup.operations.hold(ids[0])
        await setup.operations.cancel(ids[3])
        await setup.operations.fire(ids[2])
        await asyncio.sleep(0)
        job = (await setup.store.jobs())[0]
        assert [round(stage.due - job.created_at) for stage in job.stages] == [0, 0, 0, 25]
        await asyncio.sleep(100)
        assert sent(setup) == [(0, ALL[2][1]), (15, ALL[1][1]), (25, ALL[4][1])]
        await setup.operations.release(ids[0])
        await asyncio.sleep(1)
        assert sent(setup)[-1] == (100, ALL[0][1])

    run(scenario)


def test_a_change_of_the_job_cancels_the_repetitions_that_are_left(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post()
        await asyncio.sleep(16)
        await setup.request("DELETE", "/jobs")
        await asyncio.sleep(100)
        assert sent(setup) == ALL[:2]
        assert await states(setup) == [State.DELIVERED] * 2 + [State.CANCELED] * 3

    run(scenario)


@SLOW_IN_POSTGRESQL
def test_a_filter_selects_by_item_and_index(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post()
        queries = setup.operations.queries
        found = [
            [
                (stored.webhook.event, stored.webhook.index)
                async for batch in queries.webhook_batches(queries.parse_filter({"where": where}))
                for stored in batch
            ]
            for where in ("item.x == 1", "index == 1", "item is none")
        ]
        parts = [("progress", 0), ("progress", 1), ("progress", 2)]
        assert [sorted(each) for each in found] == [[("done", 1)], [("done", 1), ("progress", 1)], parts]

    run(scenario)


def test_the_next_process_sends_the_rest(run: Run, tmp_path: Path) -> None:
    path = str(tmp_path / "store.db")

    async def first(setup: EngineSetup) -> None:
        await setup.post()
        await asyncio.sleep(6)
        await setup.engine.close()

    async def second(setup: EngineSetup) -> None:
        setup.machine_clock.offset += 6
        assert await setup.engine.resume(1.0) == 4
        await asyncio.sleep(100)
        assert sorted(body for _, body in sent(setup)) == sorted(body for _, body in ALL[1:])
        await setup.engine.close()

    run(first, path)
    run(second, path)
