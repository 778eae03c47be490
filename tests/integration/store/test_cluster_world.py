"""Two engines on one schema of PostgreSQL: what an operation of one changes, both have when it returns."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from latehook.base.clock import Clock
from latehook.base.errors import StoreError
from latehook.base.messages import Outgoing, Request
from latehook.engine.engine import Engine
from latehook.engine.filters import ALL
from latehook.engine.operations import Operations
from latehook.mocks.decide import Decision
from latehook.mocks.definitions import Mocks
from latehook.store.address import PostgresAddress, parse_address
from support.engine_setup import RecordingSender, load, load_mocks, restore
from support.limits import LIMIT
from support.postgres import PostgresServer, shorten_timeouts
from support.relay import Relay

pytest.importorskip("asyncpg")
from latehook.store.postgresql import PostgresStore

LEASE = 1.0

MOCKS = """
vars: {verdict: good, other: 1}
mocks:
  - match: POST api.slow.example/jobs
    job: {id: "{{ request.json.id }}"}
    response: {json: {verdict: "{{ vars.verdict }}", other: "{{ vars.other }}"}}
    webhook: {to: "http://app.test/", text: "{{ job.id }}", after: "{{ request.json.after }}"}
"""

CHOSEN = """
mocks:
  - match: POST chosen.slow.example/
    job: {idempotency_key: request.json.key}
    response:
      - {when: vars.other == 0, status: 400, text: "{{ job.id }}", rejects: true}
      - {status: 201, text: "{{ job.id }}"}
    webhook: {to: "http://app.test/", after: before-response}
"""

COUNTED = """
mocks:
  - {match: GET times.slow.example/, times: 7, response: {text: counted}}
  - {match: GET times.slow.example/, response: {text: others}}
  - {match: GET faults.slow.example/, response: {fault: {kind: empty, count: 3}}}
  - {match: POST webhooks.slow.example/, webhook: {to: "http://app.test/", fault: {kind: duplicate, count: 2}}}
"""

ADDED = "mocks: [{match: GET NAME.slow.example/, response: {file: content}}]"


class Instance:
    """One of several processes. `closed` are the hosts that its mocks have closed."""

    def __init__(self, server: PostgresServer, folder: Path, port: int | None = None) -> None:
        address = parse_address(server.url("world", port))
        assert isinstance(address, PostgresAddress)
        self.sender = RecordingSender(200)
        self.closed: set[str] = set()
        self.broken = False
        """Whether it cannot compile added mocks."""
        store = PostgresStore(address, lease=LEASE)
        self.engine = Engine(
            load(MOCKS, folder), store, self.sender, Clock(), random.Random(), restore, self._load, self._close
        )
        self.operations = Operations(self.engine)

    def _close(self, mocks: Mocks) -> None:
        self.closed |= {mock.matcher.host for mock in mocks.all}

    def _load(self, text: str, file: str | None, variables: Mapping[str, Any], files: Mapping[str, bytes]) -> Mocks:
        return load_mocks("mocks: [{}]" if self.broken else text, file, variables, files)

    async def post(self, **document: Any) -> tuple[int, Any]:
        document = {"id": "a", "after": "1h", **document}
        return await self.request("POST", "api.slow.example", "/jobs", json.dumps(document).encode())

    async def get(self, host: str) -> tuple[int, Any]:
        return await self.request("GET", host, "/")

    async def decide(self, method: str, host: str, path: str, body: bytes = b"") -> Decision:
        return await self.engine.accept(Request(method, "https", host, 443, path, (), body, len(body)))

    async def request(self, method: str, host: str, path: str, body: bytes = b"") -> tuple[int, Any]:
        decision = await self.decide(method, host, path, body)
        assert decision.response is not None
        body = decision.response.body
        return decision.response.status, json.loads(body) if body.startswith(b"{") else body


async def until_sent(number: int, *made: Instance) -> list[Outgoing]:
    """Return the attempts of all, as soon as there are so many."""
    async with asyncio.timeout(LIMIT):
        while sum(len(each.sender.sent) for each in made) < number:
            await asyncio.sleep(0.01)
    return [outgoing for each in made for _, outgoing in each.sender.sent]


@asynccontextmanager
async def instances(server: PostgresServer, folder: Path, port: int | None = None) -> AsyncIterator[list[Instance]]:
    """Two processes. `port` is that by which the second one reaches the server."""
    server.execute("DROP SCHEMA IF EXISTS world CASCADE")
    made = [Instance(server, folder), Instance(server, folder, port)]
    try:
        for each in made:
            await each.engine.resume(1.0)
        yield made
    finally:
        for each in made:
            await each.engine.close(0.0)


async def test_a_change_at_one_process_is_applied_by_all_when_it_returns(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    async with instances(postgres_server, tmp_path) as (a, b):
        await asyncio.gather(
            a.operations.set_vars({"verdict": "bad"}),
            b.operations.set_vars({"other": 2}),
            a.operations.add_mocks(ADDED.replace("NAME", "one"), None, {"content": b"1"}),
            b.operations.add_mocks(ADDED.replace("NAME", "two"), None, {"content": b"2"}),
            b.operations.set_speed(60),
        )
        for each in (a, b):
            assert each.closed == {"api.slow.example", "one.slow.example", "two.slow.example"}
            assert [await each.get(f"{name}.slow.example") for name in ("one", "two")] == [(200, b"1"), (200, b"2")]
            assert (await each.post(id=str(id(each))))[1] == {"verdict": "bad", "other": 2}
            assert each.operations.clock.speed == 60
        assert abs(a.operations.clock.now() - b.operations.clock.now()) < 1

        await a.operations.hold()
        assert b.operations.holding
        await b.post(id="held", after="0s")
        await b.operations.release()
        assert not a.operations.holding

        later = Instance(postgres_server, tmp_path)  # it joins the others, whose speed it takes
        await later.engine.resume(1.0)
        assert (await later.get("two.slow.example"), later.operations.clock.speed) == ((200, b"2"), 60)
        await later.engine.close(0.0)

        ids = await b.operations.reset()
        assert set(ids) == {str(id(a)), str(id(b)), "held"}
        for each in (a, b):
            assert (await each.get("one.slow.example"))[0] == 501
            assert (each.operations.clock.speed, each.operations.holding) == (1, False)
            assert (await each.post())[1] == {"verdict": "good", "other": 1}
        assert await a.engine.store.count_jobs() == 2


async def test_a_process_that_cannot_apply_a_change_answers_nothing_and_lets_nothing_leave(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    """Its environment lacks what the mocks need that another process has added."""
    async with instances(postgres_server, tmp_path) as (a, b):
        b.broken = True
        await a.operations.add_mocks(ADDED.replace("NAME", "one"), None, {"content": b"1"})
        status, body = await b.get("one.slow.example")
        assert status == 503
        assert "another process has added mocks that cannot be used here: posted mocks:1: " in str(body)
        assert b.engine.standing.closes_all_hosts is not None
        assert any("cannot be used here" in problem for problem in b.operations.problems)
        assert (await a.get("one.slow.example"), a.engine.standing.closes_all_hosts) == ((200, b"1"), None)

        await a.operations.set_vars(
            {"verdict": "bad"}
        )  # a change that it could apply does not make up for the other one
        assert (await b.get("one.slow.example"))[0] == 503
        for change in (b.operations.hold(), b.operations.set_vars({"other": 3})):
            with pytest.raises(StoreError, match="cannot be used here"):
                await change
        b.broken = False  # what it lacked is there now
        await a.operations.set_vars({"verdict": "good"})
        assert await b.get("one.slow.example") == (200, b"1")
        b.broken = True
        await a.operations.add_mocks(ADDED.replace("NAME", "two"), None, {"content": b"2"})
        await b.operations.reset()
        for each in (a, b):
            assert ((await each.post())[0], each.engine.standing.closes_all_hosts) == (200, None)


async def test_a_change_waits_for_a_process_that_is_cut_off_only_until_its_lease_is_over(
    postgres_server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That process then answers nothing, and lets nothing leave, until it has applied the change."""
    with Relay(postgres_server.port) as relay:
        async with instances(postgres_server, tmp_path, relay.port) as (a, b):
            assert (await b.post())[0] == 200
            shorten_timeouts(monkeypatch, 0.5)
            relay.freeze()
            async with asyncio.timeout(LIMIT):
                await a.operations.add_mocks(ADDED.replace("NAME", "one"), None, {"content": b"1"})
            assert b.engine.standing.closes_all_hosts is not None
            assert (await b.get("one.slow.example"))[0] == 503

            relay.mend()
            async with asyncio.timeout(LIMIT):
                while b.engine.standing.problem is not None:
                    assert (await b.get("one.slow.example"))[0] == 503
                    await asyncio.sleep(0.01)
            assert (await b.get("one.slow.example"), b.engine.standing.closes_all_hosts) == ((200, b"1"), None)
            await a.operations.set_vars({"verdict": "bad"})
            assert (await b.post(id="b"))[1]["verdict"] == "bad"


async def test_times_and_faults_count_the_requests_to_all(postgres_server: PostgresServer, tmp_path: Path) -> None:
    """Also those that come at the same moment."""
    async with instances(postgres_server, tmp_path) as (a, b):
        await a.operations.add_mocks(COUNTED, None, {})
        answers = await asyncio.gather(*(each.get("times.slow.example") for _ in range(10) for each in (a, b)))
        assert Counter(answers) == {(200, b"counted"): 7, (200, b"others"): 13}
        faults = [await each.decide("GET", "faults.slow.example", "/") for _ in range(5) for each in (a, b)]
        assert Counter(decision.fault for decision in faults) == {"empty": 3, None: 7}
        for number in range(6):
            await (a, b)[number % 2].request("POST", "webhooks.slow.example", "/", b"{}")
        sent = await until_sent(6, a, b)
        assert Counter(outgoing.fault for outgoing in sent) == {"duplicate": 2, None: 4}

        await b.operations.reset()
        await a.operations.add_mocks(COUNTED, None, {})
        assert [await each.get("times.slow.example") for each in (a, b)] == [(200, b"counted")] * 2


async def written(*instances: Instance) -> None:
    """Return when what instances have entered in the journal is written."""
    await asyncio.gather(*(each.engine.journal.flush() for each in instances))


async def test_the_journal_has_the_requests_to_all(postgres_server: PostgresServer, tmp_path: Path) -> None:
    async with instances(postgres_server, tmp_path) as (a, b):
        for number in range(3):
            await a.post(id=f"a{number}")
            await b.get(f"nowhere{number}.slow.example")
        b.engine.note_other("GET", "http://other.example/")
        await written(a, b)
        for each in (a, b):
            entries = await each.engine.journal.newest()
            found = [(entry.job, entry.status) for entry in entries]  # of one millisecond, in any order
            assert Counter(found) == {("a0", 200): 1, ("a1", 200): 1, ("a2", 200): 1, (None, 501): 3}
            [miss] = next(entry.near_misses for entry in entries if not entry.matched)
            assert miss.mock == "POST api.slow.example/jobs"
            assert await each.operations.queries.count_requests() == (6, 3)
            assert [entry.url for entry in await each.engine.journal.newest_others()] == ["http://other.example/"]
        unmatched = await b.operations.queries.requests(ALL, 1, lambda entry: entry.number, matched=False)
        assert len(unmatched.items) == 1 and unmatched.next is not None

        unmatched_requests = 3
        while unmatched_requests < 1100:
            answers = await asyncio.gather(*(each.get("nowhere.slow.example") for each in (a, b) for _ in range(100)))
            unmatched_requests += sum(status == 501 for status, _ in answers)  # not those of a lease that was over
        await written(a, b)
        assert await a.operations.queries.count_requests() == (unmatched_requests + 3, unmatched_requests)
        assert len(await b.engine.journal.newest()) == 1000
        await b.operations.reset()
        for each in (a, b):
            assert (await each.operations.queries.count_requests(), await each.engine.journal.newest()) == ((0, 0), [])


async def test_waits_and_the_revision_are_those_of_all(postgres_server: PostgresServer, tmp_path: Path) -> None:
    async with instances(postgres_server, tmp_path) as (a, b):
        states = b.operations.queries.parse_filter({"job": "x", "state": "delivered"})
        waiting = asyncio.create_task(b.operations.waits.wait(states, 1, LIMIT, lambda details: details.stored.job.id))
        before = a.operations.notifier.revision
        changed = asyncio.create_task(b.operations.notifier.wait_for_change(b.operations.notifier.revision, LIMIT))
        await a.post(id="x", after="0s")
        assert await waiting == ["x"]
        assert await changed
        async with asyncio.timeout(LIMIT):  # more notices of the delivery may come, but not for ever
            while await b.operations.notifier.wait_for_change(a.operations.notifier.revision, 0.1):
                await asyncio.sleep(0.01)
        assert a.operations.notifier.revision == b.operations.notifier.revision > before
        listed = asyncio.create_task(b.operations.notifier.wait_for_change(b.operations.notifier.revision, LIMIT))
        await a.get("nowhere.slow.example")
        assert await listed


@pytest.mark.parametrize(("accepts", "status", "jobs"), [(True, 201, 1), (False, 400, 2)])
async def test_a_repeated_request_waits_for_the_choice_of_another_process(
    postgres_server: PostgresServer, tmp_path: Path, accepts: bool, status: int, jobs: int
) -> None:
    """A job that is taken back has never been: the other request then starts one of its own."""
    async with instances(postgres_server, tmp_path) as (a, b):
        await a.operations.add_mocks(CHOSEN, None, {})
        for each in (a, b):
            each.sender.takes = 0.2
        first = asyncio.create_task(a.request("POST", "chosen.slow.example", "/", b'{"key": "k"}'))
        await until_sent(1, a)
        await a.operations.set_vars({"other": int(accepts)})
        again = await b.request("POST", "chosen.slow.example", "/", b'{"key": "k"}')
        assert [(await first)[0], again[0]] == [status, status]
        assert ((await first)[1] == again[1]) == (jobs == 1)
        assert len(a.sender.sent) + len(b.sender.sent) == jobs
