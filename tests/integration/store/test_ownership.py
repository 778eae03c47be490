"""Several engines on one PostgreSQL schema: each webhook is sent once, by the process that owns its job."""

import asyncio
from pathlib import Path

import pytest

from support import postgres
from support.limits import SILENCE
from support.postgres import PostgresServer, shorten_timeouts
from support.processes import Process, processes, times_sent
from support.waiting import until

pytest.importorskip("asyncpg")
MOCKS = """
mocks:
  - match: POST api.slow.example/jobs
    job: {idempotency_key: "{{ request.json.key }}"}
    response: {json: {id: "{{ job.id }}"}}
    webhook: {to: "http://app.test/", text: "{{ job.id }}", after: "{{ request.json.after or '50ms' }}"}
  - match: POST api.slow.example/checked
    response: [{when: false, json: {}}, {status: 400, rejects: true, json: {}}]
    stages:
      - {after: before-response, status: checking, webhook: {to: "http://app.test/", text: check}}
      - {after: 10ms, status: active, webhook: {to: "http://app.test/", text: active}}
  - match: GET api.slow.example/jobs/{id}
    lookup: request.path.id
    response: {json: {id: "{{ job.id }}"}}
"""


async def post_many(process: Process, number: int, after: str) -> set[str]:
    """Post jobs. Return the ids of those that were accepted."""
    answers = await asyncio.gather(*(process.post(after=after) for _ in range(number)))
    return {body["id"] for status, body in answers if status == 200}


async def nothing_is_owed(process: Process) -> None:
    async def is_done() -> bool:
        return not process.engine.problems and bool(await process.store.count_unfinished() == 0)

    await until(is_done)


@pytest.mark.slow
async def test_what_a_killed_process_owed_is_sent_by_the_others(
    postgres_server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with processes(postgres_server, "killed", MOCKS, tmp_path, 3) as (first, second, killed):
        shorten_timeouts(monkeypatch, 1.0)
        ids = set[str]()
        killed.sender.takes = 60.0
        for after in ("1ms", "400ms", "2s"):
            for process in (first, second, killed):
                ids |= await post_many(process, 20, after)
        await until(lambda: len(killed.sent) == 20)
        states = await second.store.count_states()
        assert states["delivering"] >= 20
        checked = asyncio.create_task(killed.request("POST", "/checked"))
        await until(lambda: "check" in killed.sent)
        await second.operations.advance("1ms", limit=0.1)  # it takes what is due, except what may still be taken back
        await killed.kill()
        checked.cancel()
        await nothing_is_owed(first)

        times = times_sent((first, second, killed))
        assert set(times) - {"check"} == ids and times["check"] == 1
        assert {body for body, number in times.items() if number > 1} == set(killed.sent) - {"check"}
        assert max(times.values()) == 2


@pytest.mark.slow
async def test_a_process_that_was_cut_off_begins_nothing_and_its_late_ends_do_not_count_twice(
    postgres_server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with processes(postgres_server, "cut_off", MOCKS, tmp_path) as (healthy, cut):
        shorten_timeouts(monkeypatch, 1.0)
        cut.sender.takes = 1.5
        under_way = await post_many(cut, 5, "1ms")
        pending = await post_many(cut, 20, "1200ms")
        await until(lambda: len(cut.sent) == 5)
        cut.relay.freeze()
        await until(lambda: not cut.store.cluster.is_fresh)
        status, body = await cut.post()
        assert (status, "this process has lost touch with the others" in body["error"]) == (503, True)
        await nothing_is_owed(healthy)
        cut.relay.mend()
        await until(lambda: cut.store.cluster.is_fresh and not cut.engine.problems)

        assert (set(cut.sent), len(cut.sent)) == (under_way, 5)
        assert (set(healthy.sent), len(healthy.sent)) == (under_way | pending, 25)
        keys = [stored.key for stored in await healthy.store.webhooks()]
        assert len(await healthy.store.attempts(keys)) == 25
        assert (await cut.post())[0] == 200
        await nothing_is_owed(healthy)
        assert len(cut.sent) == 6


async def test_a_process_that_ends_in_order_hands_over_at_once(postgres_server: PostgresServer, tmp_path: Path) -> None:
    async with processes(postgres_server, "handed_over", MOCKS, tmp_path, lease=300.0) as (staying, leaving):
        ids = await post_many(leaving, 10, "300ms") | await post_many(leaving, 10, "1ms")
        leaving.sender.takes = 0.2
        await until(lambda: leaving.sent)
        await leaving.close()
        await nothing_is_owed(staying)
        times = times_sent((staying, leaving))
        assert (set(times), max(times.values())) == (ids, 1)


@pytest.mark.slow
async def test_a_server_that_restarts_makes_no_process_take_over_from_another(tmp_path: Path) -> None:
    with postgres.server() as server:
        async with processes(server, "restart", MOCKS, tmp_path, 2) as both:
            epochs = [process.store.cluster.epoch for process in both]
            ids = set[str]()
            for process in both:
                process.sender.takes = 0.05
                ids |= await post_many(process, 20, "1s")
            server.stop()
            await until(lambda: not any(process.store.cluster.is_fresh for process in both))
            assert [status for status, _ in [await process.post() for process in both]] == [503, 503]
            server.start()
            await nothing_is_owed(both[0])
            times = times_sent(both)
            assert (set(times), max(times.values())) == (ids, 1)
            assert [process.store.cluster.epoch for process in both] == epochs


async def test_one_idempotency_key_starts_one_job_and_a_hold_is_seen_at_once(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    async with processes(postgres_server, "races", MOCKS, tmp_path) as (first, second):
        for number in range(20):
            answers = await asyncio.gather(*(process.post(key=str(number)) for process in (first, second) * 2))
            assert len({body["id"] for _, body in answers}) == 1
            id = answers[0][1]["id"]
            assert (await second.request("GET", f"/jobs/{id}")).response.status == 200  # type: ignore[union-attr]
        await nothing_is_owed(first)
        assert await first.store.count_jobs() == 20 == len(first.sent) + len(second.sent)

        ids = await post_many(second, 50, "20ms")
        await first.operations.hold()
        begun = len(second.sent)
        await asyncio.sleep(SILENCE)
        assert len(second.sent) == begun
        await first.operations.release()
        await nothing_is_owed(first)
        times = times_sent((first, second))
        assert ids <= set(times) and max(times.values()) == 1
