"""Several processes on one PostgreSQL schema: joining, heartbeats, notices, versions."""

import asyncio
from collections.abc import Callable, Collection

import pytest

from latehook.base.clock import steady_time
from latehook.base.errors import StoreError, StoreUnreachable
from latehook.base.notifier import Notifier
from latehook.delivery.results import PendingResults
from latehook.store.address import PostgresAddress, parse_address
from latehook.store.cluster import Taken
from latehook.store.group_commit import GroupCommit
from support.limits import LIMIT, TIME_SCALE
from support.postgres import PostgresServer, shorten_timeouts
from support.relay import Relay
from support.stored import CONTENT, add, job, webhook

pytest.importorskip("asyncpg")
from latehook.store.postgresql import PostgresStore, schema

LEASE = 0.5
LONG_LEASE = 4 * TIME_SCALE
"""For processes that must stay alive, and fresh, while the test works."""


def store_at(
    server: PostgresServer,
    schema: str,
    port: int | None = None,
    lease: float = LEASE,
    steady: Callable[[], float] = steady_time,
) -> PostgresStore:
    address = parse_address(server.url(schema, port))
    assert isinstance(address, PostgresAddress)
    return PostgresStore(address, lease=lease, steady=steady)


async def opened_pair(
    server: PostgresServer, relay: Relay, schema: str, lease: float = LEASE
) -> tuple[PostgresStore, PostgresStore]:
    """Open a store, and another one on the same schema, which reaches the server through the relay."""
    direct, relayed = store_at(server, schema, lease=lease), store_at(server, schema, relay.port, lease=lease)
    await direct.open()
    await relayed.open()
    await until(lambda: direct.cluster.live == 2)
    return direct, relayed


def reload_of(store: PostgresStore) -> asyncio.Event:
    """Return an event that is set when the store is to be read again: it was connected to, or joined, again."""
    reloaded = asyncio.Event()

    async def reload() -> None:
        reloaded.set()

    store.on_connected = reload
    return reloaded


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(LIMIT):
        while not condition():
            await asyncio.sleep(0.01)


async def test_processes_see_each_other_and_what_each_has_applied(postgres_server: PostgresServer) -> None:
    first, second, third = (store_at(postgres_server, "together") for _ in range(3))
    heard: list[Collection[int] | None] = []
    first.cluster.subscribe("news", heard.append)
    await first.open()
    await second.open()
    await third.open()
    await until(lambda: [store.cluster.live for store in (first, second, third)] == [3, 3, 3])
    assert len({store.cluster.epoch for store in (first, second, third)}) == 3
    assert all(store.cluster.is_fresh and store.problem is None for store in (first, second, third))

    keys = [store.add_job(job("j", webhook())).job for store in (first, second, third) for _ in range(50)]
    assert len(set(keys)) == 150
    await asyncio.gather(*(store.commit() for store in (first, second, third)))
    assert await second.count_jobs() >= 150

    second.cluster.publish("news", [1, 2])
    second.cluster.publish("news", [2, 3])
    first.cluster.publish("news", [9])
    await until(lambda: heard)
    second.cluster.publish("news", range(1000))
    await until(lambda: len(heard) == 2)
    assert heard == [[1, 2, 3], None]

    waiting = asyncio.create_task(second.cluster.applied_by_all(5))
    await first.cluster.acknowledge(5)
    assert not waiting.done()
    await third.cluster.acknowledge(6)
    await asyncio.wait_for(waiting, LIMIT)

    await third.close()
    await until(lambda: (first.cluster.live, second.cluster.live) == (2, 2))
    await first.close()
    await second.close()


async def test_a_process_that_is_cut_off_is_declared_dead_and_joins_again(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Relay(postgres_server.port) as relay:
        healthy, cut = await opened_pair(postgres_server, relay, "cut")
        shorten_timeouts(monkeypatch, 0.3)
        epoch, reloaded = cut.cluster.epoch, reload_of(cut)
        relay.freeze()
        await until(lambda: not cut.cluster.is_fresh)
        assert cut.problem is not None
        await until(lambda: healthy.cluster.live == 1)
        sql = "SELECT count(*) FROM cut.node"
        await until(lambda: postgres_server.execute(sql) == "1")
        relay.mend()
        await asyncio.wait_for(reloaded.wait(), LIMIT)
        await until(lambda: cut.problem is None and healthy.cluster.live == 2)
        assert cut.cluster.epoch > epoch and cut.cluster.is_fresh
        await healthy.close()
        await cut.close()


async def test_a_connection_that_is_silent_is_made_again_before_the_lease_ends(postgres_server: PostgresServer) -> None:
    with Relay(postgres_server.port) as relay:
        healthy, silenced = await opened_pair(postgres_server, relay, "silent", LONG_LEASE)
        epoch, reloaded = silenced.cluster.epoch, reload_of(silenced)
        relay.freeze()
        await until(lambda: relay.dropped)
        relay.mend()
        await asyncio.wait_for(reloaded.wait(), LIMIT)
        assert silenced.cluster.is_fresh and silenced.cluster.epoch == epoch
        await healthy.close()
        await silenced.close()


async def test_a_process_stays_alive_while_it_takes_over_and_reads_again_what_it_owns_after_an_error(
    postgres_server: PostgresServer,
) -> None:
    server = postgres_server
    with Relay(server.port) as relay:
        taker, ended = await opened_pair(server, relay, "slow_taker")
        add(ended, job("owed", webhook()))
        await ended.commit()
        epoch = taker.cluster.epoch
        taken = asyncio.Queue[Taken]()
        may_go_on, reloaded = asyncio.Event(), reload_of(taker)

        async def take(new: Taken) -> None:
            taken.put_nowait(new)
            await may_go_on.wait()
            raise StoreError("the store cannot read: a file is damaged")

        taker.cluster.on_taken = take
        relay.cut()
        new = await asyncio.wait_for(taken.get(), LIMIT)
        assert len(new.dues) == 1
        moment = server.execute("SELECT now()")
        later = f"SELECT count(*) FROM slow_taker.node WHERE until > timestamptz '{moment}' + interval '{3 * LEASE} s'"
        await until(lambda: server.execute(later) == "1")
        assert taker.cluster.is_fresh and taker.cluster.epoch == epoch and not reloaded.is_set()
        may_go_on.set()
        await asyncio.wait_for(reloaded.wait(), LIMIT)
        await taker.close()
        await ended.close()


async def test_an_attempt_that_must_not_be_sent_after_a_pause_does_not_keep_its_webhook(
    postgres_server: PostgresServer,
) -> None:
    pause = paused = 0.0

    def steady() -> float:
        nonlocal paused
        paused += pause  # between each two looks at the clock
        return steady_time() + paused

    store = store_at(postgres_server, "paused", lease=LONG_LEASE, steady=steady)
    await store.open()
    [key] = add(store, job("j", webhook()))
    await store.commit()
    results = PendingResults(store, GroupCommit(store, Notifier()))
    begun = f"SELECT begun FROM paused.webhook WHERE key = {key}"
    assert await results.begin(key, 1, CONTENT, by_hand=False)
    assert postgres_server.execute(begun) == str(store.cluster.epoch)

    pause = store.cluster.lease
    assert not await results.begin(key, 1, CONTENT, by_hand=False)
    assert postgres_server.execute(begun) == ""
    await store.close()


async def test_an_attempt_that_began_when_the_connection_broke_does_not_keep_its_webhook_from_others(
    postgres_server: PostgresServer,
) -> None:
    server = postgres_server
    with Relay(server.port) as relay:
        other, cut = await opened_pair(server, relay, "doubt", LONG_LEASE)
        [key] = add(cut, job("j", webhook()))
        await cut.commit()
        results = PendingResults(cut, GroupCommit(cut, Notifier()))
        epoch = cut.cluster.epoch
        begun = f"SELECT begun FROM doubt.webhook WHERE key = {key}"

        relay.drop_answers()
        attempt = asyncio.create_task(results.begin(key, 1, CONTENT, by_hand=False))
        await until(lambda: server.execute(begun) == str(epoch))
        await other.cluster.owners.take([stored.job.key for stored in await other.webhooks_by_key([key])])
        relay.cut()
        with pytest.raises(StoreUnreachable):
            await attempt
        relay.mend()
        await until(lambda: server.execute(begun) == "")
        assert cut.cluster.epoch == epoch
        assert await PendingResults(other, GroupCommit(other, Notifier())).begin(key, 1, CONTENT, by_hand=False)
        await cut.close()
        await other.close()


async def test_nothing_of_a_dead_process_is_written(postgres_server: PostgresServer) -> None:
    store = store_at(postgres_server, "dead")
    await store.open()
    postgres_server.execute("DELETE FROM dead.node")
    add(store, job("late", webhook()))
    with pytest.raises(StoreError, match="the other processes have declared this one dead"):
        await store.commit()
    await until(lambda: store.cluster.is_fresh)
    assert await store.find_job("late") is None
    add(store, job("early", webhook()))
    await store.commit()
    await store.close()


async def test_a_job_that_is_written_after_a_reset_of_another_process_has_its_definition(
    postgres_server: PostgresServer,
) -> None:
    resetting, unaware = store_at(postgres_server, "reset"), store_at(postgres_server, "reset")
    await resetting.open()
    await unaware.open()
    unaware.add_definition("hash", b"mock")
    await unaware.commit()
    world = resetting.shared.world
    assert await world.write(await world.revision(), {}, holding=False, clears=True) is not None

    add(unaware, job("later", webhook()))
    unaware.add_definition("hash", b"mock")
    await unaware.commit()
    assert await resetting.find_job("later") is not None
    assert await resetting.definition("hash") == b"mock"
    await resetting.close()
    await unaware.close()


async def test_tables_of_an_older_version_are_changed_once_nobody_uses_them(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres_server.execute(
        f"DROP SCHEMA IF EXISTS old CASCADE; CREATE SCHEMA old; SET search_path = old; {schema.VERSION_1}"
    )
    postgres_server.execute("INSERT INTO old.job VALUES (1, 'j', 'm', NULL, 0, 0, 'x')")
    stores = [store_at(postgres_server, "old") for _ in range(3)]
    await asyncio.gather(*(store.open() for store in stores))
    assert await stores[2].job_ids() == ["j"]

    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
    with pytest.raises(StoreError, match=r"an older Latehook uses this schema: end that one first, or name another "):
        await store_at(postgres_server, "old").open()
    for store in stores:
        await store.close()


async def test_a_schema_takes_so_many_processes(postgres_server: PostgresServer) -> None:
    store = store_at(postgres_server, "crowd")
    await store.open()
    rows = "SELECT g, 1000 + g, now() + interval '1h', 0, '' FROM generate_series(0, 63) g"
    postgres_server.execute(f"INSERT INTO crowd.node {rows} ON CONFLICT DO NOTHING")
    with pytest.raises(StoreError, match=r"\?schema=crowd: .*64 processes use this schema already: end one of them$"):
        await store_at(postgres_server, "crowd").open()
    await store.close()
