"""An engine with a store in PostgreSQL: what happens at once, and what a broken connection does."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from latehook.base.clock import Clock
from latehook.base.errors import StoreError
from latehook.base.messages import Request
from latehook.base.redaction import Redaction
from latehook.engine.engine import Engine
from latehook.engine.operations import Operations
from latehook.mocks.decide import Decision
from latehook.mocksfile import loading
from latehook.store.address import PostgresAddress, parse_address
from support.engine_setup import RecordingSender, load, load_mocks
from support.limits import LIMIT
from support.postgres import PostgresServer, shorten_timeouts
from support.relay import Relay
from support.stored import add, job, webhook

pytest.importorskip("asyncpg")
from latehook.store.postgresql import PostgresStore

MOCKS = """
mocks:
  - match: POST api.slow.example/jobs
    job: {idempotency_key: "{{ request.json.key }}"}
    response: {json: {id: "{{ job.id }}", seen: "{{ jobs | length }}"}}
    webhook: {to: "http://app.test/", text: "{{ job.id }}", after: 100ms}
  - match: GET api.slow.example/jobs/{id}
    lookup: request.path.id
    response: {json: {id: "{{ job.id }}"}}
"""


def store_at(server: PostgresServer, schema: str, port: int | None = None) -> PostgresStore:
    address = parse_address(server.url(schema, port))
    assert isinstance(address, PostgresAddress)
    return PostgresStore(address)


class Setup:
    def __init__(self, store: PostgresStore, folder: Path) -> None:
        self.store = store
        self.sender = RecordingSender(200)
        restore = lambda excerpt: loading.restore(excerpt, {}, Redaction())  # noqa: E731
        self.engine = Engine(load(MOCKS, folder), store, self.sender, Clock(), random.Random(1), restore, load_mocks)
        self.operations = Operations(self.engine)

    async def post(self, **document: object) -> Decision:
        return await self.request("POST", "/jobs", json.dumps({"key": None, **document}).encode())

    async def request(self, method: str, path: str, body: bytes = b"") -> Decision:
        request = Request(method, "https", "api.slow.example", 443, path, (), body, len(body))
        return await self.engine.accept(request)


@asynccontextmanager
async def running(store: PostgresStore, folder: Path) -> AsyncIterator[Setup]:
    setup = Setup(store, folder)
    await setup.engine.resume(1.0)
    await setup.operations.reset()
    try:
        yield setup
    finally:
        await setup.engine.close()


def answer(decision: Decision) -> tuple[int, dict[str, object]]:
    assert decision.response is not None
    return decision.response.status, json.loads(decision.response.body)


async def until(condition: object) -> None:
    async with asyncio.timeout(LIMIT):
        while not await condition():  # type: ignore[operator]
            await asyncio.sleep(0.01)


async def test_requests_with_one_idempotency_key_at_the_same_time_start_one_job(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    async with running(store_at(postgres_server, "engine"), tmp_path) as setup:
        decisions = await asyncio.gather(*(setup.post(key=str(number // 10)) for number in range(50)))
        answers = [answer(decision) for decision in decisions]

        assert {status for status, _ in answers} == {200}
        assert len({body["id"] for _, body in answers}) == 5 == await setup.store.count_jobs()
        for number in range(50):
            assert answers[number] == answers[number // 10 * 10]
        looked_up = await asyncio.gather(*(setup.request("GET", f"/jobs/{body['id']}") for _, body in answers))
        assert [answer(decision)[1]["id"] for decision in looked_up] == [body["id"] for _, body in answers]

        async def is_done() -> bool:
            return await setup.store.count_unfinished() == 0

        await until(is_done)
        assert len(setup.sender.sent) == 5


@pytest.mark.parametrize("breaks", ["cut", "freeze"])
async def test_while_the_network_is_broken_requests_get_503_and_nothing_is_lost_or_doubled(
    postgres_server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, breaks: str
) -> None:
    """It resets connections, or it drops all packets."""
    with Relay(postgres_server.port) as relay:
        async with running(store_at(postgres_server, "engine", relay.port), tmp_path) as setup:
            shorten_timeouts(monkeypatch, 0.5)
            before = answer(await setup.post())[1]["id"]
            await setup.operations.hold()
            getattr(relay, breaks)()
            cut = [answer(await setup.post()) for _ in range(3)]
            assert {status for status, _ in cut} == {503}
            assert all("the store cannot " in str(body["error"]) for _, body in cut)
            with pytest.raises(StoreError):
                await setup.operations.release()
            assert setup.operations.holding
            await asyncio.sleep(0.2)
            relay.mend()

            async def is_back() -> bool:
                return answer(await setup.post())[0] == 200 and not setup.engine.problems

            await until(is_back)
            await setup.operations.release()

            async def is_done() -> bool:
                return await setup.store.count_unfinished() == 0

            await until(is_done)
            bodies = [outgoing.body.decode() for _, outgoing in setup.sender.sent]
            assert before in bodies
            assert len(bodies) == len(set(bodies)) == await setup.store.count_jobs()


async def test_a_job_of_which_nobody_knows_whether_it_was_written_is_deleted_again(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server has written it, and the network drops its answer."""
    with Relay(postgres_server.port) as relay:
        store = store_at(postgres_server, "doubtful", relay.port)
        await store.open()
        store.set_value("a", 1)
        await store.commit()  # the statement is prepared
        shorten_timeouts(monkeypatch, 0.5)
        relay.drop_answers()
        keys = add(store, job("doubtful", webhook()))
        with pytest.raises(StoreError, match="the store cannot write: "):
            await store.commit()
        sql = "SELECT count(*) FROM doubtful.job"
        assert postgres_server.execute(sql) == "1"
        relay.mend()

        async def is_back() -> bool:
            return store.problem is None

        await until(is_back)
        assert (await store.find_job("doubtful"), await store.webhooks_by_key(keys)) == (None, [])
        await store.close()


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        (
            "CREATE SCHEMA s; CREATE TABLE s.theirs ()",
            "this schema has another program's tables: name another one (?schema=NAME)",
        ),
        ("", "it is of a newer Latehook: use that one, or another schema (?schema=NAME)"),
    ],
)
async def test_a_schema_that_cannot_be_used_ends_the_start(
    postgres_server: PostgresServer, sql: str, says: str
) -> None:
    postgres_server.execute("DROP SCHEMA IF EXISTS s CASCADE")
    if sql:
        postgres_server.execute(sql)
    else:
        store = store_at(postgres_server, "s")
        await store.open()
        await store.close()
        postgres_server.execute("UPDATE s.version SET number = 99")

    with pytest.raises(StoreError) as raised:
        await store_at(postgres_server, "s").open()
    assert str(raised.value) == f"mock_store={postgres_server.url('s')}: {says}"


async def test_a_schema_may_be_called_by_a_keyword_of_sql(postgres_server: PostgresServer) -> None:
    for name in ("both", "user"):
        store = store_at(postgres_server, name)
        await store.open()
        await store.close()


async def test_a_server_that_is_not_there_ends_the_start(postgres_server: PostgresServer) -> None:
    with pytest.raises(StoreError, match=r"Connect call failed .*: start PostgreSQL, or correct host and port$"):
        await store_at(postgres_server, "s", 1).open()


async def test_damaged_rows_fail_and_all_others_are_read(postgres_server: PostgresServer) -> None:
    store = store_at(postgres_server, "damage")
    await store.open()
    store.clear()
    damaged, other = add(store, job("a", webhook("a1"), webhook("a2")))
    [of_damaged_job] = add(store, job("b", webhook("b1")))
    await store.commit()
    postgres_server.execute(
        f"UPDATE damage.webhook SET value = 'x' WHERE key = {damaged}; UPDATE damage.job SET value = 'x' WHERE id = 'b'"
    )

    found = {stored.key: stored.webhook for stored in await store.webhooks()}
    assert found[other] == webhook("a2")
    assert "the store is damaged, and cannot be read here" in str(found[damaged].reason)
    assert await store.dues([damaged]) == [None]
    await store.commit()
    assert [found.status for found in (await store.find_job("b")).stages] == ["failed"]  # type: ignore[union-attr]
    assert {key for key, stored in found.items() if stored.state == "failed"} == {damaged, of_damaged_job}
    assert await store.count_states() == {"failed": 2, "pending": 1}
    await store.close()
