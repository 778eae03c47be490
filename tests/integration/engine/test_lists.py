"""Lists and waits: what they find, and how much they do in one turn of the event loop."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from latehook.base.model import State
from latehook.engine.filters import Filter, Where
from latehook.engine.pages import BYTES_PER_TURN, ROWS_PER_TURN, in_turns
from latehook.engine.queries import JobDetails, WebhookDetails
from latehook.store import Match
from support.engine_setup import EngineSetup, Scenario, run_scenario

MOCKS = """
vars: {verdict: good}
mocks:
  - name: create
    match: POST api.slow.example/jobs
    job: {id: "{{ request.json.id }}"}
    webhook: {to: "http://app.test/{{ job.id }}", text: "{{ request.json.id }}", event: "{{ request.json.event }}", retry: none}
    stages:
      - {after: 30s, status: processing}
      - {after: 60s, status: done, webhook: true}
"""

Run = Callable[[Scenario], EngineSetup]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return lambda scenario: run_scenario(scenario, MOCKS, tmp_path, document={"id": "a", "event": "e"})


class CountingWhere(Where):
    """A `where` that counts how often it is evaluated."""

    count = 0

    def __call__(self, scope: Mapping[str, Any]) -> bool:
        self.count += 1
        return super().__call__(scope)


def filter_of(setup: EngineSetup, **given: Any) -> Filter:
    """Return a filter whose `where`, if it has one, counts."""
    filter = setup.operations.queries.parse_filter(given)
    if filter.where is None:
        return filter
    names = {"request": None, "job": None, "webhook": None, "now": None}
    return replace(filter, where=CountingWhere(given["where"], names, {"verdict": "good"}, ()))


def evaluated(*filters: Filter) -> int:
    """Return how often the filters have been evaluated since the last call."""
    wheres = [filter.where for filter in filters if isinstance(filter.where, CountingWhere)]
    count = sum(where.count for where in wheres)
    for where in wheres:
        where.count = 0
    return count


async def wait(setup: EngineSetup, filter: Filter, count: int = 1, limit: float = 600.0) -> list[str]:
    """Return the ids of the jobs whose webhooks a wait has found."""

    def job_of(details: WebhookDetails) -> str:
        return details.stored.job.id

    return await setup.operations.waits.wait(filter, count, limit, job_of)


async def settle() -> None:
    """Let everything happen that needs no more than a second."""
    await asyncio.sleep(1)


# How much is read in one turn


@pytest.mark.parametrize(
    ("sizes", "turns"),
    [
        ([], []),
        ([1] * (2 * ROWS_PER_TURN + 1), [ROWS_PER_TURN, ROWS_PER_TURN, 1]),
        ([BYTES_PER_TURN * 20] * 3, [1, 1, 1]),
        ([1, BYTES_PER_TURN, 1, 1], [1, 1, 2]),
        ([BYTES_PER_TURN // 2] * 4, [2, 2]),
    ],
)
def test_a_turn_reads_few_rows_and_few_bytes(sizes: list[int], turns: list[int]) -> None:
    found = [Match(number, size) for number, size in enumerate(sizes)]

    divided = list(in_turns(found))
    assert [len(keys) for keys in divided] == turns
    assert [key for keys in divided for key in keys] == [match.key for match in found]


def test_each_large_job_of_a_list_has_a_turn_of_its_own(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        for number in range(5):
            await setup.post(id=str(number), text="x" * 2 * BYTES_PER_TURN)
        before = setup.operations.queries.turns.taken

        def id_of(details: JobDetails) -> str:
            return details.job.id

        page = await setup.operations.queries.jobs(Filter(), 10, id_of)
        assert page.items == ["4", "3", "2", "1", "0"]
        assert setup.operations.queries.turns.taken - before == 5

    run(scenario)


def test_only_one_of_many_lists_reads_in_a_turn(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        for number in range(ROWS_PER_TURN):
            await setup.post(id=str(number))
        turns = 0

        async def count_turns() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        counting = asyncio.create_task(count_turns())
        await asyncio.gather(*(setup.operations.queries.jobs(Filter(), 10, id) for _ in range(50)))
        counting.cancel()
        assert turns >= 50

    run(scenario)


# Waits


def test_a_change_is_evaluated_only_for_the_waits_that_it_concerns(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        for number in range(40):
            await setup.post(id=f"job {number}")
        where = "request.json.event == 'e'"
        filters = [filter_of(setup, job=f"job {number}", state="delivered", where=where) for number in range(40)]
        waits = [asyncio.create_task(wait(setup, filter)) for filter in filters]
        await settle()
        assert evaluated(*filters) == 0  # the state does not match

        await setup.operations.advance("1h", "job 17")
        await settle()
        assert await waits[17] == ["job 17"]
        assert evaluated(*filters) <= 3
        assert not any(waiting.done() for number, waiting in enumerate(waits) if number != 17)
        for waiting in waits:
            waiting.cancel()

    run(scenario)


def test_a_wait_for_any_job_is_evaluated_for_what_has_changed_only(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        for number in range(100):
            await setup.post(id=str(number))
        filter = filter_of(setup, where="request.json.id == 'new'")
        waiting = asyncio.create_task(wait(setup, filter))
        await settle()
        assert evaluated(filter) == 100

        await setup.post(id="other")
        await settle()
        assert evaluated(filter) == 1
        await setup.post(id="new")
        await settle()
        assert await waiting == ["new"]

    run(scenario)


def test_many_changes_at_once_are_evaluated_once(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post(id="a")
        key = (await setup.operations.queries.unfinished())[0].webhook.id
        filter = filter_of(setup, state="pending,held", where="request.json.id == 'none'")
        waiting = asyncio.create_task(wait(setup, filter))
        await settle()
        evaluated(filter)

        for _ in range(50):
            await setup.operations.hold(key)
            await setup.operations.release(key)
        await settle()
        assert evaluated(filter) <= 2
        waiting.cancel()

    run(scenario)


@pytest.mark.parametrize(
    ("given", "change"),
    [
        ({"state": "held"}, lambda setup: setup.operations.hold()),
        ({"state": "held"}, lambda setup: setup.operations.hold(filter_of(setup, job="a"))),
        ({"state": "canceled"}, lambda setup: setup.operations.cancel()),
        ({"state": "delivered"}, lambda setup: setup.operations.advance("1h")),
        ({"where": "webhook.attempt == 1"}, lambda setup: setup.operations.advance("1h", "a")),
        ({"where": "vars.verdict == 'bad'"}, lambda setup: setup.operations.set_vars({"verdict": "bad"})),
        ({"where": "job.status == 'done'"}, lambda setup: setup.operations.advance("1h")),
        ({"where": "job.at.done", "state": "delivered"}, lambda setup: setup.operations.advance("1h")),
        ({"event": "new"}, lambda setup: setup.post(id="a", event="new")),
        ({"mock": "create", "event": "new"}, lambda setup: setup.post(id="a", event="new")),
    ],
    ids=lambda given: str(given) if isinstance(given, dict) else "",
)
def test_a_wait_ends_at_every_kind_of_change(
    run: Run, given: dict[str, Any], change: Callable[[EngineSetup], Any]
) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post(id="a")
        waiting = asyncio.create_task(wait(setup, filter_of(setup, **given)))
        await settle()
        assert not waiting.done()

        await change(setup)
        await settle()
        assert await waiting == ["a"]

    run(scenario)


def test_a_wait_for_a_time_ends_with_the_next_change_after_it(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post(id="a")
        waiting = asyncio.create_task(wait(setup, filter_of(setup, job="a", where="job.status == 'processing'")))
        await asyncio.sleep(31)
        assert not waiting.done()

        await setup.request("GET", "/another")
        await settle()
        assert await waiting == ["a"]

    run(scenario)


def test_a_wait_in_vain_returns_what_matches_at_its_end(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        for id in ("a", "b", "c"):
            await setup.post(id=id)
        waiting = asyncio.create_task(wait(setup, filter_of(setup, state="pending"), 4, limit=20.0))
        await settle()
        await setup.operations.cancel(filter_of(setup, job="b"))

        assert await waiting == ["a", "c"]

    run(scenario)


def test_forgotten_jobs_end_no_wait(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post(id="a")
        waiting = asyncio.create_task(wait(setup, filter_of(setup, state="pending"), 2, limit=20.0))
        await settle()
        await setup.operations.reset(filter_of(setup, job="a"))
        await setup.post(id="b")

        assert await waiting == ["b"]

    run(scenario)


def test_a_reset_ends_no_wait(run: Run) -> None:
    async def scenario(setup: EngineSetup) -> None:
        await setup.post(id="a")
        waiting = asyncio.create_task(wait(setup, filter_of(setup, state="pending"), 2, limit=20.0))
        await settle()
        await setup.operations.reset()
        await setup.post(id="b")

        assert await waiting == ["b"]
        assert setup.operations.notifier.waiting == 0
        assert (await setup.store.webhooks())[0].webhook.state is State.PENDING

    run(scenario)
